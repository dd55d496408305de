"""Tests that every environment has to pass; they ship with the package. A new environment is tested by four lines:

    class TestMine(EnvironmentContract):
        def make(self): return Mine()
        def task(self): return Task("mine/open", "open the box", "mine")
        seed = 7  # optional

Plain asserts: any runner that calls the `test_` methods will do. A test of something that the environment does not
promise (see `Capabilities`) or cannot do (see `ABILITIES`) raises unittest.SkipTest with the reason. What is not
covered: that the verbs do on its own screen what they mean; that is for the environment's own tests.
"""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

import numpy as np

from showonce.actions import EXAMPLES, Action, Click, Drag, Move, Scroll, Type, Wait, held_in, to_json
from showonce.errors import BadInput, EnvironmentBroken, Stopped
from showonce.protocols import (
    ABILITIES,
    Capabilities,
    Downloads,
    Elements,
    Environment,
    Facts,
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
)
from showonce.types import Element, Executed, Field, Observation, Outcome, ScreenFacts, Task

HELD: Final[tuple[Action, ...]] = (
    *(Click(0.518, 0.232, "ctrl"), Drag(0.125, 0.339, 0.732, 0.839, "alt"), Scroll(0.482, 0.482, 1, 0, "shift")),
)
CORNERS: Final[tuple[Action, ...]] = (
    *(Click(x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)),
    *(Move(1.0, 1.0), Drag(0.0, 0.0, 1.0, 1.0), Scroll(1.0, 1.0, 1)),
)


class Presses:
    """An interrupt that lets `after` checks pass and then stops; `checks` counts how often it was asked."""

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.after is not None and self.checks > self.after:
            raise Stopped("stopped by the contract.")


class EnvironmentContract:
    """Inherit, say how to `make` the environment and which `task` to test it on."""

    seed: ClassVar[int] = 7

    def make(self) -> Environment:
        """Return a fresh environment that was not reset yet."""
        raise NotImplementedError("return a fresh environment")

    def task(self) -> Task:
        """Return a task that the environment knows, and in which every verb may be tried."""
        raise NotImplementedError("return a task")

    @contextlib.contextmanager
    def started(self) -> Iterator[tuple[Environment, Observation]]:
        """Give a fresh environment after its reset, with its first screen."""
        environment = self.make()
        try:
            yield environment, environment.reset(self.task(), self.seed)
        finally:
            environment.close()

    def test_it_is_an_environment_with_a_name_and_capabilities(self) -> None:
        environment = self.make()
        assert isinstance(environment, Environment)
        assert environment.name
        assert isinstance(environment.capabilities, Capabilities)
        environment.close()

    def test_reset_returns_an_rgb_screen(self) -> None:
        with self.started() as (environment, first):
            for screen in (first, environment.observe()):
                assert screen.image.dtype == np.uint8, f"the screen is {screen.image.dtype}, not uint8"
                assert screen.image.ndim == 3, f"the screen has shape {screen.image.shape}, not (H, W, 3)"
                assert screen.image.shape[2] == 3, f"the screen has {screen.image.shape[2]} channels, not RGB"
                assert screen.width > 0 and screen.height > 0 and screen.scale > 0

    def test_same_seed_same_pixels(self) -> None:
        with self.started() as (environment, first):
            _needs(environment, "seeded")
            if environment.capabilities.resettable:
                again = environment.reset(self.task(), self.seed)
                assert first.hash == again.hash, "a second reset with the same seed shows another screen"
        with self.started() as (_, other):
            assert first.hash == other.hash, "another instance with the same seed shows another screen"

    def test_another_seed_is_allowed(self) -> None:
        with self.started() as (environment, first):
            _needs(environment, "resettable")
            for seed in (self.seed + 1, None):
                screen = environment.reset(self.task(), seed)
                assert screen.image.shape == first.image.shape, "the size of the screen depends on the seed"

    def test_looking_changes_nothing(self) -> None:
        with self.started() as (environment, first):
            _needs(environment, "seeded")
            hashes = {first.hash, environment.observe().hash, environment.observe().hash}
            assert len(hashes) == 1, "observe shows another screen although nothing was done"

    def test_a_screen_once_seen_stays_as_it_was(self) -> None:
        with self.started() as (environment, first):
            before = first.image.copy()
            for action in EXAMPLES:
                self._do(environment, action)
                environment.observe()
            assert np.array_equal(first.image, before), "an earlier observation was drawn over; hand out a copy"

    def test_every_verb_is_done_or_refused_clearly(self) -> None:
        for action in (*EXAMPLES, *HELD):
            with self.started() as (environment, _):
                before = to_json(action)
                executed = self._do(environment, action)
                assert to_json(action) == before, f"{before['action']} was changed while it was executed"
                if executed is not None:
                    assert isinstance(executed, Executed)
                    same = executed.action.verb == action.verb and held_in(executed.action) == held_in(action)
                    assert same, f"{before} was asked for, {executed.action} was done"

    def test_what_was_done_lies_on_the_screen(self) -> None:
        for action in CORNERS:
            with self.started() as (environment, screen):
                executed = self._do(environment, action)
                for column, row in executed.pixels if executed is not None else ():
                    assert 0 <= column < screen.width, f"{action} touched column {column} of {screen.width}"
                    assert 0 <= row < screen.height, f"{action} touched row {row} of {screen.height}"

    def test_the_same_actions_give_the_same_screens(self) -> None:
        def hashes() -> list[str]:
            with self.started() as (environment, first):
                _needs(environment, "seeded")
                seen = [first.hash]
                for action in EXAMPLES:
                    self._do(environment, action)
                    seen.append(environment.observe().hash)
                return seen

        assert hashes() == hashes(), "the same seed and actions lead to different screens"

    def test_the_stop_is_asked_before_anything_is_done(self) -> None:
        with self.started() as (environment, first):
            for action in (*EXAMPLES, *CORNERS):
                with _raises(f"{action} was executed although the stop was pressed", Stopped, BadInput):
                    environment.execute(action, Presses(after=0))
                if environment.capabilities.seeded:
                    assert environment.observe().hash == first.hash, f"{action} changed the screen after the stop"

    def test_the_stop_is_asked_even_when_nothing_is_stopped(self) -> None:
        with self.started() as (environment, _):
            stop = Presses()
            environment.execute(Click(0.5, 0.5), stop)
            assert stop.checks >= 1, "execute never asked the stop"

    def test_it_goes_on_after_a_stop(self) -> None:
        with self.started() as (environment, _):
            with _raises("the stop was not heeded", Stopped):
                environment.execute(Click(0.5, 0.5), Presses(after=0))
            assert self._do(environment, Click(0.5, 0.5)) is not None, "nothing can be done after a stop"

    def test_verify_returns_an_outcome(self) -> None:
        with self.started() as (environment, _):
            _needs(environment, "verifiable")
            for action in (None, Wait(0.0), Type("sun")):
                if action is not None:
                    self._do(environment, action)
                outcome = environment.verify()
                assert isinstance(outcome, Outcome)
                assert outcome.checker, "the outcome does not say who checked"
                assert not (outcome.success and outcome.hopeless), "a success cannot be hopeless"
                assert environment.verify() == outcome, "verify changes what it verifies"

    def test_it_is_not_done_before_anything_was_done(self) -> None:
        with self.started() as (environment, _):
            _needs(environment, "verifiable")
            assert environment.verify().success is not True, "the task is a success from the start"

    def test_every_ability_works(self) -> None:
        with self.started() as (environment, _):
            if not _use_abilities(environment):
                raise unittest.SkipTest(f"{environment.name} has no abilities beside those of every environment")

    def test_using_it_before_a_reset_is_refused(self) -> None:
        environment = self.make()
        self._refuses_use(environment, "before its reset")
        environment.close()

    def test_using_it_after_its_end_is_refused(self) -> None:
        environment = self.make()
        environment.reset(self.task(), self.seed)
        environment.close()
        self._refuses_use(environment, "after its end")

    def test_closing_twice_is_fine(self) -> None:
        environment = self.make()
        environment.reset(self.task(), self.seed)
        environment.close()
        environment.close()

    def test_closing_before_a_reset_is_fine(self) -> None:
        self.make().close()

    def test_an_earlier_episode_leaves_no_trace(self) -> None:
        with self.started() as (environment, first):
            _needs(environment, "resettable", "seeded")
            for action in EXAMPLES:
                self._do(environment, action)
            again = environment.reset(self.task(), self.seed)
            assert again.hash == first.hash, "the reset leaves something of the episode before it"
            if environment.capabilities.verifiable:
                outcome = environment.verify()
                assert outcome.success is not True and outcome.step_correct is None, "the outcome survived the reset"

    def _do(self, environment: Environment, action: Action) -> Executed | None:
        """Execute; None when the environment refuses the verb with a text that says so."""
        try:
            return environment.execute(action, Presses())
        except BadInput as refusal:
            assert str(refusal), f"{action.verb} was refused without a word"
            return None

    def _refuses_use(self, environment: Environment, when: str) -> None:
        uses: dict[str, Callable[[], Any]] = {
            "observe": environment.observe,
            "execute": lambda: environment.execute(Click(0.5, 0.5), Presses()),
            "verify": environment.verify,
        }
        if not environment.capabilities.verifiable:
            del uses["verify"]
        for name, use in uses.items():
            with _raises(f"{name} {when} was not refused", EnvironmentBroken):
                use()


def _needs(environment: Environment, *names: str) -> None:
    for name in names:
        if not getattr(environment.capabilities, name):
            raise unittest.SkipTest(f"{environment.name} does not promise to be {name}")


def _use_abilities(environment: Environment) -> int:
    """Use every ability that the environment has; return how many there are."""
    if page := ability(environment, Paged):
        assert isinstance(page.url, str) and page.shows("body") in (True, False)
    if downloads := ability(environment, Downloads):
        assert downloads.folder.is_dir(), f"{downloads.folder} is no folder"
    if screen := ability(environment, Facts):
        for at in ((), ((0.5, 0.5), (0.25, 0.75))):
            known = screen.facts(at)
            assert isinstance(known, ScreenFacts)
            assert known.near is None or len(known.near) == len(at), f"facts of {len(at)} places have near={known.near}"
    if named := ability(environment, Elements):
        for element in named.elements():
            assert isinstance(element, Element) and element.name, f"{element} has no name"
            left, top, right, bottom = element.box
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1, f"{element} lies outside of the frame"
    if usable := ability(environment, Targets):
        _use_targets(environment, usable)
    if sender := ability(environment, Sends):
        assert sender.sent >= 0
    if world := ability(environment, Oracle):
        assert to_json(world.oracle()) == to_json(world.oracle()), "the oracle changes although nothing was done"
    if asks := ability(environment, SetsGoal):
        assert isinstance(asks.goal, str)
    if undoable := ability(environment, Undoable):
        with _raises("undo did not heed the stop", Stopped):
            undoable.undo(Presses(after=0))
        assert isinstance(undoable.undo(Presses()), str)
    if shared := ability(environment, Windows):
        shared.exclude((0, 0, 1, 1))
        shared.exclude()
    if recordable := ability(environment, Recordable):
        source = recordable.watch()
        events = iter(source.events())
        event, frame = next(events)
        assert event["kind"] == "idle" and isinstance(frame, Observation), f"the first event is {event['kind']!r}"
        source.close()
        assert all(isinstance(late, Observation) for _, late in events)
    if fields := ability(environment, SecretFields):
        assert isinstance(fields.focused_field(), Field)
        for region in fields.secret_regions():
            left, top, right, bottom = region
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1, region
    return sum(ability(environment, kind) is not None for kind in ABILITIES)


def _use_targets(environment: Environment, usable: Targets) -> None:
    found = usable.targets()
    for one in found:
        assert isinstance(one, Element) and one.role, f"{one} can be used and has no role"
        left, top, right, bottom = one.box
        assert left < right and top < bottom, f"{one} has no place"
        assert 0 <= one.index < one.count, f"{one} is number {one.index} of {one.count}"
    for one in [*found][:3]:
        if usable.reveal(one):
            environment.observe()
            alike = [(now.role, now.name, now.page, now.index) for now in usable.targets()]
            assert (one.role, one.name, one.page, one.index) in alike, f"{one} is gone after it was revealed"
    for hit in (usable.target_at((0.5, 0.5)), usable.focused()):
        assert hit is None or isinstance(hit, Element)


@contextlib.contextmanager
def _raises(otherwise: str, *kinds: type[Exception]) -> Iterator[None]:
    """Expect one of `kinds`, with a text; `otherwise` is the complaint."""
    try:
        yield
    except kinds as error:
        assert str(error), f"{type(error).__name__} says nothing"
        return
    raise AssertionError(otherwise)
