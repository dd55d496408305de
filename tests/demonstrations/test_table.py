from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from showonce.demonstrations.table import Table, open_table
from showonce.demonstrations.values import Value
from showonce.errors import BadInput, ConfigError, DiskError

VALUES = (
    Value("customer", "parameter", "Grace Hopper", "Find a customer", (1,)),
    Value("due_date", "parameter", "2026-11-30", "Due date *", (2,), form="%Y-%m-%d"),
    Value("note", "parameter", "soon", "Note", (3,), longest=10, optional=True),
    Value("subject", "computed", "Call", "Subject", (4,), "Call {customer}"),
    Value("user", "constant", "clerk", "User", (5,)),
    Value("password", "secret", "", "Password", (6,)),
)
HEAD = "customer,due date,note\n"


def table(folder: Path, text: str, name: str = "rows.csv", **more: Any) -> Table:
    file = folder / name
    file.write_bytes(text.encode("utf-8"))
    return open_table(file, VALUES, "user/crm", **more)


def says(folder: Path, text: str, **more: Any) -> str:
    with pytest.raises(BadInput) as error:
        table(folder, text, **more)
    assert str(folder / "rows.csv") in str(error.value)
    return str(error.value)


def test_a_row_is_one_run_and_results_are_written_beside_it(tmp_path: Path) -> None:
    made = table(tmp_path, HEAD + 'Ann Lee,2026-12-01,\n"Lee, Bo",2026-12-02,"a ""b"""\n')
    assert [row.values for row in made.rows] == [
        {"customer": "Ann Lee", "due_date": "2026-12-01", "note": ""},
        {"customer": "Lee, Bo", "due_date": "2026-12-02", "note": 'a "b"'},
    ]
    assert [row.number for row in made.rows] == [2, 3] and len({row.key for row in made.rows}) == 2
    made.write(made.rows[1], "done, ticket 7", "2026-11-28 16:00")
    made.write(made.rows[0], "asked: which?", "2026-11-28 16:01")
    assert (tmp_path / "rows.csv").read_text("utf-8").splitlines() == [
        "customer,due date,note,result,when",
        "Ann Lee,2026-12-01,,asked: which?,2026-11-28 16:01",
        '"Lee, Bo",2026-12-02,"a ""b""","done, ticket 7",2026-11-28 16:00',
    ]
    again = open_table(tmp_path / "rows.csv", VALUES, "user/crm")
    assert [row.done for row in again.rows] == [False, True] == [row.done for row in made.rows]
    assert [row.key for row in again.rows] == [row.key for row in made.rows]
    assert not again.told


@pytest.mark.parametrize("start", ["", "\ufeff", "sep=;\r\n"])
def test_the_dialect_of_a_csv_stays(tmp_path: Path, start: str) -> None:
    text = (
        start
        + '"Find a customer";"Due Date";"shoe size"\r\n"Änn;Lee";"2026-12-01";"39"\r\n;;\r\n"Bo"; "2026-12-02";\r\n'
    )
    made = table(tmp_path, text)
    assert [row.values["customer"] for row in made.rows] == ["Änn;Lee", "Bo"]
    assert made.told == (f"{tmp_path / 'rows.csv'}: no value takes the column shoe size.",)
    made.write(made.rows[0], "done", "now")
    lines = (tmp_path / "rows.csv").read_bytes().decode("utf-8").removeprefix(start).split("\r\n")
    assert lines == [
        '"Find a customer";"Due Date";"shoe size";"result";"when"', '"Änn;Lee";"2026-12-01";"39";"done";"now"',
        ";;", '"Bo"; "2026-12-02";', "",
    ]  # fmt: skip
    assert (tmp_path / "rows.csv").read_bytes().decode("utf-8").startswith(start)


def test_a_cell_of_several_lines_counts_by_the_line_it_begins_on(tmp_path: Path) -> None:
    text = HEAD + 'Ann,2026-12-01,"\n"\nBo,2026-12-02,\n'
    made = table(tmp_path, text)
    assert [row.number for row in made.rows] == [2, 4]
    made.write(made.rows[1], "done", "now")
    assert (tmp_path / "rows.csv").read_text("utf-8").endswith('Ann,2026-12-01,"\n"\nBo,2026-12-02,,done,now\n')


def test_columns_result_and_when_that_are_there_are_used(tmp_path: Path) -> None:
    made = table(tmp_path, "When,Result,customer,due date\nold,failed,Ann,2026-12-01\n,,Bo,2026-12-02")
    made.write(made.rows[1], "done", "now")
    assert (tmp_path / "rows.csv").read_text("utf-8").splitlines()[1:] == [
        "old,failed,Ann,2026-12-01",
        "now,done,Bo,2026-12-02",
    ]


def test_what_is_the_same_for_all_rows_may_be_given(tmp_path: Path) -> None:
    made = table(tmp_path, "customer\nAnn\nBo\n", given={"due_date": " 2026-12-1"})
    assert made.rows[1].values == {"customer": "Bo", "due_date": "2026-12-01"}
    assert "due_date= gives the same value" in says(
        tmp_path, HEAD + "A,2026-12-01,\n", given={"due_date": "2026-12-01"}
    )


def test_everything_wrong_with_the_rows_is_said_at_once(tmp_path: Path) -> None:
    text = HEAD + "Ann,2026-12-01,\n,2026-12-01,\nBo,1.12.2026,much too long a note\nAnn, 2026-12-01 ,\n"
    assert says(tmp_path, text).splitlines()[1:] == [
        "  row 3, column A (customer): it is empty",
        "  row 4, column B (due date): '1.12.2026' is no date as it is written here (2026-12-31)",
        "  row 4, column C (note): 'much too long a note'... has 20 characters, and 10 fit",
        "  rows 2 and 5 have the same data: it would be done twice",
    ]


def test_a_row_that_is_done_is_not_judged_again(tmp_path: Path) -> None:
    made = table(tmp_path, "customer,due date,result\nAnn,1.12.2026,Done: 7\nBo,2026-12-02,\n")
    assert [row.done for row in made.rows] == [True, False]
    assert "the same data" in says(tmp_path, "customer,due date,result\nAnn,2026-12-01,done\nAnn,2026-12-01,\n")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        (HEAD, "has a header and no rows"),
        ("custmer,due date\nA,2026-12-01\n", "has no column 'customer'. Did you mean 'custmer'?"),
        ("customer,Customer,due date\nA,B,2026-12-01\n", "another column gives the same value"),
        ("customer,password,due date\nA,B,2026-12-01\n", "password is a secret"),
        ('customer,due date\n"A\x00,1\n', "row"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, part: str) -> None:
    assert part in says(tmp_path, text)


def test_a_column_of_a_constant_is_told(tmp_path: Path) -> None:
    made = table(tmp_path, "customer,due date,user\nA,2026-12-01,bob\n")
    assert "user is a constant" in made.told[0] and "user" not in made.rows[0].values


@pytest.mark.parametrize(("data", "part"), [("ä".encode("latin-1"), "line 2 is not UTF-8"), (b"", "is UTF-16")])
def test_other_encodings_are_refused(tmp_path: Path, data: bytes, part: str) -> None:
    content = HEAD.encode() + data if data else HEAD.encode("utf-16")
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=part):
        open_table(tmp_path / "rows.csv", VALUES)


@pytest.mark.parametrize(("lock", "program"), [("~$rows.csv", "Excel"), (".~lock.rows.csv#", "LibreOffice")])
def test_a_table_that_is_open_elsewhere_is_not_touched(tmp_path: Path, lock: str, program: str) -> None:
    made = table(tmp_path, HEAD + "Ann,2026-12-01,\n")
    (tmp_path / lock).touch()
    with pytest.raises(DiskError, match=program):
        open_table(tmp_path / "rows.csv", VALUES)
    with pytest.raises(DiskError, match=program):
        made.write(made.rows[0], "done", "now")
    assert "done" not in (tmp_path / "rows.csv").read_text("utf-8")


def test_a_missing_and_a_foreign_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        open_table(tmp_path / "rows.csv", VALUES)
    (tmp_path / "rows.ods").touch()
    with pytest.raises(ConfigError, match=r"not \.ods"):
        open_table(tmp_path / "rows.ods", VALUES)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    table(tmp_path, HEAD + "Ann,2026-12-01,\n")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DiskError, match="you may not write there"):
            open_table(tmp_path / "rows.csv", VALUES)
    finally:
        tmp_path.chmod(0o700)


def test_rows_that_were_moved_meanwhile_get_no_foreign_result(tmp_path: Path) -> None:
    made = table(tmp_path, HEAD + "Ann,2026-12-01,\nBo,2026-12-02,\n")
    (tmp_path / "rows.csv").write_text(HEAD + "Bo,2026-12-02,\nAnn,2026-12-01,\n", "utf-8")
    with pytest.raises(ConfigError, match="row 2 is another one"):
        made.write(made.rows[0], "done", "now")
    (tmp_path / "rows.csv").write_text(HEAD + "Ann,2026-12-01,\nBo,2026-12-02,\nCy,2026-12-03,\n", "utf-8")
    made.write(made.rows[1], "done", "now")  # a row was added at the end
    assert "Bo,2026-12-02,,done,now" in (tmp_path / "rows.csv").read_text("utf-8")


# ------------------------------------------------------------------------------------------ XLSX


def book(path: Path, fill: Callable[[Any], None]) -> Path:
    from openpyxl import Workbook

    made = Workbook()
    fill(made.active)
    made.create_sheet("Other")["A1"] = "=1+1"
    made.save(path)
    return path


def rows_of(path: Path) -> list[list[Any]]:
    from openpyxl import load_workbook

    return [[cell.value for cell in row] for row in load_workbook(path).worksheets[0].iter_rows()]


def fill(sheet: Any) -> None:
    from openpyxl.styles import Font, PatternFill

    sheet.append(["Customer", "Due date", "note", "total"])
    sheet.append(["Ann", date(2026, 12, 1), 7, "=1+2"])
    sheet.append(["Bo", datetime(2026, 12, 2), 1.5])
    sheet.append([])
    sheet.append(["Cy & <Co>", "2026-12-03", True])
    sheet["C2"].number_format = "000"
    sheet["A1"].font = Font(bold=True)
    sheet["B3"].fill = PatternFill("solid", start_color="FFFF00")
    sheet.column_dimensions["A"].width = 33


def test_a_workbook_keeps_everything_but_the_cells_that_are_written(tmp_path: Path) -> None:
    path = book(tmp_path / "rows.xlsx", fill)
    before = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    made = open_table(path, VALUES, "user/crm")
    assert [row.values for row in made.rows] == [
        {"customer": "Ann", "due_date": "2026-12-01", "note": "007"},
        {"customer": "Bo", "due_date": "2026-12-02", "note": "1.5"},
        {"customer": "Cy & <Co>", "due_date": "2026-12-03", "note": "TRUE"},
    ]
    assert [row.number for row in made.rows] == [2, 3, 5]
    made.write(made.rows[2], "done <7> & \x07", "2026-11-28 16:00")
    made.write(made.rows[0], "failed", "2026-11-28 16:01")
    made.write(made.rows[0], "done", "2026-11-28 16:02")
    after = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    assert [name for name in before if after[name] != before[name]] == ["xl/worksheets/sheet1.xml"]
    assert rows_of(path)[0][4:] == ["result", "when"] and rows_of(path)[1][3:] == ["=1+2", "done", "2026-11-28 16:02"]
    assert rows_of(path)[4][4] == "done <7> & "
    again = open_table(path, VALUES, "user/crm")
    assert [row.done for row in again.rows] == [True, False, True]
    assert [row.key for row in again.rows] == [row.key for row in made.rows]


def test_a_result_column_between_others_keeps_its_style(tmp_path: Path) -> None:
    from openpyxl import load_workbook
    from openpyxl.styles import Font

    def middle(sheet: Any) -> None:
        sheet.append(["result", "customer", "when", "due date"])
        sheet.append([None, "Ann", "x", date(2026, 12, 1)])
        sheet["C2"].font = Font(italic=True)

    path = book(tmp_path / "rows.xlsx", middle)
    made = open_table(path, VALUES)
    made.write(made.rows[0], "done", "now")
    sheet = load_workbook(path).worksheets[0]
    assert [cell.value for cell in sheet[2]] == ["done", "Ann", "now", datetime(2026, 12, 1)]
    assert sheet["C2"].font.italic


def test_a_formula_without_a_value_and_an_error_name_their_cells(tmp_path: Path) -> None:
    def bad(sheet: Any) -> None:
        sheet.append(["customer", "due date"])
        sheet.append(["=A1", date(2026, 12, 1)])
        sheet.append(["#N/A", date(2026, 12, 1)])

    with pytest.raises(ConfigError) as error:
        open_table(book(tmp_path / "rows.xlsx", bad), VALUES)
    assert "row 2, column A (customer): its formula has no value yet" in str(error.value)
    assert "row 3, column A (customer): it is #N/A" in str(error.value)


def test_a_file_that_is_no_workbook(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"customer\nAnn\n")
    with pytest.raises(ConfigError, match="no XLSX file that can be read"):
        open_table(tmp_path / "rows.xlsx", VALUES)


def test_a_value_that_is_itself_called_result(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("result\nfine\n", "utf-8")
    value = replace(VALUES[0], name="result", label="Result")
    made = open_table(tmp_path / "rows.csv", [value])
    assert made.rows[0].values == {"result": "fine"} and not made.rows[0].result
    made.write(made.rows[0], "done", "now")
    assert (tmp_path / "rows.csv").read_text("utf-8") == "result,result,when\nfine,done,now\n"
