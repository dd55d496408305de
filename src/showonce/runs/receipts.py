"""What was done for one task, by its data: the ledger that keeps a row from being sent twice, and the receipts.

    LOGS/receipts/TASK/      a folder a task
      rows/KEY.json          what came of one row's data so far; KEY: `demonstrations.binding.row_key`
      receipts.jsonl         a line an attempt
      lock.json, .lock       held while a command does this task (`versions.lock`)
    RUN/receipts/ROW/        a folder an attempt: receipt.json, receipt.md and the pictures that it shows

A row is `SENDING` from before its first decisive step on; that is on the disk before the step is done. A process that
is killed then leaves it so, and nobody can tell whether it was sent: it is not done again until a person says what came
of it.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from showonce.errors import DiskError, StoreLocked
from showonce.fsio import LineWriter, atomic_write_json, atomic_write_text, explained, make_folder, read_lines
from showonce.runs.layout import RECEIPT, RECEIPT_PAGE, RECEIPTS
from showonce.secrets import KNOWN
from showonce.versions.lock import StoreLock

ROWS: Final = "rows"
LINES: Final = "receipts.jsonl"
DAY: Final = 86400.0  # seconds
POLL: Final = 0.2  # seconds between two tries to get the lock


class RowState(StrEnum):
    """How far one row's data got."""

    SENDING = "sending"  # its first decisive step was about to be done; nothing was heard since
    UNSURE = "unsure"  # something was sent, and success was not verified
    DONE = "done"  # success was verified


@dataclass(frozen=True)
class Entry:
    """What the ledger says of one row's data. when: unix seconds. receipt: folder of its last receipt."""

    state: RowState
    when: float
    why: str = ""
    receipt: str = ""

    @property
    def day(self) -> str:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.when))


class Ledger:
    """The rows of one task. logs: the setting `output.logs`."""

    def __init__(self, logs: str | Path, task_id: str) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", task_id).strip("-.") or "task"
        self.folder = Path(logs) / RECEIPTS / name
        self._rows = self.folder / ROWS

    @contextlib.contextmanager
    def held(self, wait_seconds: float) -> Iterator[None]:
        """Hold the task's lock for the length of a block; wait so long for whoever holds it.

        Raises:
            StoreLocked: another live process still holds it; the text names it.
        """
        lock, end = StoreLock(make_folder(self.folder)), time.monotonic() + wait_seconds
        while True:
            try:
                lock.acquire()
                break
            except StoreLocked as error:
                if time.monotonic() >= end:
                    more = "" if wait_seconds else " do.wait_seconds=60 waits for it."
                    raise StoreLocked(f"this task is being done by another command: {error}{more}") from None
                time.sleep(POLL)
        try:
            yield
        finally:
            lock.release()

    def get(self, key: str) -> Entry | None:
        """Return what is known of a row's data, None if nothing. Raises DiskError: its file is damaged."""
        path = self._path(key)
        if not path.is_file():
            return None
        with explained(path, "read"):
            text = path.read_text("utf-8")
        try:
            data = json.loads(text)
            return Entry(
                RowState(data["state"]), float(data["when"]), str(data.get("why", "")), str(data.get("receipt", ""))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DiskError(
                f"{path} is damaged ({error}), so it cannot be told whether this row was sent. Look whether it was, "
                "and delete the file if it was not."
            ) from None

    def put(self, key: str, state: RowState, values: Mapping[str, str], why: str = "", receipt: str = "") -> None:
        """Write what is known of a row's data; it is on the disk when this returns."""
        make_folder(self._rows)
        entry = {"state": state, "when": time.time(), "why": why, "receipt": receipt, "values": dict(values)}
        atomic_write_json(self._path(key), KNOWN.hide_value(entry))

    def forget(self, key: str) -> None:
        """Let a row's data be done again."""
        with explained(self._path(key)):
            self._path(key).unlink(missing_ok=True)

    def note(self, line: Mapping[str, Any]) -> None:
        """Add the line of an attempt to the task's list of receipts."""
        writer = LineWriter(make_folder(self.folder) / LINES)
        try:
            writer.write(KNOWN.hide_value(dict(line)))
        finally:
            writer.close(durable=True)

    def thin(self, keep_days: float) -> int:
        """Remove the pictures of receipts that are older than so many days; the receipts stay. 0 keeps all.

        Returns how many pictures were removed.
        """
        if keep_days <= 0:
            return 0
        removed = 0
        for line in read_lines(self.folder / LINES)[0]:
            when, folder = line.get("when"), line.get("receipt")
            if isinstance(when, (int, float)) and isinstance(folder, str) and time.time() - when > keep_days * DAY:
                places = {folder, str(line.get("episode") or folder)}
                for picture in (one for place in places for one in Path(place).glob("*.png")):
                    with explained(picture):
                        picture.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self._rows / f"{key}.json"


@dataclass(frozen=True)
class Picture:
    """A step whose screens are kept. before, after: files of frames; "" where there is none."""

    step: int  # from 1
    words: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Receipt:
    """What one attempt was, for a person and for programs. Steps are counted from 1.

    verdict: done | not reached | in doubt | broke | stopped. why: one line. decisive: the steps from which on
    something was sent. steps: each with its action and what it hit.
    """

    task: str
    goal: str
    recording: str
    values: dict[str, str]
    key: str
    tier: str
    verdict: str
    code: int
    why: str
    begun: float
    seconds: float
    row: int | None = None
    evidence: str = ""
    episode: str = ""
    decisive: tuple[int, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    repaired: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


def write_receipt(folder: Path, receipt: Receipt) -> Path:
    """Write receipt.json, receipt.md and copies of the pictures into a folder, and return the folder."""
    make_folder(folder)
    kept = []
    for one in receipt.pictures:
        names = {}
        for side in ("before", "after"):
            source = Path(getattr(one, side) or "")
            if source.name and source.is_file():
                names[side] = f"{side}-{one.step}.png"
                with explained(folder / names[side]):
                    shutil.copyfile(source, folder / names[side])
        kept.append(Picture(one.step, one.words, names.get("before", ""), names.get("after", "")))
    data = {"schema_version": 1, **vars(receipt), "pictures": [vars(one) for one in kept]}
    atomic_write_json(folder / RECEIPT, KNOWN.hide_value(data))
    atomic_write_text(folder / RECEIPT_PAGE, KNOWN.hide(_page(receipt, kept)))
    return folder


def _page(receipt: Receipt, pictures: Sequence[Picture]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(receipt.begun))
    row = f", row {receipt.row}" if receipt.row is not None else ""
    facts = {
        "verdict": f"**{receipt.verdict}** (exit code {receipt.code}): {receipt.why}",
        "seen": receipt.evidence,
        "when": f"{when}, {receipt.seconds:.1f} s",
        "data": ", ".join(f"{name} = {value}" for name, value in receipt.values.items()) or "as recorded",
        "by": f"{receipt.tier}, from {receipt.recording}",
        "found although changed": "; ".join(receipt.repaired),
    }
    lines = [f"# {_cell(receipt.goal or receipt.task)}{row}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(text)} |" for name, text in facts.items() if text]
    for one in pictures:
        lines += ["", f"## Step {one.step}: {_cell(one.words)}", ""]
        sides = (("before", one.before), ("after", one.after))
        lines += [f"{side}: ![{side} step {one.step}]({name})" for side, name in sides if name]
    lines += ["", "## All steps", "", "| step | what was done | on | |", "|---|---|---|---|"]
    for step in receipt.steps:
        mark = "decisive" if step["step"] in receipt.decisive else ""
        lines.append(f"| {step['step']} | {_cell(step['did'])} | {_cell(step.get('on', ''))} | {mark} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
