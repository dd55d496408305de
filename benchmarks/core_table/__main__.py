"""README's table: every goal of the project beside what was reached. Hours on two cores; the same command goes on.

    python -m benchmarks.core_table                              # all parts, into logs/core_table
    python -m benchmarks.core_table --parts single,multi         # some parts; the others stay as they are
    python -m benchmarks.core_table --workers ray                # on a Ray cluster: ray.address=HOST:PORT
    python -m benchmarks.core_table --print                      # measure nothing, print what is there
    python -m benchmarks.core_table --quick                      # less than a minute, into logs/core_table_quick
    python -m benchmarks.core_table evaluation.split=dev evaluation.apps=2 run_dir=logs/small    # other settings

A finished job leaves a line in the folder and is not done again; Ctrl-C stops cleanly. A folder keeps the settings
it was begun with; only further evaluation.seeds may follow. Settings are those of `showonce run`, on top of
core_table.yaml.

Exit code: 0 all rows with a goal reached it, 1 one missed it, 2 one was not run (or bad input), 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.core_table.schedule import STEPS
from benchmarks.core_table.table import Table, core_table, markdown, rich_table, table_of
from benchmarks.verdict import EXIT_CODES
from showonce.app.jobs import make_bench
from showonce.config import RAY, Config, Workers
from showonce.errors import ShowonceError
from showonce.runs.folder import start_run
from showonce.runs.index import finish_run
from showonce.runs.layout import CONFIG
from showonce.settings import load_config

SETTINGS: Final = Path(__file__).with_name("core_table.yaml")
QUICK: Final = ("evaluation.per_family=2", "run_dir=logs/core_table_quick")
QUICK_PARTS: Final = ("skills", "overhead")


def fill(config: Config, parts: Sequence[str], workers: Workers) -> Table:
    """Do the missing jobs of some parts in the folder config.run_dir and return the table.

    Raises:
        ConfigError: an unknown part. BadInput: the folder was begun under other settings. Stopped: Ctrl-C.
    """
    if config.run_dir and (Path(config.run_dir) / CONFIG).is_file():
        config = replace(config, resume=config.run_dir)
    folder, reason = start_run(config), "stopped"
    try:
        table = core_table(config, folder, make_bench, parts, workers)
        reason = "completed"
    finally:
        finish_run(folder, config.output.logs, reason)
    return table


def workers_in(word: str) -> Workers:
    """Return the number, or ray. Raises ValueError: neither."""
    return word if word == RAY else int(word)


def exit_code(table: Table) -> int:
    """Return 1 where a row missed its goal, else 2 where one was not run, else 0."""
    if table.count("missed"):
        return EXIT_CODES["FAIL"]
    return EXIT_CODES["NOT MEASURED" if table.count("not run") else "PASS"]


def main(words: Sequence[str] | None = None) -> int:
    """Fill the table, print it, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.core_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parts", default="", help=f"with commas between them, default all: {', '.join(STEPS)}")
    parser.add_argument(
        "--workers",
        type=workers_in,
        default=2,
        help="processes of one thread each; 0 = all in this one; or ray",
    )
    parser.add_argument("--print", action="store_true", help="measure nothing, print the table of the folder")
    parser.add_argument(
        "--quick", action="store_true", help=f"two screens of each skill; parts {', '.join(QUICK_PARTS)}"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="as of `showonce run`; run_dir=PATH: the folder"
    )
    given = parser.parse_args(words)
    parts = [part for part in given.parts.split(",") if part] or (list(QUICK_PARTS) if given.quick else [])
    try:
        config = load_config(SETTINGS, [*(QUICK if given.quick else ()), *given.settings])
        folder = Path(config.run_dir)
        table = table_of(config, folder) if given.print else fill(config, parts, given.workers)
    except ShowonceError as error:
        print(f"core_table: {error}", file=sys.stderr)
        return error.exit_code
    out = Console()
    if out.is_terminal:
        out.print(rich_table(table))
    else:
        print(markdown(table).partition("\n\n")[0])
    print(f"{table.summary}. Everything is in {folder}.")
    return exit_code(table)


if __name__ == "__main__":
    sys.exit(main())
