"""One X screen for all desktop tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.xscreen import Screen, x_screen


@pytest.fixture(scope="session")
def _display() -> Iterator[Screen]:
    with x_screen() as screen:
        yield screen


@pytest.fixture
def screen(_display: Screen) -> Iterator[Screen]:
    """The X screen; programs that a test starts in it are ended after the test."""
    keep = list(_display.running)
    yield _display
    begun = [process for process in _display.running if process not in keep]
    _display.running[:] = begun
    _display.end()
    _display.running[:] = keep
