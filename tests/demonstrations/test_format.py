from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PillowImage
from tests.refusals import refused

from showonce.actions import Click, Type
from showonce.demonstrations import check_fit, load_demonstration, load_episode, read_png, save_demonstration
from showonce.demonstrations.format import SCHEMA_VERSION, encode_png
from showonce.types import Demonstration, Frame, Observation, Task

TASK = Task("user/box", "close the box")


def noise(seed: int, height: int = 24, width: int = 32) -> Observation:
    return Observation(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    frames = (Frame(noise(0), Click(0.25, 0.5)), Frame(noise(1), Type("sun")))
    return save_demonstration(Demonstration(TASK.id, TASK.goal, frames), tmp_path / "shown")


def change_meta(path: Path, **changes: object) -> None:
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps({**meta, **changes}))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_pixels_survive_the_picture_exactly(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(encode_png(image))
    again = read_png(path)
    assert again.dtype == np.uint8
    assert np.array_equal(again, image)


def test_a_newer_schema_is_refused_with_advice(shown: Path) -> None:
    change_meta(shown, schema_version=SCHEMA_VERSION + 1)
    for load in (load_episode, load_demonstration):
        with refused("demonstration.newer", "schema 2"):
            load(shown)


def test_what_is_no_episode_folder_is_refused(tmp_path: Path, shown: Path) -> None:
    with refused("demonstration.no_episode"):
        load_episode(tmp_path / "nowhere")
    with refused("demonstration.no_episode"):
        load_episode(shown / "meta.json")
    (shown / "meta.json").write_text("{")
    with refused("demonstration.meta"):
        load_episode(shown)
    (shown / "meta.json").write_text("[]")
    with refused("demonstration.meta"):
        load_episode(shown)


def test_a_missing_key_is_named(shown: Path) -> None:
    meta = json.loads((shown / "meta.json").read_text())
    del meta["goal"]
    (shown / "meta.json").write_text(json.dumps(meta))
    with refused("demonstration.meta", "lacks goal"):
        load_episode(shown)


def test_a_damaged_end_is_named(shown: Path) -> None:
    change_meta(shown, stop_reason="bored")
    with refused("demonstration.meta", "bored"):
        load_episode(shown)


def test_a_missing_frame_is_named(shown: Path) -> None:
    (shown / "0001.png").unlink()
    with refused("demonstration.frame", "0001.png is missing"):
        load_demonstration(shown)


def test_a_cut_off_frame_is_named(shown: Path) -> None:
    data = (shown / "0001.png").read_bytes()
    (shown / "0001.png").write_bytes(data[: len(data) // 2])
    with refused("demonstration.frame", "0001.png cannot be read"):
        load_demonstration(shown)
    (shown / "0001.png").write_bytes(b"")
    with refused("demonstration.frame", "0001.png cannot be read"):
        load_demonstration(shown)


def test_another_frame_than_the_recorded_one_is_found_out(shown: Path) -> None:
    (shown / "0001.png").write_bytes(encode_png(noise(7).image))
    with refused("demonstration.frame", "not the frame"):
        load_demonstration(shown)


def test_a_picture_that_is_not_rgb_is_refused(tmp_path: Path) -> None:
    PillowImage.new("RGBA", (4, 4)).save(tmp_path / "a.png")
    with refused("demonstration.frame", "RGBA"):
        read_png(tmp_path / "a.png")


def edit_step(path: Path, number: int, **changes: object) -> None:
    lines = (path / "steps.jsonl").read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    (path / "steps.jsonl").write_text("\n".join(lines) + "\n")


def test_a_frame_outside_of_the_folder_is_refused(shown: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes((shown / "0000.png").read_bytes())
    edit_step(shown, 0, frame="../secret.png")
    with refused("demonstration.frame", "outside"):
        load_demonstration(shown)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"executed": {"action": "clik"}}, "click"), ({"index": 5}, "step 5"), ({"timings": 3}, "TypeError")],
)
def test_a_damaged_line_is_named(shown: Path, change: dict[str, object], named: str) -> None:
    edit_step(shown, 1, **change)
    with refused("demonstration.step", "steps.jsonl line 2", named):
        load_episode(shown)


def test_a_demonstration_without_steps_or_goal_is_refused(tmp_path: Path, shown: Path) -> None:
    empty = save_demonstration(Demonstration(TASK.id, TASK.goal, ()), tmp_path / "empty")
    with refused("demonstration.empty"):
        load_demonstration(empty)
    change_meta(shown, goal=" ")
    with refused("demonstration.no_goal"):
        load_demonstration(shown)


def test_frames_of_several_sizes_are_refused(tmp_path: Path) -> None:
    frames = (Frame(noise(0), Click(0.5, 0.5)), Frame(noise(0, 30, 40), Click(0.5, 0.5)))
    path = save_demonstration(Demonstration(TASK.id, TASK.goal, frames), tmp_path / "shown")
    with refused("demonstration.sizes", "32, 24", "40, 30"):
        load_demonstration(path)


def test_a_demonstration_fits_its_own_task_and_screen(shown: Path) -> None:
    demonstration = load_demonstration(shown)
    check_fit(demonstration, TASK, 32, 24)
    with refused("demonstration.task", "showonce record task=user/bag"):
        check_fit(demonstration, replace(TASK, id="user/bag"), 32, 24)
    with refused("demonstration.goal", "close the box", "open the box"):
        check_fit(demonstration, replace(TASK, goal="open the box"), 32, 24)
    with refused("demonstration.screen", "32x24", "64x48"):
        check_fit(demonstration, TASK, 64, 48)
