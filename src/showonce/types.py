"""The words of the project as frozen dataclasses, and every outcome as an enum with one sentence a value."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from showonce.actions import Action, Ask

Image = NDArray[np.uint8]  # (H, W, 3), RGB
Region = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the frame


Executor = Literal["student", "teacher", "person", "oracle", "replay"]


class StopReason(StrEnum):
    """Why an episode ended."""

    COMPLETED = "completed"  # a checker verified success
    CLAIMED = "claimed"  # the policy claimed done and the checker did not confirm it
    FAILED = "failed"  # the world says that success can no longer be reached
    REFUSED = "refused"  # a safety rule refused an action
    DENIED = "denied"  # a person denied an action
    ASKED = "asked"  # the policy asked a person and nobody could answer
    DOUBT = "doubt"  # it was not sure enough that the next action hits what it is for, and nobody said that it does
    STOPPED = "stopped"  # a person stopped it
    MAX_STEPS = "max_steps"  # the step limit was reached
    TIMEOUT = "timeout"  # the time limit was reached
    PARSE_FAILURES = "parse_failures"  # too many answers in a row were not an action
    GUARD = "guard"  # a loop guard fired (same action again and again, nothing changes)
    ENVIRONMENT_ERROR = "environment_error"  # the environment broke
    MODEL_ERROR = "model_error"  # the model or engine broke


class ParseReason(StrEnum):
    """Why a text was not an action."""

    EMPTY = "empty"  # nothing, or only white space
    NO_OBJECT = "no_object"  # no JSON-like object found
    TRUNCATED = "truncated"  # an object begins and never ends, and cannot be completed
    MALFORMED = "malformed"  # an object that cannot be read
    NO_VERB = "no_verb"  # an object without an action name
    UNKNOWN_VERB = "unknown_verb"  # a verb that is not in the closed set
    MISSING_ARGUMENT = "missing_argument"  # a required argument is not there
    BAD_ARGUMENT = "bad_argument"  # an argument of the wrong kind
    AMBIGUOUS = "ambiguous"  # two different actions, and neither is marked as the answer
    OUT_OF_RANGE = "out_of_range"  # a coordinate far outside the frame, or a number outside its range


@dataclass(frozen=True)
class ParseFailure:
    """A text that is not an action. reason: the kind of failure; detail: the offending part; text: all of it."""

    reason: ParseReason
    detail: str
    text: str


@dataclass(frozen=True)
class Parsed:
    """A text that is an action.

    confidence: the number stated in it, if any. repairs: what was mended. thought: what it reasons before the action,
    in dialects that set this apart.
    """

    action: Action
    confidence: float | None = None
    repairs: tuple[str, ...] = ()
    thought: str = ""


ParseResult = Parsed | ParseFailure


@dataclass(frozen=True, eq=False)
class Observation:
    """One screenshot. `image`: uint8 (H, W, 3) RGB; `scale`: device pixels a logical pixel; `text`: page text.

    `masked`: regions that were blanked in the image, such as those of fields that may hold a secret.
    """

    image: Image
    scale: float = 1.0
    text: str | None = None
    masked: tuple[Region, ...] = ()

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    @cached_property
    def hash(self) -> str:
        """Hex digest of size and pixels; the key under which features are cached."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr(self.image.shape).encode())
        digest.update(np.ascontiguousarray(self.image).data)
        return digest.hexdigest()

    def without(self, regions: Sequence[Region]) -> Observation:
        """Return a copy whose regions are black (`masked`) and whose text is gone: some words may lie in them.

        A pixel that a region touches is blanked whole.
        """
        image = self.image.copy()
        for left, top, right, bottom in regions:
            rows = slice(math.floor(top * self.height), math.ceil(bottom * self.height))
            image[rows, math.floor(left * self.width) : math.ceil(right * self.width)] = 0
        inside = (tuple(min(max(edge, 0.0), 1.0) for edge in region) for region in regions)
        masked = {(a, b, c, d): None for a, b, c, d in (*self.masked, *inside) if a < c and b < d}
        return replace(self, image=image, text=None, masked=tuple(masked))


@dataclass(frozen=True)
class ScreenFacts:
    """What an environment knows about its screen beside the pixels. None = not known, which no rule takes for good.

    url, title, application: of the page or window that gets the input. near: the words of what lies under each point
    of the action that was asked about, in its order; "" = known to bear none. focused: the words of what keys go to.
    content: where the page or window lies in the frame; outside of it nothing belongs to the task. status: with which
    HTTP status the server answered the page (503 = it is down).
    """

    url: str | None = None
    title: str | None = None
    application: str | None = None
    near: tuple[str | None, ...] | None = None
    focused: str | None = None
    content: Region | None = None
    status: int | None = None


@dataclass(frozen=True)
class Field:
    """What typed text goes to. name: its label. secret: whether it may hold a secret; None = nobody can tell.

    origin: whose it is: scheme, host and port of its document, ``file://``, ``null`` for a document without one;
    ``window:CLASS`` on a desktop.
    """

    name: str
    origin: str
    secret: bool | None


@dataclass(frozen=True)
class Element:
    """Something on the screen, described so that it can be told from others and found again.

    name: what a person reads on it or beside it (label, else text). box: fractions of the frame; beyond [0, 1] for what
    is scrolled out of view. role: WAI-ARIA role (button, link, textbox ...) of what can be used; "" for what only
    stands there. text: its visible text, at most 200 characters, where that is not the name. near: texts around it,
    nearest first: the label of its field, the first cell of its row, the head of its column, the heading or dialog that
    it is under. attributes: what its document says of it and a redesign seldom changes: id, name, type, placeholder,
    href (path only), test id. page: address of its document without query and fragment; ``window:CLASS`` on a desktop.
    index, count: it is number `index` (from 0, in document order) of `count` things of this role and name there.
    value: what a list or a date field held after the action on it: the text of the chosen option, a date as ISO;
    options: the texts of a list's options. bound: texts of this run's data that stand in it in place of recorded ones
    (`demonstrations.binding`); then its place, picture, number and what it once stood beside are those of another one.
    """

    name: str
    box: Region
    role: str = ""
    text: str = ""
    near: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    index: int = 0
    count: int = 1
    value: str = ""
    options: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confidence:
    """Three readings of one answer, each in [0, 1] or None where it does not exist.

    stated: parsed from the action's text. token: product of the probabilities of the decision tokens (the
    confidence field itself left out). calibrated: either one, mapped on verified outcomes of probes.
    """

    stated: float | None = None
    token: float | None = None
    calibrated: float | None = None

    def read(self, which: Literal["stated", "token", "calibrated"]) -> float | None:
        return {"stated": self.stated, "token": self.token, "calibrated": self.calibrated}[which]


@dataclass(frozen=True, eq=False)
class Proposal:
    """What the policy answered to one screen.

    token_ids and logprobs_T cover the whole answer; decision_T marks the tokens that were free choices (forced
    tokens are False and have log-probability 0). timings are milliseconds by name: model, parse. thought: what the
    text reasons before its action, where the dialect sets that apart. note: of a recorded action, how it came about
    where the action does not say it; becomes the step's note. doubt: one sentence, why the action must not be executed
    unless a person approves it; without one the episode ends in doubt. screen: the frame that the action was chosen on,
    where the policy looked again while it waited.
    """

    text: str
    action: Action | None
    failure: ParseFailure | None
    confidence: Confidence = Confidence()
    token_ids: tuple[int, ...] = ()
    logprobs_T: tuple[float, ...] = ()
    decision_T: tuple[bool, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    adapter_version: str = "base"
    thought: str = ""
    note: str = ""
    doubt: str = ""
    screen: Observation | None = None


@dataclass(frozen=True)
class Executed:
    """What the environment really did (not what it was asked to do); `detail` says what came of it.

    origin: where a secret was typed (see `Field`); "" for everything else. targets: what it hit, one element for each
    point of the action; of keys and typed text the element that had the focus; empty where that is not known.
    """

    action: Action
    detail: str = ""
    pixels: tuple[tuple[int, int], ...] = ()
    origin: str = ""
    targets: tuple[Element, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A verified result. `success`: None while it is open; `step_correct`: None where the world does not verify steps.

    `hopeless` says that success can no longer be reached. `checker` names who says so; `evidence` what was seen.
    """

    success: bool | None
    checker: str
    evidence: str = ""
    step_correct: bool | None = None
    hopeless: bool = False


@dataclass(frozen=True)
class Step:
    """One step of an episode. The frame is the one *before* the action; `changed`: the next frame differs from it."""

    index: int
    frame: str  # file name of the PNG in the episode folder
    frame_hash: str
    proposed: Action | None
    approved: Action | None
    executed: Action | None
    executor: Executor
    proposal: Proposal | None = None
    outcome: Outcome | None = None
    changed: bool | None = None
    note: str = ""  # narration of the step, or why nothing was executed
    timings: dict[str, float] = field(default_factory=dict)  # ms: observe, model, parse, execute, overhead
    facts: ScreenFacts | None = None  # what was known of the screen when the action was judged; not stored
    origin: str = ""  # where a secret was typed, see `Field`
    targets: tuple[Element, ...] = ()  # what the executed action hit, see `Executed`

    @property
    def corrected(self) -> bool:
        """Whether a person did something else than what the policy proposed."""
        asked = self.proposed is not None and self.executed is not None
        return asked and self.executor == "person" and self.executed != self.proposed


@dataclass(frozen=True)
class Limits:
    """When an episode is ended from outside. Seconds are wall clock, without the time in which a person is asked, the
    run is paused or the rate limit makes it wait.
    """

    max_steps: int = 12
    max_seconds: float = 120.0
    step_seconds: float = 0.0  # of one step, thinking and acting together (0 = no limit)
    max_parse_failures: int = 2
    same_action: int = 3  # guard: the same action this many times in a row
    unchanged: int = 4  # guard: this many actions in a row after which the screen did not change


@dataclass(frozen=True)
class Success:
    """Which checker decides; `value` is what it looks for.

    kind: world | text | url | selector | file | answer | ask_person | none.
    """

    kind: str = "world"
    value: str = ""


@dataclass(frozen=True)
class Task:
    """A goal in an environment. `id` is stable and names it in stores and reports; `settings` go to the environment.

    `redact`: regions of the screen that are blanked in everything that is stored. `secret`: where the values of its
    secrets come from, by name (see `showonce.secrets`); a config's own win. `file`: the task file that it is from.
    """

    id: str
    goal: str
    environment: str = "embedded"
    settings: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    success: Success = Success()
    reset: str = "environment"  # environment | command:... | ask_person | none
    limits: Limits = Limits()
    split: str = "user"  # train | dev | test | user
    redact: tuple[Region, ...] = ()
    secret: dict[str, str] = field(default_factory=dict)
    file: str = field(default="", compare=False)


@dataclass(frozen=True)
class Lost:
    """Something that a person did while recorded, and that the steps do not hold: the episode is incomplete.

    step: how many steps were recorded by then, so 2 = after the second (0 = before the first). text: one sentence.
    """

    step: int
    text: str


@dataclass(frozen=True)
class Check:
    """A text of which a person said, while recorded, that it must be on the screen.

    step: how many steps were recorded by then; it is looked for after so many. region: where it stood.
    """

    step: int
    text: str
    region: Region


@dataclass(frozen=True, eq=False)
class Frame:
    """One step of a demonstration in memory: what was seen, what was done, and its narration when there is one.

    target: the name of what the action hit, as a person can read it; "" where it is not known. targets: all that is
    known of what it hit, see `Executed`.
    """

    observation: Observation
    action: Action
    note: str = ""
    target: str = ""
    targets: tuple[Element, ...] = ()


@dataclass(frozen=True, eq=False)
class Demonstration:
    """A task shown once. `source`: person | oracle | correction; `ref`: the folder or id that it came from."""

    task_id: str
    goal: str
    frames: tuple[Frame, ...]
    source: str = "person"
    ref: str = ""
    first: int = 0  # for an excerpt: index of its first frame in the whole demonstration
    lost: tuple[Lost, ...] = ()  # of the whole demonstration; empty = complete
    checks: tuple[Check, ...] = ()  # of the whole demonstration
    sends: tuple[int, ...] | None = None  # of the whole demonstration, see `Episode`

    def excerpt(self, index: int) -> Demonstration:
        """Return the demonstration with the one step at `index` (the last one beyond the end)."""
        at = min(index, len(self.frames) - 1)
        return replace(self, frames=self.frames[at : at + 1], first=self.first + at)


@dataclass(frozen=True)
class Episode:
    """One attempt. `phase`: run | record | practice | probe | baseline | eval | shadow; `path`: its folder, or "".

    sends: indices of the steps after which, and before the next one, the page sent data to a server (a request by POST,
    PUT, PATCH or DELETE); None where nobody can tell.
    """

    id: str
    task_id: str
    goal: str
    seed: int | None
    phase: str
    steps: tuple[Step, ...]
    stop_reason: StopReason
    outcome: Outcome
    seconds: float
    adapter_version: str = "base"
    source: str = "policy"  # policy | teacher | person | oracle | replay
    path: str = ""
    lost: tuple[Lost, ...] = ()  # empty = complete
    checks: tuple[Check, ...] = ()
    sends: tuple[int, ...] | None = None

    @property
    def success(self) -> bool:
        """Verified success; an open or unknown outcome is not one."""
        return self.outcome.success is True

    @property
    def why(self) -> str:
        """What its end came of: the question that was asked, the refusal of the last step, or what the checker saw."""
        last = self.steps[-1] if self.steps else None
        if last is not None and isinstance(asked := last.executed or last.proposed, Ask):
            return asked.question
        return (last.note if last is not None and last.executed is None else "") or self.outcome.evidence
