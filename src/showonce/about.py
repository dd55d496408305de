"""What exactly is running: versions of showonce and its packages, the machine, the git revision of a checkout."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final

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
CHECKOUT: Final = Path(__file__).resolve().parents[2]  # the root of the source tree, when running from one


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
    """Return everything above in one JSON-ready object, for a run's folder and its first event."""
    return {
        "showonce": __version__,
        "git": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
    }
