"""What this installation is: its version and revision, and the configs and the checkpoint that are shipped with it."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from showonce.errors import BadInput, nearest

__version__ = "0.1.0"

PACKAGES: Final = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
    "hydra-core",
    "rich",
)
PACKAGE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = PACKAGE.parents[1]  # the root of the source tree, when running from one
Shipped = Literal["configs", "checkpoints"]


def package_versions() -> dict[str, str]:
    """Return name -> installed version of what decides about results; ``"missing"`` where it is not installed.

    Reads package metadata only: nothing is imported.
    """
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def git_revision() -> str | None:
    """Return the commit of the checkout that runs, with ``-dirty`` when tracked files differ; None outside of one."""
    if not (CHECKOUT / ".git").exists():
        return None
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def snapshot() -> dict[str, Any]:
    """Return versions, machine and revision in one JSON-ready object, for a run's folder and its first event."""
    return {
        "showonce": __version__,
        "git": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
    }


def shipped_root(kind: Shipped) -> Path:
    """Return the folder of everything shipped of one kind: inside the installed package, else in the source tree."""
    packed = PACKAGE / "_shipped" / kind
    return packed if packed.is_dir() else CHECKOUT / kind


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
