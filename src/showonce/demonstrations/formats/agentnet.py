"""OpenCUA's AgentNet: a JSONL file with one trajectory a line, and the screenshots in a folder `images` beside it.

    {"task_id": "...", "instruction": "...", "traj": [{"index": 0, "image": "x.png",
     "value": {"code": "pyautogui.click(x=0.16, y=0.27)", "action": "Click on cell C2", ...}}, ...], ...}

Source: the data card of xlangai/AgentNet on Hugging Face, and `data` of github.com/xlang-ai/OpenCUA. What its
summariser and reflector add (scores, thoughts) is neither read nor written, but for `action`, the sentence about a
step, which is our note.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from showonce.actions import points
from showonce.demonstrations.format import encode_png, lost_of
from showonce.demonstrations.formats import LeftOut, unused
from showonce.demonstrations.formats.pictures import one_size, read_picture
from showonce.demonstrations.formats.pyautogui import NoVerb, from_code, to_code
from showonce.errors import BadInput, DemonstrationError
from showonce.fsio import atomic_write_bytes, atomic_write_text, make_folder, plain
from showonce.types import Demonstration, Frame, Observation

FILE: Final = "agentnet.jsonl"
IMAGES: Final = "images"
SOURCES: Final = ("person", "oracle", "correction")  # written by us; AgentNet's own lines are a person's


_TRAJECTORY: Final = ("task_id", "instruction", "traj", "source", "lost")
_STEP: Final = ("index", "image", "value")
_VALUE: Final = ("code", "action")
_JUDGED: Final = (  # what models wrote about a step
    *("observation", "thought", "reflection", "last_step_correct", "last_step_redundant", "last_step_reflection"),
)


def read(path: Path, ignored: set[str]) -> Iterator[Demonstration | LeftOut]:
    """Yield every trajectory of a JSONL file.

    Raises:
        DemonstrationError: a line is not a trajectory, or one of its pictures is missing; the line is named.
    """
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{path} line {number}"
                if line.strip():
                    yield _trajectory(line, path.parent, where, ignored)
    except (OSError, UnicodeDecodeError) as error:
        raise DemonstrationError(f"{path} cannot be read: {error}.") from None


def _trajectory(line: str, folder: Path, where: str, ignored: set[str]) -> Demonstration | LeftOut:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise DemonstrationError(f"{where} is not JSON: {error}. Nothing was imported.") from None
    try:
        task, goal, steps = data["task_id"], data["instruction"], data["traj"]
        if not (isinstance(task, str) and task and isinstance(goal, str) and goal.strip() and steps):
            raise ValueError("task_id, instruction and traj must not be empty")
        unused(data, _TRAJECTORY, "", ignored)
        frames: list[Frame] = []
        pointer = None
        for at, step in enumerate(steps):
            value: Mapping[str, Any] = step["value"]
            unused(value, _VALUE, "value.", ignored)
            more = {**{k: v for k, v in step.items() if k not in _STEP}, **value}
            if unknown := [k for k, v in more.items() if k not in (*_VALUE, *_JUDGED) and v is not None]:
                said = f"{unknown[0]}={more[unknown[0]]!r} is not known here and may change what is done"
                return LeftOut(f"{where}, step {at}", said)
            try:
                action = from_code(str(value["code"]), pointer)
            except NoVerb as reason:
                return LeftOut(f"{where}, step {at}", str(reason))
            except (BadInput, ValueError, TypeError) as error:
                raise ValueError(f"traj[{at}]: {error}") from None
            pointer = (points(action) or (pointer,))[-1]
            image = read_picture([folder / IMAGES / str(step["image"]), folder / str(step["image"])], f"traj[{at}]")
            frames.append(Frame(Observation(image), action, str(value.get("action") or "")))
        one_size(frames)
        lost = lost_of(data)
    except (KeyError, TypeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DemonstrationError(f"{where}: {what}. Nothing was imported.") from None
    source = data.get("source") if data.get("source") in SOURCES else "person"
    task = task if "/" in task else f"agentnet/{task}"
    return Demonstration(task, goal, tuple(frames), str(source), where, lost=lost)


def write(demonstrations: Iterable[Demonstration], folder: Path) -> Path:
    """Write `agentnet.jsonl` and `images/` and return the file."""
    images = make_folder(folder / IMAGES)
    lines = []
    for number, shown in enumerate(demonstrations):
        steps = []
        for index, frame in enumerate(shown.frames):
            name = f"{number:05d}-{index:04d}.png"
            atomic_write_bytes(images / name, encode_png(frame.observation.image), durable=False)
            value = {"code": to_code(frame.action), "action": frame.note}
            steps.append({"index": index, "image": name, "value": value})
        line: dict[str, Any] = {
            "task_id": shown.task_id,
            "instruction": shown.goal,
            "source": shown.source,
            "traj": steps,
        }
        line |= {"lost": shown.lost} if shown.lost else {}
        lines.append(json.dumps(plain(line), ensure_ascii=False))
    atomic_write_text(folder / FILE, "".join(f"{line}\n" for line in lines))
    return folder / FILE
