from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.browsers import needs_browser, needs_miniwob
from tests.fakes import Board, board_task

from showonce.actions import Action
from showonce.environments.contract import EnvironmentContract
from showonce.environments.registry import ENVIRONMENTS, find_task, make_environment
from showonce.protocols import Environment, Interrupt
from showonce.types import Executed, Observation, Success, Task


class TestBoard(EnvironmentContract):
    def make(self) -> Environment:
        return Board()

    def task(self) -> Task:
        return board_task()


class TestEmbedded(EnvironmentContract):
    def make(self) -> Environment:
        return make_environment("embedded")

    def task(self) -> Task:
        return find_task("app/dev/multi/0")


class TestEmbeddedWithDrift(EnvironmentContract):
    def make(self) -> Environment:
        return make_environment("embedded", mistakes=5, theme="dark", moved=True, dialog=0.5, renamed=0.5, layout=3)

    def task(self) -> Task:
        return find_task("skill/form")


@needs_browser
class TestBrowser(EnvironmentContract):
    def make(self) -> Environment:
        return make_environment("browser", start="site:index?seed={seed}", width=320, height=240, seeded=True)

    def task(self) -> Task:
        return Task("user/look", "look around", "browser", success=Success("none"))


@needs_miniwob
class TestMiniWoB(EnvironmentContract):
    def make(self) -> Environment:
        return make_environment("miniwob")

    def task(self) -> Task:
        return find_task("miniwob/enter-text")


def test_every_registered_environment_is_tested_here() -> None:
    made = {case().make().name for case in (TestEmbedded, TestEmbeddedWithDrift, TestBrowser, TestMiniWoB)}
    elsewhere = {"desktop", "browsergym"}  # needs an X screen: environments/desktop; an interpreter of its own
    assert made == set(ENVIRONMENTS.built_in) - elsewhere


class Deaf(Board):
    """Breaks the contract: the stop is not asked."""

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        class Never:
            def check(self) -> None: ...

        return super().execute(action, Never())


class Restless(Board):
    """Breaks the contract: every look shows another screen."""

    looks = 0

    def observe(self) -> Observation:
        self.looks += 1
        seen = super().observe()
        seen.image[0, 0] = self.looks
        return seen


class Reusing(Board):
    """Breaks the contract: draws over the screen that it handed out before."""

    canvas = None

    def observe(self) -> Observation:
        seen = super().observe()
        if self.canvas is None:
            self.canvas = seen.image
        self.canvas[:] = seen.image
        return Observation(self.canvas, text=seen.text)


class Immortal(Board):
    """Breaks the contract: works on after its end."""

    def close(self) -> None:
        return


class Grey(Board):
    """Breaks the contract: a screen without colours."""

    def observe(self) -> Observation:
        return Observation(super().observe().image[:, :, 0])


class Forgetful(Board):
    """Breaks the contract: the seed does nothing."""

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        Forgetful.count = getattr(Forgetful, "count", 0) + 1
        return super().reset(task, Forgetful.count)


class Elsewhere(Board):
    """Breaks the contract: says that it touched a pixel outside of the screen."""

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        did = super().execute(action, interrupt)
        return Executed(did.action, pixels=tuple((column + 64, row) for column, row in did.pixels))


def failures(board: type[Board]) -> Iterator[str]:
    """Yield the names of the contract's tests that a board does not pass."""

    class Case(EnvironmentContract):
        def make(self) -> Environment:
            return board()

        def task(self) -> Task:
            return board_task()

    for name in dir(Case):
        if name.startswith("test_"):
            try:
                getattr(Case(), name)()
            except (AssertionError, IndexError):
                yield name


@pytest.mark.parametrize(
    ("board", "caught_by"),
    [
        (Deaf, "test_the_stop_is_asked_before_anything_is_done"),
        (Deaf, "test_the_stop_is_asked_even_when_nothing_is_stopped"),
        (Restless, "test_looking_changes_nothing"),
        (Reusing, "test_a_screen_once_seen_stays_as_it_was"),
        (Immortal, "test_using_it_after_its_end_is_refused"),
        (Grey, "test_reset_returns_an_rgb_screen"),
        (Forgetful, "test_same_seed_same_pixels"),
        (Elsewhere, "test_what_was_done_lies_on_the_screen"),
    ],
)
def test_the_contract_catches_who_breaks_it(board: type[Board], caught_by: str) -> None:
    assert caught_by in set(failures(board))
