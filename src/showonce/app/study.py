"""What `compare` is asked for, resolved and checked before anything is taught: which learners, settings, tasks, seeds.

No model is loaded here.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from showonce.app.effects import USED, unused
from showonce.app.plan import check_unattended, make_plan
from showonce.app.tasks import task_named
from showonce.config import CompareConfig, Config
from showonce.errors import ConfigError
from showonce.evaluation.tasks import SETS, task_set
from showonce.schema import SchemaError, shown
from showonce.settings import changed, values_of
from showonce.types import Task

OURS: Final = ("learners", "tasks", "seeds", "set")  # the words of `compare` itself, fields of `CompareConfig`
ALIASES: Final = {"learning": "learners", "learning.learner": "learners", "task": "tasks", "seed": "seeds"}
NOT_SWEPT: Final = ("name", "seed", "run_dir", "output", "dashboard", "compare", "evaluation", "workers", "ray")
MOST_SEEDS: Final = 10_000  # that one range may give
ASK_FROM: Final = 1000  # lessons; a study of so many is begun only when a person says yes
RANGE: Final = re.compile(r"(.*?)(\d+)-(\d+)")


@dataclass(frozen=True)
class Arm:
    """One learner under one setting. settings: those of the swept ones that it reads. config: of its lessons, but for
    task and seed. key: its name in the study's files; a learner's file that was edited gives another one.
    """

    learner: str
    settings: Mapping[str, Any]
    config: Config
    key: str


@dataclass(frozen=True)
class Study:
    """What is taught: every task (by the word that names it) under every seed by every arm."""

    config: Config
    arms: tuple[Arm, ...]
    tasks: Mapping[str, Task]
    seeds: tuple[int, ...]

    def lessons(self) -> Iterator[tuple[Arm, str, int]]:
        """Yield them in the order in which they are taught: of one seed and task, all arms."""
        for seed, task, arm in itertools.product(self.seeds, self.tasks, self.arms):
            yield arm, task, seed

    def __len__(self) -> int:
        return len(self.seeds) * len(self.tasks) * len(self.arms)

    @property
    def summary(self) -> str:
        """What is asked for, in a line."""
        counts = ((self.arms, "line"), (self.tasks, "task"), (self.seeds, "seed"))
        told = " x ".join(f"{len(each)} {word}{'s' * (len(each) != 1)}" for each, word in counts)
        return f"{len(self)} lessons ({told}), {self.config.experiment.eval_screens} screens after each"


def split_words(words: Sequence[str], multirun: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Part the words of `compare` itself from the overrides of its config; return them as fields of `CompareConfig`.

    multirun: an override with several values is a dimension of the study too, as in hydra.

    Raises:
        ConfigError: a word cannot be read, or is given twice.
    """
    found: dict[str, Any] = {}
    others: list[str] = []
    for word in words:
        key, _, raw = word.partition("=")
        if key == "set":
            _add(found.setdefault("set", {}), *values_of(raw), word)
        elif key in OURS or key in ALIASES:
            name = ALIASES.get(key, key)
            values = values_of(word)[1]
            if name == "seeds":
                values = [seed for value in values for seed in _seeds(value)]
            _add(found, name, tuple(map(str, values)) if name != "seeds" else tuple(values), word)
        elif multirun and len(several := values_of(word)[1]) > 1 and not raw.startswith("["):
            _add(found.setdefault("set", {}), key, several, word)
        else:
            others.append(word)
    return found, others


def _add(found: dict[str, Any], key: str, values: Any, word: str) -> None:
    if key in found:
        raise ConfigError(f"{word!r}: {key} is given twice; write all of its values as one list.")
    found[key] = values


def _seeds(value: Any) -> Sequence[int]:
    """Return the seeds of a number or a range such as 0-2."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    match = RANGE.fullmatch(str(value))
    if match is None or match[1]:
        raise ConfigError(f"seeds={value}: seeds are whole numbers or a range: seeds=0-2 or seeds=[0,1,7].")
    return _span(int(match[2]), int(match[3]), f"seeds={value}")


def _span(first: int, last: int, word: str) -> range:
    if not first <= last < first + MOST_SEEDS:
        why = "ends before it begins" if last < first else f"has more than {MOST_SEEDS} numbers"
        raise ConfigError(f"{word}: the range {why}.")
    return range(first, last + 1)


def with_study(config: Config, given: Mapping[str, Any]) -> Config:
    """Return a config with the words of the command line in place of its own `compare`, and nothing left empty."""
    own = replace(config.compare, **given)
    whole = CompareConfig(
        own.learners or (config.learning.learner,), own.tasks or (config.task,), own.seeds or (config.seed,), own.set
    )
    experiment = replace(config.experiment, name="one_demo")
    return replace(config, compare=whole, experiment=experiment, task=whole.tasks[0], seed=whole.seeds[0])


def count_of(config: Config) -> int:
    """Return how many lessons are named at most: a learner has one line for all values that it does not read."""
    asked = config.compare
    values = math.prod(len(each) if isinstance(each, (list, tuple)) else 1 for each in asked.set.values())
    return len(asked.learners) * len(tasks_named(config)) * len(asked.seeds) * values


def tasks_named(config: Config) -> list[str]:
    """Return the tasks of `config.compare`, each by an id or a file: sets and ranges are written out.

    Raises:
        ConfigError: a range is wrong, or a set is empty.
    """
    found: list[str] = []
    for word in config.compare.tasks:
        match = RANGE.fullmatch(word)
        if word in SETS:
            found += task_set(word, config.evaluation.split, config.evaluation.apps).ids
        elif match is not None and match[1].endswith("/") and not Path(word).exists():
            found += [f"{match[1]}{number}" for number in _span(int(match[2]), int(match[3]), f"tasks={word}")]
        else:
            found.append(word)
    return found


def study_of(config: Config, given: Sequence[str] = ()) -> Study:
    """Resolve and check a study. config: as of `with_study`. given: the keys of the command line.

    Raises:
        ConfigError: a learner, a swept key or one of its values cannot be used, or a key has no effect on any lesson.
        TaskError: a task cannot be used. DemonstrationError: the demonstration that the config names cannot be read.
    """
    check_unattended(config.safety, "compare")
    asked = config.compare
    for name, each in (("learners", asked.learners), ("seeds", asked.seeds)):
        if twice := next((one for one in each if each.count(one) > 1), None):
            raise ConfigError(f"compare.{name}: {twice} is named twice.")
    tasks = {word: task_named(word) for word in tasks_named(config)}
    if config.demonstration not in ("auto", "none") and len(tasks) > 1:
        raise ConfigError(f"demonstration={config.demonstration} shows one task, and {len(tasks)} are named.")
    for key, values in asked.set.items():
        _check_values(config, key, values)
    arms = _arms(config)
    for key in given:
        whys = [unused("compare", key, arm.config) for arm in arms]
        if all(whys):
            raise SchemaError(key, f"{key} has no effect in `showonce compare`: {whys[0]}.")
    for arm in arms:
        make_plan(arm.config, tasks=[*tasks.values()], learning=True)
    return Study(config, tuple(arms), tasks, asked.seeds)


def _check_values(config: Config, key: str, values: Any) -> None:
    """Raise ConfigError where a key cannot be swept, or cannot have one of the values."""
    word = f"set={key}={shown(values)}"
    if key in ALIASES:
        raise ConfigError(f"{word}: write {ALIASES[key]}=[...] instead.")
    if not isinstance(values, (list, tuple)) or not values:
        raise ConfigError(f"{word}: write the values as a list, {key}=[a,b].")
    if any(values[:at].count(value) for at, value in enumerate(values)):
        raise ConfigError(f"{word}: a value is there twice.")
    for value in values:
        try:
            changed(config, {key: value})
        except ConfigError as error:
            raise ConfigError(f"{word}: {error}") from None
    lessons = [one for one in USED["compare"] if one.partition(".")[0] not in NOT_SWEPT]
    if not any(key == one or key.startswith(f"{one}.") for one in lessons):
        raise ConfigError(f"{word}: {key} is no setting of a lesson.")


def _arms(config: Config) -> list[Arm]:
    """Return a line for each learner and each combination of those settings that it reads.

    Raises:
        ConfigError: there is no such learner, or its file is wrong (with the line); no learner reads a setting.
    """
    arms: dict[str, Arm] = {}
    idle = dict.fromkeys(config.compare.set, "")
    read: set[str] = set()
    for learner in config.compare.learners:
        base, version = _taught_by(config, learner), _version(learner)
        for values in itertools.product(*config.compare.set.values()):
            wanted = dict(zip(config.compare.set, values, strict=True))
            tried = _changed(base, wanted)
            for key in wanted:
                idle[key] = unused("compare", key, tried)
            settings = {key: value for key, value in wanted.items() if not idle[key]}
            read |= {*settings}
            told = f" {json.dumps(settings, sort_keys=True)}" if settings else ""
            key = f"{learner}{version}{told}"
            arms.setdefault(key, Arm(learner, settings, _changed(base, settings), key))
    if unread := next((key for key in idle if key not in read), ""):
        raise ConfigError(f"set={unread}=...: it has no effect on these learners: {idle[unread]}.")
    return [*arms.values()]


def _changed(config: Config, values: Mapping[str, Any]) -> Config:
    try:
        return changed(config, values)
    except ConfigError as error:  # two values that are good each by itself
        raise ConfigError(f"set: {', '.join(f'{key}={value}' for key, value in values.items())}: {error}") from None


def _taught_by(config: Config, learner: str) -> Config:
    """Return a config with another learner. Options of learners of one's own are left out for the others."""
    made = replace(config, learning=replace(config.learning, learner=learner, enabled=True))
    if unused("compare", "learning.options", made):
        made = replace(made, learning=replace(made.learning, options={}))
    return made


def _version(learner: str) -> str:
    """Return a mark of a learner's own file, so that lessons by an older text of it are not taken for this one's.

    Raises:
        ConfigError: there is no such learner, or its file is wrong (with the line).
    """
    from showonce.learning.methods.registry import find_method

    method = find_method(learner)
    file = inspect.getsourcefile(method) if ":" in learner else None
    return f"#{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]}" if file else ""
