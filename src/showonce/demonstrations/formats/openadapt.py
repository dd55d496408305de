"""OpenAdapt's episode JSON: one file an episode, screenshots beside it.

Source: `openadapt_ml/schema/episode.py` of openadapt-ml, schema version 1.0.0. Places are read from the normalised
coordinates where they are, else from pixels and the size of the picture. Scrolls are in pixels there.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from showonce import actions as act
from showonce.actions import (
    MODIFIERS,
    NOTCH_PIXELS,
    Action,
    chord_parts,
    from_json,
    from_pixel,
    held_in,
    to_json,
    to_pixel,
)
from showonce.demonstrations.format import encode_png, lost_of
from showonce.demonstrations.formats import LeftOut
from showonce.demonstrations.formats.pictures import decode_picture, one_size, read_picture
from showonce.errors import BadInput, DemonstrationError
from showonce.fsio import atomic_write_bytes, atomic_write_json, make_folder, plain
from showonce.types import Demonstration, Frame, Image, Observation

SCHEMA: Final = "1.0.0"
OURS: Final = "showonce"  # our own action inside `raw`, for what the schema cannot say exactly
_SOURCES: Final = {"human": "person"}
_POINTED: Final[dict[str, Any]] = {
    "click": act.Click, "double_click": act.DoubleClick, "right_click": act.RightClick, "hover": act.Move,
}  # fmt: skip


def read(path: Path) -> Iterator[Demonstration | LeftOut]:
    """Yield the episode of a file, or every one of the `*.json` in a folder.

    Raises:
        DemonstrationError: a file is not an episode, or one of its pictures is missing; file and line are named.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise DemonstrationError(f"{path} holds no *.json. Nothing was imported.")
    for file in files:
        try:
            text = file.read_text("utf-8")
            data = json.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            raise DemonstrationError(f"{file} cannot be read: {error}.") from None
        except ValueError as error:
            raise DemonstrationError(f"{file} is not JSON: {error}. Nothing was imported.") from None
        yield _episode(data, file, text)


def _episode(data: Any, file: Path, text: str) -> Demonstration | LeftOut:
    at: int | None = None
    try:
        if not isinstance(data, dict):
            raise ValueError("it holds no object")
        name, goal, steps = data["episode_id"], data["instruction"], data["steps"]
        version = str(data.get("schema_version", SCHEMA))
        if version.split(".")[0] != SCHEMA.split(".")[0]:
            raise ValueError(f"schema_version {version} is not {SCHEMA}")
        if not (isinstance(goal, str) and goal.strip() and isinstance(steps, list) and steps):
            raise ValueError("instruction and steps must not be empty")
        frames: list[Frame] = []
        for at, step in enumerate(steps):
            image = _picture(step["observation"], file.parent)
            action = _action(step["action"], image)
            if isinstance(action, str):
                return LeftOut(f"{file} line {_line(text, at)}, step {at}", action)
            frames.append(Frame(Observation(image), action, str(step.get("reasoning") or "")))
        at = None
        one_size(frames)
        lost = lost_of((data.get("metadata") or {}).get(OURS) or {})
    except (BadInput, KeyError, TypeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        where = f"{file}" if at is None else f"{file} line {_line(text, at)}, steps[{at}]"
        raise DemonstrationError(f"{where}: {what}. Nothing was imported.") from None
    task = str(data.get("task_id") or f"openadapt/{name}")
    source = _SOURCES.get(str(data.get("source") or "human"), "oracle")
    return Demonstration(task, goal, tuple(frames), source, str(file), lost=lost)


def _line(text: str, index: int) -> int:
    """Return the line on which a step begins."""
    decoder, at = json.JSONDecoder(), text.index('"steps"')
    at = text.index("[", at) + 1
    for _ in range(index + 1):
        while text[at] in " \t\r\n,":
            at += 1
        start = at
        at = decoder.raw_decode(text, at)[1]
    return text.count("\n", 0, start) + 1


def _picture(observation: Mapping[str, Any], folder: Path) -> Image:
    inline = observation.get("screenshot_base64")
    if inline:
        try:
            return decode_picture(base64.b64decode(inline, validate=True), "screenshot_base64")
        except binascii.Error as error:
            raise ValueError(f"screenshot_base64 is not base64 ({error})") from None
    name = str(observation.get("screenshot_path") or "")
    if not name:
        raise ValueError("it has no screenshot")
    return read_picture([folder / name, folder / Path(name).name], "screenshot_path")


def _action(data: Mapping[str, Any], image: Image) -> Action | str:
    """Return the action, or why it has no verb here."""
    kind, raw = str(data["type"]), data.get("raw") or {}
    if isinstance(raw, dict) and isinstance(raw.get(OURS), dict):
        return from_json(raw[OURS])
    if kind in _POINTED:
        made: Action | str = _pointed(kind, data, image)
        return made
    if kind == "drag":
        start, end = (_place(data, f"normalized_{one}", f"{one}_coordinates", image) for one in ("start", "end"))
        return act.Drag(*start, *end) if start and end else "a drag without both ends"
    if kind == "scroll":
        return _scroll(data, image)
    if kind == "type":
        return act.Type(str(data["text"]))
    if kind in ("key", "hotkey"):
        held = [str(name).lower() for name in data.get("modifiers") or ()]
        return act.Key("+".join([*held, str(data["key"])]))
    if kind == "wait":
        return act.Wait(float(data.get("duration") or 1.0))
    if kind in ("goto", "open_app"):
        return act.Open(str(data["url" if kind == "goto" else "app_name"]))
    return act.Done() if kind == "done" else f"{kind} has no verb here"


def _pointed(kind: str, data: Mapping[str, Any], image: Image) -> Any:
    place = _place(data, "normalized_coordinates", "coordinates", image)
    return _POINTED[kind](*place) if place else f"a {kind} on an element without a place"


def _scroll(data: Mapping[str, Any], image: Image) -> Action | str:
    place = _place(data, "normalized_coordinates", "coordinates", image) or (0.5, 0.5)
    pixels = abs(int(data.get("scroll_amount") or NOTCH_PIXELS))  # the schema counts in pixels
    notches = max(1, int(pixels / NOTCH_PIXELS + 0.5))
    way = str(data.get("scroll_direction") or "down")
    ways = {"down": (0, 1), "up": (0, -1), "right": (1, 0), "left": (-1, 0)}
    if way not in ways:
        raise ValueError(f"scroll_direction {way!r} is not known")
    dx, dy = (part * notches for part in ways[way])
    return act.Scroll(*place, dy, dx)


def _place(data: Mapping[str, Any], normal: str, pixel: str, image: Image) -> tuple[float, float] | None:
    if data.get(normal) is not None:
        x, y = data[normal]
        return x, y
    if data.get(pixel) is not None:
        height, width = image.shape[:2]
        x, y = int(data[pixel]["x"]), int(data[pixel]["y"])
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"the pixel ({x}, {y}) lies outside of its picture of {width}x{height}")
        return from_pixel(x, width), from_pixel(y, height)
    return None


def write(demonstrations: Iterable[Demonstration], folder: Path) -> Path:
    """Write one JSON an episode, its pictures in a folder of its name, and return the folder."""
    for number, shown in enumerate(demonstrations):
        name = f"episode_{number:05d}"
        make_folder(folder / name)
        steps = []
        for index, frame in enumerate(shown.frames):
            picture = f"{name}/step_{index}.png"
            atomic_write_bytes(folder / picture, encode_png(frame.observation.image), durable=False)
            size = (frame.observation.width, frame.observation.height)
            steps.append({
                "step_index": index,
                "observation": {"screenshot_path": picture, "screen_size": size},
                "action": _written(frame.action, *size),
                "reasoning": frame.note or None,
            })  # fmt: skip
        data: dict[str, Any] = {
            "schema_version": SCHEMA, "episode_id": name, "task_id": shown.task_id, "instruction": shown.goal,
            "steps": steps, "source": "human" if shown.source != "oracle" else "synthetic",
        }  # fmt: skip
        if shown.lost:
            data["metadata"] = {OURS: {"lost": plain(shown.lost)}}
        atomic_write_json(folder / f"{name}.json", data)
    return folder


def _written(action: Action, width: int, height: int) -> dict[str, Any]:
    kinds = {
        "move": "hover",
        "triple_click": "double_click",
        "open": "goto" if "://" in getattr(action, "target", "") else "open_app",
        "ask": "wait",
    }
    data: dict[str, Any] = {"type": kinds.get(action.verb, action.verb), "raw": {OURS: to_json(action)}}
    if modifiers := held_in(action):
        data["modifiers"] = list(modifiers)

    def place(name: str, x: float, y: float) -> None:
        pixel = f"{name}_coordinates" if name else "coordinates"
        data[f"normalized_{name or 'coordinates'}"] = (x, y)
        data[pixel] = {"x": to_pixel(x, width), "y": to_pixel(y, height)}

    if isinstance(action, act.Drag):
        place("start", action.x, action.y)
        place("end", action.to_x, action.to_y)
    elif act.points(action):
        place("", *act.points(action)[0])
    if isinstance(action, act.Scroll):
        amount, ways = (action.dy, ("down", "up")) if action.dy else (action.dx, ("right", "left"))
        data |= {"scroll_direction": ways[amount < 0], "scroll_amount": abs(amount) * NOTCH_PIXELS}
    elif isinstance(action, act.Key):
        *held, key = chord_parts(action.keys)
        assert set(held) <= set(MODIFIERS)
        data |= {"type": "hotkey" if held else "key", "key": key, "modifiers": held or None}
    elif isinstance(action, act.Type):
        data["text"] = action.text
    elif isinstance(action, act.Wait):
        data["duration"] = action.seconds
    elif isinstance(action, act.Open):
        data["url" if "://" in action.target else "app_name"] = action.target
    return data
