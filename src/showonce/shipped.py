"""Finds what travels with showonce: the configs and the embedded checkpoint, in a wheel or in the source tree."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from showonce.errors import BadInput, nearest

Shipped = Literal["configs", "checkpoints"]
PACKAGE: Final = Path(__file__).resolve().parent


def shipped_root(kind: Shipped) -> Path:
    """Return the folder of everything shipped of one kind: inside the installed package, else in the source tree."""
    packed = PACKAGE / "_shipped" / kind
    return packed if packed.is_dir() else PACKAGE.parents[1] / kind


def shipped_names(kind: Shipped) -> tuple[str, ...]:
    """Return the names that `shipped` accepts: top-level YAML files without their ending, or checkpoint folders."""
    root = shipped_root(kind)
    if kind == "configs":
        return tuple(sorted(path.stem for path in root.glob("*.yaml")))
    return tuple(sorted(path.parent.name for path in root.glob("*/config.json")))


def shipped(kind: Shipped, name: str) -> Path:
    """Return the path of a shipped config (a YAML file) or checkpoint (a folder) by its name.

    Raises:
        BadInput: nothing of that name is shipped (nearest named).
    """
    names = shipped_names(kind)
    if name not in names:
        raise BadInput(f"no {kind.removesuffix('s')} {name!r} is shipped.{nearest(name, names)}")
    return shipped_root(kind) / (f"{name}.yaml" if kind == "configs" else name)
