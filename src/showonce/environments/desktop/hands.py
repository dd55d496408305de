"""Primitive input (protocol `Hands`), and how each verb of `actions` is made of it (`perform`).

Every implementation calls `check` before each primitive (a press, a release, a motion, a wheel notch) and remembers
what it holds down, so that `release` can let go of it after any error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from showonce.actions import (
    Action,
    Click,
    DoubleClick,
    Drag,
    Key,
    Move,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    chord_parts,
    held_in,
)  # fmt: skip

DRAG_STEPS: Final = 12  # motions of a drag: toolkits begin a drag only after some pixels
DRAG_PAUSE: Final = 0.004  # seconds between them
CLICKS: Final[dict[type[Action], int]] = {Click: 1, DoubleClick: 2, TripleClick: 3, RightClick: 1}
Point = tuple[int, int]
Pause = Callable[[float], None]


class Hands(Protocol):
    """Pointer and keyboard. Places are pixels of the virtual screen; errors are those of `errors`."""

    check: Callable[[], None]

    @property
    def sent(self) -> int:
        """Number of presses sent so far; the display reports each of them."""
        ...

    @property
    def others(self) -> int:
        """Number of motions and releases; the display does not report one that changes nothing."""
        ...

    def move(self, x: int, y: int) -> None: ...
    def button(self, name: str, down: bool) -> None: ...
    def click(self, name: str, times: int) -> None:
        """Press and release `times` times, fast enough that two are a double click and three a triple one."""
        ...

    def notch(self, dx: int, dy: int) -> None:
        """Turn the wheel by one notch: one of dx, dy is 1 or -1."""
        ...

    def hold(self, modifier: str, down: bool) -> None:
        """Press or release one of `actions.MODIFIERS`, or raise BadInput where the keyboard has no key for it."""
        ...

    def chord(self, keys: str) -> None:
        """Press and release a chord in the spelling of `actions.normal_keys`."""
        ...

    def write(self, text: str) -> None:
        """Type text exactly.

        Raises:
            BadInput: characters that cannot be typed here, all of them named; nothing was typed.
        """
        ...

    def held(self) -> tuple[str, ...]:
        """Return the modifiers that a person holds down; called between gestures, when none is ours."""
        ...

    def release(self) -> None:
        """Let go of everything that is held down, without calling `check`."""
        ...

    def close(self) -> None: ...


def parts(keys: str) -> tuple[tuple[str, ...], str]:
    """Return the modifiers and the key of a chord in the spelling of `actions.normal_keys`."""
    *modifiers, key = chord_parts(keys)
    return tuple(modifiers), key


def _never() -> None:
    return None


@contextlib.contextmanager
def checked(hands: Hands, check: Callable[[], None]) -> Iterator[Hands]:
    """Within this block `check` is called before every primitive; at its end everything is released."""
    hands.check = check
    try:
        yield hands
    finally:
        hands.check = _never
        hands.release()


def perform(hands: Hands, action: Action, at: tuple[Point, ...], pause: Pause) -> None:
    """Send the input of an action. at: its places in units of the pointer, as many as the action has."""
    if isinstance(action, Type):
        hands.write(action.text)
        return
    if isinstance(action, Key):
        hands.chord(action.keys)
        return
    held = held_in(action)
    for name in held:
        hands.hold(name, True)
    hands.move(*at[0])
    if (times := CLICKS.get(type(action))) is not None:
        hands.click("right" if isinstance(action, RightClick) else "left", times)
    elif isinstance(action, Drag):
        _drag(hands, at[0], at[1], pause)
    elif isinstance(action, Scroll):
        for _ in range(abs(action.dy)):
            hands.notch(0, 1 if action.dy > 0 else -1)
        for _ in range(abs(action.dx)):
            hands.notch(1 if action.dx > 0 else -1, 0)
    else:
        assert isinstance(action, Move), action
    for name in reversed(held):
        hands.hold(name, False)


def _drag(hands: Hands, start: Point, end: Point, pause: Pause) -> None:
    hands.button("left", True)
    for step in range(1, DRAG_STEPS + 1):
        part = step / DRAG_STEPS
        hands.move(*(round(a + (b - a) * part) for a, b in zip(start, end, strict=True)))
        pause(DRAG_PAUSE)
    hands.button("left", False)
