"""A small real environment and a scripted policy, for tests of the loop: nothing here pretends to be something else."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from showonce.actions import Action, Click, Done, Key, Open, Type, Wait, from_pixel, points, to_pixel
from showonce.demonstrations import EpisodeStore
from showonce.demonstrations.reduce import GESTURE_LIMITS, GestureLimits, RawEvent, Reduced, Reducer
from showonce.errors import BadInput, EnvironmentBroken, TaskError
from showonce.events import Event, from_json
from showonce.protocols import ApprovalRequest, Capabilities, Context, Environment, EventSink, Interrupt, Sampling
from showonce.runtime.recorder import HandPolicy, record
from showonce.types import (
    Confidence,
    Executed,
    Limits,
    Observation,
    Outcome,
    ParseFailure,
    ParseReason,
    Proposal,
    Success,
    Task,
)

COLOURS: Final = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 70, 210)}
SIDE: Final = 10
SIZE: Final = (48, 64)  # rows, columns


class Board:
    """Three coloured lamps at places drawn from the seed, and a line that shows how much was typed.

    The goal is ``light COLOUR...``: click the lamps in that order. A click on a lamp switches it; one that is not the
    next of the goal is a wrong step. `fatal`: a wrong step makes the goal hopeless. `breaks_at`: the environment
    breaks at that call of execute, `crashes_at`: with an error that is not its own. Opening things is refused.
    """

    name = "board"
    capabilities = Capabilities(resettable=True, seeded=True, verifiable=True, side_effects=False)

    def __init__(self, fatal: bool = False, breaks_at: int = -1, crashes_at: int = -1, scale: int = 1) -> None:
        self.fatal, self.breaks_at, self.crashes_at, self.scale = fatal, breaks_at, crashes_at, scale
        self.calls = 0
        self.done: list[Action] = []  # what really reached the board, as it saw it
        self._wanted: list[str] | None = None
        self._closed = False

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        if self._closed:
            raise EnvironmentBroken("the board was closed.")
        words = task.goal.split()
        if words[:1] != ["light"] or not set(words[1:]) <= set(COLOURS):
            raise TaskError(f"the board does not understand {task.goal!r}.")
        rng = random.Random(f"{seed}")
        cells = rng.sample([(4, 4), (4, 26), (4, 48), (20, 4), (20, 26), (20, 48)], 3)
        self._places = dict(zip(COLOURS, cells, strict=True))
        self._wanted, self._lit, self._typed, self._index = words[1:], dict.fromkeys(COLOURS, False), "", 0
        self._correct: bool | None = None
        self._lost = False
        return self.observe()

    def observe(self) -> Observation:
        self._check()
        image = np.full((*SIZE, 3), 30, np.uint8)
        for colour, (row, column) in self._places.items():
            lamp = np.array(COLOURS[colour], np.int16) + (40 if self._lit[colour] else 0)
            image[row : row + SIDE, column : column + SIDE] = lamp.clip(0, 255)
            image[row + 4 : row + 6, column + 4 : column + 6] = 255 if self._lit[colour] else 0
        image[40:44, 4 : 4 + min(56, 2 * len(self._typed))] = 240
        lit = " ".join(c for c, on in self._lit.items() if on)
        return Observation(image.repeat(self.scale, 0).repeat(self.scale, 1), text=f"lit: {lit}\ntyped: {self._typed}")

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        wanted = self._check()
        self.calls += 1
        if self.calls == self.breaks_at:
            raise EnvironmentBroken("the board fell off the table.")
        if self.calls == self.crashes_at:
            raise ZeroDivisionError("a bug in the driver")
        if isinstance(action, Open):
            raise BadInput("the board cannot open anything.")
        interrupt.check()
        self.done.append(action)
        pixels = tuple((to_pixel(x, SIZE[1]), to_pixel(y, SIZE[0])) for x, y in points(action))
        self._correct = None
        if isinstance(action, Click):
            self._press(self.lamp_at(*pixels[0]), wanted)
        elif isinstance(action, Type):
            self._typed += action.text
        elif isinstance(action, Key) and action.keys == "backspace":
            self._typed = self._typed[:-1]
        return Executed(action, "did it", tuple((c * self.scale, r * self.scale) for c, r in pixels))

    def verify(self) -> Outcome:
        wanted = self._check()
        finished = self._index >= len(wanted)
        return Outcome(
            True if finished else None, "world", f"{self._index} of {len(wanted)} lamps", self._correct,
            hopeless=self._lost and not finished,
        )  # fmt: skip

    def close(self) -> None:
        self._closed = True

    def oracle(self) -> Action:
        """Return the right next action."""
        wanted = self._check()
        return self.click(wanted[self._index])

    def click(self, colour: str) -> Click:
        """Return a click on the middle of a lamp."""
        row, column = self._places[colour]
        return Click(from_pixel(column + SIDE // 2, SIZE[1]), from_pixel(row + SIDE // 2, SIZE[0]))

    def lamp_at(self, column: int, row: int) -> str | None:
        """Return the colour of the lamp at a pixel."""
        for colour, (top, left) in self._places.items():
            if top <= row < top + SIDE and left <= column < left + SIDE:
                return colour
        return None

    def _press(self, colour: str | None, wanted: Sequence[str]) -> None:
        if colour is not None:
            self._lit[colour] = not self._lit[colour]
        self._correct = self._index < len(wanted) and colour == wanted[self._index]
        self._index += self._correct
        self._lost = self._lost or (self.fatal and not self._correct)

    def _check(self) -> list[str]:
        if self._closed or self._wanted is None:
            raise EnvironmentBroken("the board is closed or has no task; call reset(task, seed) first.")
        return self._wanted


def board_task(goal: str = "light red green", kind: str = "world", value: str = "", **limits: float) -> Task:
    """Return a task for the board."""
    task = Task(f"board/{goal.replace(' ', '-')}", goal, "board", success=Success(kind, value))
    return replace(task, limits=Limits(**{"max_steps": 8, **limits}))  # type: ignore[arg-type]


Answer = Action | ParseFailure | Exception | Callable[[Observation, Context], Action]


class ScriptedPolicy:
    """Answers from a list; when it is used up, the last answer again. `seconds`: how long it thinks."""

    adapter_version = "scripted-1"

    def __init__(self, answers: Iterable[Answer], seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.contexts: list[Context] = []
        self.seen: list[Observation] = []

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        self.seen.append(observation)
        self.contexts.append(context)
        answer = self.answers[min(len(self.contexts), len(self.answers)) - 1]
        time.sleep(self.seconds)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, ParseFailure):
            return Proposal(answer.text, None, answer, adapter_version=self.adapter_version)
        action = answer(observation, context) if callable(answer) else answer
        return Proposal(
            f"I do {action.verb}", action, None, Confidence(stated=0.75, token=0.5), token_ids=(3, 1, 4),
            logprobs_T=(-0.5, 0.0, -0.25), decision_T=(True, False, True), timings={"model": 1.0, "parse": 0.25},
            adapter_version=self.adapter_version,
        )  # fmt: skip


def unreadable(text: str = "I would rather not") -> ParseFailure:
    """Return a failed parse."""
    return ParseFailure(ParseReason.NO_OBJECT, "no JSON object in the answer", text)


def oracle_policy(board: Board) -> ScriptedPolicy:
    """Return a policy that always does the right thing, and says done when nothing is left."""

    def act(observation: Observation, context: Context) -> Action:
        return board.oracle() if board.verify().success is None else Done()

    return ScriptedPolicy([act])


def events_in(folder: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a run's event file, as they stand there."""
    file = Path(folder) / "events.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def emit(sink: EventSink, kind: str, **data: object) -> None:
    """Emit an event of which some fields are given; the others get the values that a file without them gives."""
    sink.emit(from_json({"kind": kind, **data}))


class Recorder:
    """An event sink and an observer that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[dict[str, object]] = []
        self.steps: list[tuple[Observation, object, Context]] = []
        self.episodes: list[object] = []

    def emit(self, event: Event) -> None:
        self.events.append(event.to_json())

    def on_step(self, task: Task, observation: Observation, step: object, context: Context) -> None:
        self.steps.append((observation, step, context))

    def on_episode(self, episode: object) -> None:
        self.episodes.append(episode)

    def of(self, kind: str) -> list[dict[str, object]]:
        return [event for event in self.events if event["kind"] == kind]


WAIT: Final = Wait(0.0)


def reduce_events(events: Iterable[RawEvent], gestures: GestureLimits = GESTURE_LIMITS) -> list[Reduced]:
    """Return the actions of a finished sequence of raw events."""
    reducer = Reducer(gestures)
    return [*(reduced for event in events for reduced in reducer.feed(event)), *reducer.flush()]


class AlwaysDeny:
    """Approves nothing and confirms nothing."""

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        return None, "denied without asking"

    def confirm(self, question: str) -> bool:
        return False


class AlwaysAllow:
    """Approves what was proposed and confirms every question."""

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        return request.action, "approved without asking"

    def confirm(self, question: str) -> bool:
        return True


def record_oracle(
    environment: Environment, task: Task, seed: int | None, oracle: Callable[[], Action], store: EpisodeStore
) -> Path:
    """Record a scripted oracle."""
    return record(environment, task, seed, HandPolicy(lambda _: oracle()), store, "oracle")


def record_actions(
    environment: Environment, task: Task, seed: int | None, actions: Iterable[Action], store: EpisodeStore
) -> Path:
    """Record a given sequence of actions, as a person's."""
    rest = iter(actions)
    return record(environment, task, seed, HandPolicy(lambda _: next(rest, None)), store, "person")
