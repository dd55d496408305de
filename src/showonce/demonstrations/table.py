"""A table of rows, one run each: CSV or XLSX. Its header names the values; a column `result` says what came of a row.

Everything is checked when the table is opened, before anything is done. A result is written at once and atomically;
nothing else in the file changes: in a CSV all other lines stay byte for byte, in an XLSX all other parts.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from showonce.demonstrations.binding import check_given, checked, checked_as, row_key
from showonce.demonstrations.values import Value
from showonce.demonstrations.workbook import Unreadable, Workbook
from showonce.errors import BadInput, ConfigError, DiskError, nearest
from showonce.fsio import atomic_write_bytes, explained

RESULT: Final = "result"
WHEN: Final = "when"
DONE: Final = "done"  # how the result of a row begins that needs no other run
MOST_TOLD: Final = 12  # faults of a table that one error lists
_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True)
class Row:
    """A line of a table. number: as a person counts them, the header is 1 (of a CSV: the line it begins on).

    values: name -> text, for `bind`. key: equal for rows of the same data and task. result: what stands in the column.
    """

    number: int
    values: dict[str, str]
    key: str
    result: str = ""

    @property
    def done(self) -> bool:
        """Whether it was done before."""
        return self.result.strip().lower().startswith(DONE)


class _File(Protocol):
    """A table as it lies on the disk."""

    def read(self) -> list[tuple[int, list[str]]]:
        """Return the number and cells of every row that is not empty, the header first."""

    def write(self, rows: Mapping[int, Mapping[int, str]]) -> None:
        """Set cells, by the number of their row and the index of their column from 0: all of them or none."""


@dataclass
class Table:
    """An open table. rows: all of them, in order. told: sentences for the person, such as columns that nothing uses."""

    path: Path
    rows: tuple[Row, ...]
    told: tuple[str, ...]
    _file: _File
    _cells: dict[int, list[str]] = field(repr=False)
    _columns: tuple[int, int] = field(repr=False)

    def write(self, row: Row, result: str, when: str) -> None:
        """Write what came of a row into its columns `result` and `when`; both are added where they are missing.

        Raises:
            DiskError: it is open elsewhere, or cannot be written. ConfigError: its rows were changed meanwhile.
        """
        check_free(self.path)
        now = dict(self._file.read())
        kept = [column for column in range(len(self._cells[row.number])) if column not in self._columns]
        if [_cell(now.get(row.number, []), c) for c in kept] != [_cell(self._cells[row.number], c) for c in kept]:
            raise ConfigError(
                f"{self.path}: row {row.number} is another one than when the table was opened, so its result "
                f"({result}) was not written. Leave the rows where they are until all are done.",
                key="table.changed",
            )
        header = dict(zip(self._columns, (RESULT, WHEN), strict=True))
        first = min(now)
        new = {column: name for column, name in header.items() if not _cell(now[first], column).strip()}
        self._file.write({first: new, row.number: dict(zip(self._columns, (result, when), strict=True))})
        self.rows = tuple(replace(one, result=result) if one.number == row.number else one for one in self.rows)


def open_table(
    path: str | Path, values: Sequence[Value] = (), task: str = "", given: Mapping[str, str] | None = None
) -> Table:
    """Open a table and check every row. values: of the recording. task: its id, for the keys. given: the same each row.

    Raises:
        ConfigError: no such file, empty, open elsewhere, no column for a parameter, a name given twice, rows that
            cannot be used or are the same; the text names file, rows and columns. Unavailable: XLSX without openpyxl.
    """
    file = Path(path).expanduser()
    given = dict(given or {})
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file.", key="table.file")
    check_free(file)
    source: _File
    if file.suffix.lower() in (".xlsx", ".xlsm"):
        source = Workbook(file)
    elif file.suffix.lower() in (".csv", ".tsv", ".txt"):
        source = _Csv(file)
    else:
        raise ConfigError(f"{file}: a table is a .csv or .xlsx file, not {file.suffix or 'one without a suffix'}.")
    lines = source.read()
    if len(lines) < 2:
        raise ConfigError(f"{file} {'has a header and no rows' if lines else 'is empty'}.", key="table.empty")
    header = lines[0][1]
    names, told = _columns(file, header, values, given)
    taken = [value.name for value in values]
    at = tuple(_own(header, name, taken, number) for number, name in enumerate((RESULT, WHEN)))
    rows, faults = [], list[str]()
    for number, cells in lines[1:]:
        result, wrong = _cell(cells, at[0]), list[str]()
        texts = _texts(number, cells, header, names, given, wrong)
        rows.append(Row(number, texts, row_key(task, texts), result))
        faults += [] if rows[-1].done else wrong
    faults += _twice(rows)
    if faults:
        more = f"\n  and {len(faults) - MOST_TOLD} more" if len(faults) > MOST_TOLD else ""
        listed = "\n  ".join(["", *faults[:MOST_TOLD]])
        raise ConfigError(f"{file}: nothing was done, since not every row can be:{listed}{more}", key="table.rows")
    unused = [column for column, name in zip(header, (_fold(one) for one in header), strict=True) if name]
    used = {header[column] for column in names}
    unused = [one for one in unused if one not in used and _fold(one) not in (RESULT, WHEN)]
    told += [f"{file}: no value takes the column{'s' * (len(unused) > 1)} {', '.join(unused)}."] if unused else []
    return Table(file, tuple(rows), tuple(told), source, dict(lines), (at[0], at[1]))


def check_free(path: Path) -> None:
    """Refuse a file that another program has open, or that cannot be replaced. Raises DiskError."""
    for lock, program in ((f"~${path.name}", "Excel"), (f".~lock.{path.name}#", "LibreOffice")):
        if path.with_name(lock).exists():
            raise DiskError(
                f"{path} is open in {program}: close it there first (if it is not, delete {path.with_name(lock)}).",
                key="table.open",
            )
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        raise DiskError(
            f"{path}: results are written into it, and you may not write there. Copy it to a folder of your own.",
            key="table.open",
        )


def letter(column: int) -> str:
    """Return the name of a column as a spreadsheet has it: 0 is A, 26 is AA."""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text


# ------------------------------------------------------------------------------------------ columns and rows


def _fold(text: str) -> str:
    return re.sub(r"[\s_*:-]+", "", text).casefold()


def _cell(cells: Sequence[str], column: int) -> str:
    return cells[column] if column < len(cells) else ""


def _columns(
    file: Path, header: Sequence[str], values: Sequence[Value], given: dict[str, str]
) -> tuple[dict[int, Value], list[str]]:
    """Return which column holds which value, by its name or its label; case, spaces, ``_`` and ``*`` do not count.

    given: checked, and then as it is typed.
    """
    known = {value.name: value for value in values}
    for name in given:
        check_given(name, known)
        given[name] = checked_as(known[name], given[name])
    named = {_fold(value.name): value for value in values}
    labels = [_fold(value.label) for value in values]
    named = {_fold(v.label): v for v in values if v.label and labels.count(_fold(v.label)) == 1} | named
    found: dict[int, Value] = {}
    told: list[str] = []
    for column, text in enumerate(header):
        value = named.get(_fold(text))
        where = f"{file}, column {letter(column)} ({text})"
        if value is None or not _fold(text):
            continue
        if value.kind == "constant":
            told.append(
                f"{where}: {value.name} is a constant, so the column is not used; `showonce parameters EPISODE "
                f"{value.name}=parameter` changes that."
            )
        elif value.kind == "secret":
            raise ConfigError(f"{where}: {value.name} is a secret, which has no place in a file.", key="table.secret")
        elif value.name in [one.name for one in found.values()] or value.name in given:
            other = f"{value.name}=" if value.name in given else "another column"
            raise ConfigError(f"{where}: {other} gives the same value.", key="values.twice")
        else:
            found[column] = value
    for value in values:
        if value.kind == "parameter" and not value.optional and value not in found.values() and value.name not in given:
            free = [text for column, text in enumerate(header) if column not in found and _fold(text)]
            raise ConfigError(
                f"{file} has no column {value.name!r}.{nearest(value.name, free)} Or give it for all rows: "
                f"{value.name}=...",
                key="table.column",
            )
    return found, told


def _own(header: Sequence[str], name: str, taken: Sequence[str], more: int) -> int:
    """Return the index of the column `result` or `when`; behind the last one where there is none yet."""
    if name not in taken:
        for column, text in enumerate(header):
            if _fold(text) == name:
                return column
    return len(header) + more


def _texts(
    number: int, cells: Sequence[str], header: Sequence[str], names: Mapping[int, Value], given: Mapping[str, str],
    faults: list[str],
) -> dict[str, str]:  # fmt: skip
    texts = dict(given)
    for column, value in names.items():
        text = _cell(cells, column)
        if isinstance(text, Unreadable):
            faults.append(f"row {number}, column {letter(column)} ({header[column]}): {text}")
            continue
        if not text.strip() and value.kind == "computed":  # an empty cell: as it is computed
            continue
        try:
            texts[value.name] = checked(value, text)
        except BadInput as error:
            texts[value.name] = text.strip()
            faults.append(f"row {number}, column {letter(column)} ({header[column]}): {error}")
    return texts


def _twice(rows: Sequence[Row]) -> list[str]:
    first: dict[str, int] = {}
    faults = []
    for row in rows:
        if row.key in first and row.values:
            faults.append(f"rows {first[row.key]} and {row.number} have the same data: it would be done twice")
        first.setdefault(row.key, row.number)
    return faults


# ------------------------------------------------------------------------------------------ CSV


class _Csv:
    """A CSV file: UTF-8, with or without a byte order mark. Delimiter and line ends are those of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[tuple[int, list[str]]]:
        found = []
        for number, raw in self._records()[0]:
            cells = self._parsed(raw)
            if any(cell.strip() for cell in cells):
                found.append((number, cells))
        return found

    def write(self, rows: Mapping[int, Mapping[int, str]]) -> None:
        records, head = self._records()
        out = []
        for at, raw in records:
            if cells := rows.get(at):
                row = self._parsed(raw)
                row += [""] * (max(cells) + 1 - len(row))
                for column, text in cells.items():
                    row[column] = text
                raw = self._spelt(row, raw, records[0][1])
            out.append(raw)
        atomic_write_bytes(self._path, (head + "".join(out)).encode("utf-8"))

    def _records(self) -> tuple[list[tuple[int, str]], str]:
        """Return the number of the first line of each record with its text, line end included, and what is before."""
        with explained(self._path, "read"):
            data = self._path.read_bytes()
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ConfigError(f"{self._path} is UTF-16: save it as CSV UTF-8.", key="table.encoding")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            wrong = f"{self._path} line {line} is not UTF-8: save it as CSV UTF-8."
            raise ConfigError(wrong, key="table.encoding") from None
        head = "\ufeff" if text.startswith("\ufeff") else ""
        lines = io.StringIO(text[len(head) :], newline="").readlines()
        first = 1
        if lines and re.match(r"sep=.\r?\n?$", lines[0], re.IGNORECASE):  # a line that Excel writes and reads
            self._delimiter = lines[0][4]
            head, lines, first = head + lines[0], lines[1:], 2
        else:
            self._delimiter = _delimiter(lines[0] if lines else "")
        records: list[tuple[int, str]] = []
        before = 0
        reader = csv.reader(lines, delimiter=self._delimiter, skipinitialspace=True)
        try:
            for _ in reader:
                records.append((first + before, "".join(lines[before : reader.line_num])))
                before = reader.line_num
        except csv.Error as error:
            raise ConfigError(f"{self._path} line {first + before}: {error}.", key="table.csv") from None
        return records, head

    def _parsed(self, raw: str) -> list[str]:
        return next(csv.reader(io.StringIO(raw, newline=""), delimiter=self._delimiter, skipinitialspace=True), [])

    def _spelt(self, row: Sequence[str], raw: str, header: str) -> str:
        """Return a record in the dialect of the file: everything quoted where its header is."""
        body = header.rstrip("\r\n")
        every = body.startswith('"') and body.endswith('"') and body.count('"') == 2 * len(self._parsed(header))
        ends = header[len(body) :] or raw[len(raw.rstrip("\r\n")) :] or "\n"
        out = io.StringIO(newline="")
        csv.writer(
            out, delimiter=self._delimiter, lineterminator=ends, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
        ).writerow(row)
        return out.getvalue()


def _delimiter(header: str) -> str:
    """Return what parts the cells of a header: the sign that stands most often outside of quotes; else a comma."""
    outside = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=outside.count) if any(sign in outside for sign in _DELIMITERS) else ","
