"""Corrections from the keyboard to the weights: the shipped model learns an app that nobody demonstrated."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import pytest
from tests.fakes import events_in
from tests.toys import lesson_config

from showonce.actions import Click
from showonce.app.run import run
from showonce.cli.terminal import Terminal
from showonce.config import AdapterConfig, Config, DashboardConfig, ExperimentConfig, PolicyConfig, SafetyConfig
from showonce.demonstrations import load_episode
from showonce.environments.registry import find_task, make_environment
from showonce.evaluation.runner import evaluate_task
from showonce.events import GateDecided
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.lesson import EventList
from showonce.learning.practice.buffer import ScreenBuffer
from showonce.learning.practice.outcomes import agree
from showonce.learning.session import Session, identity_of
from showonce.policy.vlm_policy import load_policy
from showonce.protocols import CHAMPION, ApprovalRequest, Environment
from showonce.runtime.player import Player
from showonce.seeds import Seeds
from showonce.settings import load_config

TASK = find_task("app/dev/single/0")
SCREENS = range(5_000_000, 5_000_016)


class Knows:
    """A person who says yes to what is right and else does it."""

    def __init__(self, world: Environment) -> None:
        self.world, self.corrections = world, 0

    def ask(self, request: ApprovalRequest) -> tuple[object, str]:
        right = self.world.oracle()  # type: ignore[attr-defined]
        if agree(request.action, right) if request.action else False:
            return request.action, "yes"
        self.corrections += 1
        return right, "no, there"


@pytest.mark.slow
def test_a_few_corrections_teach_a_task_that_was_never_demonstrated(tmp_path: Path) -> None:
    config = load_config(None, ["safety=step", "learning.ratchet.canary_screens=8"])
    policy, events, world = load_policy(config), EventList(), make_environment("embedded")
    person = Knows(world)
    stage = Player(policy, lambda task: world, events, approver=person, safety=config.safety)  # type: ignore[arg-type]

    def success() -> float:
        return evaluate_task(policy, partial(make_environment, "embedded"), TASK, SCREENS, width=16).success

    before = success()
    session = Session(config.learning, stage, AdapterStore(tmp_path, "c", identity_of(policy)), Seeds())
    session.begin(TASK, None)
    assert session.update(TASK) == "no_screens", "nothing was shown yet"
    for seed in range(1_000_000, 1_000_008):
        episode = stage.play(TASK, seed, "run", [session.trainer])
        session.observe(episode)
        session.between(TASK)
    kept = session.context.buffer.corrections(TASK.id)
    assert len(kept) == person.corrections >= 4
    assert all(sample.correct and sample.executor == "person" for sample in kept)
    gates = [event for event in events.events if isinstance(event, GateDecided)]
    assert {event.route for event in gates if event.accepted} == {"shown"}
    assert gates[1].accepted and gates[1].numbers["teacher_confidence"] > 0.5
    session.consider(force=True)
    policy.use(CHAMPION)
    after = success()
    session.close()
    assert before <= 0.4 and after >= before + 0.4


def test_corrections_typed_at_the_console_of_a_run(
    toy_checkpoint: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lines = make_environment("embedded"), []
    for seed in Seeds().take("practice", 2):
        world.reset(TASK, seed)
        right = world.oracle()  # type: ignore[attr-defined]
        assert isinstance(right, Click)
        lines.append(f"click {right.x} {right.y}\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))
    config = Config(
        name="t", task=TASK.id, demonstration="none", safety=SafetyConfig(mode="step"),
        policy=PolicyConfig(checkpoint=str(toy_checkpoint), adapter=AdapterConfig("lora", rank=4)),
        learning=lesson_config(sdft={"batch_size": 2}), experiment=ExperimentConfig(episodes=2),
        dashboard=DashboardConfig("off"),
    )  # fmt: skip
    assert not run(config, Terminal()).stopped
    (folder,) = Path("logs").glob("*-t")
    episodes = [load_episode(path) for path in sorted((folder / "episodes").iterdir())]
    asked = [episode for episode in episodes if episode.steps[0].proposed is not None]
    if not asked:
        pytest.skip("the random model answered nothing that could be asked about")
    assert all(episode.source == "person" and episode.success for episode in asked)
    told = events_in(folder)
    assert [e["executor"] for e in told if e["kind"] == "step" and e["executed"]] == ["person"] * len(asked)
    (store,) = Path("adapters").iterdir()
    assert len(ScreenBuffer.load(store / "screens").corrections(TASK.id)) == len(asked)
