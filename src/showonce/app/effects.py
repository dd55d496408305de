"""Which keys of a config have an effect in a verb; a key on the command line that has none is refused with the reason.

A config's file may serve several verbs, so only keys of the command line are asked about. Two tables: what a verb reads
at all (`USED`), and what is read only under another key's value (`WHEN`). Model code is imported only for a learner of
one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

from showonce.about import shipped_root
from showonce.app.tasks import environment_of, tasks_of
from showonce.config import RAY, Config, LearningConfig
from showonce.environments.factory import OWN
from showonce.errors import ConfigError
from showonce.plugins import Registry
from showonce.schema import SchemaError
from showonce.types import Task

RUN: Final = ("name", "seed", "run_dir", "output", "dashboard")
DONE: Final = ("task", "environment", "success", "limits", "safety")  # what any verb that does a task reads
SCALE: Final = ("workers", "ray")  # what a verb reads that does its work in jobs
LESSON: Final = (  # what a lesson reads beside its learner
    "environment", "success", "limits", "safety", "deterministic", "demonstration", "inference", "policy",
    *(f"learning.{part}" for part in ("options", "sdft", "practice", "gate", "ratchet", "fault")),
)  # fmt: skip
USED: Final = {
    "run": (
        *RUN, *DONE, "tasks", "secret", "deterministic", "demonstration", "adapter", "resume", "inference", "policy",
        "learning", "experiment", "record.secrets",
    ),
    "record": (*RUN, *DONE, "record", "learning.practice.seed_offset"),
    "record --oracle": (*RUN, *DONE, "learning.practice.seed_offset"),
    "record --import": ("output.logs",),
    "record --export": (),
    "parameters": (),
    "replay": (*RUN, *DONE, "secret", "replay", "record.secrets"),
    "do": (*RUN, "environment", "success", "limits", "safety", "secret", "replay", "record.secrets", "do"),
    "eval": (
        *RUN, *SCALE, "environment", "success", "limits", "safety", "deterministic", "adapter", "inference", "policy",
        "evaluation", "learning.practice.seed_offset", "experiment.eval_seed_offset",
    ),
    "prove": ("deterministic", "inference", "output.logs", "experiment.eval_screens", "experiment.baselines"),
    "compare": (
        *RUN, *SCALE, *LESSON, "compare", "evaluation.split", "evaluation.apps", "experiment.eval_screens",
        "experiment.eval_seed_offset", "experiment.incomplete",
    ),
    "watch": ("output.logs", "dashboard"),
    "runs": ("output.logs",),
    "rollback": ("output.logs", "output.adapters"),
    "doctor": ("environment", "inference", "policy", "output"),
}  # fmt: skip
WHY: Final = {  # section: why a verb that does not read it does not
    "learning": "it measures or shows, and nothing learns in it; `showonce run` learns",
    "evaluation": "it is what `showonce eval` reads",
    "record": "it is what `showonce record` reads, while a person is watched",
    "secret": "nothing types one here",
    "replay": "it is what `showonce replay` and `showonce do` read",
    "do": "it is what `showonce do` reads",
    "experiment": "its phases are those of `showonce run`",
    "tasks": "it takes one task: task=...",
    "task": "it measures the tasks of evaluation.set",
    "workers": "it does its work in this process",
    "ray": "it does its work in this process",
    "resume": "only `showonce run` goes on with a run",
}
FROZEN: Final = ("frozen", "in_context")  # the learners that change no weights

Rule = tuple[tuple[str, ...], Callable[[Config], bool], str]


@cache
def _shipped_learners() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (shipped_root("configs") / "learning").glob("*.yaml")))


def _learns(config: Config) -> bool:
    learning = config.learning
    trains = learning.enabled and learning.learner not in FROZEN and config.safety.mode != "watch"
    one_demo = config.experiment.name == "one_demo"
    return trains or (one_demo and any(not name.startswith("replay_") for name in config.experiment.baselines))


def _one_demo(config: Config) -> bool:
    return config.experiment.name == "one_demo"


def _asks(config: Config) -> bool:
    safety = config.safety
    return "ask" in safety.recovery.measures or not (safety.unattended or safety.mode == "watch")


WHEN: Final[tuple[Rule, ...]] = (  # keys, whether they are read, and why not where they are not
    (
        ("learning.sdft", "learning.practice", "learning.gate", "learning.ratchet", "learning.fault"), _learns,
        "nothing learns here (learning.enabled, learning.learner and safety.mode decide)",
    ),
    (("learning.learner",), lambda c: c.learning.enabled or c.learning.learner == "frozen", "learning.enabled=false"),
    (
        ("learning.options",), lambda c: c.learning.enabled and c.learning.learner not in _shipped_learners(),
        "learning.options are those of a learner of one's own; the shipped ones read learning.sdft",
    ),
    (
        ("learning.practice.episodes", "learning.practice.teacher_beta", "learning.practice.teacher_beta_end",
         "learning.ratchet.probe_batch"), _one_demo,
        "experiment=tasks practises by its attempts (experiment.episodes); experiment=one_demo practises first",
    ),
    (
        ("experiment.eval_screens", "experiment.retention_per_family", "experiment.baselines"), _one_demo,
        "experiment=tasks measures no phases; experiment=one_demo does",
    ),
    (
        ("experiment.episodes",), lambda c: not _one_demo(c),
        "experiment=one_demo practises learning.practice.episodes and measures experiment.eval_screens",
    ),
    (("learning.fault.after_update",), lambda c: c.learning.fault.kind != "none", "learning.fault.kind=none"),
    (("learning.sdft.jsd_beta",), lambda c: c.learning.sdft.divergence == "jsd", "learning.sdft.divergence is not jsd"),
    (("learning.sdft.topk",), lambda c: c.learning.sdft.vocabulary == "topk", "learning.sdft.vocabulary is not topk"),
    (("learning.sdft.ema_decay",), lambda c: c.learning.sdft.teacher == "ema", "learning.sdft.teacher is not ema"),
    (("policy.adapter",), lambda c: c.adapter != "none", "adapter=none"),
    (
        ("policy.adapter.rank", "policy.adapter.alpha", "policy.adapter.dropout", "policy.adapter.targets"),
        lambda c: c.policy.adapter.kind != "tokens", "policy.adapter.kind=tokens has no LoRA matrices",
    ),
    (
        ("safety.threshold", "safety.confidence"), lambda c: c.safety.mode == "confident",
        "safety.mode is not confident",
    ),
    (("safety.submit_words",), lambda c: "submit_forgotten" in c.safety.guards, "safety.guards lacks submit_forgotten"),
    (
        ("safety.recovery.retries", "safety.recovery.backoff_seconds"),
        lambda c: "retry" in c.safety.recovery.measures, "safety.recovery.measures lacks retry",
    ),
    (
        ("safety.recovery.per_episode",), lambda c: bool(c.safety.recovery.measures),
        "there are no safety.recovery.measures",
    ),
    (("ray",), lambda c: c.workers == RAY, "workers is not ray"),
    (("dashboard.refresh_per_second",), lambda c: c.dashboard.mode in ("auto", "live"), "dashboard.mode is not live"),
)  # fmt: skip


def check_config(verb: str, config: Config, given: Iterable[str]) -> None:
    """Check, before anything is loaded or made, what a verb is asked to do. given: the keys of this command line.

    Raises:
        SchemaError: a key has no effect here (with the reason), or the environment is not that of the tasks, or has no
            such setting.
    """
    keys = tuple(given)
    for key in keys:
        if why := unused(verb, key, config):
            raise SchemaError(key, f"{key} has no effect in `showonce {verb}`: {why}.")
    if "learning" in USED[verb] and config.learning.enabled:
        _check_learner(config.learning)
    if "task" not in USED[verb]:
        return
    tasks = tasks_of(config) if config.task or config.tasks else []
    if tasks:
        environment_of(config, tasks)
    for key in keys:
        if why := unused_by(tasks, key, config):
            raise SchemaError(key, f"{key} has no effect in `showonce {verb}`: {why}.")


def _check_learner(learning: LearningConfig) -> None:
    """Check that there is a learner of this name, and its options. Raises SchemaError.

    One that ships has a file in configs, and no options. One of one's own is imported, as it alone knows its options.
    """
    name, options, shipped = learning.learner, learning.options, _shipped_learners()
    try:
        Registry("learner", "showonce.learners", dict.fromkeys(shipped, ""), "learning.learner").check(name)
        if name not in shipped:
            from showonce.learning.methods.registry import check_learner

            check_learner(learning)
    except SchemaError:
        raise
    except ConfigError as error:
        raise SchemaError("learning.learner", str(error)) from None
    if name in shipped and options:
        raise SchemaError(
            f"learning.options.{next(iter(options))}",
            f"learning.options are those of a learner of one's own; {name} reads learning.sdft.",
        )


def unused(verb: str, key: str, config: Config) -> str:
    """Return why a key has no effect in a verb, "" where it has one."""
    if not any(_part_of(key, used) for used in USED[verb]):
        if _says_what_is(key, config):
            return ""
        return next((why for section, why in WHY.items() if _part_of(key, section)), "it is not read")
    live = config.dashboard.mode == "live" or key == "dashboard.refresh_per_second"
    if _part_of(key, "dashboard") and verb not in ("run", "watch") and live:
        return "it shows no dashboard"
    if key == "learning.practice.seed_offset" or verb == "prove":
        return ""
    for keys, read, why in WHEN:
        if any(_part_of(key, one) for one in keys) and not read(config):
            return why
    return ""


def unused_by(tasks: list[Task], key: str, config: Config) -> str:
    """Return why a key has no effect on the tasks at hand, "" where it has one."""
    if _part_of(key, "environment.shipped") and tasks and all(task.split == OWN for task in tasks):
        return "it is for tasks that ship; here are task files alone, for which environment.settings are"
    asked = any("ask_person" in (task.success.kind, task.reset) for task in tasks)
    if key == "safety.ask" and not (asked or _asks(config)):
        return f"safety.mode={config.safety.mode} asks nobody"
    return ""


def _says_what_is(key: str, config: Config) -> bool:
    """Whether a key only says that nothing is learned, which holds in every verb that does not learn."""
    learning = config.learning
    return (key == "learning.enabled" and not learning.enabled) or (
        key in ("learning", "learning.learner") and learning.learner == "frozen"
    )


def _part_of(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")
