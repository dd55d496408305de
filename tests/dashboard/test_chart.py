"""Charts of characters have exactly their size and show what they claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.dashboard.chart import BLOCKS, BRAILLE, bar, column_of, curve, spark

SHARES = st.floats(0, 1)


def dots(rows: list[str]) -> set[tuple[int, int]]:
    """Return the (column, row) of every braille dot, from the Unicode definition of the cells."""
    place = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1), 5: (1, 2), 6: (0, 3), 7: (1, 3)}
    found = set()
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            bits = ord(cell) - BRAILLE
            found |= {(2 * x + place[b][0], 4 * y + place[b][1]) for b in range(8) if bits >> b & 1}
    return found


def test_a_constant_curve_is_a_straight_line() -> None:
    assert dots(curve([1.0, 1.0], 4, 2)) == {(x, 0) for x in range(8)}
    assert dots(curve([0.0], 4, 2)) == {(x, 7) for x in range(8)}


def test_a_step_is_connected() -> None:
    drawn = dots(curve([0.0, 1.0], 2, 1))
    assert {(0, 3), (3, 0)} <= drawn
    assert {y for _, y in drawn} == {0, 1, 2, 3}


@given(st.lists(SHARES, max_size=200), st.integers(1, 60), st.integers(1, 8))
def test_a_curve_has_its_size_and_a_dot_in_every_column(values: list[float], columns: int, rows: int) -> None:
    drawn = curve(values, columns, rows)
    assert [len(row) for row in drawn] == [columns] * rows
    assert {x for x, _ in dots(drawn)} == (set(range(2 * columns)) if values else set())


@given(st.lists(st.none() | SHARES, max_size=99), st.integers(1, 40))
def test_spark_keeps_the_largest_and_its_size(values: list[float | None], columns: int) -> None:
    drawn = spark(values, columns)
    assert len(drawn) == columns
    known = [v for v in values if v is not None]
    if known:
        assert BLOCKS[min(int(max(known) * 8), 7)] in drawn
    else:
        assert not drawn.strip()


def test_spark_is_blank_before_the_first_value() -> None:
    assert spark([None, None, 0.0, 1.0], 4) == "  ▁█"


@pytest.mark.parametrize(
    ("value", "drawn"), [(0.0, "    "), (0.5, "██  "), (0.53125, "██▏ "), (1.0, "████"), (7.0, "████")]
)
def test_bar(value: float, drawn: str) -> None:
    assert bar(value, 4) == drawn


def test_columns_spread_from_edge_to_edge() -> None:
    assert [column_of(i, 3, 11) for i in range(3)] == [0, 5, 10]
    assert column_of(0, 1, 11) == 0
