"""Blanks regions of a frame before it is written to disk, and removes typed secrets from text and files.

Text typed into a plain field is not covered: it is part of the recorded action and of the model's answer.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

from showonce.errors import BadInput
from showonce.fsio import atomic_write_text
from showonce.types import Observation, Region


def check_regions(regions: Any) -> tuple[Region, ...]:
    """Return `regions` as (left, top, right, bottom) tuples of fractions of the frame.

    Raises:
        BadInput: not a list of four numbers in [0, 1] with left < right and top < bottom.
    """
    if not isinstance(regions, (list, tuple)):
        raise BadInput(f"redact must be a list of [left, top, right, bottom], not {regions!r}.")
    checked = []
    for region in regions:
        numbers = isinstance(region, (list, tuple)) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and 0.0 <= v <= 1.0 for v in region
        )
        if not numbers or len(region) != 4 or not (region[0] < region[2] and region[1] < region[3]):
            raise BadInput(
                f"redact region {region!r} must be [left, top, right, bottom] as fractions of the frame in [0, 1], "
                "with left < right and top < bottom."
            )
        checked.append((float(region[0]), float(region[1]), float(region[2]), float(region[3])))
    return tuple(checked)


def redact(observation: Observation, regions: Sequence[Region]) -> Observation:
    """Return a copy whose regions are black (`masked`) and whose page text is gone; the same object without regions.

    A pixel that a region touches is blanked whole. The text is dropped, since it is not known which words lie in
    a region.
    """
    if not regions:
        return observation
    image = observation.image.copy()
    height, width = image.shape[:2]
    for left, top, right, bottom in regions:
        rows = slice(math.floor(top * height), math.ceil(bottom * height))
        image[rows, math.floor(left * width) : math.ceil(right * width)] = 0
    inside = (tuple(min(max(edge, 0.0), 1.0) for edge in region) for region in regions)
    masked = {(a, b, c, d): None for a, b, c, d in (*observation.masked, *inside) if a < c and b < d}
    return dataclasses.replace(observation, image=image, text=None, masked=tuple(masked))


SECRET: Final = "<secret>"  # stands for what was typed into a field that may hold a secret
SHORTEST: Final = 4  # characters; shorter text is also found where nobody meant it
_LONG: Final = 6  # characters; shorter text counts only where it stands as a word of its own
_FIXED: Final = {  # values of our own files that are needed to read them: the program's words, and the task's goal
    "action", "adapter_version", "button", "checker", "executor", "frame", "frame_hash", "final_frame", "goal", "id",
    "keys", "kind", "name", "path", "phase", "ref", "source", "stop_reason", "task", "task_id", "type", "where",
}  # fmt: skip


class Secrets:
    """What was typed into fields that may hold a secret. Kept in memory only, to look for it in text and files."""

    def __init__(self) -> None:
        self._found: set[str] = set()
        self._run = ""

    def note(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Take the secrets out of a raw event (its keys `typed` and `values`) and return the event without them."""
        if event.get("secret"):
            backspace = event.get("key") == "backspace"
            self._run = self._run[:-1] if backspace else self._run + str(event.get("typed", ""))
        elif event["kind"] not in ("idle", "release"):
            self._found.add(self._run)
            self._run = ""
        self._found.update(map(str, event.get("values", ())))
        return {key: value for key, value in event.items() if key not in ("typed", "values")}

    @property
    def found(self) -> list[str]:
        """The secrets of at least SHORTEST characters, longest first, without those that begin another (half typed)."""
        held = {text.strip() for text in (*self._found, self._run)}
        held = {text for text in held if len(text) >= SHORTEST and SECRET not in text}
        whole = (text for text in held if not any(other != text and other.startswith(text) for other in held))
        return sorted(whole, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return a text with SECRET in place of every secret, also of its forms in JSON and in addresses."""
        for secret in self.found:
            forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
            forms |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
            for form in sorted(forms, key=len, reverse=True):
                if len(secret) >= _LONG:
                    text = text.replace(form, SECRET)
                else:
                    text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", SECRET, text)
        return text

    def scrub(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Look for every secret in every file below `folder`; return the files mended and those that still hold one.

        Text files are written anew with SECRET in its place; of JSON only values of free text, so that they stay
        readable. Left as they are: YAML (the person's own configuration and task), a goal, files that are no text.
        """
        mended, left = [], []
        for path in sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()):
            data = path.read_bytes()
            try:
                text = data.decode()
            except UnicodeDecodeError:
                long = [secret for secret in self.found if len(secret) >= _LONG]
                if any(secret.encode(form) in data for secret in long for form in ("utf-8", "utf-16-le")):
                    left.append(path)
                continue
            hidden = text if path.suffix == ".yaml" else self._hide_file(path, text)
            if hidden != text:
                atomic_write_text(path, hidden)
                mended.append(path)
            if any(secret in hidden for secret in self.found if len(secret) >= _LONG):
                left.append(path)
        return mended, left

    def _hide_file(self, path: Path, text: str) -> str:
        if path.suffix == ".jsonl":
            return "\n".join(self._hide_json(line, None) for line in text.split("\n"))
        return self._hide_json(text, 2) if path.suffix == ".json" else self.hide(text)

    def _hide_json(self, text: str, indent: int | None) -> str:
        try:
            value = json.loads(text)
        except ValueError:  # torn: as plain text
            return self.hide(text)
        hidden = self._hide_value(value, "")
        end = "\n" if text.endswith("\n") else ""
        return text if hidden == value else json.dumps(hidden, ensure_ascii=False, indent=indent) + end

    def _hide_value(self, value: Any, key: str) -> Any:
        if isinstance(value, str):
            return value if key in _FIXED else self.hide(value)
        if isinstance(value, list):
            return [self._hide_value(item, key) for item in value]
        if isinstance(value, dict):
            return {name: self._hide_value(item, name) for name, item in value.items()}
        return value
