"""What runs on the browser's thread is waited for, but not for ever, and a pause is no reason to give up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.browsers import Seat, needs_browser
from tests.xscreen import until

from showonce.actions import Type
from showonce.environments.browser import world
from showonce.environments.browser.owner import BrowserOwner
from showonce.errors import EnvironmentBroken
from showonce.runtime.clock import Clock
from showonce.runtime.pause import PausableStop

LIMIT = 0.3


@pytest.fixture
def thread() -> Iterator[BrowserOwner]:
    owner = BrowserOwner()
    yield owner
    owner.close()


def waiting(for_it: threading.Event) -> Callable[[], Coroutine[Any, Any, str]]:
    async def work() -> str:
        while not for_it.is_set():
            await asyncio.sleep(0.005)
        return "done"

    return work


def resumed_late(
    control: PausableStop, then: Callable[[], None] = lambda: None, limit: float = LIMIT
) -> threading.Thread:
    """Resume after the pause has lasted longer than the limit."""

    def person() -> None:
        until(lambda: control.held > 1.2 * limit)
        then()
        control.resume()

    thread = threading.Thread(target=person, daemon=True)
    thread.start()
    return thread


def test_what_takes_too_long_is_given_up(thread: BrowserOwner) -> None:
    with pytest.raises(EnvironmentBroken, match=r"it did not end within 0\.3 s"):
        thread.call(waiting(threading.Event()), LIMIT, "it", Clock(PausableStop()))


def test_a_pause_does_not_count(thread: BrowserOwner) -> None:
    control, event = PausableStop(), threading.Event()
    control.pause()
    person = resumed_late(control, event.set)
    assert thread.call(waiting(event), LIMIT, "it", Clock(control)) == "done"
    person.join()


def test_after_a_pause_the_time_goes_on_where_it_was(thread: BrowserOwner) -> None:
    control = PausableStop()
    control.pause()
    person = resumed_late(control)
    began = time.monotonic()
    with pytest.raises(EnvironmentBroken, match="did not end within"):
        thread.call(waiting(threading.Event()), LIMIT, "it", Clock(control))
    assert time.monotonic() - began > control.held
    person.join()


@needs_browser
def test_an_action_that_is_paused_in_its_middle_is_done_in_the_end(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "EXECUTE_SECONDS", 5 * LIMIT)
    seat.show("<input autofocus oninput='o.textContent=this.value'><pre id=o>")
    seat.click(10, 10)
    control, checks = PausableStop(), 0

    class Pausing:
        """A person pauses while the third character is typed."""

        def check(self) -> None:
            nonlocal checks
            checks += 1
            if checks == 6:
                control.pause()
            control.check()

    person = resumed_late(control, limit=5 * LIMIT)
    seat.environment.execute(Type("abcdef"), Pausing())
    person.join()
    assert checks > 6 and control.held > 5 * LIMIT and "abcdef" in seat.text
