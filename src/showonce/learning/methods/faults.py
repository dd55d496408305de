"""Deliberate damage to learning, to test that it is found and undone; off by default (`learning.fault`)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from showonce.actions import points
from showonce.config import FaultConfig
from showonce.errors import BadInput
from showonce.events import FaultInjected
from showonce.learning.practice.views import find_blocks, map_action
from showonce.protocols import EventSink
from showonce.types import Demonstration, Frame

LR_FACTOR: Final = 100.0
FLIPPED_BYTES: Final = 8


class Fault:
    """One kind of damage. It begins after `after_update` updates, once probes are good, and does not end.

    `loss_sign` and `lr_factor` multiply the loss and the learning rate; both are 1 before the damage.
    """

    def __init__(self, config: FaultConfig, events: EventSink | None = None, seed: int = 0) -> None:
        self.kind = config.kind
        self.active = False
        self._after = config.after_update
        self._events = events
        self._wrong: dict[str, Demonstration] = {}
        self._seed = seed

    def begin(self, updates: int, healthy: bool = True) -> bool:
        """Start the damage if it is due; return whether it started now. healthy: whether recent probes are good."""
        if self.kind == "none" or self.active or not healthy or updates < self._after:
            return False
        self.active = True
        if self._events is not None:
            self._events.emit(FaultInjected(name=self.kind, detail=f"injected after {updates} accepted updates"))
        return True

    @property
    def loss_sign(self) -> float:
        return -1.0 if self.active and self.kind == "inverted_loss" else 1.0

    @property
    def lr_factor(self) -> float:
        return LR_FACTOR if self.active and self.kind == "lr_x100" else 1.0

    def demonstration(self, shown: Demonstration) -> Demonstration:
        """Return the demonstration that the teacher is shown: `shown`, or always the same wrong one."""
        if not self.active or self.kind != "wrong_demonstration":
            return shown
        if shown.task_id not in self._wrong:
            self._wrong[shown.task_id] = misdirected(shown, np.random.default_rng(self._seed))
        return self._wrong[shown.task_id]


def misdirected(demonstration: Demonstration, rng: np.random.Generator) -> Demonstration:
    """Return the demonstration with every pointing action on another block of its frame, drawn at random.

    Where no other block can be told apart, it goes to the opposite place of the frame.

    Raises:
        BadInput: no frame has a pointing action.
    """
    frames = tuple(_misdirect(frame, rng) for frame in demonstration.frames)
    if all(new is old for new, old in zip(frames, demonstration.frames, strict=True)):
        raise BadInput(
            f"the demonstration of {demonstration.task_id!r} points at nothing, so it cannot be made wrong: "
            "choose another learning.fault.kind."
        )
    return replace(demonstration, frames=frames, ref=f"{demonstration.ref}#misdirected")


def _misdirect(frame: Frame, rng: np.random.Generator) -> Frame:
    places = points(frame.action)
    if not places:
        return frame
    width, height = frame.observation.width, frame.observation.height
    x, y = places[0][0] * width, places[0][1] * height
    blocks = [b for b in find_blocks(frame.observation.image)[0] if not (b[0] <= x < b[2] and b[1] <= y < b[3])]
    if blocks:
        left, top, right, bottom = blocks[int(rng.integers(len(blocks)))]
        dx, dy = ((left + right) / 2 - x) / width, ((top + bottom) / 2 - y) / height
    else:
        dx, dy = _opposite(places[0][0]), _opposite(places[0][1])
    first = places[0]
    moved = map_action(frame.action, lambda a, b: (a + dx, b + dy) if (a, b) == first else (a, b))
    return replace(frame, action=moved, note="") if moved else frame


def _opposite(place: float) -> float:
    """Return how far it is to the mirrored place; from the middle to a quarter."""
    return 1 - 2 * place if abs(1 - 2 * place) > 0.2 else -0.25


def corrupt_checkpoint(folder: str | Path, rng: np.random.Generator) -> Path:
    """Invert some bytes of the newest tensor file (``adapter*.safetensors``) under `folder`; return its path.

    Size and modification time stay, as after a disk error.

    Raises:
        BadInput: there is no tensor file.
    """
    files = sorted(Path(folder).rglob("adapter*.safetensors"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
    if not files:
        raise BadInput(f"{folder} holds no adapter*.safetensors: train and save a checkpoint before damaging it.")
    target = files[-1]
    times = target.stat()
    data = bytearray(target.read_bytes())
    for position in rng.choice(len(data), size=min(FLIPPED_BYTES, len(data)), replace=False):
        data[int(position)] ^= 0xFF
    target.write_bytes(data)
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return target
