"""The active sheet of an XLSX file as a table. Read by openpyxl; written by putting cells into the sheet's XML.

openpyxl would write the whole file anew, without the values of its formulas and without what it does not know; so here
every other part of the file, and every other cell, stays as it is.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from showonce.errors import ConfigError, Unavailable
from showonce.fsio import atomic_write_bytes, explained

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_NO_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Unreadable(str):
    """The text of a cell that cannot be used; it says why."""


class Workbook:
    """An XLSX file. Raises Unavailable: openpyxl is missing."""

    def __init__(self, path: Path) -> None:
        try:
            import openpyxl
        except ImportError:
            raise Unavailable(
                f"{path}: XLSX files are read by openpyxl, which is not installed; pip install 'showonce[tables]', or "
                "save the table as CSV UTF-8."
            ) from None
        self._path, self._load = path, openpyxl.load_workbook
        self._title = ""

    def read(self) -> list[tuple[int, list[str]]]:
        """Return the number and cells of every row that is not empty. Raises ConfigError: no workbook."""
        with explained(self._path, "read"):
            data = self._path.read_bytes()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what openpyxl does not keep: nothing is written by it
                shown, written = (self._load(io.BytesIO(data), data_only=only) for only in (True, False))
        except Exception as error:  # whatever openpyxl, zipfile or the XML parser say
            raise ConfigError(f"{self._path} is no XLSX file that can be read ({error}).", key="table.xlsx") from None
        sheet: Any = shown.active
        formulas: Any = written.active
        if not hasattr(sheet, "iter_rows"):
            raise ConfigError(f"{self._path}: its active sheet is no table of cells.", key="table.xlsx")
        self._title = sheet.title
        found = []
        for cells, others in zip(sheet.iter_rows(), formulas.iter_rows(), strict=True):
            texts = [_text(cell, other) for cell, other in zip(cells, others, strict=True)]
            if any(text.strip() for text in texts):
                found.append((cells[0].row, texts))
        return [(number, texts[: _width(texts)]) for number, texts in found]

    def write(self, rows: Mapping[int, Mapping[int, str]]) -> None:
        """Set cells, by row number and by index of the column."""
        with explained(self._path, "read"):
            data = self._path.read_bytes()
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
            part = _part_of(source, self._title)
            for info in source.infolist():
                content = source.read(info)
                if info.filename == part:
                    xml = content.decode("utf-8")
                    for number, cells in rows.items():
                        xml = self._with_cells(xml, number, cells)
                    content = xml.encode("utf-8")
                target.writestr(info, content)
        atomic_write_bytes(self._path, out.getvalue())

    def _with_cells(self, xml: str, number: int, cells: Mapping[int, str]) -> str:
        row = re.search(rf'<((?:\w+:)?)row\b[^>]*?\sr="{number}"[^>]*?(?:(/)>|>(.*?)</\1row>)', xml, re.DOTALL)
        if row is None:
            raise ConfigError(
                f"{self._path}: row {number} has no number in it. Save it in Excel once.", key="table.xlsx"
            )
        prefix, body = row[1], row[3] or ""
        for column, text in cells.items():
            body = _with_cell(body, prefix, number, column, text)
        start = row[0][: row[0].index(">") + 1]
        start = start[:-2] + ">" if row[2] else start
        return xml[: row.start()] + f"{start}{body}</{prefix}row>" + xml[row.end() :]


def _with_cell(body: str, prefix: str, number: int, column: int, text: str) -> str:
    """Return the cells of a row with a text in one of them; the style that it had stays."""
    from openpyxl.utils import column_index_from_string, get_column_letter

    place, style, at = f"{get_column_letter(column + 1)}{number}", "", len(body)
    cell = rf'<{prefix}c\b[^>]*?\sr="([A-Z]+){number}"[^>]*?(?:/>|>.*?</{prefix}c>)'
    for hit in re.finditer(cell, body, re.DOTALL):
        there = column_index_from_string(hit[1]) - 1
        if there == column:
            kept = re.search(r'\ss="\d+"', hit[0][: hit[0].index(">")])
            style = kept[0] if kept else ""
            body, at = body[: hit.start()] + body[hit.end() :], hit.start()
            break
        if there > column:
            at = hit.start()
            break
    words = escape(_NO_XML.sub("", text))
    made = (
        f'<{prefix}c r="{place}"{style} t="inlineStr"><{prefix}is><{prefix}t xml:space="preserve">{words}'
        f"</{prefix}t></{prefix}is></{prefix}c>"
    )
    return body[:at] + made + body[at:]


def _part_of(source: zipfile.ZipFile, title: str) -> str:
    """Return the name of the part that holds a sheet."""
    book = ElementTree.fromstring(source.read("xl/workbook.xml"))
    ids = [sheet.get(_ID) for sheet in book.iter(f"{_MAIN}sheet") if sheet.get("name") == title]
    links = ElementTree.fromstring(source.read("xl/_rels/workbook.xml.rels"))
    target = next(str(link.get("Target")) for link in links if link.get("Id") == ids[0])
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _width(texts: list[str]) -> int:
    return max((at + 1 for at, text in enumerate(texts) if text.strip()), default=0)


def _text(cell: Any, formula: Any) -> str:
    """Return what a cell shows as text: a date as ISO, a whole number without a point."""
    value = cell.value
    if value is None:
        empty = "its formula has no value yet: open the file in Excel and save it"
        return Unreadable(empty) if formula.data_type == "f" else ""
    if cell.data_type == "e":
        return Unreadable(f"it is {value}")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, (date, time)):
        return value.isoformat() if isinstance(value, date) else value.isoformat("minutes")
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        whole = str(int(value)) if float(value).is_integer() else repr(value)
        return whole.zfill(len(cell.number_format)) if re.fullmatch("0+", cell.number_format) else whole
    return str(value)
