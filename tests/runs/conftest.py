"""Runs for tests: started ones, and one whose events and metrics are written by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from tests.fakes import emit

from showonce.config import Config, OutputConfig
from showonce.runs.event_file import EventWriter
from showonce.runs.folder import start_run

METRICS = {
    "before": {"success": 0.1, "n": 10, "low": 0.0, "high": 0.4},
    "teacher": {"success": 0.95, "n": 10, "low": 0.7, "high": 1.0},
    "after": None,
    "updates": {"accepted": 12, "budget": 60},
    "rollbacks": [{"episode": 3}],
}


def started(logs: Path, name: str = "run", **changes: object) -> Path:
    return start_run(Config(name=name, output=OutputConfig(logs=str(logs)), **changes))  # type: ignore[arg-type]


def printed(what: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def write_run(folder: Path, metrics: dict[str, Any] | None, finish: bool = True) -> Path:
    """Write a run of 3 scored episodes, 6 practice episodes with a probe each, one update, refusal and rollback."""
    folder.mkdir()
    with EventWriter(folder / "events.jsonl") as events:
        emit(events, "run_started", name="one_demo", task="app/dev/single/0", goal="zorb | the $lamp$", learner="sdft")
        emit(events, "phase", name="before", total=3)
        for _ in range(3):
            emit(events, "episode_finished", phase="eval", success=False)
        emit(events, "phase", name="learn", total=6)
        for i, success in enumerate([False, True, True, False, True, True]):
            emit(events, "episode_finished", phase="practice", success=success)
            statistic = {"statistic": 2.0 * i, "threshold": 8.0} if i else {"statistic": None, "threshold": None}
            emit(events, "probe", task="app/dev/single/0", success=success, **statistic)
            if i == 1:
                emit(events, "gate", accepted=True, route="shown", reason="")
                emit(events, "update", n=1, loss=0.5)
                emit(events, "gate", accepted=False, reason="headroom")
        emit(events, "fault", name="inverted_loss")
        emit(events, "rollback", old="v7", new="v5")
        emit(events, "quarantine", versions=["v6", "v7"])
        emit(events, "error", where="parser", message="?")
        if finish:
            emit(events, "run_finished", reason="completed", seconds=88.2)
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder
