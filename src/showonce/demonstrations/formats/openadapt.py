"""OpenAdapt's episode JSON: one file an episode, screenshots beside it.

Source: `openadapt_ml/schema/episode.py`, `schema/converters.py` and `ingest/capture.py` of openadapt-ml 0.17.0, schema
version 1.0.0. Places are read from the normalised coordinates where they are, else from pixels of `screen_size` or of
the picture. A scroll is counted in pixels, 100 a notch, or in the notches that a capture puts into `raw`. A capture
says a chord in `raw.keys`, and a modifier held during a click as an empty text before it and one after it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from showonce import actions as act
from showonce.actions import (
    MAX_NOTCHES,
    MODIFIERS,
    Action,
    chord_parts,
    from_json,
    from_pixel,
    held_in,
    points,
    to_json,
    to_pixel,
)
from showonce.demonstrations.format import encode_png, lost_of
from showonce.demonstrations.formats import LeftOut, unused
from showonce.demonstrations.formats.pictures import decode_picture, one_size, read_picture
from showonce.demonstrations.formats.pyautogui import NoVerb, from_code, key_names
from showonce.errors import BadInput, DemonstrationError
from showonce.fsio import atomic_write_bytes, atomic_write_json, make_folder, plain
from showonce.types import Demonstration, Frame, Image, Observation

SCHEMA: Final = "1.0.0"
OURS: Final = "showonce"  # our own action inside `raw`, for what the schema cannot say exactly
PIXELS: Final = 100  # of a scroll for one notch, as openadapt-ml's own converters count
Place = tuple[float, float]
_SOURCES: Final = {"human": "person"}
_POINTED: Final[dict[str, Any]] = {
    "click": act.Click, "double_click": act.DoubleClick, "right_click": act.RightClick, "hover": act.Move,
}  # fmt: skip
_EPISODE: Final = ("schema_version", "episode_id", "task_id", "instruction", "steps", "success", "source")
_STEP: Final = ("step_index", "observation", "action", "reasoning")
_SEEN: Final = ("screenshot_path", "screenshot_base64", "screen_size")
_SILENT: Final = (  # change no action
    *("element", "duration", "coordinates", "start_coordinates", "end_coordinates"),
    *("normalized_coordinates", "normalized_start", "normalized_end"),
)
_COUNTS: Final = ("modifiers", "held", "clicks", "click_count", "count")  # of `raw`: change the action


def read(path: Path, ignored: set[str]) -> Iterator[Demonstration | LeftOut]:
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
        yield _episode(data, file, text, ignored)


def _episode(data: Any, file: Path, text: str, ignored: set[str]) -> Demonstration | LeftOut:
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
        if data.get("success") is False:
            return LeftOut(str(file), "its success is false, so that it shows not how the task is done")
        kept = dict(data.get("metadata") or {})
        lost = lost_of(kept.pop(OURS, None) or {})
        unused({**data, "metadata": kept}, _EPISODE, "", ignored)
        reader = _Reader(ignored)
        for at, step in enumerate(steps):  # noqa: B007 (for the errors below)
            unused(step, _STEP, "steps.", ignored)
            reader.take(step, file.parent)
        reader.end()
        frames, at = reader.frames, None
        one_size(frames)
    except NoVerb as reason:
        return LeftOut(f"{file} line {_line(text, at or 0)}, step {at}", str(reason))
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


class _Reader:
    """Turns steps into frames. Raises NoVerb: a step does what no verb does."""

    def __init__(self, ignored: set[str]) -> None:
        self.frames: list[Frame] = []
        self._ignored = ignored
        self._held: tuple[str, ...] = ()  # pressed by an empty text and not let go yet
        self._pointer: Place | None = None

    def take(self, step: Mapping[str, Any], folder: Path) -> None:
        seen = step["observation"]
        unused(seen, _SEEN, "observation.", self._ignored)
        image = _picture(seen, folder)
        size = tuple(seen.get("screen_size") or ())
        data = {name: value for name, value in step["action"].items() if value is not None}
        action = self._action(data, (image.shape[1], image.shape[0]), size)
        if action is None:
            return
        if self._held:
            if not hasattr(action, "held"):
                raise NoVerb(f"{'+'.join(self._held)} is held during {action.verb}, or pressed alone")
            action = replace(action, held="+".join(dict.fromkeys((*self._held, *held_in(action)))))
        self._pointer = (points(action) or (self._pointer,))[-1]
        self.frames.append(Frame(Observation(image), action, str(step.get("reasoning") or "")))

    def end(self) -> None:
        if self._held:
            raise NoVerb(f"{'+'.join(self._held)} is pressed and not let go")

    def _action(self, data: dict[str, Any], picture: tuple[int, int], size: tuple[int, ...]) -> Any:
        """Return the action; None for the press or the release of a modifier that is held."""
        kind, raw = str(data.pop("type")), data.pop("raw", {})
        if isinstance(raw.get(OURS), dict):
            return from_json(raw[OURS])
        for name in raw:
            if name in _COUNTS:
                raise NoVerb(f"raw.{name}={raw[name]!r} is not known here and may change what is done")
        unused(raw, (OURS, "button", "keys", "dx", "dy", "original"), "action.raw.", self._ignored)
        at = _Places(data, picture, size)
        if str(raw.get("original")).startswith("pyautogui."):  # the converter drops its buttons and counts
            with contextlib.suppress(ValueError, TypeError):
                return from_code(raw["original"], self._pointer, at.counted)
            self._ignored.add("action.raw.original")
        keys = key_names(raw.get("keys"))
        if keys and (kind == "type" or not at.has("coordinates")):
            return self._keys(keys, str(data.get("text") or ""))
        if kind == "type" and not data["text"] and self._held:
            self._held = ()
            return None
        action = self._made(kind, data, raw, at)
        if isinstance(modifiers := data.pop("modifiers", None), list) and modifiers:
            if not hasattr(action, "held"):
                raise NoVerb(f"modifiers {modifiers} held during {kind} have no verb here")
            action = replace(action, held="+".join(key_names(modifiers)))
        for name, value in data.items():
            if name not in _SILENT and value not in ("", [], {}):
                raise NoVerb(f"{name}={value!r} of a {kind} has no place here and may change what is done")
            self._ignored.add(f"action.{name}")
        return action

    def _keys(self, keys: list[str], text: str) -> Action | None:
        """Read `raw.keys`: the names of the keys that went down, each once."""
        named = [key for key in keys if key not in MODIFIERS]
        if text:
            if odd := [key for key in named if len(key) > 1]:
                raise NoVerb(f"the keys {odd} were pressed somewhere within the text {text!r}")
            return act.Type(text)
        if len(named) > 1:
            raise NoVerb(f"the keys {keys} are not one chord")
        if not named:
            self._held = tuple(keys)
            return None
        return act.Key("+".join([*(key for key in keys if key in MODIFIERS), *named]))

    def _made(self, kind: str, data: dict[str, Any], raw: Mapping[str, Any], at: _Places) -> Any:
        button = str(raw.get("button") or "left")
        if button != "left" and not (button == "right" and kind in ("click", "right_click")):
            raise NoVerb(f"a {kind} with the {button} button has no verb here")
        if kind in _POINTED:
            place = at.take("coordinates", "normalized_coordinates") or at.of_element()
            if place is None:
                raise NoVerb(f"a {kind} on an element without a place")
            return (act.RightClick if button == "right" else _POINTED[kind])(*place)
        if kind == "drag":
            start = at.take("start_coordinates", "normalized_start") or at.take("coordinates", "normalized_coordinates")
            start, end = start or self._pointer, at.take("end_coordinates", "normalized_end")
            if start is None or end is None:
                raise NoVerb("a drag without both ends")
            return act.Drag(*start, *end)
        if kind == "scroll":
            return self._scroll(data, raw, at.take("coordinates", "normalized_coordinates") or self._pointer)
        if kind == "type":
            return act.Type(str(data.pop("text")))
        if kind in ("key", "hotkey"):
            return act.Key("+".join(key_names([*(data.pop("modifiers", None) or ()), str(data.pop("key"))])))
        if kind == "wait":
            return act.Wait(float(data.pop("duration", 0) or 1.0))
        if kind in ("goto", "open_app"):
            return act.Open(str(data.pop("url" if kind == "goto" else "app_name")))
        if kind == "done":
            return act.Done()
        raise NoVerb(f"{kind} has no verb here")

    def _scroll(self, data: dict[str, Any], raw: Mapping[str, Any], place: Place | None) -> Action:
        across, down = (float(raw.get(name) or 0) for name in ("dx", "dy"))
        pixels = abs(int(data.pop("scroll_amount", 0))) or PIXELS
        way = str(data.pop("scroll_direction", "down"))
        ways = {"down": (0, 1), "up": (0, -1), "right": (1, 0), "left": (-1, 0)}
        if way not in ways:
            raise ValueError(f"scroll_direction {way!r} is not known")
        notches = max(1, int(max(abs(across), abs(down)) + 0.5 if across or down else pixels / PIXELS + 0.5))
        if down:  # a capture counts a turn up as positive, and openadapt-ml's converter calls that down
            self._ignored.add("action.raw.dy (its sign: scroll_direction counts; openadapt-ml 0.17 turns it round)")
            notches = max(1, int(abs(down) + 0.5))
        dx, dy = (part * notches for part in ways[way])
        dx = round(across) if dy and across else dx
        if max(abs(dx), abs(dy)) > MAX_NOTCHES:
            raise NoVerb(f"a scroll of more than {MAX_NOTCHES} notches")
        return act.Scroll(*(place or (0.5, 0.5)), dy, dx)


class _Places:
    """The places of an action. picture, size: pixels of the screenshot and of the screen that pixels are counted on."""

    def __init__(self, data: dict[str, Any], picture: tuple[int, int], size: tuple[int, ...]) -> None:
        self._data, self._picture, self._size = data, picture, size

    def has(self, name: str) -> bool:
        return name in self._data or f"normalized_{name}" in self._data

    def take(self, pixel: str, normal: str) -> Place | None:
        """Take one place out of the data: the normalised one where it is there."""
        place, counted = self._data.pop(normal, None), self._data.pop(pixel, None)
        if place is not None:
            x, y = place
            return x, y
        return None if counted is None else self.counted(counted["x"], counted["y"])

    def of_element(self) -> Place | None:
        box = (self._data.get("element") or {}).get("bounds")
        if box is None:
            return None
        del self._data["element"]
        return self.counted(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def counted(self, x: float, y: float) -> Place:
        """Return a place in pixels as fractions. Raises ValueError: it lies outside."""
        width, height = self._size or self._picture
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"the pixel ({x}, {y}) lies outside of its picture of {width}x{height}")
        if (width, height) != self._picture:  # points of a screen whose picture has more pixels
            return x / width, y / height
        return from_pixel(int(x), width), from_pixel(int(y), height)


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
        data |= {"scroll_direction": ways[amount < 0], "scroll_amount": abs(amount) * PIXELS}
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
