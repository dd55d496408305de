"""The episode folder: its JSON forms and how it is read.

    meta.json     schema_version, who, what, how it ended; `finished` is false until the last line is written
    steps.jsonl   one line a step, appended
    0000.png ...  the distinct frames, RGB, exact; every frame that a line names is there before the line
    parameters.json, contact_sheet.png   made afterwards, of a person's recording: `values`, `sheet`

A demonstration is an episode folder whose steps were shown by somebody. No pickle anywhere.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as PillowImage

from showonce.actions import Action, Done, from_json, to_json
from showonce.demonstrations.redact import check_regions
from showonce.errors import BadInput, DemonstrationError
from showonce.fsio import plain, read_lines
from showonce.types import (
    Check,
    Confidence,
    Demonstration,
    Element,
    Episode,
    Frame,
    Image,
    Limits,
    Lost,
    Observation,
    Outcome,
    ParseFailure,
    ParseReason,
    Proposal,
    Step,
    StopReason,
    Task,
)

SCHEMA_VERSION: Final = 1
META: Final = "meta.json"
STEPS: Final = "steps.jsonl"
_BROKEN_OFF: Final = {
    StopReason.STOPPED: "it was stopped",
    StopReason.ENVIRONMENT_ERROR: "it broke off",
    StopReason.MODEL_ERROR: "it broke off",
}
UNFINISHED: Final = Outcome(None, "none", "the episode was never finished: its writer was stopped or killed")


def _unusable(key: str, text: str) -> DemonstrationError:
    """Return the error for an episode of which nothing can be mended."""
    return DemonstrationError(f"{text} Record it again.", key=f"demonstration.{key}")


def encode_png(image: Image) -> bytes:
    """Return uint8 (H, W, 3) RGB as PNG; decoding gives the same pixels."""
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_png(path: str | Path) -> Image:
    """Return the uint8 (H, W, 3) pixels of an RGB PNG.

    Raises:
        DemonstrationError: it is missing, cut off, or not RGB.
    """
    try:
        with PillowImage.open(path) as picture:
            if picture.mode != "RGB":
                raise _unusable("frame", f"{path} is a {picture.mode} picture; frames are RGB.")
            return np.asarray(picture, dtype=np.uint8)
    except FileNotFoundError:
        raise _unusable("frame", f"{path} is missing: the episode folder is incomplete.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise _unusable("frame", f"{path} cannot be read as a picture ({error}).") from None


def step_to_json(step: Step, observation: Observation | None) -> dict[str, Any]:
    """Return the line of a step; the observation adds screen size, scale, page text and blanked regions."""
    screen: dict[str, Any] | None = None
    if observation is not None:
        screen = {"width": observation.width, "height": observation.height, "scale": observation.scale}
        screen |= {} if observation.text is None else {"text": observation.text}
        screen |= {"masked": plain(observation.masked)} if observation.masked else {}
    line = {
        "index": step.index,
        "frame": step.frame,
        "frame_hash": step.frame_hash,
        "screen": screen,
        "proposed": _action_to_json(step.proposed),
        "approved": _action_to_json(step.approved),
        "executed": _action_to_json(step.executed),
        "executor": step.executor,
        "changed": step.changed,
        "note": step.note,
        "outcome": None if step.outcome is None else plain(step.outcome),
        "timings": plain(step.timings),
        "proposal": None if step.proposal is None else _proposal_to_json(step.proposal),
    }
    line |= {"targets": [element_to_json(target) for target in step.targets]} if step.targets else {}
    return line | ({"origin": step.origin} if step.origin else {})


def element_to_json(element: Element) -> dict[str, Any]:
    """Return an element as a mapping, without the fields that have their usual value."""
    usual = Element("", element.box)
    told: dict[str, Any] = plain(vars(element))
    kept = {key: value for key, value in told.items() if value != plain(getattr(usual, key)) or key == "box"}
    return {key: value for key, value in kept.items() if key != "bound"}  # of one run, in memory


def element_from_json(data: Mapping[str, Any]) -> Element:
    """Return the element of `element_to_json`. Raises KeyError, TypeError, ValueError: it is damaged."""
    left, top, right, bottom = (float(edge) for edge in data["box"])
    return Element(
        name=str(data.get("name", "")),
        box=(left, top, right, bottom),
        role=str(data.get("role", "")),
        text=str(data.get("text", "")),
        near=tuple(str(text) for text in data.get("near", ())),
        attributes={str(key): str(value) for key, value in dict(data.get("attributes", {})).items()},
        page=str(data.get("page", "")),
        index=int(data.get("index", 0)),
        count=int(data.get("count", 1)),
        value=str(data.get("value", "")),
        options=tuple(str(text) for text in data.get("options", ())),
    )


def step_from_json(data: Mapping[str, Any]) -> Step:
    """Return the step of a line.

    Raises:
        BadInput, KeyError, TypeError, ValueError: the line does not hold a step.
    """
    return Step(
        index=int(data["index"]),
        frame=str(data["frame"]),
        frame_hash=str(data["frame_hash"]),
        proposed=_action_from_json(data["proposed"]),
        approved=_action_from_json(data["approved"]),
        executed=_action_from_json(data["executed"]),
        executor=data["executor"],
        proposal=None if data["proposal"] is None else _proposal_from_json(data["proposal"]),
        outcome=None if data["outcome"] is None else Outcome(**data["outcome"]),
        changed=data["changed"],
        note=data["note"],
        timings=dict(data["timings"]),
        origin=str(data.get("origin", "")),
        targets=tuple(element_from_json(one) for one in data.get("targets", ())),
    )


def _action_to_json(action: Action | None) -> dict[str, Any] | None:
    return None if action is None else to_json(action)


def _action_from_json(data: dict[str, Any] | None) -> Action | None:
    return None if data is None else from_json(data)


def _proposal_to_json(proposal: Proposal) -> dict[str, Any]:
    told = {key: value for key, value in plain(proposal).items() if key != "note"}  # it is the step's
    return {**told, "action": _action_to_json(proposal.action)}


def _proposal_from_json(data: Mapping[str, Any]) -> Proposal:
    failure = data["failure"]
    return Proposal(
        text=data["text"],
        action=_action_from_json(data["action"]),
        failure=None if failure is None else ParseFailure(**{**failure, "reason": ParseReason(failure["reason"])}),
        confidence=Confidence(**data["confidence"]),
        token_ids=tuple(data["token_ids"]),
        logprobs_T=tuple(float("nan") if v is None else v for v in data["logprobs_T"]),
        decision_T=tuple(data["decision_T"]),
        timings=dict(data["timings"]),
        adapter_version=data["adapter_version"],
    )


def read_meta(path: str | Path) -> dict[str, Any]:
    """Return meta.json of an episode folder.

    Raises:
        DemonstrationError: not an episode folder, damaged, or written by a newer showonce.
    """
    file = Path(path) / META
    try:
        meta = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DemonstrationError(
            f"{path} is not an episode folder: it has no {META}. Give the folder that `showonce record` made.",
            key="demonstration.no_episode",
        ) from None
    except (OSError, ValueError) as error:
        raise _unusable("meta", f"{file} cannot be read ({error}).") from None
    version = meta.get("schema_version") if isinstance(meta, dict) else None
    if not isinstance(version, int):
        raise _unusable("meta", f"{file} has no schema_version: not an episode folder.")
    if version > SCHEMA_VERSION:
        raise DemonstrationError(
            f"{path} was written by a newer showonce (schema {version}; this one reads up to {SCHEMA_VERSION}). "
            "Update showonce (pip install -U showonce), or record the episode again with this version.",
            key="demonstration.newer",
        )
    missing = [key for key in ("id", "task_id", "goal", "phase", "source") if not isinstance(meta.get(key), str)]
    if missing:
        raise _unusable("meta", f"{file} lacks {', '.join(missing)}.")
    return dict(meta)


def _read_steps(path: Path) -> list[tuple[Step, Mapping[str, Any]]]:
    """Return the steps with their lines; a torn last line is not there."""
    steps: list[tuple[Step, Mapping[str, Any]]] = []
    for number, data in enumerate(read_lines(path / STEPS)[0]):
        try:
            step = step_from_json(data)
        except (BadInput, KeyError, TypeError, ValueError) as error:
            raise _unusable("step", f"{path / STEPS} line {number + 1} is not a step: {error!r}.") from None
        if step.index != number:
            raise _unusable("step", f"{path / STEPS} line {number + 1} holds step {step.index}: a step is missing.")
        steps.append((step, data))
    return steps


def load_episode(path: str | Path) -> Episode:
    """Return a stored episode. One that was never finished has the steps so far, no outcome and reason `stopped`.

    Raises:
        DemonstrationError: not an episode folder, damaged, or of a newer schema.
    """
    folder = Path(path)
    meta = read_meta(folder)
    steps = tuple(step for step, _ in _read_steps(folder))
    finished = bool(meta.get("finished"))
    try:
        return Episode(
            id=meta["id"],
            task_id=meta["task_id"],
            goal=meta["goal"],
            seed=meta.get("seed"),
            phase=meta["phase"],
            steps=steps,
            stop_reason=StopReason(meta["stop_reason"]) if finished else StopReason.STOPPED,
            outcome=Outcome(**meta["outcome"]) if finished else UNFINISHED,
            seconds=float(meta["seconds"]) if finished else 0.0,
            adapter_version=meta.get("adapter_version", "base"),
            source=meta["source"],
            path=str(folder),
            lost=lost_of(meta),
            checks=_checks_of(meta),
            sends=sends_of(meta),
        )
    except (BadInput, KeyError, TypeError, ValueError) as error:
        raise _unusable("meta", f"{folder / META} is damaged: {error!r}.") from None


def task_to_json(task: Task) -> dict[str, Any]:
    """Return a task as a task file spells it, and `file`, where that file was."""
    limits, usual = plain(task.limits), plain(Limits())
    return {
        "id": task.id,
        "goal": task.goal,
        "environment": {"name": task.environment, "settings": plain(task.settings)},
        "start": task.start,
        "success": plain(task.success),
        "reset": task.reset,
        "limits": {key: value for key, value in limits.items() if value != usual[key]},
        "redact": plain(task.redact),
        "secret": dict(task.secret),
        "file": task.file,
    }


def lost_of(meta: Mapping[str, Any]) -> tuple[Lost, ...]:
    """Return what an episode does not hold of what was done in it; older episodes do not say, and count as complete.

    Raises:
        KeyError, TypeError, ValueError: the key `lost` of meta.json is damaged.
    """
    return tuple(Lost(int(one["step"]), str(one["text"])) for one in meta.get("lost") or ())


def sends_of(meta: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return after which steps of an episode the page sent data; None where that was not recorded.

    Raises:
        TypeError, ValueError: the key `sends` of meta.json is damaged.
    """
    found = meta.get("sends")
    return None if found is None else tuple(int(step) for step in found)


def _checks_of(meta: Mapping[str, Any]) -> tuple[Check, ...]:
    found = meta.get("checks") or ()
    return tuple(Check(int(one["step"]), str(one["text"]), check_regions([one["region"]])[0]) for one in found)


def in_sentences(lost: Sequence[Lost]) -> list[str]:
    """Return what is not in a recording, one sentence each, with the place where it happened."""
    return [f"{f'after step {one.step}' if one.step else 'before step 1'}: {one.text}" for one in lost]


def why_unfit(path: str | Path) -> str:
    """Return why an episode may not serve as a demonstration unless it is named; "" where it may.

    It was never finished, stopped, broke off, did not reach its goal, or nothing was done in it.

    Raises:
        DemonstrationError: as `read_meta`.
    """
    folder = Path(path)
    meta = read_meta(folder)
    if not meta.get("finished"):
        return "it was never finished"
    reason, outcome = meta.get("stop_reason"), meta.get("outcome")
    if reason in _BROKEN_OFF:
        return _BROKEN_OFF[reason]
    if isinstance(outcome, dict) and outcome.get("success") is False:
        return "it did not reach its goal"
    done = [line.get("executed") for line in read_lines(folder / STEPS)[0]]
    acted = any(isinstance(action, dict) and action.get("action") != Done.verb for action in done)
    return "" if acted else "nothing was done in it"


def load_observations(path: str | Path) -> tuple[Observation, ...]:
    """Return what was seen before each step, as stored: one observation a step.

    Raises:
        DemonstrationError: a frame is missing, cut off or not the one that was recorded.
    """
    folder = Path(path)
    read_meta(folder)
    return tuple(_observation(folder, step, data) for step, data in _read_steps(folder))


def _observation(folder: Path, step: Step, data: Mapping[str, Any]) -> Observation:
    if not step.frame:
        raise DemonstrationError(
            f"{folder} was stored without frames. Record it with output.save_frames=true.",
            key="demonstration.no_frames",
        )
    if Path(step.frame).name != step.frame:
        raise _unusable("frame", f"{folder / STEPS}: frame {step.frame!r} lies outside of the episode folder.")
    screen = data["screen"] or {}
    image = read_png(folder / step.frame)
    try:
        masked = check_regions(screen.get("masked") or [])
    except BadInput as error:
        raise _unusable("masked", f"{folder / STEPS}: {error}") from None
    observation = Observation(image, float(screen.get("scale", 1.0)), screen.get("text"), masked)
    if observation.hash != step.frame_hash:
        raise _unusable("frame", f"{folder / step.frame} is not the frame that was recorded.")
    return observation


def load_demonstration(path: str | Path) -> Demonstration:
    """Return the steps of a finished episode in which something was done, with their frames and notes.

    Example:
        >>> import numpy as np
        >>> from showonce.actions import Click
        >>> from showonce.demonstrations import save_demonstration
        >>> screen = Observation(np.zeros((48, 64, 3), np.uint8))
        >>> shown = Demonstration("mine/open", "open the box", (Frame(screen, Click(0.5, 0.25)),), "person", "")
        >>> [frame.action for frame in load_demonstration(save_demonstration(shown, "shown-once")).frames]
        [Click(x=0.5, y=0.25, held='')]

    Raises:
        DemonstrationError: not an episode folder, of a newer schema, never finished, without a goal, without
            steps, without frames, or with frames of several sizes.
    """
    folder = Path(path)
    meta = read_meta(folder)
    if not meta.get("finished"):
        raise _unusable("unfinished", f"{folder} was never finished (stopped or killed while recording).")
    if not meta["goal"].strip():
        raise _unusable("no_goal", f"{folder / META} has no goal.")
    shown = [(step, data) for step, data in _read_steps(folder) if step.executed is not None]
    if not shown:
        raise _unusable("empty", f"{folder} shows nothing: no step in it was executed.")
    person = meta["phase"] == "record"  # then the text of a step's proposal is the name of what it hit
    frames = tuple(
        Frame(
            _observation(folder, step, data),
            step.executed,
            step.note,
            step.proposal.text if person and step.proposal is not None else "",
            step.targets,
        )
        for step, data in shown
        if step.executed is not None
    )
    sizes = sorted({(f.observation.width, f.observation.height) for f in frames})
    if len(sizes) > 1:
        raise _unusable("sizes", f"{folder} has frames of several sizes {sizes}.")
    try:
        lost, checks, sends = lost_of(meta), _checks_of(meta), sends_of(meta)
    except (BadInput, KeyError, TypeError, ValueError) as error:
        raise _unusable("meta", f"{folder / META} is damaged: {error!r}.") from None
    return Demonstration(
        meta["task_id"], meta["goal"], frames, source=meta["source"], ref=str(folder), lost=lost, checks=checks,
        sends=sends,
    )  # fmt: skip


def check_complete(demonstration: Demonstration, accept: bool = False) -> None:
    """Check that a demonstration holds everything that was done in it. accept: a person says that it will do.

    Raises:
        DemonstrationError: it does not; the text says what is missing, and how to accept it.
    """
    if demonstration.lost and not accept:
        raise DemonstrationError(
            f"{demonstration.ref or 'the demonstration'} is incomplete. What was done there and is not in it: "
            f"{'; '.join(in_sentences(demonstration.lost))}. Record it again without that, or accept it as it is with "
            "experiment.incomplete=true.",
            key="demonstration.incomplete",
        )


def check_fit(demonstration: Demonstration, task: Task, width: int, height: int) -> None:
    """Check that a demonstration shows this task on a screen of this size.

    Raises:
        DemonstrationError: it is of another task or goal, or of another screen size; the text names both.
    """
    name = demonstration.ref or "the demonstration"
    if demonstration.task_id != task.id:
        raise DemonstrationError(
            f"{name} shows task {demonstration.task_id!r}, not {task.id!r}. "
            f"Record one with `showonce record task={task.id}`.",
            key="demonstration.task",
        )
    if task.goal and demonstration.goal != task.goal:  # a task without a goal draws one from its seed
        raise DemonstrationError(
            f"{name} was shown for the goal {demonstration.goal!r}; the goal of {task.id!r} is now {task.goal!r}. "
            f"Record it again with `showonce record task={task.id}`.",
            key="demonstration.goal",
        )
    for frame in demonstration.frames:
        seen = (frame.observation.width, frame.observation.height)
        if seen != (width, height):
            raise DemonstrationError(
                f"{name} was recorded on a screen of {seen[0]}x{seen[1]}; this one is {width}x{height}. "
                "Set the environment to that size, or record the demonstration again.",
                key="demonstration.screen",
            )
