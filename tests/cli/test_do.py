"""What `do` prints at its end."""

from __future__ import annotations

from showonce.app.do import DoReport, RowResult, Verdict
from showonce.cli.do import summary_text


def test_a_table_names_the_receipt_of_the_row_that_a_person_has_to_look_at() -> None:
    def row(number: int, verdict: Verdict, already: bool = False) -> RowResult:
        return RowResult(number, f"k{number}", {}, verdict, "why", already, f"receipts/{number}")

    done, doubt = Verdict.DONE, Verdict.IN_DOUBT
    report = DoReport("user/x", (row(2, done), row(3, doubt), row(4, done, already=True)))
    assert summary_text(report) == "3 rows: 2 done, 1 in doubt. Receipt: receipts/3"
    report = DoReport("user/x", (row(2, done), row(3, done)))
    assert summary_text(report) == "2 rows: 2 done. Receipt: receipts/3"
