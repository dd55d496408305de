"""Pause, stop, guards, recovery and what was taken up again: as a real run writes them, in a person's words."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.fakes import Board, ScriptedPolicy, board_task
from tests.xscreen import until

from showonce.actions import Action, Click, Wait
from showonce.app.rollback import readmit
from showonce.app.run_writer import RunWriter
from showonce.config import Config, RecoveryConfig
from showonce.dashboard.card import summary
from showonce.dashboard.reader import RunReader
from showonce.dashboard.views import health_panel, screen
from showonce.environments.embedded.settings import EmbeddedSettings
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.registry import find_task
from showonce.events import Quarantined
from showonce.learning.adapter_store import AdapterStore
from showonce.protocols import Context
from showonce.runs.adapter_place import adapter_place
from showonce.runs.folder import start_run
from showonce.runtime.guards import SameAction
from showonce.runtime.loop import run_episode
from showonce.runtime.recovery import Recovery
from showonce.types import Observation
from showonce.versions.store import Identity

NOWHERE = Click(0.001, 0.001)
DIALOG = 11


def drawn(content: Any) -> str:
    console = Console(width=200, height=50, record=True, force_terminal=True, file=io.StringIO())
    console.print(content)
    return console.export_text()


def recovery(*measures: str, **settings: Any) -> Recovery:
    return Recovery(RecoveryConfig(measures=measures, backoff_seconds=0.001, **settings))


@pytest.fixture
def log(elsewhere: Path) -> RunWriter:
    config = Config(name="demo", adapter="none")
    return RunWriter(config, start_run(config), report=False)


def test_guards_and_recovery(log: RunWriter) -> None:
    task = find_task("app/dev/single/0")
    task = replace(task, limits=replace(task.limits, max_steps=12))
    plain = EmbeddedWorld()
    plain.reset(task, DIALOG)
    blind = plain.oracle()  # a dialog stands in its way
    with log:
        for answer, world, plan in (
            (blind, EmbeddedWorld(EmbeddedSettings(mistakes=99, dialog=1.0)), recovery("undo")),
            (
                NOWHERE,
                EmbeddedWorld(EmbeddedSettings(mistakes=99)),
                recovery("reobserve", "retry", "undo", "ask", retries=1),
            ),
        ):
            run_episode(
                world, ScriptedPolicy([answer]), task, seed=DIALOG, events=log.events, stop=log.stop, recovery=plan,
                guards=(SameAction(3),),
            )  # fmt: skip
    reader = RunReader(log.folder)
    told = "\n".join(line for _, line in reader.poll())
    view = reader.view
    assert view.broken == 0
    assert "guard same action at episode " in told
    assert "after same action at step 2: took something back (closed the dialog " in told
    assert "looked again" in told and "tried again (waited 0.001 s)" in told
    assert "tried in vain: there was nothing to take back" in told
    assert "asked a person (a person is asked about the next action)" in told
    assert view.recoveries["undo"] == 1 and view.recoveries["ask"] == 1
    for text in (drawn(health_panel(view, 120, 12)), drawn(summary(view))):
        assert "guards: same action" in text and "took something back 1" in text


def test_giving_up_says_why(log: RunWriter) -> None:
    task = find_task("app/dev/single/0")
    with log:
        run_episode(
            EmbeddedWorld(EmbeddedSettings(mistakes=99)), ScriptedPolicy([NOWHERE]), task, seed=7, events=log.events,
            recovery=recovery("reobserve"), guards=(SameAction(3),),
        )  # fmt: skip
    reader = RunReader(log.folder)
    told = [line for _, line in reader.poll()]
    assert any(line.endswith("gave up (nothing is left to try)") for line in told)
    assert reader.view.recoveries == {"reobserve": 1, "give_up": 1}


def test_pause_resume_and_the_emergency_stop(log: RunWriter) -> None:
    seen: list[str] = []
    reader = RunReader(log.folder)

    def person() -> None:
        until(lambda: log.stop.held > 0)
        seen.extend(line for _, line in reader.poll())
        seen.append(drawn(screen(reader.view, None, 120, 30, reader.now)))
        log.stop.resume()

    def think(observation: Observation, context: Context) -> Action:
        if context.history:
            (log.folder / "STOP").touch()
        else:
            log.stop.pause("lunch")
        return Wait(0.0)

    thread = threading.Thread(target=person)
    thread.start()
    with log:
        run_episode(Board(), ScriptedPolicy([think]), board_task(), seed=1, events=log.events, stop=log.stop)
        log.stop.check()
    thread.join()
    assert "STOP was found" in log.stopped
    assert "paused: nothing is executed until a person resumes it (lunch)" in seen
    assert "paused 0:0" in seen[-1] and "(lunch)" in seen[-1]
    told = [line for _, line in reader.poll()]
    assert any(line.startswith("resumed after 0:0") and line.endswith("(lunch)") for line in told)
    assert any(line.startswith("stopped: ") and "STOP was found; nothing more is executed" in line for line in told)
    assert reader.view.paused is None and "STOP was found" in reader.view.stopped
    assert "stopped: " in drawn(summary(reader.view))


def test_what_a_person_readmits_is_out_of_quarantine(elsewhere: Path) -> None:
    config = Config(name="learnt")
    run = start_run(config)
    place = adapter_place(config, run)
    assert place is not None
    with (
        RunWriter(config, run, report=False) as log,
        AdapterStore(place.root, place.name, Identity("adapter/tokens", "abc")) as store,
    ):
        for number in range(3):
            store.promote(store.save({"rows": np.full((2, 2), number, np.float32)}))
        store.quarantine(["v0001"], "by the test")
        log.events.emit(Quarantined(versions=("v0001",), reason="by the test"))
    reader = RunReader(run)
    reader.poll()
    assert reader.view.quarantined == {"v0001"} and "quarantined 1 version" in drawn(summary(reader.view))
    readmit(run, ["v0001"])
    assert any(line.startswith("re-admitted") and line.endswith(": v0001") for _, line in reader.poll())
    assert reader.view.quarantined == set()
