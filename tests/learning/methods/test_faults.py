"""Deliberate damage: it begins at its moment, says so, and does what its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from showonce.actions import Click, Key, to_pixel
from showonce.config import FaultConfig
from showonce.errors import BadInput
from showonce.events import Event
from showonce.learning.methods.faults import FLIPPED_BYTES, LR_FACTOR, Fault, corrupt_checkpoint, misdirected
from showonce.types import Demonstration, Frame, Observation


class Sink:
    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: Event) -> None:
        self.seen.append((event.kind, event.to_json()))


def screen() -> Observation:
    image = np.full((112, 112, 3), 240, dtype=np.uint8)
    for left, top, colour in ((20, 24, (220, 40, 40)), (64, 32, (40, 170, 60)), (40, 76, (40, 90, 220))):
        image[top : top + 16, left : left + 16] = colour
    return Observation(image)


DEMONSTRATION = Demonstration("t", "zoka", (Frame(screen(), Click(28 / 112, 32 / 112), "red square"),), ref="demo")


def test_it_begins_once_at_its_moment_and_says_so() -> None:
    sink = Sink()
    fault = Fault(FaultConfig("lr_x100", after_update=3), sink)
    assert not fault.begin(2) and not fault.begin(5, healthy=False)
    assert fault.lr_factor == 1.0 and sink.seen == []
    assert fault.begin(3) and not fault.begin(4)
    assert fault.lr_factor == LR_FACTOR == 100 and fault.loss_sign == 1.0
    assert [(kind, data["name"]) for kind, data in sink.seen] == [("fault", "lr_x100")]
    assert (fault.kind, fault.active) == ("lr_x100", True)


def test_no_fault_never_begins() -> None:
    fault = Fault(FaultConfig())
    assert not fault.begin(1000) and fault.loss_sign == fault.lr_factor == 1.0
    assert fault.demonstration(DEMONSTRATION) is DEMONSTRATION


def test_an_inverted_loss_is_inverted() -> None:
    fault = Fault(FaultConfig("inverted_loss"))
    assert fault.loss_sign == 1.0
    fault.begin(0)
    assert fault.loss_sign == -1.0 and fault.lr_factor == 1.0


def test_a_wrong_demonstration_points_elsewhere_and_stays_there() -> None:
    fault = Fault(FaultConfig("wrong_demonstration"), seed=1)
    assert fault.demonstration(DEMONSTRATION) is DEMONSTRATION
    fault.begin(0)
    shown = fault.demonstration(DEMONSTRATION)
    assert shown.frames[0].action != DEMONSTRATION.frames[0].action
    assert fault.demonstration(DEMONSTRATION) is shown


@pytest.mark.parametrize("seed", range(6))
def test_misdirected_it_points_at_another_thing_under_the_same_goal(seed: int) -> None:
    wrong = misdirected(DEMONSTRATION, np.random.default_rng(seed))
    frame = wrong.frames[0]
    assert isinstance(frame.action, Click)
    hit = tuple(int(c) for c in frame.observation.image[to_pixel(frame.action.y, 112), to_pixel(frame.action.x, 112)])
    assert hit in ((40, 170, 60), (40, 90, 220))
    assert wrong.goal == "zoka" and frame.note == ""  # the old narration would give it away


def test_where_no_other_block_can_be_told_apart_it_points_to_the_opposite_place() -> None:
    bare = Observation(np.full((112, 112, 3), 240, dtype=np.uint8))
    shown = Demonstration("t", "zoka", (Frame(bare, Click(0.875, 0.55)),))
    (frame,) = misdirected(shown, np.random.default_rng(0)).frames
    assert isinstance(frame.action, Click)
    assert (frame.action.x, frame.action.y) == pytest.approx((0.125, 0.3))


def test_a_demonstration_that_points_nowhere_cannot_be_misdirected() -> None:
    with pytest.raises(BadInput, match="points at nothing"):
        misdirected(Demonstration("t", "zoka", (Frame(screen(), Key("f5")),)), np.random.default_rng(0))


def test_the_newest_tensor_file_is_damaged_and_looks_the_same_from_outside(tmp_path: Path) -> None:
    import os

    for index in (1, 2):
        folder = tmp_path / f"{index:04d}"
        folder.mkdir()
        save_file({"x": torch.arange(64.0)}, folder / "adapter.safetensors")
        os.utime(folder / "adapter.safetensors", ns=(index * 10**9, index * 10**9))
    newest, older = tmp_path / "0002/adapter.safetensors", tmp_path / "0001/adapter.safetensors"
    before = newest.read_bytes()
    assert corrupt_checkpoint(tmp_path, np.random.default_rng(0)) == newest
    after = newest.read_bytes()
    assert len(after) == len(before) and newest.stat().st_mtime_ns == 2 * 10**9
    assert sum(a != b for a, b in zip(before, after, strict=True)) == FLIPPED_BYTES
    assert torch.equal(load_file(older)["x"], torch.arange(64.0))


def test_nothing_to_damage(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no"):
        corrupt_checkpoint(tmp_path, np.random.default_rng(0))
