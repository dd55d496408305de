"""The dialect protocol (text of an action, both directions) and the geometry that its coordinates are counted in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args, runtime_checkable

from showonce.actions import Action, from_pixel, to_pixel
from showonce.errors import BadInput, nearest
from showonce.types import ParseResult

Size = tuple[int, int]  # (width, height) in pixels
Unit = Literal["fraction", "thousand", "pixel"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
MAX_GENERATED_TEXT: Final = 200


@dataclass(frozen=True)
class Geometry:
    """How an answer to one frame counts coordinates.

    unit: fraction (0 to 1 of a side) | thousand (0 to 999, thousandths of a side) | pixel (of the seen image).
    frame: the observation's size. seen: the size to which the image processor brought the frame, (0, 0) = `frame`.

    A counted unit cuts a side into n cells: `count` is min(floor(x * n), n - 1), `fraction` is (i + 0.5) / n, so that
    a place comes back within half a cell.

    Example:
        >>> Geometry("pixel", frame=(1280, 720), seen=(1288, 728)).count(0.5, "x")
        644
        >>> Geometry("thousand").fraction(500, "x")
        0.5005

    Raises:
        BadInput: no such unit (nearest named), a negative size, or the unit pixel without a size.
    """

    unit: Unit = "fraction"
    frame: Size = (0, 0)
    seen: Size = (0, 0)

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise BadInput(f"{self.unit!r} is not a unit of coordinates.{nearest(self.unit, UNITS)}")
        if not any(self.seen):
            object.__setattr__(self, "seen", self.frame)
        if min(*self.frame, *self.seen) < 0 or (self.unit == "pixel" and 0 in self.seen):
            raise BadInput(f"a geometry in the unit {self.unit} needs sizes above 0, not {self.frame}, {self.seen}.")

    def cells(self, field: str) -> int:
        """Return the number of cells along the axis of a coordinate field ("x", "to_y", ...); 0 = not counted."""
        if self.unit == "pixel":
            return self.seen[0] if field.endswith("x") else self.seen[1]
        return 1000 if self.unit == "thousand" else 0

    def count(self, fraction: float, field: str) -> float:
        """Return a coordinate in [0, 1] in this unit: the number of its cell, or the fraction itself."""
        cells = self.cells(field)
        return to_pixel(fraction, cells) if cells else fraction

    def fraction(self, number: float, field: str) -> float:
        """Return a number of this unit as a coordinate in [0, 1]; what lies outside goes to the nearest edge."""
        cells = self.cells(field)
        if not cells:
            return min(max(number, 0.0), 1.0)
        return from_pixel(min(max(math.floor(number), 0), cells - 1), cells)


FRACTIONS: Final = Geometry()  # the unit that needs no size


@runtime_checkable
class Dialect(Protocol):
    """One spelling of all verbs. Everything in it is generated from `actions.VERBS`; a dialect holds no state.

    `geometry` is that of the frame that an answer is about.
    """

    @property
    def name(self) -> str:
        """The name under which configuration asks for it."""

    def write(self, action: Action, confidence: float, geometry: Geometry = FRACTIONS) -> str:
        """Return the one canonical text of an action; `confidence` in [0, 1].

        Raises:
            BadInput: a confidence outside [0, 1] or not finite.
        """

    def parse(self, text: str, geometry: Geometry = FRACTIONS) -> ParseResult:
        """Read an action from whatever a model wrote. Never raises: a text that is no action is a ParseFailure."""

    def describe(self, geometry: Geometry = FRACTIONS) -> str:
        """Return the part of a prompt that explains the form and every verb, with one example each."""

    def grammar(self, geometry: Geometry = FRACTIONS) -> str:
        """Return a Lark grammar (the variant of the `llguidance` library) of exactly what `write` can produce.

        Text arguments are limited to `MAX_GENERATED_TEXT` characters, which only binds what a model generates.
        """

    def confidence_span(self, text: str) -> tuple[int, int] | None:
        """Return (start, end) of the stated confidence's number in `text`, None where none is stated."""
