"""The safety settings of a run: who is asked, what is refused at once, and what a paused or used up run does."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import AlwaysAllow, events_in
from tests.toys import lesson_config

from showonce.app.compose import approver_for
from showonce.app.evaluate import evaluate
from showonce.app.frontend import Frontend
from showonce.app.plan import make_plan
from showonce.app.record import record
from showonce.app.replay import replay
from showonce.app.run import run
from showonce.cli.terminal import Terminal
from showonce.config import (
    AdapterConfig,
    Config,
    DashboardConfig,
    ExperimentConfig,
    LearningConfig,
    OutputConfig,
    PolicyConfig,
    RecoveryConfig,
    SafetyConfig,
)
from showonce.environments.factory import EnvironmentFactory
from showonce.environments.registry import find_task
from showonce.environments.wrappers.fence import Fenced
from showonce.errors import ConfigError
from showonce.protocols import ApprovalRequest, Approver
from showonce.runs.index import read_index
from showonce.runs.layout import PAUSE
from showonce.runtime.ask_window import WindowApprover
from showonce.runtime.pause import PausableStop
from showonce.runtime.stop import Stop
from showonce.settings import load_config

MakeConfig = Callable[..., Config]


@pytest.fixture
def make(toy_checkpoint: Path, elsewhere: Path) -> MakeConfig:
    def build(**changes: object) -> Config:
        base = Config(
            name="t",
            task="app/dev/single/0",
            policy=PolicyConfig(checkpoint=str(toy_checkpoint), adapter=AdapterConfig("lora", rank=4)),
            learning=lesson_config(sdft={"batch_size": 2}),
            experiment=ExperimentConfig(episodes=2, eval_screens=2),
            dashboard=DashboardConfig("off"),
        )
        return replace(base, **changes)  # type: ignore[arg-type]

    return build


def events() -> list[dict[str, object]]:
    (folder,) = Path("logs").glob("*-t")
    return events_in(folder)


def test_a_watching_run_does_nothing_and_learns_nothing(make: MakeConfig) -> None:
    config = make(safety=SafetyConfig(mode="watch", actions_per_second=100.0))
    assert not make_plan(config, learning=True).learning and make_plan(make(), learning=True).learning
    assert not run(config).stopped
    told = events()
    assert [e for e in told if e["kind"] == "step"] and not any(e["executed"] for e in told if e["kind"] == "step")
    assert not any(e["kind"] in ("update", "gate", "probe") for e in told)
    assert {e["phase"] for e in told if e["kind"] == "episode_started"} == {"run"}, "and no oracle acts"


def test_a_paused_run_goes_on_when_the_file_is_gone(make: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    def paused(folder: Path) -> AbstractContextManager[None]:
        (folder / PAUSE).touch()
        threading.Thread(target=resume, args=(folder,), daemon=True).start()
        return nullcontext()

    def resume(folder: Path) -> None:
        while not any(event["kind"] == "pause" for event in events_in(folder)):
            time.sleep(0.02)
        (folder / PAUSE).unlink()

    config = make(learning=LearningConfig(enabled=False), adapter="none", demonstration="none")
    assert not run(config, Terminal(paused)).stopped
    told = events()
    assert [e["paused"] for e in told if e["kind"] == "pause"] == [True, False]
    kinds = [e["kind"] for e in told]
    assert kinds.index("episode_started") > kinds.index("pause") + 1, "nothing was begun meanwhile"
    assert sum(kind == "episode_finished" for kind in kinds) == 2
    err = capsys.readouterr().err
    assert "PAUSE was found" in err and "resumed" in err


def test_a_run_that_used_up_its_actions_ends(make: MakeConfig) -> None:
    config = make(safety=SafetyConfig(max_actions=1), experiment=ExperimentConfig(episodes=9), demonstration="none")
    assert run(config).stopped
    told = events()
    assert sum(bool(e["executed"]) for e in told if e["kind"] == "step") <= 1
    assert sum(e["kind"] == "episode_finished" for e in told) < 9


@pytest.mark.parametrize("safety", [SafetyConfig(mode="step"), SafetyConfig(ask_words=("pay",))])
def test_nothing_is_measured_where_a_person_wants_to_be_asked(make: MakeConfig, safety: SafetyConfig) -> None:
    with pytest.raises(ConfigError, match=r"experiment=one_demo.*safety=free"):
        run(make(safety=safety, experiment=ExperimentConfig("one_demo")))
    with pytest.raises(ConfigError, match=r"eval.*safety=free"):
        evaluate(make(safety=safety))
    with pytest.raises(ConfigError, match=r"replay.*safety=free"):
        replay(Path("nowhere"), "coordinates", make(safety=safety))
    with pytest.raises(ConfigError, match=r"record --oracle.*safety=free"):
        record(make(safety=safety), oracle=True)
    assert not list(Path("logs").glob("*-t/episodes/*"))


@pytest.mark.parametrize(
    ("safety", "needed", "asked"),
    [
        (SafetyConfig(), False, False),
        (SafetyConfig(), True, True),
        (SafetyConfig(mode="step"), False, True),
        (SafetyConfig(mode="confident"), False, True),
        (SafetyConfig(mode="watch"), False, False),
        (SafetyConfig(ask_words=("pay",)), False, True),
        (SafetyConfig(recovery=RecoveryConfig(("ask",))), False, True),
        (SafetyConfig(mode="step", ask="nobody"), True, False),
    ],
)
def test_who_is_asked(safety: SafetyConfig, needed: bool, asked: bool) -> None:
    console: Approver = AlwaysAllow()
    assert (approver_for(safety, console, Stop(), needed) is console) is asked


def test_a_fence_is_put_up_where_there_are_rules_for_places() -> None:
    task = find_task("app/dev/single/0")
    assert not isinstance(EnvironmentFactory(fence=SafetyConfig(mode="step"))(task), Fenced)
    assert isinstance(EnvironmentFactory(fence=SafetyConfig(urls=("shop.example",)))(task), Fenced)


@pytest.mark.parametrize("mode", ["watch", "step", "confident", "free"])
def test_every_mode_has_its_file(mode: str) -> None:
    safety = load_config(None, [f"safety={mode}"]).safety
    assert safety.mode == mode
    assert safety.unattended == (mode == "free")
    assert mode != "confident" or {"pay", "delete", "send", "submit", "install"} <= set(safety.ask_words)


def test_the_default_is_that_nobody_is_in_the_way() -> None:
    assert load_config().safety == SafetyConfig() and SafetyConfig().unattended and not SafetyConfig().fenced


@pytest.mark.parametrize("episodes", [1, 2])
def test_q_at_a_prompt_ends_as_stopped_in_the_last_episode_too(
    make: MakeConfig, episodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n" * (episodes - 1) + "q\n"))
    config = make(
        safety=SafetyConfig("step"),
        learning=LearningConfig(enabled=False),
        experiment=ExperimentConfig(episodes=episodes),
    )
    result = run(config, Terminal())
    assert result.stopped == "quit at the prompt"
    assert read_index("logs")[-1].status == "stopped"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("safety=step", "safety=step asks a person, and nobody can answer"),
        ("safety=confident", "safety=confident asks a person"),
        ("safety.ask_words=[pay]", "safety.ask_words or safety.ask_regions asks a person"),
    ],
)
def test_a_run_that_asks_and_has_nobody_to_ask_does_not_begin(elsewhere: Path, override: str, said: str) -> None:
    command = [sys.executable, "-m", "showonce", "run", override]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=elsewhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "safety.ask=nobody" in done.stderr
    assert not (elsewhere / "logs").exists()


def test_a_window_without_a_display_says_what_helps_a_run(elsewhere: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    command = [sys.executable, "-m", "showonce", "run", "safety=step", "safety.ask=window"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=elsewhere, env=bare)
    assert done.returncode == 3
    assert "set safety.ask=console, or set DISPLAY" in done.stderr and "--oracle" not in done.stderr
    assert not (elsewhere / "logs").exists()


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display (DISPLAY)")
def test_the_window_that_asks_is_closed_when_the_run_ends(make: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[WindowApprover] = []
    close = WindowApprover.close
    monkeypatch.setattr(WindowApprover, "ask", lambda self, request: (None, "no"))
    monkeypatch.setattr(WindowApprover, "close", lambda self: (closed.append(self), close(self)))
    safety = SafetyConfig("step", ask="window")
    run(make(safety=safety, learning=LearningConfig(enabled=False), experiment=ExperimentConfig(episodes=1)))
    assert len(closed) == 2, "one that was tried before the start, and the run's own"


@pytest.mark.parametrize(
    ("given", "somebody"),
    [
        (None, False),
        (io.StringIO("y\n"), True),
        ("null", False),
        ("empty pipe", True),
        ("answers", True),
        ("ended", False),
    ],
)
def test_who_may_answer_is_told_by_stdin(given: object, somebody: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(given, str):
        monkeypatch.setattr("sys.stdin", given)
        assert (Terminal().approver(PausableStop()) is not None) is somebody
        return
    read, write = os.pipe()
    os.write(write, b"y\n" if given == "answers" else b"")
    with open(os.devnull if given == "null" else read) as file, open(write, "w") as other:
        if given == "ended":
            other.close()
        monkeypatch.setattr("sys.stdin", file)
        assert (Terminal().approver(PausableStop()) is not None) is somebody
    if given == "null":
        os.close(read)


def test_a_run_whose_tracker_cannot_start_is_no_run_that_goes_on(make: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="tensorbord"):
        run(make(output=OutputConfig(trackers=("tensorbord",)), learning=LearningConfig(enabled=False)))
    (record_,) = read_index("logs")
    assert (record_.status, record_.began) == ("failed", False)
    assert "tensorbord" in str([e for e in events() if e["kind"] == "run_finished"])


class Somebody(Frontend):
    def __init__(self, answer: bool | None) -> None:
        self.answer, self.asked = answer, 0

    def approver(self, control: PausableStop) -> Approver | None:
        return None if self.answer is None else self  # type: ignore[return-value]

    def ask(self, request: ApprovalRequest) -> tuple[None, str]:
        raise AssertionError("a replay asks nobody about its actions")

    def confirm(self, question: str) -> bool | None:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_person_is_asked_whether_a_replay_succeeded_and_stdin_is_never_read(
    make: MakeConfig, answer: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    Path("mine.yaml").write_text("goal: click red circle\n")
    made = record(make(task="mine.yaml"), oracle=True)
    assert made.path is not None
    Path("mine.yaml").write_text("goal: click red circle\nsuccess: ask_person\n")
    somebody = Somebody(answer)
    report = replay(made.path, "coordinates", make(task="mine.yaml", name="again"), somebody).report
    assert report is not None and report.success is answer and report.reached is (answer is True)
    assert somebody.asked == (0 if answer is None else 1)
