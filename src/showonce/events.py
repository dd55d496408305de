"""The events of a run: one frozen dataclass for each kind of line in events.jsonl, the only vocabulary of that file.

A line is a JSON object ``{"t": unix seconds, "kind": ..., ...}`` whose other keys are the fields of the dataclass.
Writers must give every field that has no default. Readers (`from_json`) accept any object: a field that is missing or
of another type gets its default, keys that no field names are dropped, and a kind that is not known becomes `Unknown`.
So files of older and of newer versions can be read. docs/events.md lists all kinds (`scripts/events_page.py`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Final

GIVE_UP: Final = "give_up"  # `RecoveryTried.measure` once no measure is left
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Readings:
    """Confidence in one answer, each in [0, 1] or None.

    stated: read from the answer's text. token: product of the probabilities of the decision tokens. calibrated: one of
    the two, mapped on the outcomes of probes.
    """

    stated: float | None = None
    token: float | None = None
    calibrated: float | None = None


@dataclass(frozen=True)
class NotParsed:
    """Why an answer was no action. reason: a `types.ParseReason`. detail: what was found instead."""

    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all kinds. t: unix seconds; the event file adds it when the event is written."""

    kind: ClassVar[str] = ""
    t: float | None = None

    def __init_subclass__(cls, kind: str = "") -> None:
        cls.kind = kind

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ``kind`` included, as an object of JSON values (as far as the values given are such)."""
        record: dict[str, Any] = {} if self.t is None else {"t": self.t}
        record["kind"] = self.kind
        for name, value in vars(self).items():
            if isinstance(value, (Readings, NotParsed)):
                record[name] = dict(vars(value))
            elif name != "t":
                record[name] = list(value) if isinstance(value, tuple) else value
        return record


@dataclass(frozen=True, kw_only=True)
class Unknown(Event):
    """An object that is no event of this version. name: its ``kind``, "" where that is no text. data: all its keys."""

    name: str
    data: Json

    def to_json(self) -> dict[str, Any]:
        return dict(self.data)


# ------------------------------------------------------------------------------------------- the run


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event, kind="run_started"):
    """A run begins; a resumed run writes it again in the same file.

    run: name of the run's folder. name: name of its configuration. task: ids of all tasks, separated by commas. goal:
    their goals, likewise. adapter: the setting `adapter`. learner: its name, or "frozen" when learning is off.
    budget_run: updates allowed in this run. budget_task: updates allowed for one task over all runs. learning: whether
    this run may update. seed: seed of the run. versions: versions of showonce, Python and the packages.
    """

    run: str
    name: str
    task: str
    goal: str
    adapter: str
    learner: str
    budget_run: int | None
    budget_task: int | None
    learning: bool | None
    seed: int | None
    versions: Json


@dataclass(frozen=True, kw_only=True)
class PhaseStarted(Event, kind="phase"):
    """A part of the run begins. name: before, teacher, learn, after or tasks, and more. total: how many episodes it
    has, 0 or None where that is open.
    """

    name: str
    total: int | None


@dataclass(frozen=True, kw_only=True)
class PhaseMeasured(Event, kind="phase_result"):
    """A measured part has ended.

    name: name of the part, such as before, after or baseline:frozen. n: number of attempts. success: fraction of them
    that succeeded. low, high: the ends of its 95 % interval. before: the fraction before learning, in the part
    `retention` alone.
    """

    name: str
    success: float | None
    n: int | None
    low: float | None
    high: float | None
    before: float | None = None


@dataclass(frozen=True, kw_only=True)
class PauseChanged(Event, kind="pause"):
    """A person paused or resumed the run. paused: True = nothing is executed from now
    on. reason: which key, file or call did it.
    """

    paused: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunStopped(Event, kind="stop"):
    """The run was stopped by a person or by its limit of actions. reason: which key, file, signal or
    limit did it.
    """

    reason: str


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event, kind="run_finished"):
    """The run has ended. reason: completed, stopped, or type and message of an error. seconds: wall time."""

    reason: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class ErrorRaised(Event, kind="error"):
    """Something failed; the run may go on.

    where: model, parser, executor, environment, store, or input (a person gave something that cannot be used). message:
    type and text of the error. episode: id of the episode, "" outside of one.
    """

    where: str
    message: str
    episode: str = ""


# ------------------------------------------------------------------------------------------- an episode


@dataclass(frozen=True, kw_only=True)
class EpisodeStarted(Event, kind="episode_started"):
    """An episode begins.

    episode: its id. task: id of the task. goal: goal of the task. seed: seed of the environment. phase: run, practice,
    probe or demonstration, and more. adapter_version: content hash or version of the adapter, or "base". executor: who
    acts (student, teacher, person, oracle, replay).
    """

    episode: str
    task: str
    goal: str
    seed: int | None
    phase: str
    adapter_version: str
    executor: str


@dataclass(frozen=True, kw_only=True)
class StepTaken(Event, kind="step"):
    """A step has ended.

    episode: id of the episode. index: number of the step, from 0. frame: PNG of the screen before the action, relative
    to the run's folder, None where frames are not stored. goal: goal of the task. proposed: the action in the answer,
    None where there is none. executed: the action that was executed, None where nothing was. executor: who acted. text:
    the raw answer. parse_failure: why the text is no action, None where it is one. confidence: how sure the answer is.
    timings: milliseconds by part of the step. changed: whether the screen changed. step_correct: the environment's
    verdict on this step alone, None where it has none. note: why nothing was executed.
    """

    episode: str
    index: int
    frame: str | None
    goal: str
    proposed: Json | None
    executed: Json | None
    executor: str
    text: str
    parse_failure: NotParsed | None
    confidence: Readings | None
    timings: Json
    changed: bool | None
    step_correct: bool | None
    note: str


@dataclass(frozen=True, kw_only=True)
class EpisodeFinished(Event, kind="episode_finished"):
    """An episode has ended; the measured phases write this one alone.

    episode, task, phase, adapter_version: as in `episode_started`. stop_reason: a `types.StopReason`. success: verified
    result, None where it cannot be verified. steps: number of steps. seconds: wall time, None where it was not taken.
    source: who acted (policy, teacher, person, oracle, replay), "" in measured phases. evidence: what the checker saw.
    checker: who verified it. why: what its end came of, such as the question that was asked or why an action was
    refused.
    """

    episode: str
    task: str
    phase: str
    stop_reason: str
    success: bool | None
    steps: int | None
    seconds: float | None
    adapter_version: str
    source: str = ""
    evidence: str = ""
    checker: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class GuardFired(Event, kind="guard"):
    """A guard found that the episode makes no progress. episode: id of the episode. step: number of the step. name:
    name of the guard. detail: what it saw.
    """

    episode: str
    step: int | None
    name: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class RecoveryTried(Event, kind="recovery"):
    """A measure was taken after a guard fired or an action was refused.

    episode: id of the episode. step: number of the step. trouble: name of the guard, or refused. measure: reobserve,
    retry, undo, ask, or give_up once none is left. detail: what was done. useful: whether there was anything to do (an
    undo may find nothing to take back); False for give_up.
    """

    episode: str
    step: int | None
    trouble: str
    measure: str
    detail: str
    useful: bool


@dataclass(frozen=True, kw_only=True)
class ShadowCompared(Event, kind="shadow"):
    """The frozen policy answered a screen too, and was not executed.

    episode: id of the episode. index: number of the step. agrees: whether it would have done the same. action: its
    answer, None = no action.
    """

    episode: str
    index: int
    agrees: bool
    action: Json | None


# ------------------------------------------------------------------------------------------- learning


@dataclass(frozen=True, kw_only=True)
class GateDecided(Event, kind="gate"):
    """The gate decided whether the learner may update.

    accepted: whether it may. route: shown or earned, None when refused. reason: a `GateReason`, or why the learner had
    nothing to update. updates: number of updates so far. budget_run_left: updates left in this run. budget_task_left:
    updates left for the task over all runs. numbers: the measured values and thresholds that were compared.
    """

    accepted: bool
    route: str | None
    reason: str
    updates: int | None
    budget_run_left: int | None = None
    budget_task_left: int | None = None
    numbers: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class UpdateMade(Event, kind="update"):
    """The candidate was updated by one optimiser step.

    n: number of the update. loss: loss of the batch. kl: divergence of the candidate from the champion, nats a decision
    token. kl_teacher_student: divergence of the teacher from the candidate before the update, nats a decision token,
    None where there is no teacher. grad_norm: norm of the gradient before clipping. ms: wall time, milliseconds. route:
    route of the gate, None without a gate. candidate: content hash of the candidate. screens: screens in the batch.
    tokens: decision tokens in the batch. parts: the terms of the loss.
    """

    n: int
    loss: float | None
    kl: float | None
    grad_norm: float | None
    ms: float | None
    route: str | None
    candidate: str
    kl_teacher_student: float | None
    screens: int | None
    tokens: int | None
    parts: Json


@dataclass(frozen=True, kw_only=True)
class ProbePlayed(Event, kind="probe"):
    """The champion played one verified episode: greedy, without a demonstration, nothing is learned from it.

    task: id of the task. episode: id of the episode. success: whether it succeeded. n: probes of this champion on the
    task so far. successes: how many of them succeeded. lower: lower bound of the champion's success. statistic:
    statistic of the drop test, None while it is not armed. threshold: the drop test fires where statistic >= threshold.
    p0: the success that the drop test expects. champion: version of the champion.
    """

    task: str
    episode: str
    success: bool | None
    n: int | None
    successes: int | None
    lower: float | None
    statistic: float | None
    threshold: float | None
    p0: float | None
    champion: str


@dataclass(frozen=True, kw_only=True)
class CanariesGathered(Event, kind="canaries"):
    """Screens of old skills that a candidate must not lose were collected. skills: number of screens. reason: why there
    are none, "" where there are.
    """

    skills: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PromotionDecided(Event, kind="promotion"):
    """The canaries decided whether the candidate becomes champion.

    accepted: whether it does. old: version of the champion. new: version of the candidate, its hash where refused.
    reason: why. canaries: what was measured on them.
    """

    accepted: bool
    old: str | None
    new: str
    reason: str
    canaries: Json


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event, kind="checkpoint"):
    """A version was written to the adapter store. version: its name, such as v0001. path: its folder. probes: n,
    successes and lower bound of its probes so far. hash: content hash of its tensors.
    """

    version: str
    path: str
    probes: Json
    hash: str


@dataclass(frozen=True, kw_only=True)
class RolledBack(Event, kind="rollback"):
    """Another version became champion again, by the drop test, after refusals, on opening the store or by hand.

    episode: id of the probe that decided, "" or None without one. old: version that was champion. new: version that is
    champion now. statistic: statistic of the drop test, None when it did not decide. reason: why.
    """

    episode: str | None
    old: str
    new: str
    statistic: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Quarantined(Event, kind="quarantine"):
    """Versions and what they learned from are not used any more until a person re-admits them.

    versions: names of versions, and refs of demonstrations and episodes. reason: why.
    """

    versions: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Readmitted(Event, kind="readmit"):
    """Quarantine was lifted. names: versions, and refs of demonstrations and episodes. reason: who did it."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class LockTakenOver(Event, kind="lock_taken_over"):
    """The lock of an adapter store belonged to a dead process. owner: that process. path: folder of the store."""

    owner: str
    path: str


@dataclass(frozen=True, kw_only=True)
class FaultInjected(Event, kind="fault"):
    """Damage begins that the setting `learning.fault` asks for. name: name of the fault. detail: when it began."""

    name: str
    detail: str


# ------------------------------------------------------------------------------------------- reading

KINDS: Final[dict[str, type[Event]]] = {c.kind: c for c in Event.__subclasses__() if c.kind}


def from_json(record: Json) -> Event:
    """Return the event that an object of events.jsonl holds. Never raises on its content (see the module)."""
    kind = record.get("kind")
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        return Unknown(t=as_float(record.get("t")), name=kind if isinstance(kind, str) else "", data=dict(record))
    if cls is RecoveryTried and "useful" not in record:  # written before the field existed
        useful = record.get("measure") != GIVE_UP and record.get("detail") != "of no use"
        record = {**record, "useful": useful}
    return cls(**_values(cls, record))


def _values(cls: type, record: Json) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, convert, empty, required in _plan(cls):
        value = convert(record.get(name))
        if value is not None:
            found[name] = value
        elif required:
            found[name] = empty
    return found


@cache
def _plan(cls: type) -> list[tuple[str, Callable[[Any], Any], Any, bool]]:
    """Return name, converter, empty value and whether a value must be given, of every field of a dataclass."""
    return [
        (one.name, *_TYPES[str(one.type)], one.default is MISSING and one.default_factory is MISSING)
        for one in fields(cls)
    ]


def as_float(value: Any) -> float | None:
    """Return a finite number as a float, and None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    with contextlib.suppress(OverflowError):  # an integer beyond the largest float
        return float(value) if math.isfinite(value) else None
    return None


def _int(value: Any) -> int | None:
    return None if as_float(value) is None else int(value)


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else str(value) if as_float(value) is not None else None


def _object(value: Any) -> Json | None:
    return value if isinstance(value, Mapping) else None


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else None


def _nested(cls: type) -> Callable[[Any], Any]:
    return lambda value: cls(**_values(cls, value)) if isinstance(value, Mapping) else None


# By the annotation of a field: how a JSON value becomes one, and what stands where there is none.
_TYPES: Final[dict[str, tuple[Callable[[Any], Any], Any]]] = {
    "str": (_text, ""),
    "str | None": (_text, None),
    "bool": (_bool, False),
    "bool | None": (_bool, None),
    "int": (_int, 0),
    "int | None": (_int, None),
    "float | None": (as_float, None),
    "Json": (_object, {}),
    "Json | None": (_object, None),
    "tuple[str, ...]": (_names, ()),
    "Readings | None": (_nested(Readings), None),
    "NotParsed | None": (_nested(NotParsed), None),
}
