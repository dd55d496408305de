"""One browser for all tests of a module, and a page for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browsers import Seat
from tests.people import CdpPerson, running_browser
from tests.recording import Session


@pytest.fixture(scope="module")
def _seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    seat = Seat(tmp_path_factory.mktemp("pages"))
    yield seat
    seat.environment.close()


@pytest.fixture
def seat(_seat: Seat, tmp_path: Path) -> Seat:
    _seat.folder = tmp_path
    return _seat


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The debugging address of a person's own headless browser, 640 x 480."""
    with running_browser(tmp_path_factory.mktemp("profile"), 640, 480) as address:
        yield address


@pytest.fixture(scope="module")
def person(url: str) -> Iterator[CdpPerson]:
    """The person in front of it."""
    somebody = CdpPerson(url)
    yield somebody
    somebody.close()


@pytest.fixture
def session(url: str, person: CdpPerson, tmp_path: Path) -> Iterator[Session]:
    """A recording of that person, which `show` begins."""
    made = Session(url, person, tmp_path)
    yield made
    made.close()
