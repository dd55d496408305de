"""Whatever is given to the writers of a run, no file of the run holds a known secret at its end."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from tests.app.test_recording_secrets import everything, found_in

from showonce.actions import Type
from showonce.app.experiment import check_one_demonstration
from showonce.app.plan import make_plan
from showonce.app.run_writer import RunWriter
from showonce.config import Config, OutputConfig
from showonce.demonstrations.formats import export_episodes
from showonce.environments.wrappers.secret import WithSecrets
from showonce.errors import BadInput, ConfigError, TaskError
from showonce.events import KINDS, from_json
from showonce.protocols import TypesSecrets, ability
from showonce.runs.folder import start_run
from showonce.runtime.tasks import load_task
from showonce.secrets import KNOWN
from showonce.settings import load_config
from showonce.types import Episode, Observation, Outcome, Proposal, Step, StopReason, Task

WORD = 'Wz81"k&fqp'
NAMES = {  # what our own files are read by, and a person's goal
    "action", "adapter_version", "checker", "executor", "frame", "goal", "id", "keys", "kind", "name", "path", "phase",
    "ref", "source", "stop_reason", "task", "task_id", "type", "where", "learner", "adapter", "run", "episode",
}  # fmt: skip


def test_every_kind_of_event_step_report_and_error_is_without_it(elsewhere: Path) -> None:
    KNOWN.add(WORD)
    config = Config(name="t", output=OutputConfig(logs="logs"))
    folder = start_run(config, "run")
    with pytest.raises(BadInput), RunWriter(config, folder) as writer:
        for cls in KINDS.values():
            held = {field.name: f"so: {WORD}" for field in fields(cls) if field.name not in NAMES and field.name != "t"}
            writer.events.emit(from_json({"kind": cls.kind, **held}))
        with writer.episodes().create(Task("user/x", "do it"), 1) as stored:
            seen = Observation(np.zeros((8, 8, 3), np.uint8), text=f"page says {WORD}")
            said = Proposal(f"I type {WORD}", Type(WORD), None, thought=f"it is {WORD[::-1]}")
            step = Step(
                0, stored.frame(seen), seen.hash, Type(WORD), Type(WORD), Type(WORD), "student", said, note=WORD
            )
            stored.step(step)
            outcome = Outcome(True, "none", f"saw {WORD}")
            stored.finish(Episode(stored.id, "user/x", "do it", 1, "record", (step,), StopReason.CLAIMED, outcome, 1.0))
        (folder / "notes.txt").write_text(f"left by a part of one's own: {WORD}")
        writer.reasons["before"] = f"because {WORD}"
        raise BadInput(f"cannot type {WORD!r}")
    assert (folder / "summary.md").is_file() and (folder / "metrics.json").is_file()
    for form in ("agentnet", "openadapt", "lerobot"):
        export_episodes([str(stored.path)], form, Path(f"out-{form}"))
    hidden = (folder / "events.jsonl").read_text().count("so: <secret>")
    assert hidden > len(KINDS) and found_in(f"x{WORD}".encode("utf-16"), [WORD]) == [WORD]
    assert found_in(everything(Path()), [WORD]) == []


def test_sources_of_a_task_file_and_of_a_config_reach_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text("goal: sign in\nenvironment: browser\nsuccess: none\nsecret: {password: env:A, pin: env:B}\n")
    assert load_task(file).secret == {"password": "env:A", "pin": "env:B"}
    config = load_config("run", [f"task={file}", "secret.pin=env:C", "safety.secret_origins=['https://x']"])
    plan = make_plan(config)
    assert dict(plan.environment.sources(plan.tasks[0])) == {"password": "env:A", "pin": "env:C"}
    environment = plan.environment(plan.tasks[0])
    assert isinstance(ability(environment, TypesSecrets), WithSecrets)
    environment.close()


@pytest.mark.parametrize("line", ["secret: {password: hunter2}", "secret: hunter2", "secret: {password: }"])
def test_a_value_in_a_task_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text(f"goal: sign in\nenvironment: browser\n{line}\n")
    with pytest.raises(TaskError, match=r"crm\.yaml: secret") as caught:
        load_task(file)
    assert "hunter2" not in str(caught.value)


def test_a_prompt_cannot_be_answered_in_a_new_process(tmp_path: Path) -> None:
    config = load_config("run", ["experiment=one_demo", "task=app/dev/single/0", "secret.pin=prompt"])
    with pytest.raises(ConfigError, match=r"secret\.pin=prompt: experiment=one_demo measures in a new process"):
        check_one_demonstration(make_plan(config))
