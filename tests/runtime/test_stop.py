from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from showonce.errors import Stopped, Unavailable
from showonce.runtime.stop import Stop, stop_on_interrupt


def test_it_is_latched_until_somebody_rearms_it() -> None:
    stop = Stop()
    stop.check()
    stop.press("the first reason")
    stop.press("another one")
    for _ in range(2):
        with pytest.raises(Stopped, match="the first reason"):
            stop.check()
    stop.rearm()
    stop.check()
    assert not stop.pressed


def test_a_file_presses_it_and_stays_pressed_when_the_file_goes(tmp_path: Path) -> None:
    stop = Stop(tmp_path / "STOP")
    stop.check()
    (tmp_path / "STOP").touch()
    with pytest.raises(Stopped, match="STOP was found"):
        stop.check()
    (tmp_path / "STOP").unlink()
    with pytest.raises(Stopped):
        stop.check()
    (tmp_path / "STOP").touch()
    stop.rearm()
    stop.check()
    assert not (tmp_path / "STOP").exists()


def test_a_thread_can_press_it_and_waiting_ends() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.press).start()
    started = time.monotonic()
    assert stop.wait(20.0) is True
    assert time.monotonic() - started < 10
    assert Stop().wait(0.01) is False


def test_the_first_interrupt_is_a_stop_and_the_second_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    stop = Stop()
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt(stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5.0)
        with pytest.raises(Stopped, match="Ctrl-C"):
            stop.check()
        assert "stopping ... once more ends it at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_left_alone() -> None:
    done = []

    def work() -> None:
        with stop_on_interrupt(Stop()):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


EPISODE = """
import sys
sys.path.insert(0, sys.argv[2])
from tests.fakes import Board, ScriptedPolicy, board_task
from showonce.actions import Type
from showonce.demonstrations import EpisodeStore
from showonce.runtime.loop import run_episode
from showonce.runtime.stop import Stop, stop_on_interrupt

stop = Stop()
with stop_on_interrupt(stop):
    policy = ScriptedPolicy([Type("a"), Type("b")] * 5000, seconds=float(sys.argv[3]))
    print("ready", flush=True)
    task = board_task(max_steps=9999)
    episode = run_episode(Board(), policy, task, seed=1, stop=stop, store=EpisodeStore(sys.argv[1]), guards=())
print(episode.stop_reason, len(episode.steps), episode.path)
"""


def start(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", EPISODE, str(tmp_path), root, str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_ctrl_c_ends_a_running_episode_cleanly(tmp_path: Path) -> None:
    from showonce.demonstrations import load_episode

    child = start(tmp_path, 0.005)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    reason, steps, path = out.split()
    loaded = load_episode(path)
    assert (reason, loaded.stop_reason, len(loaded.steps)) == ("stopped", "stopped", int(steps))
    assert int(steps) > 0
    assert "never finished" not in loaded.outcome.evidence


def test_ctrl_c_twice_ends_even_a_model_that_hangs(tmp_path: Path) -> None:
    from showonce.demonstrations import load_episode

    child = start(tmp_path, 600.0)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode != 0
    assert "KeyboardInterrupt" in err
    (path,) = tmp_path.iterdir()
    assert load_episode(path).stop_reason == "stopped"  # unfinished and readable


class Chord:
    """A source such as the stop chord of the desktop."""

    def __init__(self) -> None:
        self.press: Callable[[str], None] = lambda reason: None
        self.seen = ""
        self.dead = False

    def connect(self, press: Callable[[str], None]) -> None:
        self.press = press
        if self.seen:
            press(self.seen)

    def rearm(self) -> None:
        if self.dead:
            raise Unavailable("it cannot be watched any more")
        self.seen = ""


def test_a_source_presses_it_and_is_rearmed_with_it() -> None:
    stop, chord = Stop(), Chord()
    stop.watch(chord)
    stop.watch(chord)
    chord.press("escape was pressed")
    with pytest.raises(Stopped, match="escape was pressed"):
        stop.check()
    chord.seen = "escape was pressed"
    stop.rearm()
    assert not stop.pressed and not chord.seen


def test_what_a_source_saw_before_it_was_watched_counts() -> None:
    stop, chord = Stop(), Chord()
    chord.seen = "escape was pressed"
    stop.watch(chord)
    assert stop.pressed and stop.reason == "escape was pressed"


def test_it_holds_on_while_a_source_cannot_watch() -> None:
    stop, chord = Stop(), Chord()
    stop.watch(chord)
    stop.press()
    chord.dead = True
    with pytest.raises(Unavailable):
        stop.rearm()
    assert stop.pressed


def test_a_worker_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    script = tmp_path / "starts_a_worker.py"
    script.write_text(
        "import multiprocessing, os, time\n"
        "from showonce.runtime.stop import end_with_parent\n"
        "def work():\n    end_with_parent()\n    print(os.getpid(), flush=True)\n    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    worker.start()\n    worker.join()\n"
    )
    starter = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout as told:
        worker = psutil.Process(int(told.readline()))
        starter.kill()
        starter.wait(10)
        worker.wait(20)  # raises when it is still there
