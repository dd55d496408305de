"""The seams. Layers meet here and nowhere else; no implementation, no torch, no playwright."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar, runtime_checkable

from showonce.actions import Action
from showonce.events import Event
from showonce.types import Demonstration, Element, Episode, Executed, Observation, Outcome, Proposal, ScreenFacts, Task

T = TypeVar("T")
Sampling = Literal["greedy", "sample"]
CANDIDATE: Final = "candidate"  # the adapter's set of tensors that is trained
CHAMPION: Final = "champion"  # the set that acts
EMA: Final = "ema"  # the moving average of the candidate
BASE: Final = "base"  # the version that stands for no adapter at all
Features = Any  # an engine's own vision features of one frame: adapter-independent, shared by student and teacher


@dataclass(frozen=True)
class Capabilities:
    """What an environment can promise.

    seeded: the same seed begins the same episode. exact: and the same actions then show the same pixels, which no real
    screen promises. parallel: several of its kind may be used at once, each with its own screen.
    """

    resettable: bool
    seeded: bool
    verifiable: bool
    side_effects: bool
    parallel: bool = True
    exact: bool = False


class Interrupt(Protocol):
    """The stop, as an environment sees it: call `check` before every primitive input."""

    def check(self) -> None:
        """Raise `errors.Stopped` when a person has pressed stop."""


@runtime_checkable
class Environment(Protocol):
    """A screen with input. `execute` returns the action that was done, which may differ from the requested one."""

    name: str
    capabilities: Capabilities

    def reset(self, task: Task, seed: int | None = None) -> Observation: ...
    def observe(self) -> Observation: ...
    def execute(self, action: Action, interrupt: Interrupt) -> Executed: ...
    def verify(self) -> Outcome: ...
    def close(self) -> None: ...


@runtime_checkable
class EventSource(Protocol):
    """A recorder's view of a screen: raw input events with the last distinct frame before each.

    What a raw event holds is said in `demonstrations.reduce`. The first is `idle`: from then on nothing is missed.
    `events` goes on until `close`, which any thread may call, or until the screen is gone.
    """

    def events(self) -> Iterable[tuple[Mapping[str, Any], Observation]]: ...
    def close(self) -> None: ...


# ------------------------------------------------------------------------------------------ abilities
# What only some environments can do. An environment declares an ability by having its members; everybody else asks by
# `ability(environment, Paged)`, never by isinstance, getattr or the environment's name. Only public methods and
# properties may stand in such a protocol. None of them may be used before the first reset.


@runtime_checkable
class Paged(Protocol):
    """Shows web pages: what the success checks `url` and `selector` need."""

    @property
    def url(self) -> str:
        """The address of the page in front, as it was when the screen was last observed."""

    def shows(self, selector: str) -> bool:
        """Say whether an element that `selector` (CSS) selects is visible. Raises BadInput when it is no selector."""


@runtime_checkable
class Downloads(Protocol):
    """Keeps downloaded files in a folder of its own: where the success check `file` looks for relative paths."""

    @property
    def folder(self) -> Path: ...


@runtime_checkable
class Facts(Protocol):
    """Knows more about its screen than the pixels. Safety rules ask before an action."""

    def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
        """Return what is known of the screen now, with the words under the points `at` (fractions of the frame).

        What is not known is None, never a guess: a rule that needs it then asks a person or refuses.
        """


@runtime_checkable
class Elements(Protocol):
    """Knows the named elements on its screen."""

    def elements(self) -> Sequence[Element]:
        """Return the visible elements that have a name, with boxes in fractions of the frame that was seen last."""


@runtime_checkable
class Oracle(Protocol):
    """Knows the right next action of its task."""

    def oracle(self) -> Action:
        """Return it. Raises EnvironmentBroken when nothing is left to do, TaskError for a task without an oracle."""


@runtime_checkable
class SetsGoal(Protocol):
    """Draws the goal of an episode itself, from the seed; used for tasks whose own goal is empty."""

    @property
    def goal(self) -> str: ...


@runtime_checkable
class Undoable(Protocol):
    """Can take back what came of its own last action, and touches nothing that was there before the episode."""

    def undo(self, interrupt: Interrupt) -> str:
        """Take one thing back (close a stray dialog, delete a new file); return what it was, "" for nothing."""


@runtime_checkable
class Windows(Protocol):
    """Shares its screen with windows of showonce's own."""

    def exclude(self, *places: int | tuple[int, int, int, int]) -> None:
        """Paint these over in all later frames and refuse actions on them; replaces what was excluded before.

        places: window ids, or (left, top, width, height) in pixels of the screen.
        """


@runtime_checkable
class Recordable(Protocol):
    """Can be operated by a person while it is watched."""

    def watch(self, own: Sequence[str] = ()) -> EventSource:
        """Begin to watch the person. own: chords of the recorder, kept from the screen where that is possible."""


ABILITIES: Final = (Paged, Downloads, Facts, Elements, Oracle, SetsGoal, Undoable, Windows, Recordable)


def ability(environment: object, kind: type[T]) -> T | None:
    """Return the object that has the ability `kind` (one of `ABILITIES`, or a protocol of your own), or None.

    Looks for the members of `kind` on the environment, without evaluating properties; where one is missing or None, on
    the environment that it wraps (its attribute `inner`, see `environments.wrappers`), and so on. The answer stays
    valid over resets: ask once, not per step.
    """
    members = [name for name in vars(kind) if not name.startswith("_")]
    while not all(_has(environment, name) for name in members):
        environment = getattr_static(environment, "inner", None)
        if environment is None:
            return None
    return typing.cast("T", environment)


def _has(environment: object, name: str) -> bool:
    return getattr_static(environment, name, None) is not None


@dataclass(frozen=True)
class Turn:
    """One earlier step of an episode, as a policy may be shown it.

    frame: the screen that was answered; None where the policy did not ask for it (see `ShowsHistory`) or it is not
    kept. text: the raw answer; "" where something else than it was executed. thought: what the answer reasons before
    its action. action: what was executed; None = nothing.
    """

    frame: Observation | None = None
    text: str = ""
    thought: str = ""
    action: Action | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """The policy's input beside the screen.

    progress: number of earlier actions of this episode after which the screen changed. history: the steps of the
    episode so far, oldest first. demonstration: None for the student; the teacher's view has it.
    """

    goal: str
    progress: int = 0
    history: tuple[Turn, ...] = ()
    demonstration: Demonstration | None = None

    @property
    def actions(self) -> tuple[Action, ...]:
        """The executed actions of the history."""
        return tuple(turn.action for turn in self.history if turn.action is not None)


def turns_of(actions: Iterable[Action]) -> tuple[Turn, ...]:
    """Return a history of which the actions alone are known."""
    return tuple(Turn(action=action) for action in actions)


@runtime_checkable
class Policy(Protocol):
    """Looks at a screen and answers with one action."""

    @property
    def adapter_version(self) -> str: ...
    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal: ...


@runtime_checkable
class ShowsHistory(Protocol):
    """A policy whose prompts show screens of earlier steps: the `history_frames` latest ones."""

    @property
    def history_frames(self) -> int: ...


class State(Protocol):
    """A decoding state of an engine: an immutable value, forked by using it twice.

    `version` is the adapter version under which it was made; `length` the number of positions in it.
    """

    @property
    def version(self) -> str: ...
    @property
    def length(self) -> int: ...


@runtime_checkable
class Engine(Protocol):
    """Local inference. Four things: encode, start/extend, adapters.

    `extend` accepts token ids and features in order and returns a NEW state with `logits_V` of its last position;
    a state made under another adapter version is refused with `errors.ShowonceError`.
    """

    name: str

    def encode(self, observation: Observation) -> Features: ...
    def start(self) -> State: ...
    def extend(self, state: State, parts: Sequence[int | Features], all_logits: bool = False) -> tuple[State, Any]: ...
    @property
    def version(self) -> str: ...
    def put(self, name: str, tensors: Mapping[str, Any], version: str) -> None: ...
    def use(self, name: str | None) -> None: ...


@dataclass(frozen=True, eq=False)
class ApprovalRequest:
    """A question to a person: may `action` be executed on this screen?

    observation: the frame that the action was chosen on. action: the policy's own or a teacher's; None when the answer
    was no action. reason: why a person is asked, one sentence. run: name of the run's folder ("" outside of a run);
    episode: its id; step: index of the step in the episode, from 0. Together they name one question for good.
    """

    task: Task
    observation: Observation
    proposal: Proposal
    action: Action | None
    reason: str = ""
    run: str = ""
    episode: str = ""
    step: int = 0


class Approver(Protocol):
    """A person, or a program that answers for one."""

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        """Return the approved action (it may differ from `request.action`) or None, with the reason."""


@runtime_checkable
class Learner(Protocol):
    """Learns from episodes. `observe` takes one in; `maybe_update` does at most one optimiser step or says why not."""

    name: str

    def observe(self, episode: Episode) -> None: ...
    def maybe_update(self) -> Any: ...
    @property
    def state(self) -> Mapping[str, Any]: ...


class EventSink(Protocol):
    """Where events go. `emit` is cheap, safe between threads, and never raises: what cannot be written is lost."""

    def emit(self, event: Event) -> None: ...
