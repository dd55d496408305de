"""What a replay found although it had changed, kept as versions of a recording's targets (`versions.store`).

The recording itself is never written to: the store lies beside it, in the folder `targets` of its run. Version v0000
holds the recorded targets. A replay that found a changed target saves a candidate, which acts from then on only if that
replay's success was verified; `showonce rollback EPISODE --to v0000` goes back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from showonce.demonstrations.format import element_from_json, element_to_json
from showonce.errors import StoreError, StoreLocked
from showonce.types import Demonstration, Element
from showonce.versions.store import STORE, Identity, Requirements, VersionStore

KIND: Final = "targets"  # of the store's content
FOLDER: Final = "targets"
EPISODES: Final = "episodes"
FILE: Final = "targets.json"  # a list a step: its targets
VERIFIED: Final = "verified"  # the check that a version needs before it acts


@dataclass(frozen=True)
class Repair:
    """A target that was found although it is not as it was recorded. step: from 0. changed: what, for a person."""

    step: int
    recorded: Element
    found: Element
    changed: tuple[str, ...]


def store_folder(path: str | Path) -> Path:
    """Return where the versions of a recording's targets lie."""
    folder = Path(path)
    outer = folder.parent.parent if folder.parent.name == EPISODES else folder.parent
    return outer / FOLDER / folder.name


def with_repairs(shown: Demonstration, path: str | Path) -> Demonstration:
    """Return a demonstration with the targets of the version that acts; itself where nothing was ever repaired."""
    place = store_folder(path)
    if not (place / STORE).is_file():
        return shown
    with VersionStore(place.parent, place.name, readonly=True) as store:
        if store.champion is None:
            return shown
        steps = json.loads(store.load_files().files[FILE].read_bytes())
    if len(steps) != len(shown.frames):
        return shown
    frames = [
        replace(frame, targets=tuple(element_from_json(one) for one in targets))
        for frame, targets in zip(shown.frames, steps, strict=True)
    ]
    return replace(shown, frames=tuple(frames))


def keep_repairs(
    stored: Demonstration, path: str | Path, repairs: Sequence[Repair], verified: bool, same_data: bool, episode: str
) -> str:
    """Save repaired targets as a new version and return its name; "" where another process has the store.

    stored: the demonstration as it is acted from, with its own data. verified: success was, so the version acts from
    now on. same_data: else what stands around a target may be of other data and stays as it was. episode: id of the
    replay that found them.
    """
    place = store_folder(path)
    try:
        with VersionStore(
            place.parent, place.name, Identity(KIND, Path(path).name), requirements=Requirements((VERIFIED,))
        ) as store:
            if not store.versions():
                first = store.save_files({FILE: _payload([frame.targets for frame in stored.frames])})
                store.ledger.add_evidence(first, VERIFIED, True, "as recorded")
                store.promote(first, "as recorded")
            targets = [list(frame.targets) for frame in stored.frames]
            for repair in repairs:
                targets[repair.step] = [
                    _repaired(one, repair, same_data) if one == repair.recorded else one
                    for one in targets[repair.step]
                ]  # fmt: skip
            told = {f"step {repair.step + 1}": list(repair.changed) for repair in repairs}
            payload = _payload(targets)
            version = next((one for one in store.versions() if store.verify(one)[FILE].read_bytes() == payload), "")
            if version in store.ledger.quarantine:  # a person went back from it
                return version
            version = version or store.save_files({FILE: payload}, details={"changed": told}, sources=[episode])
            if verified and version != store.champion:
                store.ledger.add_evidence(version, VERIFIED, True, episode)
                store.promote(version, f"success was verified in {episode}")
            return version
    except StoreLocked:
        return ""


def is_targets(folder: Path) -> bool:
    """Whether a folder is a store of targets. Raises StoreError: it is damaged."""
    try:
        return bool(json.loads((folder / STORE).read_bytes()).get("kind") == KIND)
    except FileNotFoundError:
        return False
    except ValueError:
        raise StoreError(f"{folder / STORE} is damaged.", key="store.damaged") from None


def _repaired(recorded: Element, repair: Repair, same_data: bool) -> Element:
    found = repair.found
    near = found.near if same_data else recorded.near
    return replace(
        recorded, name=found.name, role=found.role, text=found.text, attributes=found.attributes, near=near, bound=()
    )  # fmt: skip


def _payload(targets: Sequence[Sequence[Element]]) -> bytes:
    return json.dumps([[element_to_json(one) for one in step] for step in targets], ensure_ascii=False).encode()
