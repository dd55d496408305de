"""The verb `do` on the command line: words, questions for missing data, and what came of each row."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from showonce.cli.codes import STOPPED

if TYPE_CHECKING:
    from showonce.app.do import Chore, DoReport, RowResult


def run_do(
    what: str, words: Sequence[str], config_name: str | None, *, rows: str | None, again: bool, nobody: bool,
    settle: str | None, quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Do a task as the command line says; return the exit code. Raises as `app.do`."""
    from showonce.app.do import do, find_chore, split_words
    from showonce.app.do import settle as settle_row
    from showonce.app.effects import check_config
    from showonce.cli.terminal import Quiet, Terminal, progress_bar, say
    from showonce.config import Config
    from showonce.settings import load_config

    keys = [field.name for field in dataclasses.fields(Config)]
    dotted = [word for word in words if "." in (key := word.partition("=")[0]) and key.split(".")[0] in keys]
    first = load_config(config_name or "do", dotted)
    terminal: Terminal = Quiet() if quiet else Terminal()
    chore = find_chore(what, first.output.logs, terminal.tell)
    given, overrides = split_words(words, chore, keys)
    config = load_config(config_name or "do", overrides, lambda config, keys: check_config("do", config, keys))
    if settle is not None:
        said = settle_row(chore, given, config, rows, settle)
        say(json.dumps({"settled": said}) if as_json else said)
        return 0
    if rows is None and not (nobody or quiet or as_json):
        given |= _asked(chore, given)
    with ExitStack() as stack:
        bars: list[Callable[[int], None]] = []

        def told(result: RowResult, total: int) -> None:
            if not bars and total > 1 and not quiet:
                bars.append(stack.enter_context(progress_bar("rows", total)))
            if as_json:
                say(json.dumps(row_json(result), ensure_ascii=False))
            elif not quiet:
                say(row_text(result))
            if (quiet or as_json) and result.code:
                receipt = f". Receipt: {result.receipt}" if result.receipt else ""
                print(f"showonce: {row_text(result)}{receipt}", file=sys.stderr)
            for advance in bars:
                advance(1)

        report = do(chore, given, config, terminal, rows=rows, again=again, nobody=nobody, told=told)
    if as_json:
        say(json.dumps(summary_json(report), ensure_ascii=False))
    elif not quiet:
        say(summary_text(report))
    return STOPPED if report.stopped else report.code


def row_text(result: RowResult) -> str:
    """Return what came of a row on one line."""
    row = f"row {result.row}: " if result.row is not None else ""
    data = ", ".join(f"{name}={value}" for name, value in result.values.items())
    already = " already" if result.already and not result.code else ""
    return f"{row}{result.verdict}{already}{f' ({data})' if data else ''}: {result.why}"


def row_json(result: RowResult) -> dict[str, object]:
    """Return a row as a program reads it: row, key, values, verdict, code, why, already, receipt, seconds."""
    return {
        "row": result.row, "key": result.key, "values": result.values, "verdict": str(result.verdict),
        "code": result.code, "why": result.why, "already": result.already, "receipt": result.receipt,
        "seconds": round(result.seconds, 2),
    }  # fmt: skip


def summary_json(report: DoReport) -> dict[str, object]:
    """Return the last object of --json: task, rows, count by verdict, the exit code, and the run's folder."""
    return {
        "summary": True, "task": report.task, "rows": len(report.results), "verdicts": _counts(report),
        "code": STOPPED if report.stopped else report.code, "run": str(report.folder or ""),
    }  # fmt: skip


def summary_text(report: DoReport) -> str:
    """Return where the receipt is (of a table: of the last row that is not done), and how many rows came to what."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in _counts(report).items())
    rows = f"{len(report.results)} rows: {counts}. " if len(report.results) > 1 else ""
    told = sorted((one for one in report.results if one.receipt), key=lambda one: one.code != 0)  # stable
    last = told[-1].receipt if told else ""
    return f"{rows}{f'Receipt: {last}' if last else ''}".strip()


def _counts(report: DoReport) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in report.results:
        found[str(one.verdict)] = found.get(str(one.verdict), 0) + 1
    return found


def _asked(chore: Chore, given: dict[str, str]) -> dict[str, str]:
    """Ask on a terminal for the parameters that are missing; elsewhere nothing is asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return {}
    import click

    missing = [one for one in chore.values if one.kind == "parameter" and not one.optional and one.name not in given]
    return {one.name: click.prompt(one.name, default=one.recorded, err=True) for one in missing}
