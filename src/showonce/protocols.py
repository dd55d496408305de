"""The seams. Layers meet here and nowhere else; no implementation, no torch, no playwright."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from showonce.actions import Action
from showonce.errors import Unavailable
from showonce.events import Event
from showonce.secrets import NOWHERE, Places
from showonce.types import (
    Check,
    Demonstration,
    Element,
    Episode,
    Executed,
    Field,
    Lost,
    Observation,
    Outcome,
    Proposal,
    Region,
    ScreenFacts,
    Task,
)

T = TypeVar("T")
Sampling = Literal["greedy", "sample"]
CANDIDATE: Final = "candidate"  # the adapter's set of tensors that is trained
CHAMPION: Final = "champion"  # the set that acts
EMA: Final = "ema"  # the moving average of the candidate
BASE: Final = "base"  # the version that stands for an adapter that is off or empty
ACTING: Final = "acting"  # stands for the set that acts, wherever a set is named


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
class Targets(Elements, Protocol):
    """Knows what an action would hit."""

    def targets(self) -> Sequence[Element]:
        """Return everything that can be used now, on the whole page: what is scrolled out of view has a box beyond
        [0, 1]. A plain block counts where it has a listener for clicks or a pointer cursor.
        """

    def target_at(self, at: tuple[float, float]) -> Element | None:
        """Return what a click at `at` (fractions of the frame that was seen last) would hit now; None: nothing that
        can be told.
        """

    def focused(self) -> Element | None:
        """Return what keys and typed text go to now; None: nothing that can be told."""

    def reveal(self, target: Element) -> bool:
        """Scroll until an element that `targets` returned lies in view; say whether it does now."""


@runtime_checkable
class Sends(Protocol):
    """Counts what its screen sends."""

    @property
    def sent(self) -> int:
        """How many requests by POST, PUT, PATCH or DELETE the pages made since the reset."""


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
class SecretFields(Protocol):
    """Knows which fields of its screen may hold a secret."""

    def focused_field(self, secrets: Places = NOWHERE) -> Field:
        """Return what typed text goes to now; without a focus a field that is not secret. secrets: as for `watch`."""

    def secret_regions(self, secrets: Places = NOWHERE) -> Sequence[Region]:
        """Return where fields that may hold a secret lie in the frame that was seen last."""


@runtime_checkable
class Recordable(Protocol):
    """Can be operated by a person while it is watched."""

    def watch(self, own: Sequence[str] = (), secrets: Places = NOWHERE) -> EventSource:
        """Begin to watch the person. own: chords of the recorder, kept from the screen where that is possible. secrets:
        what counts as a field for secrets beside those that are found. Raises ConfigError: it cannot be found here.
        """


ABILITIES: Final = (
    *(Paged, Downloads, Facts, Elements, Targets, Sends, Oracle, SetsGoal, Undoable, Windows, Recordable),
    SecretFields,
)


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


@runtime_checkable
class TypesSecrets(Protocol):
    """Types values in place of the words that stand for them (see `environments.wrappers.secret`)."""

    def secret_focus(self) -> Field | None:
        """Return what typed text goes to, if it may hold a secret; else None."""

    def take(self, value: str, field: Field) -> str:
        """Keep what a person typed into such a field as a secret of it, in memory, and return the word for it."""


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
class Remarks(Protocol):
    """A policy that knows of its episode what the steps do not say."""

    @property
    def lost(self) -> Sequence[Lost]:
        """What was done in the episode and is in none of its steps."""

    @property
    def checks(self) -> Sequence[Check]:
        """What had to be on the screen."""

    @property
    def sends(self) -> Sequence[int] | None:
        """The steps after which the page sent data, see `Episode`."""


@runtime_checkable
class ShowsHistory(Protocol):
    """A policy whose prompts show screens of earlier steps: the `history_frames` latest ones."""

    @property
    def history_frames(self) -> int: ...


@runtime_checkable
class Adaptable(Policy, Protocol):
    """A policy whose model runs in this process, so that its adapter can be chosen, and switched off.

    acting: the set of tensors that `propose` uses, None = the base. calibration: maps a raw confidence in [0, 1] to the
    probability of success, None = not learned yet. adapter: None where the policy was loaded without one.
    """

    acting: str | None
    calibration: Callable[[float], float] | None

    @property
    def adapter(self) -> AdapterSets | None: ...
    def use(self, name: str | None) -> None:
        """Choose the set that acts; None = the base. Raises BadInput: no set of that name."""

    def propose(
        self, observation: Observation, context: Context, sampling: Sampling = "greedy", *, adapter: str | None = ACTING
    ) -> Proposal:
        """Answer one screen; adapter=None: as the base would."""


def adapter_of(policy: Policy) -> AdapterSets | None:
    """Return the adapter of a policy; None for a remote one and for one that was loaded without an adapter."""
    found: AdapterSets | None = getattr(policy, "adapter", None)
    return found


def adaptable(policy: Policy, instead: str) -> Adaptable:
    """Return the same policy as one whose adapter can be chosen.

    instead: the setting that does without it, for the error ("learning.shadow_every=0").

    Raises:
        Unavailable: its model does not run in this process.
    """
    if not hasattr(policy, "acting"):
        raise Unavailable(
            f"a {type(policy).__name__} has no adapter that could be chosen: set {instead}, or inference.backend=torch."
        )
    return typing.cast("Adaptable", policy)


def choose(policy: Policy, name: str | None) -> None:
    """Let a set of tensors act (None = the base); a policy without an adapter has only the base.

    Raises:
        Unavailable: a set of a policy whose model does not run in this process. BadInput: no set of that name.
    """
    if name is not None or hasattr(policy, "acting"):
        adaptable(policy, "adapter=none").use(name)


# ------------------------------------------------------------------------------------------ engines


@runtime_checkable
class Features(Protocol):
    """Vision features of one frame, independent of every adapter. Only the engine that made them reads their content.

    key: the frame's hash. span: by how much the frame moves the position of the next part. seen: (width, height) in
    pixels of the image that the network was given, after the image processor resized the frame. pooled_d: (d,) float32,
    the mean over the frame's positions. `len` is their number.
    """

    @property
    def key(self) -> str: ...
    @property
    def span(self) -> int: ...
    @property
    def seen(self) -> tuple[int, int]: ...
    @property
    def pooled_d(self) -> NDArray[np.float32]: ...
    def __len__(self) -> int: ...


Parts = list[int | Features]  # a prompt: token ids and frames, in order


class DecodeState(Protocol):
    """What an engine has read so far: an immutable value, forked by using it twice.

    `version` is the adapter version under which it was made; `length` the number of positions in it.
    """

    @property
    def version(self) -> str: ...
    @property
    def length(self) -> int: ...


class Rows(Protocol):
    """Several decoding states that advance together; `extend` changes them in place."""

    def extend(self, chunks: Sequence[Sequence[int | Features]]) -> NDArray[np.float32]:
        """Read one chunk a row, [] for a row that rests; return logits_BV after each row's last part.

        The logits of resting rows mean nothing.
        """


class AdapterSets(Protocol):
    """The adapter of an engine that trains: named sets (CANDIDATE, CHAMPION, EMA) of the same trainable tensors.

    kind: see `config.AdapterConfig`. base: fingerprint of the model that the tensors belong to. Tensors are torch's,
    in float32 on the CPU, by key. `torch.adapter.Adapter` says more of each method.
    """

    names: tuple[str, ...]

    @property
    def kind(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def scale(self) -> float | None: ...
    def tensors(self, name: str = CANDIDATE) -> dict[str, Any]: ...
    def set_tensors(self, tensors: Mapping[str, Any], name: str = CANDIDATE, version: str | None = None) -> None: ...
    def copy(self, source: str | None, target: str) -> None: ...
    def lerp(self, target: str, source: str, weight: float) -> None: ...
    def version(self, name: str | None) -> str: ...
    def hash(self, name: str = CANDIDATE) -> str: ...
    def identity(self, name: str | None) -> str: ...
    def save(self, folder: str | Path, name: str = CANDIDATE) -> None: ...
    def load(self, folder: str | Path, name: str = CANDIDATE) -> None: ...
    def read(self, folder: str | Path) -> tuple[dict[str, Any], str | None]: ...


@dataclass(frozen=True)
class EngineCapabilities:
    """What an engine can do beyond answering one prompt at a time. Ask for these, never for an engine's class.

    rows: `rows` advances several answers at once. scores: `score` returns teacher-forced logits. trains: it is an
    `inference.torch.engine.TorchEngine` or a subclass, which computes logits with a gradient.
    """

    rows: bool = False
    scores: bool = False
    trains: bool = False


@runtime_checkable
class Engine(Protocol):
    """Runs a model in this process. It knows token ids and frames, nothing of goals and actions.

    fingerprint: hex digest of the base model. vocabulary: number V of logits. adapter: None where nothing is trained.
    `rows` and `score` exist in every engine and raise Unavailable where `capabilities` does not promise them.
    """

    name: str
    capabilities: EngineCapabilities
    tokenizer: Any
    vocabulary: int

    @property
    def adapter(self) -> AdapterSets | None: ...
    @property
    def fingerprint(self) -> str: ...
    def image_wrap(self) -> tuple[list[int], list[int]]:
        """Return the token ids that the model wants before and after the features of one frame."""

    def encode(self, observation: Observation) -> Features:
        """Return the features of a frame; the same whichever adapter is in use."""

    def encode_many(self, observations: Sequence[Observation]) -> Sequence[Features]:
        """Return the features of several frames, in their order."""

    def start(self) -> DecodeState:
        """Return the empty state under the adapter in use."""

    def extend(
        self, state: DecodeState, parts: Sequence[int | Features], all_logits: bool = False
    ) -> tuple[DecodeState, NDArray[np.float32]]:
        """Read `parts` on top of `state`; return a new state and logits_V of the last position (logits_TV: of all).

        Raises:
            ShowonceError: the state was made under another adapter version. BadInput: no parts.
        """

    def rows(self, state: DecodeState, count: int) -> Rows:
        """Return `count` rows that all go on from `state`."""

    def score(
        self,
        prompts: Sequence[Sequence[int | Features]],
        answers: Sequence[Sequence[int]],
        prefix: DecodeState | None = None,
    ) -> list[NDArray[np.float32]]:
        """Return logits_TV for each answer: row t is the prediction of its token t from the prompt and earlier tokens.

        prefix: a state that all prompts go on from.
        """

    @property
    def version(self) -> str:
        """The version of the adapter in use; BASE when it is off."""

    @property
    def identity(self) -> str:
        """Equal for two adapters exactly when they compute the same; a state is valid while it stays equal."""

    def put(self, name: str, tensors: Mapping[str, Any], version: str) -> None:
        """Replace the set `name` by these tensors under this version. Raises BadInput: they do not fit."""

    def use(self, name: str | None) -> None:
        """Choose the set that answers from now on; None = off. Raises BadInput: no set of that name."""

    def using(self, name: str | None) -> AbstractContextManager[None]:
        """Choose a set within a block."""


# ------------------------------------------------------------------------------------------ people and learners


@dataclass(frozen=True, eq=False)
class ApprovalRequest:
    """A question to a person: may `action` be executed on this screen?

    observation: the frame that the action was chosen on. action: the policy's own or a teacher's; None when the answer
    was no action. reason: why a person is asked, one sentence. run: name of the run's folder ("" outside of a run);
    episode: its id; step: index of the step in the episode, from 0. Together they name one question for good. secret:
    name of the field that has the focus, where it may hold a secret: what the person types there is not to be shown.
    """

    task: Task
    observation: Observation
    proposal: Proposal
    action: Action | None
    reason: str = ""
    run: str = ""
    episode: str = ""
    step: int = 0
    secret: str = ""


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
