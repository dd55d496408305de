"""One browser for all tests of a module, and a page for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browsers import Seat


@pytest.fixture(scope="module")
def _seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    seat = Seat(tmp_path_factory.mktemp("pages"))
    yield seat
    seat.environment.close()


@pytest.fixture
def seat(_seat: Seat, tmp_path: Path) -> Seat:
    _seat.folder = tmp_path
    return _seat
