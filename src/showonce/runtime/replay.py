"""Re-execute a stored episode, by its coordinates or by finding its targets again, and compare the frames.

`ReplayPolicy` does so as a policy: the baseline that a learned policy has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from showonce.actions import Action, Ask, Done, from_json, points, to_json
from showonce.demonstrations import EpisodeStore, load_demonstration, load_episode, read_meta, redact
from showonce.demonstrations.format import encode_png
from showonce.demonstrations.redact import check_regions
from showonce.demonstrations.sheet import MARK, marked
from showonce.environments.wrappers.secret import WithSecrets, bind, needs_of, sources_for
from showonce.errors import BadInput, DemonstrationError, nearest
from showonce.fsio import atomic_write_bytes, make_folder
from showonce.protocols import (
    Approver,
    Context,
    Elements,
    Environment,
    EventSink,
    Interrupt,
    Sampling,
    TypesSecrets,
    ability,
)
from showonce.runtime.aiming import OTHER_SCREEN, Aim, Aimed, Unmoved
from showonce.runtime.approvals import Person
from showonce.runtime.completion import Checker
from showonce.runtime.freshness import apart
from showonce.runtime.guards import Unproved
from showonce.runtime.loop import run_episode
from showonce.runtime.matching import PATCH, find_named, find_point, find_target, other_name, patch_for
from showonce.runtime.repairs import Repair, keep_repairs, with_repairs
from showonce.runtime.stop import Stop
from showonce.runtime.waiting import Waiting
from showonce.types import (
    Confidence,
    Demonstration,
    Episode,
    Frame,
    Image,
    Observation,
    Proposal,
    Region,
    Step,
    StopReason,
    Task,
)

Mode = Literal["coordinates", "template", "target"]
MODES: Final[tuple[Mode, ...]] = ("coordinates", "template", "target")
GAP: Final = 4
LEAST_SCORE: Final = 0.8  # below this correlation a replay by template looks for the recorded name, else it is in doubt
LONGER: Final = 10.0  # seconds by which a wait may last longer than recorded


class ReplayPolicy:
    """Does what was shown, step by step, whatever the goal says; afterwards it claims `done`.

    coordinates: at the same place. target: where `aim` says: whether that is sure, and what it waits for, is its part.
    template: where the square of `patch` pixels around the demonstrated point is found again (0: a side that fits the
    screen, a larger square where it has no contrast or no match). Where that is not sure, or something of another name
    stands there, the element with the recorded name is taken, if `screen` has it; names: one a step. Below
    `least_score` (correlation in [-1, 1]) it is in doubt instead of acting. waits: asked whether what a wait was for
    has come, and what must be on the screen; where it has not, that is in doubt, too.

    Raises:
        BadInput: an unknown mode or a patch without pixels.
    """

    def __init__(
        self, demonstration: Demonstration, mode: Mode = "coordinates", patch: int = PATCH, least_score: float = -1.0,
        names: Sequence[str] = (), screen: Elements | None = None, waits: Waiting | None = None,
        aim: Callable[[int, Observation], Aimed] | None = None,
    ) -> None:  # fmt: skip
        if mode not in MODES:
            raise BadInput(f"replay mode {mode!r} is not a valid choice.{nearest(mode, MODES)}")
        if mode == "target" and aim is None:
            raise BadInput("replay mode 'target' needs a screen to aim on: call replay_episode.")
        if patch < 2 and patch != 0:
            raise BadInput(f"replay patch={patch!r} must be at least 2 pixels.")
        self._frames = demonstration.frames
        self.mode = mode
        self._patch = patch
        self._least = least_score
        self._names, self._screen, self._waits = names, screen, waits
        self._aim_at = aim
        self._extra: set[int] = set()  # numbers of actions before which one was added that no step has
        self.repairs: dict[int, tuple[Repair, ...]] = {}  # by step
        self.adapter_version = f"replay-{mode}"

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        done = len(context.actions)
        index = done - self._before(done)
        if index >= len(self._frames):
            return Proposal("", Done(), None, adapter_version=self.adapter_version)
        looked = observation
        if self._waits is not None:
            missing, screen = self._waits.missing, observation
            if not missing:
                missing, screen = self._waits.unmet(index, observation)
            if missing:
                ask = Ask(f"The recording waits before step {index + 1}: {missing}.")
                return Proposal("", ask, None, adapter_version=self.adapter_version, doubt=ask.question)
            observation = screen
        if self._aim_at is not None:
            return self._aimed(index, done, self._aim_at(index, observation), looked)
        name = self._names[index] if index < len(self._names) else ""
        action, score, how = self._aim(self._frames[index], observation, name)
        text = f"step {index + 1} of the demonstration{how}"
        doubt = ""
        if score < self._least or score == -1.0:
            doubt = f"The target of step {index + 1} is not on the screen (best match {score:.2f})."
            if score == -1.0:
                doubt = f"The target of step {index + 1} is not on the screen: {how}."
            action = Ask(doubt)
        confidence = Confidence(token=min(max(score, 0.0), 1.0))
        return Proposal(text, action, None, confidence, adapter_version=self.adapter_version, doubt=doubt)

    def done(self, episode: Episode) -> int:
        """Return how many of the recorded actions an episode of this policy did."""
        actions = sum(step.executed is not None for step in episode.steps)
        return actions - self._before(actions)

    def step_of(self, number: int) -> int | None:
        """Return which step of the demonstration action `number` of the episode is; None for one that was added."""
        return None if number in self._extra else number - self._before(number)

    def _before(self, number: int) -> int:
        return sum(one < number for one in self._extra)

    def _aimed(self, index: int, done: int, aimed: Aimed, looked: Observation) -> Proposal:
        """Return an aimed action as an answer. looked: the frame that was asked about."""
        if aimed.extra and not aimed.doubt:
            self._extra.add(done)
            if self._waits is not None:
                self._waits.extra = aimed.action
        else:
            self.repairs[index] = aimed.repairs
        step = f"before step {index + 1}" if aimed.extra else f"step {index + 1}"
        return Proposal(
            f"{step} of the demonstration{aimed.how}", aimed.action, None, Confidence(token=aimed.score),
            adapter_version=self.adapter_version, doubt=aimed.doubt,
            screen=None if aimed.screen is looked else aimed.screen,
        )  # fmt: skip

    def _aim(self, frame: Frame, observation: Observation, name: str) -> tuple[Action, float, str]:
        """Return the demonstrated action on this screen, the worst correlation of its points, and how it was found."""
        wanted = points(frame.action)
        if self.mode == "coordinates" or not wanted:
            return frame.action, 1.0, ""
        shown, screen = frame.observation.image, observation.image
        patch, find = (self._patch, find_point) if self._patch else (patch_for(screen), find_target)
        moved = [find(shown, point, screen, patch) for point in wanted]
        score, how = min(score for _, score in moved), ""
        if len(wanted) == 1 and name and self._screen is not None:
            elements = self._screen.elements()
            other = other_name(name, moved[0][0], elements)
            if score < LEAST_SCORE or other:
                place = find_named(name, wanted[0], elements)
                if place is not None:
                    moved, score, how = [(place, 1.0)], 1.0, f", found by its name {name!r}"
                elif other:
                    score, how = -1.0, f"{other!r} stands where the picture of {name!r} is found"
        data = to_json(frame.action)
        for (place, _), (x, y) in zip(moved, (("x", "y"), ("to_x", "to_y")), strict=False):
            data |= {x: place[0], y: place[1]}
        return from_json(data), score, how


@dataclass(frozen=True)
class Difference:
    """Where a replay left its recording. kind: screen | frame | step | target | check | ending."""

    step: int  # its index, from 0; of an ending: how many actions were done before it
    kind: str
    detail: str
    picture: str = ""  # both frames side by side, when a folder was given


@dataclass(frozen=True)
class ReplayReport:
    """What came of a replay. `success` is verified in this run, not copied from the recording.

    checked: whether the task has a success check. expected: how many of the recorded actions had to be done. unmet: the
    text that the person said must be on the screen at the end, and that is not. doubt: where it stopped in doubt, one
    sentence: what was recorded, what stands there, why that is not sure; doubt_step: the step, from 0. repaired:
    targets that were found although they have changed.
    """

    mode: str
    steps: int
    recorded_steps: int
    success: bool | None
    stop_reason: StopReason
    first_difference: Difference | None
    episode: Episode
    checked: bool = True
    expected: int = 0
    unmet: str = ""
    doubt: str = ""
    doubt_step: int | None = None
    repaired: tuple[Repair, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether success was verified; of a task without a check, whether all recorded actions were done."""
        if self.unmet:
            return False
        if self.checked:
            return self.success is True
        return self.stop_reason is StopReason.CLAIMED and self.steps >= self.expected

    @property
    def differs(self) -> bool:
        """Whether screens, targets, steps or the ending were other than recorded."""
        return self.first_difference is not None


def check_recording(path: str | Path, task: Task) -> tuple[Episode, Demonstration]:
    """Return a stored episode of a task, and what it shows, with repaired targets.

    Raises DemonstrationError as `replay_episode` does.
    """
    recorded = load_episode(path)
    if recorded.task_id != task.id:
        raise DemonstrationError(f"{path} is an episode of task {recorded.task_id!r}, not of {task.id!r}.")
    return recorded, with_repairs(load_demonstration(path), path)


def replay_episode(
    path: str | Path,
    environment: Environment,
    task: Task,
    *,
    mode: Mode = "coordinates",
    seed: int | None = None,
    patch: int | None = None,
    folder: str | Path | None = None,
    store: EpisodeStore | None = None,
    events: EventSink | None = None,
    stop: Interrupt | None = None,
    longer: float = LONGER,
    person: Person | None = None,
    approver: Approver | None = None,
    shown: Demonstration | None = None,
    stop_when_changed: bool = True,
    checker: Checker | None = None,
    observers: Callable[[ReplayPolicy], Sequence[Any]] = lambda policy: (),
) -> ReplayReport:
    """Re-execute a stored episode and report the first difference from it.

    seed: of the environment; the recorded one by default. With another seed the frames are other frames, so they are
    not compared. A screen that promises the same pixels for the same seed is compared exactly, a real one up to
    carets, clocks and smoothing. longer: seconds that what a recorded wait was for may come later than it came then.
    folder: where the picture of a difference goes. approver: asked before an action that is in doubt; without one, and
    where the answer is no, the replay ends with StopReason.DOUBT and nothing more is done. shown: the demonstration in
    `path` with other values bound to its parameters; it is done instead, and frames are not compared.
    stop_when_changed: by coordinates, on a real screen, stop in doubt where it is not as recorded. checker: in place of
    the task's own. observers: made for the policy that replays, which knows which step of the recording is due.

    Raises:
        DemonstrationError: not a usable episode folder, or of another task.
        ConfigError: it types a secret that the environment has no source for.
    """
    recorded, stored = check_recording(path, task)
    same_data, shown = shown is None, shown or stored
    regions = check_regions(read_meta(path).get("redacted") or [])
    same_start = same_data and (seed is None or seed == recorded.seed)
    exact, stop = environment.capabilities.seeded, stop or Stop()
    environment, waits, policy = _performer(
        recorded, shown, _with_secrets(environment, recorded, path), mode, patch, longer, stop, regions,
        stop_when_changed,
    )  # fmt: skip
    watch = _Watch(policy, shown, regions, same_start, exact, None if folder is None else Path(folder))
    episode = run_episode(
        environment,
        policy,
        task,
        seed=recorded.seed if seed is None else seed,
        phase="replay",
        executor="replay",
        limits=replace(task.limits, max_steps=max(task.limits.max_steps, 2 * len(shown.frames) + 1)),
        guards=(Unproved(),),
        observers=(watch, *observers(policy)),
        checker=checker,
        store=store,
        events=events,
        stop=stop,
        person=person,
        approver=approver,
    )
    done = policy.done(episode)
    claim = episode.success and isinstance(shown.frames[-1].action, Done)  # which nobody has to say once it is verified
    wanted = len(shown.frames) - claim
    unmet = ""
    if waits is not None and episode.success:  # which ended it before the checks after its last step
        unmet = waits.unmet(done, environment.observe())[0]
    checked = task.success.kind != "none"
    missing = Difference(done, "check", unmet) if unmet else None
    first = watch.first or missing or _ending(recorded, episode, done, wanted, checked)
    repaired = tuple(one for index in range(done) for one in policy.repairs.get(index, ()))
    if repaired and episode.path:
        keep_repairs(stored, path, repaired, episode.success, same_data, episode.id)
    return ReplayReport(
        mode, done, len(shown.frames), episode.outcome.success, episode.stop_reason, first, episode,
        checked, wanted, unmet, **_doubt_of(episode, done), repaired=repaired,
    )  # fmt: skip


def _with_secrets(environment: Environment, recorded: Episode, path: str | Path) -> Environment:
    """Return an environment that types what a recording needs, where it does not already. Raises ConfigError."""
    needs = needs_of([step for step in recorded.steps if step.executed is not None])
    if not needs or ability(environment, TypesSecrets) is not None:
        return environment
    bound: dict[str, list[str]] = {}
    bind(needs, bound)
    return WithSecrets(environment, sources_for(needs, {}, str(path)), bound)


def _performer(
    recorded: Episode, shown: Demonstration, environment: Environment, mode: Mode, patch: int | None, longer: float,
    stop: Interrupt, regions: Sequence[Region], stop_when_changed: bool,
) -> tuple[Environment, Waiting | None, ReplayPolicy]:  # fmt: skip
    """Return the policy that replays, with the environment that waits for it (None: its screen needs no waiting)."""
    exact = environment.capabilities.seeded
    patch = (PATCH if exact else 0) if patch is None else patch
    names = [
        (step.proposal.text if step.proposal is not None else "") or (step.targets[0].name if step.targets else "")
        for step in recorded.steps
        if step.executed is not None
    ]
    least, waits = LEAST_SCORE if mode != "coordinates" else -1.0, None
    if not exact:
        environment = waits = Waiting(
            environment, shown.frames, mode != "coordinates", longer, names, shown.checks, stop
        )  # fmt: skip
    aim: Aim | Unmoved | None = None
    if mode == "target":
        aim = Aim(environment, shown.frames, names, longer, stop, patch, regions)
        if waits is not None and aim.knows:
            waits.present = aim.present
    elif mode == "coordinates" and stop_when_changed and not exact:
        aim = Unmoved(environment, shown.frames, longer, stop, regions)
    policy = ReplayPolicy(shown, mode, patch, least, names, ability(environment, Elements), waits, aim)
    return environment, waits, policy


def _doubt_of(episode: Episode, done: int) -> dict[str, Any]:
    if episode.stop_reason is not StopReason.DOUBT:
        return {}
    last = episode.steps[-1].proposal if episode.steps else None
    return {"doubt": last.doubt if last is not None else "", "doubt_step": done}


class _Watch:
    """Compares every step of a replay with the recording; keeps the first difference."""

    def __init__(
        self, policy: ReplayPolicy, shown: Demonstration, regions: Sequence[Region], frames: bool, exact: bool,
        folder: Path | None,
    ) -> None:  # fmt: skip
        self._policy = policy
        self.first: Difference | None = None
        self._shown = shown
        self._regions = regions
        self._frames = frames
        self._exact = exact
        self._folder = folder

    def on_step(self, task: Task, observation: Observation, step: Step, context: Context) -> None:
        index = self._policy.step_of(len(context.actions))
        if self.first is not None or index is None or index >= len(self._shown.frames):
            return
        then, now = self._alike(self._shown.frames[index].observation, observation)
        found = self._difference(then, now, step)
        if found is not None:
            kind, detail = found
            self.first = Difference(index, kind, detail, self._picture(self._shown.frames[index], now, step))

    def _alike(self, then: Observation, now: Observation) -> tuple[Observation, Observation]:
        """Return both screens with the same regions blanked: what was blanked in the recording, and what is now."""
        regions = (*self._regions, *then.masked, *now.masked)
        return redact(then, regions), redact(now, regions)

    def _difference(self, then: Observation, now: Observation, step: Step) -> tuple[str, str] | None:
        if (then.width, then.height) != (now.width, now.height):
            return "screen", f"recorded on {then.width}x{then.height}, this screen is {now.width}x{now.height}"
        if self._frames and self._exact and not np.array_equal(then.image, now.image):
            pixels = int((then.image != now.image).any(axis=2).sum())
            return "frame", f"{pixels} of {then.width * then.height} pixels differ before the action"
        doubt = "" if step.proposal is None else step.proposal.doubt
        if doubt and OTHER_SCREEN not in doubt:
            return "target", doubt
        if self._frames and not self._exact and (found := apart(then, now, step.executed)):
            return found
        if doubt:
            return "target", doubt
        if step.outcome is not None and step.outcome.step_correct is False:
            return "step", step.outcome.evidence or "the world says that this step is wrong"
        return None

    def _picture(self, frame: Frame, now: Observation, step: Step) -> str:
        if self._folder is None:
            return ""
        path = make_folder(self._folder) / "first_difference.png"
        right = marked(now.image, step.executed)
        atomic_write_bytes(path, encode_png(_beside(marked(frame.observation.image, frame.action), right)))
        return str(path)


def _ending(recorded: Episode, episode: Episode, done: int, expected: int, checked: bool) -> Difference | None:
    if checked and recorded.outcome.success is not None and recorded.success != episode.success:
        was, now = ("a success" if e.success else "no success" for e in (recorded, episode))
        evidence = f" ({episode.outcome.evidence})" if episode.outcome.evidence else ""
        return Difference(done, "ending", f"recorded as {was}, now {now}: {episode.stop_reason}{evidence}")
    if done < expected:
        return Difference(done, "ending", f"{expected - done} actions were not done: {episode.stop_reason}")
    return None


def _beside(left: Image, right: Image) -> Image:
    """Return two pictures side by side, a line between them, on black where one is smaller."""
    canvas = np.zeros((max(len(left), len(right)), left.shape[1] + GAP + right.shape[1], 3), np.uint8)
    canvas[: len(left), : left.shape[1]] = left
    canvas[:, left.shape[1] : left.shape[1] + GAP] = MARK
    canvas[: len(right), left.shape[1] + GAP :] = right
    return canvas
