from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.refusals import refused

from showonce.actions import EXAMPLES, Click, Done
from showonce.demonstrations import (
    EpisodeStore,
    latest_demonstration,
    load_demonstration,
    load_episode,
    load_observations,
    read_meta,
    save_demonstration,
)
from showonce.errors import DemonstrationError, DiskError
from showonce.types import (
    Confidence,
    Demonstration,
    Episode,
    Frame,
    Observation,
    Outcome,
    ParseFailure,
    ParseReason,
    Proposal,
    Step,
    StopReason,
    Task,
)

TASK = Task("user/box", "close the box", "board")


def noise(seed: int, height: int = 24, width: int = 32, text: str | None = None) -> Observation:
    return Observation(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8), text=text)


def step(index: int, seen: Observation, **changes: object) -> Step:
    action = EXAMPLES[index % len(EXAMPLES)]
    plain = Step(index, "", seen.hash, action, action, action, "student", timings={"observe": 0.5, "overhead": 0.1})
    return replace(plain, **changes)


def episode(steps: list[Step], **changes: object) -> Episode:
    plain = Episode(
        "id", TASK.id, TASK.goal, 3, "run", tuple(steps), StopReason.COMPLETED, Outcome(True, "world", "seen"), 1.5
    )
    return replace(plain, **changes)


def write(
    store: EpisodeStore, screens: list[Observation], task: Task = TASK, phase: str = "run", **end: object
) -> Path:
    with store.create(task, 3, phase) as writer:
        steps = []
        for index, seen in enumerate(screens):
            steps.append(step(index, seen, frame=writer.frame(seen)))
            writer.step(steps[-1])
        writer.finish(episode(steps, id=writer.id, phase=phase, path=str(writer.path), **end))
    return writer.path


def test_an_episode_comes_back_as_it_was(tmp_path: Path) -> None:
    screens = [noise(i) for i in range(len(EXAMPLES))]
    store = EpisodeStore(tmp_path)
    failure = ParseFailure(ParseReason.TRUNCATED, "it never ends", '{"action": "cl')
    proposals = [
        None,
        Proposal('{"action": "cl', None, failure),
        Proposal(
            "text ü", Click(0.5, 0.25), None, Confidence(0.9, None, 0.5), (1, 2), (-0.25, 0.0), (True, False),
            {"model": 3.0}, "v7",
        ),
    ]  # fmt: skip
    with store.create(TASK, 3, "run", adapter="v7") as writer:
        steps = []
        for index, seen in enumerate(screens):
            outcome = Outcome(None, "world", "so far", step_correct=index % 2 == 0, hopeless=False)
            proposal = proposals[index % 3]
            steps.append(
                step(index, seen, frame=writer.frame(seen), proposal=proposal, outcome=outcome, changed=True, note="n")
            )
            writer.step(steps[-1])
        writer.frame(noise(99))
        made = episode(steps, id=writer.id, path=str(writer.path), adapter_version="v7")
        writer.finish(made)
    loaded = load_episode(writer.path)
    for old, new in zip(made.steps, loaded.steps, strict=True):
        assert replace(old, proposal=None) == replace(new, proposal=None)
        assert (old.proposal is None) == (new.proposal is None)
        if old.proposal is not None and new.proposal is not None:
            assert vars(old.proposal) == vars(new.proposal)
    assert replace(made, steps=()) == replace(loaded, steps=())
    for old_screen, new_screen in zip(screens, load_observations(writer.path), strict=True):
        assert np.array_equal(old_screen.image, new_screen.image)


def test_every_action_is_stored_thrice(tmp_path: Path) -> None:
    seen = noise(0)
    with EpisodeStore(tmp_path).create(TASK) as writer:
        made = step(
            0, seen, frame=writer.frame(seen), proposed=Click(0.1, 0.1), approved=Click(0.2, 0.2), executed=None
        )
        writer.step(made)
        writer.finish(episode([made]))
    (loaded,) = load_episode(writer.path).steps
    assert (loaded.proposed, loaded.approved, loaded.executed) == (Click(0.1, 0.1), Click(0.2, 0.2), None)


def test_the_same_frame_is_stored_once_and_the_last_one_too(tmp_path: Path) -> None:
    a, b = noise(1), noise(2)
    with EpisodeStore(tmp_path).create(TASK) as writer:
        names = [writer.frame(seen) for seen in (a, a, b, Observation(a.image.copy()))]
        writer.finish(episode([]))
    assert names == ["0000.png", "0000.png", "0001.png", "0000.png"]
    assert sorted(p.name for p in writer.path.glob("*.png")) == ["0000.png", "0001.png"]
    assert read_meta(writer.path)["final_frame"] == "0000.png"


def test_page_text_and_scale_come_back(tmp_path: Path) -> None:
    seen = Observation(noise(1).image, scale=2.0, text="Grüße\nund mehr")
    path = write(EpisodeStore(tmp_path), [seen])
    (loaded,) = load_observations(path)
    assert (loaded.scale, loaded.text) == (2.0, "Grüße\nund mehr")


def test_regions_are_blank_before_anything_is_on_the_disk(tmp_path: Path) -> None:
    task = replace(TASK, redact=((0.0, 0.0, 0.5, 1.0),))
    seen = Observation(noise(1).image, text="the password is hunter2")
    path = write(EpisodeStore(tmp_path), [seen], task)
    (loaded,) = load_observations(path)
    assert (loaded.image[:, :16] == 0).all()
    assert np.array_equal(loaded.image[:, 16:], seen.image[:, 16:])
    assert loaded.text is None
    assert seen.hash not in (path / "steps.jsonl").read_text()
    assert "hunter2" not in "".join(p.read_text("latin-1") for p in path.iterdir())
    assert load_episode(path).steps[0].frame_hash == loaded.hash


def test_without_frames_the_steps_are_still_there(tmp_path: Path) -> None:
    path = write(EpisodeStore(tmp_path, save_frames=False), [noise(1), noise(2)])
    assert len(load_episode(path).steps) == 2
    assert not list(path.glob("*.png"))
    with refused("demonstration.no_frames", "output.save_frames=true"):
        load_demonstration(path)


def test_episodes_are_numbered_and_never_overwritten(tmp_path: Path) -> None:
    first, second = EpisodeStore(tmp_path), EpisodeStore(tmp_path)
    paths = [write(store, [noise(1)]) for store in (first, second, first, EpisodeStore(tmp_path))]
    assert [p.name for p in paths] == [f"{i:05d}-run-user-box" for i in range(4)]


def test_a_task_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    path = write(EpisodeStore(tmp_path / "episodes"), [noise(1)], replace(TASK, id="../../ev il/Ω"))
    assert path == tmp_path / "episodes" / "00000-run-ev-il"


def test_an_episode_is_readable_at_every_moment(tmp_path: Path) -> None:
    with EpisodeStore(tmp_path).create(TASK, 3) as writer:
        empty = load_episode(writer.path)
        assert (empty.steps, empty.stop_reason, empty.outcome.success) == ((), StopReason.STOPPED, None)
        seen = noise(1)
        writer.step(step(0, seen, frame=writer.frame(seen)))
    half = load_episode(writer.path)
    assert len(half.steps) == 1
    assert "never finished" in half.outcome.evidence
    assert not half.success
    with refused("demonstration.unfinished"):
        load_demonstration(writer.path)


WRITER = """
import sys
import numpy as np
from showonce.actions import Click
from showonce.demonstrations import EpisodeStore
from showonce.types import Observation, Step, Task

rng = np.random.default_rng(0)
with EpisodeStore(sys.argv[1]).create(Task("user/box", "close the box"), 3, sys.argv[2]) as writer:
    index = 0
    while True:
        seen = Observation(rng.integers(0, 256, (120, 160, 3), np.uint8))
        action = Click(0.5, 0.5)
        writer.step(Step(index, writer.frame(seen), seen.hash, action, action, action, "student"))
        index += 1
"""


@pytest.mark.parametrize("phase", ["run", "record"])
def test_a_killed_writer_leaves_a_readable_episode(tmp_path: Path, phase: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), phase])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(list(tmp_path.glob("*/*.png"))) < 12:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (path,) = tmp_path.iterdir()
    loaded = load_episode(path)
    assert len(loaded.steps) >= 8
    assert load_observations(path)[-1].hash == loaded.steps[-1].frame_hash  # every step on disk has its frame there
    assert loaded.stop_reason is StopReason.STOPPED
    assert read_meta(path)["finished"] is False


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_what_was_there(tiny_disk: Path) -> None:
    writer = EpisodeStore(tiny_disk).create(TASK, 3)
    with pytest.raises(DiskError, match="the disk is full"):
        for index in range(200):
            seen = noise(index, 60, 80)
            writer.step(step(index, seen, frame=writer.frame(seen)))
        writer.finish(episode([]))
    writer.close()
    assert load_episode(writer.path).steps
    assert load_observations(writer.path)
    assert read_meta(writer.path)["finished"] is False


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(DiskError, match="logs"):
        EpisodeStore(tmp_path / "logs" / "episodes").create(TASK)


def test_what_cannot_be_drawn_is_an_error_and_blocks_nobody(tmp_path: Path) -> None:
    writer = EpisodeStore(tmp_path).create(TASK)
    with pytest.raises(DiskError, match="cannot store"):
        for index in range(50):  # more than the queue holds
            seen = Observation(np.full((4, 4, 3), index, np.complex128))
            writer.step(step(index, seen, frame=writer.frame(seen)))
        writer.finish(episode([]))
    writer.close()


def demonstration(n: int = 3, **changes: object) -> Demonstration:
    frames = tuple(Frame(noise(i), action, f"step {i}") for i, action in enumerate(EXAMPLES[:n]))
    return replace(Demonstration(TASK.id, TASK.goal, frames, source="correction"), **changes)


def test_a_demonstration_comes_back_as_it_was(tmp_path: Path) -> None:
    made = demonstration()
    path = save_demonstration(made, tmp_path / "shown")
    loaded = load_demonstration(path)
    assert (loaded.task_id, loaded.goal, loaded.source, loaded.ref) == (TASK.id, TASK.goal, "correction", str(path))
    for old, new in zip(made.frames, loaded.frames, strict=True):
        assert (old.action, old.note) == (new.action, new.note)
        assert old.observation.hash == new.observation.hash


def test_a_demonstration_is_never_overwritten(tmp_path: Path) -> None:
    save_demonstration(demonstration(2), tmp_path / "shown")
    with pytest.raises(DemonstrationError, match="never overwritten"):
        save_demonstration(demonstration(3), tmp_path / "shown")
    assert len(load_demonstration(tmp_path / "shown").frames) == 2


def test_steps_in_which_nothing_was_done_are_not_shown(tmp_path: Path) -> None:
    with EpisodeStore(tmp_path).create(TASK, 3, "record", "person") as writer:
        steps = []
        for index, executed in enumerate((None, Click(0.5, 0.5), None)):
            seen = noise(index)
            steps.append(step(index, seen, frame=writer.frame(seen), executed=executed))
            writer.step(steps[-1])
        writer.finish(episode(steps, source="person"))
    assert [f.action for f in load_demonstration(writer.path).frames] == [Click(0.5, 0.5)]


def test_the_newest_finished_recording_of_the_task_is_found(tmp_path: Path) -> None:
    assert latest_demonstration(tmp_path / "none", TASK.id) is None
    old = write(EpisodeStore(tmp_path / "a" / "episodes"), [noise(1)], phase="record")
    new = write(EpisodeStore(tmp_path / "0" / "episodes"), [noise(2)], phase="record")
    write(EpisodeStore(tmp_path / "b" / "episodes"), [noise(3)], replace(TASK, id="user/other"), phase="record")
    write(EpisodeStore(tmp_path / "c" / "episodes"), [noise(4)], phase="run")
    failed = Outcome(False, "world")
    write(EpisodeStore(tmp_path / "d" / "episodes"), [noise(5)], phase="record", outcome=failed)
    EpisodeStore(tmp_path / "e" / "episodes").create(TASK, 3, "record").close()
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "meta.json").write_text("not JSON")
    assert latest_demonstration(tmp_path, TASK.id) == new
    (new / "meta.json").unlink()
    assert latest_demonstration(tmp_path, TASK.id) == old
    shipped = save_demonstration(demonstration(), tmp_path / "examples" / "box")
    assert latest_demonstration(tmp_path, TASK.id) == shipped


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ({"stop_reason": StopReason.STOPPED, "outcome": Outcome(None, "none")}, "it was stopped"),
        ({"stop_reason": StopReason.ENVIRONMENT_ERROR, "outcome": Outcome(None, "none")}, "it broke off"),
        ({"stop_reason": StopReason.CLAIMED, "outcome": Outcome(False, "text")}, "it did not reach its goal"),
        ({"stop_reason": StopReason.CLAIMED, "outcome": Outcome(None, "none")}, "nothing was done in it"),
        (None, "it was never finished"),
    ],
)
def test_a_recording_that_shows_nothing_never_shadows_a_good_one(
    tmp_path: Path, end: dict[str, object] | None, why: str
) -> None:
    good, told = write(EpisodeStore(tmp_path / "good"), [noise(1)], phase="record"), []
    store = EpisodeStore(tmp_path / "later")
    with store.create(TASK, 3, "record") as writer:
        seen = noise(2)
        empty = why == "nothing was done in it"
        done = step(0, seen, frame=writer.frame(seen), **({"executed": Done()} if empty else {}))
        writer.step(done)
        if end is not None:
            writer.finish(episode([done], phase="record", **end))
    assert latest_demonstration(tmp_path, TASK.id, tell=told.append) == good
    assert latest_demonstration(tmp_path / "later", TASK.id, tell=told.append) is None
    assert told == [
        f"the demonstration is {good}: {writer.path} was passed over, since {why}.",
        f"there is no demonstration of {TASK.id}: {writer.path} was passed over, since {why}.",
    ]
    later = write(store, [noise(4)], phase="record")
    assert latest_demonstration(tmp_path, TASK.id, tell=told.append) == later and len(told) == 2


def test_there_is_no_pickle_and_every_line_is_json(tmp_path: Path) -> None:
    path = write(EpisodeStore(tmp_path), [noise(1), noise(2)])
    assert {p.suffix for p in path.iterdir()} == {".json", ".jsonl", ".png"}
    for line in (path / "steps.jsonl").read_text().splitlines():
        json.loads(line)
