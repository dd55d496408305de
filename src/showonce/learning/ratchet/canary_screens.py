"""Canaries on disk: one PNG per screen, and canaries.json, which is replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from showonce.actions import from_json, to_json
from showonce.demonstrations.format import encode_png, read_png
from showonce.errors import BadInput, StoreError
from showonce.fsio import atomic_write_bytes, atomic_write_json, make_folder
from showonce.learning.practice.buffer import turn_from_json, turn_to_json
from showonce.learning.ratchet.canaries import GROUPS, Canary
from showonce.types import Observation

INDEX: Final = "canaries.json"
SCHEMA: Final = 1


def save_canaries(folder: Path, canaries: Sequence[Canary]) -> None:
    """Write the whole set; screens that are no longer in it are removed.

    Raises:
        DiskError: it cannot be written; the old set stays readable.
        ValueError: two canaries have one id.
    """
    if len({c.id for c in canaries}) != len(canaries):
        raise ValueError("two canaries have one id.")
    make_folder(folder)
    rows = []
    for canary in canaries:
        name = f"{canary.observation.hash}.png"
        if not (folder / name).is_file():
            atomic_write_bytes(folder / name, encode_png(canary.observation.image), durable=False)
        rows.append(
            {
                "id": canary.id, "group": canary.group, "screen": name, "scale": canary.observation.scale,
                "goal": canary.goal, "answer": to_json(canary.answer), "task_id": canary.task_id,
                "progress": canary.progress, "history": [turn_to_json(turn) for turn in canary.history],
                "tolerance": canary.tolerance,
            }
        )  # fmt: skip
    atomic_write_json(folder / INDEX, {"schema": SCHEMA, "canaries": rows})
    kept = {row["screen"] for row in rows}
    for path in folder.glob("*.png"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def load_canaries(folder: Path) -> list[Canary]:
    """Read the set; an absent one is empty.

    Raises:
        StoreError: the index or a screen is damaged, of a newer schema, or does not fit its name.
    """
    if not (folder / INDEX).is_file():
        return []
    try:
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']}, this showonce reads {SCHEMA}")
        return [_read(folder, row) for row in data["canaries"]]
    except (OSError, ValueError, KeyError, TypeError, BadInput) as error:
        raise StoreError(
            f"the canaries in {folder} cannot be read ({error}). Remove the folder: they are collected again."
        ) from error


def _read(folder: Path, row: dict[str, object]) -> Canary:
    fields = dict(row)
    name, scale = str(fields.pop("screen")), float(str(fields.pop("scale")))
    observation = Observation(read_png(folder / name), scale)
    if name != f"{observation.hash}.png":
        raise ValueError(f"{name} was changed")
    if fields["group"] not in GROUPS:
        raise ValueError(f"unknown group {fields['group']!r}")
    answer, history = fields.pop("answer"), fields.pop("history")
    if not isinstance(answer, dict) or not isinstance(history, list):
        raise ValueError(f"canary {fields['id']!r} has no answer")
    return Canary(
        observation=observation,
        answer=from_json(answer),
        history=tuple(turn_from_json(turn) for turn in history),
        **fields,  # type: ignore[arg-type]
    )
