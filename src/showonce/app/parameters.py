"""The verb `parameters`: the values of a recording are listed and named; its contact sheet shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from showonce.demonstrations import load_demonstration, load_episode, read_meta
from showonce.demonstrations.format import encode_png
from showonce.demonstrations.naming import changed, follows
from showonce.demonstrations.sheet import contact_sheet
from showonce.demonstrations.values import Value, load_values, save_values, to_json
from showonce.fsio import atomic_write_bytes

SHEET: Final = "contact_sheet.png"


@dataclass(frozen=True)
class Parameters:
    """The values of an episode. follows: name -> where else its text stands, e.g. "goal", "step 7"."""

    path: Path
    values: tuple[Value, ...]
    follows: Mapping[str, tuple[str, ...]]

    def to_json(self) -> list[dict[str, Any]]:
        """Return one mapping for each value, as in parameters.json."""
        return [to_json(value) | {"follows": list(self.follows.get(value.name, ()))} for value in self.values]


def parameters(path: str | Path, words: Sequence[str] = ()) -> Parameters:
    """Return the values of an episode after the changes that `words` ask for, which are stored with it.

    Raises:
        DemonstrationError: not an episode, or its parameters.json cannot be used. ConfigError: as `naming.changed`.
    """
    folder = Path(path).expanduser()
    values, episode = load_values(folder), load_episode(folder)
    if words:
        values = changed(values, words, episode)
        save_values(folder, values)
        draw_sheet(folder, values)
    success = (read_meta(folder).get("task") or {}).get("success") or {}
    return Parameters(folder, values, follows(values, episode, str(success.get("value", ""))))


def draw_sheet(folder: Path, values: Sequence[Value]) -> Path:
    """Draw the contact sheet of an episode, with the names of its values, and return the picture."""
    sheet = folder / SHEET
    atomic_write_bytes(sheet, encode_png(contact_sheet(load_demonstration(folder), values)))
    return sheet
