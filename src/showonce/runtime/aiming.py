"""Where a recorded action goes on the screen as it is now, and whether that is sure enough to do it.

A screen that knows its targets (`protocols.Targets`) is asked for the recorded thing (`runtime.targets`): by what it
is, then, where that leaves several or where the thing has no name, by its picture, which never counts against a name
that is known. Before the action the thing under the point is asked for once more, and of keys and typed text the one
that has the focus. On another screen the picture decides alone, and words that are read under the point must not say
otherwise. What is not there yet is waited for, and scrolled to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from showonce.actions import (
    Action,
    Ask,
    Click,
    Done,
    Key,
    Scroll,
    TripleClick,
    Type,
    Wait,
    chord_parts,
    from_json,
    points,
    to_json,
)
from showonce.demonstrations import redact
from showonce.demonstrations.sheet import in_words
from showonce.errors import Unavailable
from showonce.protocols import Elements, Environment, Facts, Interrupt, Targets, ability
from showonce.runtime.freshness import apart
from showonce.runtime.matching import SURE, Place, find_target, patch_for, second_peak
from showonce.runtime.repairs import Repair
from showonce.runtime.targets import SIMILAR, Found, called, changes, find, plain, ratio, same_thing, score, value_named
from showonce.types import Element, Frame, Observation, Region

OTHER_SCREEN: Final = "the screen is not as recorded"
CHANGED: Final = 0.3  # share of a whole frame from which on coordinates are not trusted: other data changes less
AREA: Final = 0.1  # side, as a share of the frame, from which on a thing without a name is more than a button
SERVER_ERROR: Final = 500  # HTTP status from which on a page is not the recorded one
POLL: Final = 0.15  # seconds between two looks
RIVAL: Final = 0.8  # correlation of a second place from which on a picture far from its old place is not sure
REVEALS: Final = 3  # times that one step may scroll
SAME_SIZE: Final = 1.5  # factor up to which a thing counts as large as it was, so that the same spot in it is meant
WRITABLE: Final = ("textbox", "searchbox", "spinbutton", "combobox")  # a click into these only moves the focus
HARMLESS: Final = ("tab", "escape", "up", "down", "left", "right", "home", "end", "pageup", "pagedown")


@dataclass(frozen=True)
class Aimed:
    """A recorded action on this screen. doubt: why it must not be done; "" = it is sure.

    screen: the frame that it was aimed on. how: in words how the target was found. score: how sure, in [0, 1]. extra:
    it comes before the recorded action, to bring the focus where it was. scrolled: the page moved, look again.
    """

    action: Action
    screen: Observation
    doubt: str = ""
    how: str = ""
    score: float = 1.0
    repairs: tuple[Repair, ...] = ()
    extra: bool = False
    scrolled: bool = False


@dataclass(frozen=True)
class _Spot:
    """A point of an action on this screen, and what stands there. doubt: "" = it is sure."""

    at: Place
    doubt: str = ""
    how: str = ""
    score: float = 1.0
    found: Element | None = None
    scrolled: bool = False


class Aim:
    """Aims the actions of a demonstration. names: what is called what it hit, one a step, of recordings that know no
    more. longer: seconds that a target is waited for. patch: side of the square that is matched, 0 = what fits.
    regions: of the frame that the recording blanked.
    """

    def __init__(
        self, environment: Environment, frames: Sequence[Frame], names: Sequence[str], longer: float, stop: Interrupt,
        patch: int = 0, regions: Sequence[Region] = (),
    ) -> None:  # fmt: skip
        self._regions = regions
        self._environment, self._frames, self._names = environment, frames, names
        self._longer, self._stop, self._patch = longer, stop, patch
        self._targets = ability(environment, Targets)
        self._elements = ability(environment, Elements)
        self._facts = ability(environment, Facts)
        self._known = any(frame.targets for frame in frames)
        self._pressed: tuple[int, Element | None] = (-1, None)  # the last step at a place, and what it hit

    @property
    def knows(self) -> bool:
        """Whether the screen knows its targets."""
        return self._targets is not None

    def __call__(self, index: int, screen: Observation) -> Aimed:
        """Aim the action of a step, waiting until its target is there. Raises Stopped."""
        began, scrolls = time.monotonic(), 0
        while True:
            self._stop.check()
            late = time.monotonic() - began >= self._longer
            aimed = self._look(index, screen, late, scrolls < REVEALS)
            if not aimed.doubt or (late and not aimed.scrolled):
                return aimed
            scrolls += aimed.scrolled
            if not aimed.scrolled:
                time.sleep(POLL)
            screen = self._environment.observe()

    def present(self, index: int) -> bool:
        """Whether the target of a step is on the page now, for the end of a recorded wait."""
        frame = self._frames[index]
        if self._targets is None or not frame.targets:
            return False
        found = self._targets.targets()
        return all(find(one, found).verdict == "sure" for one in frame.targets)

    def _look(self, index: int, screen: Observation, late: bool, scrolls: bool) -> Aimed:
        frame = self._frames[index]
        if isinstance(frame.action, Done | Wait | Ask):
            return Aimed(frame.action, screen)
        status = None if self._facts is None else self._facts.facts().status
        if status is not None and status >= SERVER_ERROR:  # its menu may look as ever
            why = f"the server answered this page with an error ({status})"
            aimed = Aimed(Ask(why), screen, why, score=0.0)
        elif isinstance(frame.action, Key | Type):
            aimed = self._keyed(index, screen, scrolls)
        elif isinstance(frame.action, Scroll) or not points(frame.action):
            return Aimed(frame.action, screen)
        else:
            aimed = self._pointed(index, screen, late, scrolls)
        if not aimed.doubt:
            return aimed
        doubt = f"Step {index + 1}, {self._recorded(index)}: {aimed.doubt}."
        return replace(aimed, doubt=doubt, action=Ask(doubt) if isinstance(aimed.action, Ask) else aimed.action)

    def _recorded(self, index: int) -> str:
        """Return what a step was recorded as: its action and what it hit."""
        frame = self._frames[index]
        name = self._name(index)
        hit = " and ".join(map(called, frame.targets)) if frame.targets else repr(name) if name else ""
        verb = frame.action.verb if points(frame.action) else in_words(frame.action)
        return f"{verb} on {hit}" if hit else verb

    def _name(self, index: int) -> str:
        return self._frames[index].target or (self._names[index] if index < len(self._names) else "")

    # ---- actions at a place

    def _pointed(self, index: int, screen: Observation, late: bool, scrolls: bool) -> Aimed:
        frame = self._frames[index]
        wanted, data, spots = points(frame.action), to_json(frame.action), []
        hit = frame.targets if len(frame.targets) == len(wanted) else self._by_name(index, wanted)
        for point, recorded in zip(wanted, hit, strict=True):
            spot = self._spot(frame, point, recorded, screen, late, scrolls, self._opener(index, recorded))
            if spot.doubt:
                return Aimed(Ask(spot.doubt), screen, spot.doubt, score=spot.score, scrolled=spot.scrolled)
            spots.append(spot)
        for spot, (x, y) in zip(spots, (("x", "y"), ("to_x", "to_y")), strict=False):
            data |= {x: spot.at[0], y: spot.at[1]}
        self._pressed = (index, spots[-1].found)
        pairs = [(one, spot.found) for one, spot in zip(hit, spots, strict=True)]
        how = "".join(dict.fromkeys(spot.how for spot in spots))
        repairs = tuple(_repairs(index, pairs))
        return Aimed(from_json(data), screen, "", how, min(spot.score for spot in spots), repairs)

    def _opener(self, index: int, recorded: Element | None) -> Element | None:
        """Return what the step before pressed, where an entry named by data is meant that was not the same thing: a
        list that shows its present choice opens entries of which one may bear the same name."""
        before, pressed = self._pressed
        if recorded is None or before != index - 1 or not value_named(recorded):
            return None
        return pressed if [one.box for one in self._frames[before].targets] != [recorded.box] else None

    def _by_name(self, index: int, wanted: Sequence[Place]) -> tuple[Element | None, ...]:
        """Return what a recording tells that knows no more than the name of what a step hit."""
        name = self._name(index)
        return (
            Element(name, (*wanted[0], *wanted[0])) if name and len(wanted) == 1 else None,
            *[None] * len(wanted[1:]),
        )

    def _spot(
        self, frame: Frame, point: Place, recorded: Element | None, screen: Observation, late: bool, scrolls: bool,
        opener: Element | None = None,
    ) -> _Spot:  # fmt: skip
        if self._targets is None:
            return self._pictured(frame, point, recorded, screen)
        found = Found(None, "absent", why="the recording does not tell what it was")
        if recorded is not None and not _is_area(recorded):
            there = [*self._targets.targets(), *self._standing(recorded, point)]
            found = find(recorded, [one for one in there if opener is None or not same_thing(one, opener)])
        if found.verdict == "sure" and found.element is not None:
            assert recorded is not None
            return self._hit(recorded, found, point, scrolls)
        if not (recorded is not None and recorded.bound):
            blank = recorded is None and self._known and self._targets.target_at(point) is None
            if (blank or self._as_recorded(frame, screen)) and (spot := self._unmoved(recorded, found, point)):
                return spot
            if late and (spot := self._confirmed(frame, point, recorded, found, screen)):
                return spot
        if found.verdict == "absent":
            return _Spot(point, self._absent(point, recorded))
        return _Spot(
            point, f"it may be {called(found.element)}, which is not sure: {found.why}", score=found.score.value
        )

    def _standing(self, recorded: Element, point: Place) -> Iterator[Element]:
        """Yield what only stands there, where such a thing was recorded: it is not among the targets."""
        assert self._targets is not None
        if recorded.role or not recorded.page:
            return
        places = [point] if 0 <= point[0] <= 1 and 0 <= point[1] <= 1 else []
        for element in self._targets.elements() if recorded.name else ():
            if plain(element.name) == plain(recorded.name):
                places.append(_middle(element.box))
        seen: list[Element] = []
        for place in places:
            one = self._targets.target_at(place)
            if one is not None and not one.role and not any(same_thing(one, other) for other in seen):
                seen.append(one)
                yield one

    def _absent(self, point: Place, recorded: Element | None) -> str:
        assert self._targets is not None
        there = self._targets.target_at(point)
        what = "it" if recorded is not None else "what was there"
        return (
            f"{what} is not on the screen; {called(there)} stands at its place"
            if there
            else f"{what} is not on the screen"
        )

    def _hit(self, recorded: Element, found: Found, point: Place, scrolls: bool) -> _Spot:
        """Return the point at which a click hits what was found, and nothing else."""
        assert self._targets is not None and found.element is not None
        element, under = found.element, None
        x, y = _middle(element.box)
        if 0 < x < 1 and 0 < y < 1:
            for at in _spots(recorded, element, point):
                under = self._targets.target_at(at)
                if under is not None and same_thing(element, under):
                    how = f", found as {called(element)}" if changes(recorded, element) else ""
                    return _Spot(at, "", how, found.score.value, element)
            why = f"{called(under)} lies over it"
        else:
            why = "it is out of view and cannot be scrolled to"
        scrolled = scrolls and self._targets.reveal(element)
        return _Spot(point, f"{called(element)} is there, but {why}", score=found.score.value, scrolled=scrolled)

    def _as_recorded(self, frame: Frame, screen: Observation) -> bool:
        return apart(frame.observation, redact(screen, self._regions), frame.action, lit=True) is None

    def _unmoved(self, recorded: Element | None, found: Found, point: Place) -> _Spot | None:
        """Return the old place on a screen that looks as recorded, if what stands there may be what was recorded."""
        assert self._targets is not None
        under = self._targets.target_at(point)
        if recorded is None and self._known:  # nothing was there that a click does something to
            same = under is None or not (under.role or under.name)
        elif recorded is None or not recorded.page:  # the recording knows its name, if anything
            same = recorded is None or under is None or not under.name or ratio(recorded.name, under.name) >= SIMILAR
        elif under is None:
            same = False
        else:
            same = any(same_thing(under, one) for one in found.rivals) or not score(recorded, under).against
        return _Spot(point, "", ", at the same place of the same screen", 1.0, under) if same else None

    def _confirmed(
        self, frame: Frame, point: Place, recorded: Element | None, found: Found, screen: Observation
    ) -> _Spot | None:
        """Return the place of the recorded picture, where the names leave it open what is meant."""
        assert self._targets is not None
        place, likely = self._picture(frame, point, screen)
        if likely < SURE:
            return None
        under = self._targets.target_at(place)
        if recorded is None:
            same = under is None or not (under.role or under.name)
        elif under is None:
            same = False
        elif recorded.name:
            same = any(same_thing(under, one) for one in found.rivals)
        else:
            same = not under.name and under.role == recorded.role
        return _Spot(place, "", ", found by its picture", likely, under) if same else None

    # ---- on a screen that does not know its targets

    def _pictured(self, frame: Frame, point: Place, recorded: Element | None, screen: Observation) -> _Spot:
        """Return the place of the recorded picture, if it is sure and the words there do not say otherwise."""
        place, likely = self._picture(frame, point, screen)
        name = "" if recorded is None else recorded.name
        bound = recorded is not None and bool(recorded.bound)
        if likely < SURE or bound:
            if name and (named := self._read(name, screen)) is not None:
                return _Spot(named, "", f", found by its text {name!r}", 1.0)
            why = (
                "its picture shows other data"
                if bound
                else f"its picture is not on the screen (best match {likely:.2f})"
            )
            return _Spot(point, why, score=likely)
        before, now = self._words(frame.observation, point), self._words(screen, place)
        if before and now and max(ratio(a, b) for a in before for b in now) < SIMILAR:
            return _Spot(place, f"{now[0]!r} stands where its picture is found, not {before[0]!r}", score=likely)
        if name and now and self._elements is not None and max(ratio(name, one) for one in now) < SIMILAR:
            return _Spot(place, f"{now[0]!r} stands where its picture is found, not {name!r}", score=likely)
        return _Spot(place, "", ", found by its picture", likely)

    def _picture(self, frame: Frame, point: Place, screen: Observation) -> tuple[Place, float]:
        """Return where the picture around a recorded point is, and how sure: 0 where another place is like it, too."""
        shown, image = frame.observation.image, screen.image
        patch = self._patch or patch_for(image)
        place, likely = find_target(shown, point, image, patch)
        away = max(abs(place[0] - point[0]) * screen.width, abs(place[1] - point[1]) * screen.height)
        if likely >= SURE and away > patch and second_peak(shown, point, image, patch, place) >= RIVAL:
            return place, 0.0
        return place, likely

    def _words(self, screen: Observation, at: Place) -> list[str]:
        """Return the texts that stand under a place: of a screen that knows its elements, else read from its pixels."""
        from showonce.environments.wrappers.perceive import read_around, tessdata

        lines: Sequence[Element] = ()
        with contextlib.suppress(Unavailable):
            tessdata()
            lines = read_around(screen, *at)
        return [line.name for line in lines if _inside(at, line.box, 0.01) and len(plain(line.name)) > 1]

    def _read(self, name: str, screen: Observation) -> Place | None:
        """Return the middle of the only text on the screen that is equal to a name."""
        if self._elements is not None:
            texts: Sequence[Element] = self._elements.elements()
        else:
            from showonce.environments.wrappers.perceive import read, tessdata

            try:
                tessdata()
            except Unavailable:
                return None
            texts = read(screen)
        found = [one for one in texts if plain(one.name) == plain(name)]
        return _middle(found[0].box) if len(found) == 1 else None

    # ---- keys and typed text

    def _keyed(self, index: int, screen: Observation, scrolls: bool) -> Aimed:
        """Compare what has the focus with what had it when recorded; bring it there where the recording did."""
        frame = self._frames[index]
        action = frame.action
        if self._targets is None or not self._known:
            return Aimed(action, screen)
        recorded, focus = frame.targets[0] if frame.targets else None, self._targets.focused()
        if recorded is None:
            key = chord_parts(action.keys) if isinstance(action, Key) else ()
            if (
                focus is None
                or not (focus.role or focus.name)
                or len(key) > 1
                or key[-1:] in [(one,) for one in HARMLESS]
            ):
                return Aimed(action, screen)
            return _doubted(action, screen, f"it would go to {called(focus)}, and nothing had the focus when recorded")
        found = find(recorded, self._targets.targets())
        if focus is not None and not (compared := score(recorded, focus)).against:
            other = found.verdict == "sure" and found.element is not None and not same_thing(found.element, focus)
            if not other:
                repairs = tuple(_repairs(index, [(recorded, focus)]))
                return Aimed(action, screen, score=compared.value, repairs=repairs)
        if found.verdict == "sure" and recorded.role in WRITABLE and not recorded.options and self._brought(index):
            spot = self._hit(recorded, found, _middle(recorded.box), scrolls)
            if spot.doubt:
                return Aimed(action, screen, spot.doubt, scrolled=spot.scrolled)
            tabbed = isinstance(self._frames[index - 1].action, Key)
            click = (TripleClick if tabbed else Click)(*spot.at)
            return Aimed(click, screen, "", f", which had the focus: {called(found.element)}", spot.score, extra=True)
        why = found.why if found.element is not None or found.verdict == "absent" else ""
        goes = f"it would go to {called(focus)}" if focus is not None else "nothing has the focus"
        return _doubted(action, screen, "; ".join(filter(None, (goes, why))))

    def _brought(self, index: int) -> bool:
        """Whether the recording brought the focus to where a step types, by a click into it or by Tab."""
        for frame in reversed(self._frames[:index]):
            action = frame.action
            if isinstance(action, Key) and chord_parts(action.keys)[-1] == "tab":
                return True
            if points(action) and not isinstance(action, Scroll):
                wanted, hit = self._frames[index].targets[0], frame.targets
                return bool(hit) and plain(hit[0].name) == plain(wanted.name) and hit[0].role == wanted.role
        return False


class Unmoved:
    """Aims by coordinates: at the recorded place, if the screen there is as it was recorded."""

    def __init__(
        self, environment: Environment, frames: Sequence[Frame], longer: float, stop: Interrupt,
        regions: Sequence[Region] = (),
    ) -> None:  # fmt: skip
        self._environment, self._frames, self._longer = environment, frames, longer
        self._stop, self._regions = stop, regions

    def __call__(self, index: int, screen: Observation) -> Aimed:
        """Return the recorded action, in doubt where the screen stays another one. Raises Stopped."""
        frame, began = self._frames[index], time.monotonic()
        if isinstance(frame.action, Wait | Done | Ask):
            return Aimed(frame.action, screen)
        while found := apart(frame.observation, redact(screen, self._regions), frame.action, CHANGED, lit=True):
            self._stop.check()
            if time.monotonic() - began >= self._longer:
                name = f" on {frame.target!r}" if frame.target else ""
                doubt = f"Step {index + 1}, {frame.action.verb}{name}: {OTHER_SCREEN}, {found[1]}."
                return Aimed(frame.action, screen, doubt, score=0.0)
            time.sleep(POLL)
            screen = self._environment.observe()
        return Aimed(frame.action, screen)


def _doubted(action: Action, screen: Observation, why: str) -> Aimed:
    return Aimed(action, screen, why, score=0.0)


def _repairs(index: int, pairs: Sequence[tuple[Element | None, Element | None]]) -> Iterator[Repair]:
    for recorded, found in pairs:
        if recorded is None or found is None or recorded.bound or not recorded.page:
            continue
        if changed := changes(recorded, found):
            yield Repair(index, recorded, found, changed)


def _middle(box: Region) -> Place:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _is_area(element: Element) -> bool:
    """Whether it matters where in a thing one presses: a canvas, a picture, a map; only its picture tells."""
    left, top, right, bottom = element.box
    return not element.name and (not element.role or min(right - left, bottom - top) > AREA)


def _inside(at: Place, box: Region, slack: float = 0.0) -> bool:
    return box[0] - slack <= at[0] <= box[2] + slack and box[1] - slack <= at[1] <= box[3] + slack


def _spots(recorded: Element, element: Element, point: Place) -> Iterator[Place]:
    """Yield the places at which something may be pressed: the recorded one within it, its middle, others."""
    (left, top, right, bottom), (a, b, c, d) = recorded.box, element.box
    wide, high = right - left, bottom - top

    def within(x: float, y: float) -> Place:
        return min(max(a + (c - a) * x, 0.0), 1.0), min(max(b + (d - b) * y, 0.0), 1.0)

    alike = wide > 0 and high > 0 and all(
        1 / SAME_SIZE <= now / was <= SAME_SIZE for was, now in ((wide, c - a), (high, d - b))
    )  # fmt: skip
    if alike and _inside(point, recorded.box):
        yield within((point[0] - left) / wide, (point[1] - top) / high)
    for x, y in ((0.5, 0.5), (0.2, 0.5), (0.8, 0.5), (0.5, 0.2), (0.5, 0.8)):
        yield within(x, y)
