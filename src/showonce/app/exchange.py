"""`record --import` and `--export`: demonstrations from and to the formats of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from showonce.config import OutputConfig
from showonce.demonstrations.formats import Imported, export_episodes, import_file

IMPORTED: Final = "imported"  # folder below the logs


def import_demonstrations(output: OutputConfig, file: Path, form: str) -> Imported:
    """Import every demonstration of a foreign file below the log folder, or nothing. Raises as `import_file`."""
    return import_file(file, form, Path(output.logs) / IMPORTED)


def export_demonstrations(episodes: Sequence[str], folder: Path, form: str) -> Path:
    """Write episode folders in a foreign format and return what was written. Raises as `export_episodes`."""
    return export_episodes(episodes, form, folder)
