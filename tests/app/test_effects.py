"""A key on the command line is used by the verb, or refused with the reason; a config's file may hold any key."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from showonce.about import shipped_root
from showonce.app.effects import USED, check_config
from showonce.app.plan import make_plan
from showonce.cli import main
from showonce.config import Config
from showonce.errors import ConfigError
from showonce.learning.methods.registry import METHODS
from showonce.schema import hints_of
from showonce.settings import load_config

VERBS = sorted(USED)
VALUES: dict[str, str] = {  # of keys for which the rules below give no valid value
    "workers": "2",
    "record.secrets": "['css:#iban']",
    "policy.adapter.kind": "lora", "learning.sdft.divergence": "jsd", "learning.sdft.vocabulary": "topk",
    "learning.sdft.teacher": "ema", "learning.practice.source": "mixed", "learning.gate.confidence": "stated",
    "do.pictures": "all",
    "learning.ratchet.drop_test": "window", "learning.fault.kind": "lr_x100", "learning.learner": "rft",
    "inference.device": "auto", "inference.dtype": "bfloat16", "safety.mode": "step", "safety.ask": "nobody",
    "safety.confidence": "stated", "policy.teacher_context": "both", "policy.demonstration_form": "frames",
    "policy.demonstration_window": "all", "policy.unit": "pixel", "policy.narrate": "none", "dashboard.mode": "live",
    "experiment.name": "one_demo", "experiment.baselines": "[sft_demo]", "evaluation.split": "dev",
    "environment.name": "embedded", "environment.settings": "{theme: dark}", "environment.shipped": "{theme: dark}",
    "safety.guards": "[unchanged]", "safety.recovery.measures": "[retry]", "safety.region": "[0, 0, 1, 0.5]",
    "safety.ask_regions": "[[0, 0, 1, 1]]", "learning.practice.seed_offset": "20_000", "task": "app/dev/single/1",
    "tasks": "[app/dev/single/1]", "safety.submit_words": "[a]", "demonstration": "none",
    "learning.options": "{order: 0.7}", "compare.set": "{seed: [1, 2]}",
}  # fmt: skip


def keys(kind: Any = Config, section: str = "") -> Iterator[str]:
    for field in dataclasses.fields(kind):
        hint = hints_of(kind)[field.name]
        if dataclasses.is_dataclass(hint):
            yield from keys(hint, f"{section}{field.name}.")
        else:
            yield f"{section}{field.name}"


def value_of(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config


def other(key: str) -> str:
    """Return a valid value of a key that is not its default."""
    if key in VALUES:
        return VALUES[key]
    value = value_of(Config(), key)
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, float):
        return str(value / 2 if value else 0.25)
    if isinstance(value, int):
        return str(value + 1)
    return "[1]" if key.endswith("seeds") else "[0.1, 0.2]" if key.endswith("betas") else "[a]" if value == () else "x"


@pytest.fixture(scope="module")
def plain() -> Config:
    return load_config()


@pytest.mark.parametrize("key", [key for key in keys() if key not in ("given", "resume", "secret")])
def test_every_key_is_used_or_refused_in_every_verb(key: str, plain: Config) -> None:
    """Used: the config that the verb, and its plan, is given differs by this key from the one without it."""
    set_ = load_config(None, [f"{key}={other(key)}"])
    assert value_of(plain, key) != value_of(set_, key), "the value must be another one, or the test says nothing"
    refusals = 0
    for verb in VERBS:
        try:
            check_config(verb, set_, [key])
        except ConfigError as refusal:
            text = str(refusal)
            assert text.startswith(f"{key} has no effect in `showonce {verb}`: ") and len(text.partition("`: ")[2]) > 10
            refusals += 1
            continue
        reads = any(key == one or key.startswith(f"{one}.") for one in USED[verb])
        assert reads or key == "learning.enabled", verb
        if verb == "run" and key.partition(".")[0] in ("environment", "limits", "safety", "success", "task", "tasks"):
            before, after = make_plan(plain), make_plan(set_)
            changed = (before.tasks, before.environment) != (after.tasks, after.environment)
            assert changed, f"{key} does not reach the plan"
    assert refusals or key == "learning.enabled", "`showonce record --export` reads nothing at all"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and not Path("logs").exists(), "nothing is made before it is refused"
    return said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["eval", "learning.learner=sft_demo"], "learning.learner has no effect in `showonce eval`: it measures"),
        (["eval", "learning=rft"], "override 'learning=rft': learning has no effect"),
        (["eval", "learning.gate.budget_run=3"], "`showonce run` learns"),
        (["eval", "task=app/dev/single/1"], "it measures the tasks of evaluation.set"),
        (["eval", "evaluation.parts=[single]"], "unknown key 'parts' in evaluation"),
        (["eval", "adapter=none", "policy.adapter.rank=4"], "adapter=none"),
        (["eval", "--config", "demo", "experiment.episodes=3"], "its phases are those of `showonce run`"),
        (["record", "--oracle", "record.near=9"], "while a person is watched"),
        (["record", "inference.threads=2"], "inference.threads has no effect in `showonce record`"),
        (["record", "tasks=[app/dev/single/0]"], "it takes one task: task=..."),
        (["record", "resume=x"], "only `showonce run` goes on with a run"),
        (["replay", "x", "policy.checkpoint=tiny"], "policy.checkpoint has no effect in `showonce replay`"),
        (["prove", "latest", "seed=3"], "seed has no effect in `showonce prove`"),
        (["eval", "secret.word=env:HOME"], "secret.word has no effect in `showonce eval`: nothing types one"),
        (["runs", "seed=1"], "seed has no effect in `showonce runs`"),
        (["rollback", "x", "--list", "task=app/dev/single/1"], "task has no effect"),
        (["run", "experiment.eval_screens=5"], "experiment=one_demo does"),
        (["run", "experiment=one_demo", "experiment.episodes=5"], "learning.practice.episodes"),
        (["run", "learning=frozen", "learning.sdft.lr=0.1"], "nothing learns here"),
        (["run", "safety=watch", "learning.gate.cooldown=1"], "nothing learns here"),
        (["run", "learning.enabled=false", "learning.learner=rft"], "learning.enabled=false"),
        (["run", "policy.adapter.rank=4"], "policy.adapter.kind=tokens has no LoRA matrices"),
        (["run", "safety.threshold=0.5"], "safety.mode is not confident"),
        (["run", "safety.ask=window"], "safety.mode=free asks nobody"),
        (["run", "learning.sdft.topk=4"], "learning.sdft.vocabulary is not topk"),
    ],
)
def test_a_key_without_effect_is_refused_with_the_reason(
    words: list[str], told: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(capsys, *words)


def test_a_file_may_serve_several_verbs(elsewhere: Path) -> None:
    (elsewhere / "all.yaml").write_text("learning: {learner: rft, sdft: {lr: 0.1}}\nrecord: {near: 5}\n")
    for verb in VERBS:
        load_config("all.yaml", [], partial(check_config, verb))


def test_a_wrong_learner_is_refused_before_torch_is_imported(
    elsewhere: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = python(
        "-c",
        "import sys; from showonce.cli import main\n"
        "code = main(['run', 'learning.learner=sdtf'])\n"
        "print(code, [name for name in ('torch', 'scipy', 'transformers') if name in sys.modules])",
    )
    assert done.stdout.strip() == "2 []" and "Did you mean 'sdft'?" in done.stderr, done.stderr
    assert not Path("logs").exists()
    files = {file.stem for file in (shipped_root("configs") / "learning").glob("*.yaml")}
    assert files == set(METHODS), "one file for each learner that ships, by which its name is known"


def test_what_only_says_that_nothing_learns_holds_everywhere() -> None:
    config = load_config("eval", ["learning=frozen"])
    check_config("eval", config, ["learning"])
    check_config("eval", load_config("eval", ["learning.enabled=false"]), ["learning.enabled"])
