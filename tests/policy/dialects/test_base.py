"""Geometry: a place written in any unit and read back is within half a cell of where it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce.actions import EXAMPLES, Drag, points
from showonce.errors import BadInput
from showonce.policy.dialects import UNITS, Dialect, Geometry, Unit, get_dialect
from showonce.types import Parsed

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
places = st.floats(0, 1)
geometries = st.builds(Geometry, st.sampled_from(UNITS), sizes, sizes)
SETTINGS = settings(deadline=None, database=None, max_examples=400)


def half_a_cell(geometry: Geometry, field: str) -> float:
    """Half a cell as a fraction of the side; a written fraction has three decimals."""
    return 0.5 / (geometry.cells(field) or 1000) + 1e-9


@SETTINGS
@given(geometries, places, st.sampled_from(["x", "y", "to_x", "to_y"]))
def test_a_place_comes_back_within_half_a_cell(geometry: Geometry, place: float, field: str) -> None:
    back = geometry.fraction(geometry.count(place, field), field)
    assert 0 <= back <= 1
    assert abs(back - place) <= half_a_cell(geometry, field)


@SETTINGS
@given(geometries, st.data())
def test_every_cell_comes_back_as_itself(geometry: Geometry, data: st.DataObject) -> None:
    cells = geometry.cells("x")
    if cells:
        cell = data.draw(st.integers(0, cells - 1))
        assert geometry.fraction(cell, "x") == (cell + 0.5) / cells
        assert geometry.count(geometry.fraction(cell, "x"), "x") == cell


@SETTINGS
@given(geometries, places, places, places, places)
def test_an_action_is_written_and_read_back(geometry: Geometry, x: float, y: float, to_x: float, to_y: float) -> None:
    dialect: Dialect = get_dialect("native")
    action = Drag(x, y, to_x, to_y)
    parsed = dialect.parse(dialect.write(action, 0.5, geometry), geometry)
    assert isinstance(parsed, Parsed)
    for (was_x, was_y), (is_x, is_y) in zip(points(action), points(parsed.action), strict=True):
        assert abs(was_x - is_x) <= half_a_cell(geometry, "x")
        assert abs(was_y - is_y) <= half_a_cell(geometry, "y")


@pytest.mark.parametrize(
    ("unit", "place", "number"),
    [
        ("fraction", 0.25, 0.25),
        ("thousand", 0.0, 0),
        ("thousand", 0.5, 500),
        ("thousand", 1.0, 999),
        ("pixel", 0.5, 644),
        ("pixel", 1.0, 1287),
    ],
)
def test_numbers_by_the_rule_of_pixels(unit: Unit, place: float, number: float) -> None:
    assert Geometry(unit, (1280, 720), (1288, 728)).count(place, "x") == number


def test_pixels_are_those_of_the_seen_image_or_else_of_the_frame() -> None:
    assert Geometry("pixel", (1280, 720), (640, 352)).cells("to_y") == 352
    assert Geometry("pixel", (1280, 720)).cells("y") == 720
    assert Geometry("thousand").cells("x") == 1000
    assert Geometry().cells("x") == 0


@pytest.mark.parametrize(("number", "edge"), [(-3, 0.5), (1288, 1287.5), (math.pi * 1e6, 1287.5)])
def test_what_lies_outside_goes_to_the_edge(number: float, edge: float) -> None:
    assert Geometry("pixel", (1288, 728)).fraction(number, "x") == edge / 1288


def test_a_geometry_that_cannot_be_counted_in_is_refused() -> None:
    with pytest.raises(BadInput, match="Did you mean 'pixel'"):
        Geometry("pixels")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="sizes above 0"):
        Geometry("pixel")
    with pytest.raises(BadInput, match="sizes above 0"):
        Geometry("fraction", (-1, 5))


@pytest.mark.parametrize("unit", UNITS)
def test_every_example_parses_back_in_every_unit(unit: Unit) -> None:
    geometry, dialect = Geometry(unit, (1280, 720), (1288, 728)), get_dialect("native")
    for example in EXAMPLES:
        parsed = dialect.parse(dialect.write(example, 0.9, geometry), geometry)
        assert isinstance(parsed, Parsed)
        assert type(parsed.action) is type(example)
        assert np.allclose(points(parsed.action), points(example), atol=1e-3)
