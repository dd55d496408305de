"""Several runs in one process, each on its own thread, do what each does alone; verbs leave the process as it is."""

from __future__ import annotations

import ast
import json
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import MakeConfig
from tests.fakes import events_in

from showonce.app.run import RunResult, run
from showonce.config import Config, ExperimentConfig
from showonce.learning.adapter_store import AdapterStore

APP = Path(__file__).resolve().parents[2] / "src/showonce/app"
OF_THE_PROCESS = {"signal", "rich", "click", "atexit"}  # modules by which one takes the terminal or the process


def numbers(folder: str) -> dict[str, Any]:
    """Return what a run measured and did, without times and places."""
    found: dict[str, Any] = json.loads((Path(folder) / "metrics.json").read_text())
    for name in ("timing_ms", "wall_s", "checkpoint", "demonstration"):
        found.pop(name, None)
    found["updates"].pop("ms_median")
    found["episodes"].pop("seconds_median")
    return found


def at_once(configs: Sequence[Config]) -> list[RunResult]:
    """Run every config on a thread of its own and return the results in order."""
    results: dict[int, RunResult] = {}
    begin = threading.Barrier(len(configs))

    def work(number: int) -> None:
        begin.wait()
        results[number] = run(configs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(configs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return [results[number] for number in range(len(configs))]


def test_two_runs_at_once_are_what_each_is_alone(make: MakeConfig, capfd: pytest.CaptureFixture[str]) -> None:
    frozen = replace(make().learning, enabled=False)
    learning = make(experiment=ExperimentConfig(episodes=6), run_dir="learning-alone")
    acting = make(task="app/dev/single/1", learning=frozen, adapter="none", seed=3, run_dir="acting-alone",
                  experiment=ExperimentConfig(episodes=8))  # fmt: skip
    handler = signal.getsignal(signal.SIGINT)
    run(learning)
    run(acting)
    results = at_once([replace(learning, run_dir="learning"), replace(acting, run_dir="acting")])
    assert [(one.folder.name, one.stopped) for one in results] == [("learning", ""), ("acting", "")]
    for name in ("learning", "acting"):
        assert numbers(name) == numbers(f"{name}-alone")
        assert {path.name for path in Path(name).iterdir()} >= {"config.yaml", "events.jsonl", "summary.md"}
        told = events_in(Path(name))
        assert told[0]["kind"] == "run_started" and told[0]["run"] == name and told[-1]["kind"] == "run_finished"
        assert {e["task"] for e in told if e["kind"] == "episode_started"} == {told[0]["task"]}
    assert numbers("learning")["updates"]["accepted"] > 0 == numbers("acting")["updates"]["accepted"]
    with AdapterStore("adapters", "learning", readonly=True) as store:
        assert store.champion is not None and store.champion > "v0000"
    assert signal.getsignal(signal.SIGINT) is handler
    assert capfd.readouterr() == ("", "")


def test_the_stop_of_one_run_is_not_that_of_another(make: MakeConfig) -> None:
    frozen = replace(make().learning, enabled=False)
    configs = [make(learning=frozen, adapter="none", run_dir=name) for name in ("stopped", "whole")]
    Path("stopped").mkdir()
    Path("stopped/STOP").touch()
    first, second = at_once(configs)
    assert "STOP was found" in first.stopped and first.stop_file == Path("stopped/STOP")
    assert (second.stopped, second.stop_file) == ("", None)
    assert sum(e["kind"] == "episode_finished" for e in events_in(Path("whole"))) >= 3


@pytest.mark.parametrize("file", sorted(path.name for path in APP.glob("*.py")))
def test_a_verb_prints_nothing_and_takes_no_signal(file: str) -> None:
    for node in ast.walk(ast.parse((APP / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not {name.name.partition(".")[0] for name in node.names} & OF_THE_PROCESS
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).partition(".")[0] not in OF_THE_PROCESS
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "input")
        elif isinstance(node, ast.Attribute):
            assert node.attr not in ("stdout", "stderr", "stdin")
