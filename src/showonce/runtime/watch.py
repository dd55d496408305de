"""Record a person on a real screen with the one loop.

To the loop the person is a policy whose actions are known, and the screen an environment whose `execute` does nothing,
since the person has acted already. `observe` waits for the person's next action and returns the frame before it.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from showonce.actions import MODIFIERS, Action, Done, Type, normal_keys, points, to_pixel
from showonce.demonstrations import EpisodeStore, redact
from showonce.demonstrations.reduce import CHORD, GESTURE_LIMITS, GestureLimits, Reduced, Reducer
from showonce.demonstrations.sheet import in_words
from showonce.errors import BadInput, ConfigError, DemonstrationError, EnvironmentBroken, Stopped, Unavailable
from showonce.protocols import (
    Capabilities,
    Context,
    Environment,
    EventSink,
    EventSource,
    Interrupt,
    Sampling,
    SecretFields,
    Sends,
    SetsGoal,
    ability,
)
from showonce.runtime.approvals import Person
from showonce.runtime.completion import Checker, make_checker
from showonce.runtime.guards import Unproved
from showonce.runtime.loop import run_episode
from showonce.runtime.recorder import judged
from showonce.runtime.stop import Stop
from showonce.secrets import SECRET, Secrets, hidden_event, name_for, word_for
from showonce.types import Check, Element, Executed, Executor, Lost, Observation, Outcome, Proposal, Task

POLL: Final = 0.1  # seconds between two looks at the stop while the person does nothing
DAY: Final = 86400.0  # seconds; time limit of a recording
Tell = Callable[[str, bool], None]  # a line, and whether it is final (else the next one takes its place)


@dataclass(frozen=True)
class Hotkeys:
    """The recorder's own keys; they never enter an episode.

    Raises:
        ConfigError: not a chord, or two of them are the same.
    """

    end: str = "ctrl+f10"
    pause: str = "ctrl+f8"  # and go on
    redo: str = "ctrl+f9"  # discard what was recorded and begin again
    check: str = "ctrl+f7"  # the text under the pointer must be there
    secret: str = "ctrl+f6"  # what is typed is a secret, until it is pressed again

    def __post_init__(self) -> None:
        for field in fields(self):
            try:
                object.__setattr__(self, field.name, normal_keys(getattr(self, field.name)))
            except BadInput as error:
                raise ConfigError(f"record.{field.name}: {error}") from None
        if len(set(self.chords)) < len(self.chords):
            raise ConfigError(f"record.end, pause, redo, check and secret must be different chords, not {self}.")

    @property
    def chords(self) -> tuple[str, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def meant(self, event: Mapping[str, Any]) -> str:
        """Return which of them a raw event is: end, pause, redo, check, secret or the empty text."""
        if event["kind"] != "key":
            return ""
        chord = "+".join([*(name for name in MODIFIERS if name in event["modifiers"]), str(event["key"]).lower()])
        return next((field.name for field in fields(self) if getattr(self, field.name) == chord), "")


HOTKEYS: Final = Hotkeys()


class Watched:
    """What a person does on a screen, as an environment. `watch` begins to watch `inner`, after its reset."""

    adapter_version: ClassVar[str] = "none"

    def __init__(
        self,
        inner: Environment,
        watch: Callable[[], EventSource],
        stop: Interrupt,
        hotkeys: Hotkeys = HOTKEYS,
        tell: Tell = lambda text, final: None,
        gestures: GestureLimits = GESTURE_LIMITS,
        secrets: Secrets | None = None,
    ) -> None:
        self._secrets = secrets or Secrets()
        self.name = "watched"
        self.capabilities = Capabilities(resettable=False, seeded=False, verifiable=False, side_effects=True)
        self._hiding: str | None = None  # origin of the field that the person says is secret; None = what was found
        self.redo = False  # the person wants to begin again
        self.failure: Exception | None = None  # why it cannot go on
        self.lost: list[Lost] = []  # what the person did that is in no step
        self.checks: list[Check] = []  # what the person said must be on the screen
        self.sends: list[int] | None = None  # steps after which the page sent data; None: the screen cannot tell
        self._inner, self._watch, self._stop, self._hotkeys, self._tell = inner, watch, stop, hotkeys, tell
        self._source: EventSource | None = None
        self._inbox: queue.Queue[tuple[Mapping[str, Any], Observation] | Exception | None] = queue.Queue()
        self._reducer = Reducer(gestures)
        self._count = 0
        self._frames: dict[int, Observation] = {}
        self._ready: list[tuple[Reduced, Observation]] = []
        self._names: dict[tuple[str, str, str], str] = {}  # of typed secrets: name by label, origin and text
        self._screen: Observation | None = None  # the last frame that was seen
        self._done = 0
        self._listening = self._paused = self._ended = False

    @property
    def goal(self) -> str:
        """The goal that the watched environment sets; "" where it sets none."""
        world = ability(self._inner, SetsGoal)
        return "" if world is None else world.goal

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        """Prepare the screen and wait until the person has done something, or nothing."""
        self._screen = self._inner.reset(task, seed)
        self._source = self._watch()
        self.sends = None if ability(self._inner, Sends) is None else []
        threading.Thread(target=self._read, args=(self._source,), name="watched", daemon=True).start()
        return self.observe()

    def observe(self) -> Observation:
        """Wait for the next action and return the frame before it; the last frame when there is none.

        Raises:
            Stopped: the person wants to stop, or to begin again. EnvironmentBroken: the screen is gone or has another
                size.
        """
        while not self._ready and not self._ended and self.failure is None:
            self._stop.check()
            with contextlib.suppress(queue.Empty):
                self._take(self._inbox.get(timeout=POLL))
        if self._ready:
            return self._ready[0][1]
        if self.failure is not None:
            raise self.failure
        assert self._screen is not None
        return self._screen

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        """Do nothing (the person has acted already) and return the action with its pixels."""
        interrupt.check()
        if not self._ready:
            return Executed(action)
        reduced, screen = self._ready.pop(0)
        pixels = tuple((to_pixel(x, screen.width), to_pixel(y, screen.height)) for x, y in points(action))
        return Executed(action, "", pixels, reduced.origin, reduced.targets)

    def verify(self) -> Outcome:
        return self._inner.verify()

    def close(self) -> None:
        """Stop the event source; the inner environment stays open."""
        if self._source is not None:
            self._source.close()

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        """Return what the person did next; the text is the name of what it hit."""
        if not self._ready:
            return Proposal("", Done(), None, adapter_version=self.adapter_version)
        reduced = self._ready[0][0]
        return Proposal(reduced.target, reduced.action, None, adapter_version=self.adapter_version, note=reduced.note)

    # ---- events

    def _read(self, source: EventSource) -> None:
        last: Exception | None = None
        try:
            for item in source.events():
                self._inbox.put(item)
        except Exception as error:
            last = error
        self._inbox.put(last)

    def _take(self, item: tuple[Mapping[str, Any], Observation] | Exception | None) -> None:
        if item is None:
            self._finish()
            return
        if isinstance(item, Exception):
            self._fail(item)
            return
        event, frame = self._secrets.note(self._hidden(item[0])), item[1]
        if not self._listening:
            self._listening, keys = True, self._hotkeys
            self._tell(
                f"Recording. {keys.end}: end, {keys.pause}: pause, {keys.redo}: discard and do it again, {keys.check}: "
                f"the text under the pointer must be there, {keys.secret}: what you type is a secret.",
                True,
            )
        seen = self._screen
        if seen is not None and (seen.width, seen.height) != (frame.width, frame.height):
            sizes = f"{seen.width}x{seen.height} to {frame.width}x{frame.height}"
            what = f"the screen changed its size from {sizes} while it was recorded. Record it again in one size."
            self._fail(EnvironmentBroken(what))
            return
        if not self._paused or seen is None:
            self._screen = redact(frame, event.get("masks", ()))
        wish = self._hotkeys.meant(event)
        if wish == "end":
            self._finish()
        elif wish == "redo":
            self.redo = True
            self._tell("discarded; once more from the beginning", True)
            raise Stopped("the person wants to begin again.")
        elif wish == "pause":
            self._paused = not self._paused
            self._tell("paused" if self._paused else "recording again", True)
            self._feed({"kind": "pause", "time": event["time"]})
        elif event["kind"] == "sent":
            self._sent()
        elif event["kind"] == "told":
            self._tell(str(event["text"]), True)
        elif wish == "check" and not self._paused:
            self._feed({"kind": "pause", "time": event["time"]})  # ends what is open; it is no waiting
            self._check(event)
        elif wish == "secret" and not self._paused:
            self._feed({"kind": "pause", "time": event["time"]})
            self._hiding = self._whose() if self._hiding is None else None
            told = "recorded again" if self._hiding is None else f"a secret, until {self._hotkeys.secret}"
            self._tell(f"what you type now is {told}", True)
        elif not self._paused and not wish:
            self._feed(event)

    def _sent(self) -> None:
        """Note that the page sent data after the last thing that was done."""
        at = self._done + (self._reducer.pending is not None) - 1
        if self.sends is not None and at >= 0 and at not in self.sends:
            self.sends.append(at)

    def _whose(self) -> str:
        """Return the origin (see `types.Field`) of the field that has the focus; ``null`` where it is not known."""
        world = ability(self._inner, SecretFields)
        try:
            return "null" if world is None else world.focused_field().origin
        except EnvironmentBroken:  # a page that hangs tells no origin; what is typed is hidden all the same
            return "null"

    def _hidden(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a raw event as that of a field for secrets, while the person says that it is one."""
        if self._hiding is None or event["kind"] not in ("key", "text") or self._hotkeys.meant(event):
            return event
        if any(name in event.get("modifiers", ()) for name in CHORD):
            event = {**event, "text": "", "typed": ""}  # a hotkey types nothing
        return {**hidden_event(event), "origin": event.get("origin") or self._hiding}

    def _check(self, event: Mapping[str, Any]) -> None:
        """Note the text under the pointer as one that must be there after the steps so far, and say which it is."""
        assert self._screen is not None
        found, why = text_under(event, self._screen)
        if found is None:
            self._tell(f"no check: {why}", True)
            return
        text = self._secrets.hide(found.name)
        self.checks.append(Check(self._done, text, found.box))
        self._tell(f"   must be there: {text!r}", True)

    def _feed(self, event: Mapping[str, Any]) -> None:
        assert self._screen is not None
        self._frames[self._count] = self._screen
        self._count += 1
        self._emit(self._reducer.feed(event))
        pending = self._reducer.pending
        if pending is not None:
            self._tell(f"{self._done + 1}. {in_words(pending)} ...", False)

    def _emit(self, found: list[Reduced]) -> None:
        for reduced in map(self._named, map(self._veiled, found)):
            self._done += 1
            target = f" on {reduced.target}" if reduced.target else ""
            note = f" ({reduced.note})" if reduced.note else ""
            self._tell(f"{self._done}. {in_words(reduced.action)}{target}{note}", True)
            self._ready.append((reduced, self._frames[reduced.first]))
        at = self._done + (self._reducer.pending is not None)
        for text in self._reducer.lost[len(self.lost) :]:
            self.lost.append(Lost(at, self._secrets.hide(text)))
            self._tell(f"not kept: {self.lost[-1].text}", True)
        needed = self._reducer.open
        self._frames = {index: frame for index, frame in self._frames.items() if index in needed}

    def _veiled(self, reduced: Reduced) -> Reduced:
        """Return an action without the secrets that stand in the names of what it hit."""
        hide = self._secrets.hide
        targets = tuple(
            replace(
                one, name=hide(one.name), text=hide(one.text), near=tuple(map(hide, one.near)), value=hide(one.value),
                options=tuple(map(hide, one.options)),
                attributes={key: hide(value) for key, value in one.attributes.items()},
            )
            for one in reduced.targets
        )  # fmt: skip
        return replace(reduced, target=hide(reduced.target), targets=targets)

    def _named(self, reduced: Reduced) -> Reduced:
        """Give a typed secret the name of its field; the same text in the same field again is the same secret."""
        if reduced.action != Type(SECRET):
            return reduced
        key = reduced.target, reduced.origin, self._secrets.last
        if key not in self._names:
            self._names[key] = name_for(reduced.target, self._names.values())
        return replace(reduced, action=Type(word_for(self._names[key])))

    def _finish(self) -> None:
        self._emit(self._reducer.flush())
        self._ended = True
        self.close()

    def _fail(self, error: Exception) -> None:
        """End the recording with the actions reduced so far; the next `observe` raises `error`."""
        self._finish()
        self.failure = error


def text_under(event: Mapping[str, Any], screen: Observation) -> tuple[Element | None, str]:
    """Return the text under the pointer with its box, or None and why there is none.

    It is what the page says of itself, else what is read from the pixels where the event says where the pointer is.
    """
    if event.get("under") and event.get("region"):
        return Element(str(event["under"]), event["region"]), ""
    if "pointer" not in event:
        return None, "there is no text under the pointer."
    from showonce.environments.wrappers.perceive import read_around, tessdata

    try:
        tessdata()
    except Unavailable as error:
        return None, f"the text under the pointer has to be read from the screen. {error}"
    x, y = event["pointer"]
    lines = [
        line
        for line in read_around(screen, x, y)
        if line.box[0] <= x <= line.box[2] and line.box[1] <= y <= line.box[3]
    ]
    return (lines[0], "") if lines else (None, "no text can be read under the pointer.")


class _AtEnd:
    """A checker that is asked only when the person is finished: while they act, the screen is ahead of the record."""

    def __init__(self, checker: Checker, inner: Environment) -> None:
        self.name = checker.name
        self._checker, self._inner = checker, inner

    def check(self, screen: Observation, action: Action | None, last: bool = False) -> Outcome:
        if not last and not isinstance(action, Done):
            return Outcome(None, self.name)
        with contextlib.suppress(EnvironmentBroken):  # the person may have closed the window
            screen = self._inner.observe()
        return self._checker.check(screen, action, last)


def record_watched(
    inner: Environment,
    watch: Callable[[], EventSource],
    task: Task,
    seed: int | None,
    store: EpisodeStore,
    *,
    stop: Stop | None = None,
    events: EventSink | None = None,
    hotkeys: Hotkeys = HOTKEYS,
    tell: Tell = lambda text, final: None,
    gestures: GestureLimits = GESTURE_LIMITS,
    source: Executor = "person",
    secrets: Secrets | None = None,
    person: Person | None = None,
) -> Path:
    """Watch a person do a task on the screen of `inner` and return the episode's folder.

    watch: begins to watch `inner`; called after each of its resets. source: who is watched (a scripted hand is to be
    labelled so). What the person discards is deleted. secrets: takes what is typed into fields that may hold a secret.

    Raises:
        DemonstrationError, DiskError, Stopped: as `recorder.record`. Unavailable: it cannot be watched.
    """
    stop = stop or Stop()
    checker = _AtEnd(make_checker(task, inner, person), inner)
    limits = replace(task.limits, max_steps=10_000, max_seconds=DAY)
    while True:
        watched = Watched(inner, watch, stop, hotkeys, tell, gestures, secrets)
        try:
            episode = run_episode(
                watched, watched, task, seed=seed, phase="record", limits=limits, executor=source, guards=(Unproved(),),
                checker=checker, store=store, events=events, stop=stop, person=person,
            )  # fmt: skip
        finally:
            watched.close()
        if not watched.redo:
            if watched.failure is not None and not episode.steps:
                raise watched.failure
            path = judged(episode, task, store)
            if all(step.executed is None or isinstance(step.executed, Done) for step in episode.steps):
                raise DemonstrationError(f"nothing was done in {path}; record it again.")
            return path
        if episode.path:
            shutil.rmtree(episode.path, ignore_errors=True)
