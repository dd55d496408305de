"""The contract of environments: each by itself, and each behind every wrapper and every pair of wrappers."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest
from tests.browsers import needs_browser, needs_miniwob
from tests.environments.wrappers.test_perceive import ocr_or_skip
from tests.fakes import Board, board_task
from tests.xscreen import x_screen

from showonce.actions import Action, Click, Type
from showonce.config import SafetyConfig
from showonce.environments.contract import EnvironmentContract, Presses
from showonce.environments.registry import ENVIRONMENTS, find_task, make_environment
from showonce.environments.wrappers.fence import Fenced
from showonce.environments.wrappers.perceive import Perceiving
from showonce.environments.wrappers.secret import WithSecrets
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import BadInput, EnvironmentBroken
from showonce.protocols import (
    ABILITIES,
    Capabilities,
    Downloads,
    Elements,
    Environment,
    EventSource,
    Facts,
    Interrupt,
    Oracle,
    Paged,
    Recordable,
    SecretFields,
    Sends,
    SetsGoal,
    Targets,
    Undoable,
    Windows,
    ability,
)  # fmt: skip
from showonce.secrets import NOWHERE, Places
from showonce.types import Element, Executed, Field, Observation, Region, ScreenFacts, Success, Task


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


class Careless(Board):
    """Promises nothing."""

    capabilities = Capabilities(resettable=False, seeded=False, verifiable=False, side_effects=True)
    oracle = None  # type: ignore[assignment]


def test_what_is_not_promised_is_skipped_with_a_reason() -> None:
    class Case(EnvironmentContract):
        def make(self) -> Environment:
            return Careless()

        def task(self) -> Task:
            return board_task()

    reasons = {}
    for name in (name for name in dir(Case) if name.startswith("test_")):
        try:
            getattr(Case(), name)()
        except unittest.SkipTest as reason:
            reasons[name] = str(reason)
    assert set(reasons) == {
        "test_same_seed_same_pixels", "test_another_seed_is_allowed", "test_looking_changes_nothing",
        "test_the_same_actions_give_the_same_screens", "test_verify_returns_an_outcome", "test_every_ability_works",
        "test_it_is_not_done_before_anything_was_done", "test_an_earlier_episode_leaves_no_trace",
    }  # fmt: skip
    assert all("board" in reason for reason in reasons.values())


# ------------------------------------------------------------------------------------------ wrappers


class Able(Board):
    """A board with every ability."""

    url = "board:0"
    folder = Path()

    def shows(self, selector: str) -> bool:
        return selector == "body"

    def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
        self._check()
        return ScreenFacts(near=("",) * len(at))

    def elements(self) -> Sequence[Element]:
        return (Element("lamp", (0.0, 0.0, 0.5, 0.5), "button"),)

    def targets(self) -> Sequence[Element]:
        return self.elements()

    def target_at(self, at: tuple[float, float]) -> Element | None:
        return self.elements()[0] if max(at) < 0.5 else None

    def focused(self) -> Element | None:
        return None

    def reveal(self, target: Element) -> bool:
        return True

    @property
    def sent(self) -> int:
        return 0

    @property
    def goal(self) -> str:
        return " ".join(self._check())

    def undo(self, interrupt: Interrupt) -> str:
        interrupt.check()
        return ""

    def exclude(self, *places: object) -> None:
        self.excluded = places

    def focused_field(self, secrets: Places = NOWHERE) -> Field:
        return Field("password", "https://board.example", True)

    def secret_regions(self, secrets: Places = NOWHERE) -> Sequence[Region]:
        return ((0.9, 0.9, 1.0, 1.0),)

    def watch(self, own: Sequence[str] = (), secrets: Places = NOWHERE) -> EventSource:
        return Watching(self.observe())


class Watching:
    """The events of somebody who does nothing."""

    def __init__(self, frame: Observation) -> None:
        self._frame = frame

    def events(self) -> Iterator[tuple[Mapping[str, Any], Observation]]:
        yield {"kind": "idle", "time": 0.0}, self._frame

    def close(self) -> None: ...


class TestAble(EnvironmentContract):
    def make(self) -> Environment:
        return Able()

    def task(self) -> Task:
        return board_task()


WRAPPERS: Final[dict[str, Callable[[Environment], Environment]]] = {
    "fence": lambda inner: Fenced(inner, SafetyConfig(region=(0.0, 0.0, 1.0, 0.95))),
    "ocr": lambda inner: Perceiving(inner, ocr=True),
    "marks": lambda inner: Perceiving(inner, marks=True),
    "secret": lambda inner: WithSecrets(inner, {}, {}),
}
CHAINS: Final = [*permutations(WRAPPERS, 1), *permutations(WRAPPERS, 2)]
BROWSER: Final = {Paged, Downloads, Facts, Elements, Targets, Sends, Undoable, Recordable, SecretFields}
ABLE: Final = {  # what each environment can do
    "able": {*ABILITIES},
    "board": {Oracle},
    "embedded": {Facts, Oracle, SetsGoal, Undoable},
    "browser": BROWSER,
    "miniwob": BROWSER | {Oracle, SetsGoal},
    "desktop": {Facts, Undoable, Windows, Recordable, SecretFields},
}
CASES: Final = {
    "able": TestAble,
    "board": TestBoard,
    "embedded": TestEmbedded,
    "browser": TestBrowser,
    "miniwob": TestMiniWoB,
}
MARKS: Final = {"browser": needs_browser, "miniwob": needs_miniwob}
KEPT: Final = (  # tests of the contract that a wrapped environment takes on one screen, in this order
    "test_it_is_an_environment_with_a_name_and_capabilities", "test_reset_returns_an_rgb_screen",
    "test_every_ability_works", "test_the_stop_is_asked_even_when_nothing_is_stopped", "test_it_goes_on_after_a_stop",
    "test_verify_returns_an_outcome",
)  # fmt: skip


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with x_screen("320x240", manager=False) as screen:
        yield screen.name


def made(name: str, request: pytest.FixtureRequest) -> tuple[Environment, Task]:
    """Return a fresh environment and a task for it."""
    if name == "desktop":
        return (
            make_environment("desktop", display=request.getfixturevalue("display"), first=0.02),
            Task("desktop/test", "do it", "desktop", success=Success("none")),
        )
    case = CASES[name]()
    return case.make(), case.task()


@pytest.mark.parametrize(
    ("name", "chain"),
    [
        pytest.param(name, chain, marks=MARKS.get(name, ()), id=f"{name}-{'-in-'.join(chain)}")
        for name, able in ABLE.items()
        for chain in CHAINS
        if Elements in able or "marks" not in chain  # without elements there is nothing to mark: a ConfigError
    ],
)
def test_a_wrapped_environment_keeps_its_abilities_and_the_contract(
    name: str, chain: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    inner, task = made(name, request)
    assert {kind for kind in ABILITIES if ability(inner, kind) is not None} == ABLE[name]
    wrapped = inner
    try:
        if "ocr" in chain:
            ocr_or_skip()
        for wrapper in reversed(chain):
            wrapped = WRAPPERS[wrapper](wrapped)
        for kind in ABILITIES:
            assert ability(wrapped, kind) is ability(inner, kind), f"{kind.__name__} is lost"
        _keeps_the_contract(wrapped, task)
        if "secret" in chain:
            with pytest.raises(BadInput, match="is not"):
                wrapped.execute(Type("<secret:pin>"), Presses())
        if "fence" in chain:
            with pytest.raises(BadInput, match=r"safety\.region"):
                wrapped.execute(Click(0.5, 0.97), Presses())
    finally:
        wrapped.close()
    with pytest.raises(EnvironmentBroken):
        wrapped.observe()


def _keeps_the_contract(environment: Environment, task: Task) -> None:
    """Run the tests of `KEPT` one after the other on one environment, which is reset once."""
    first = environment.reset(task, 7)

    class Case(EnvironmentContract):
        def make(self) -> Environment:
            return Open(environment)

        @contextlib.contextmanager
        def started(self) -> Iterator[tuple[Environment, Observation]]:
            yield environment, first

    for name in KEPT:
        with contextlib.suppress(unittest.SkipTest):
            getattr(Case(), name)()


class Open(Wrapper):
    """Is not closed by the tests that end with it."""

    def close(self) -> None: ...


def test_every_registered_environment_is_tested_here() -> None:
    elsewhere = {"browsergym"}  # needs an interpreter of its own
    assert set(ABLE) - {"able", "board"} == set(ENVIRONMENTS.built_in) - elsewhere
    assert ability(make_environment("browsergym"), SetsGoal) is not None


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


class Unstoppable(Board):
    """Breaks the contract: takes something back although the stop is pressed."""

    def undo(self, interrupt: Interrupt) -> str:
        return "something"


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
            except unittest.SkipTest:
                continue
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
        (Unstoppable, "test_every_ability_works"),
    ],
)
def test_the_contract_catches_who_breaks_it(board: type[Board], caught_by: str) -> None:
    assert caught_by in set(failures(board))
