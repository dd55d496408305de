from __future__ import annotations

from datetime import date

import pytest

from showonce.demonstrations.dates import computed
from showonce.errors import ConfigError

FRIDAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("expression", "day", "text"),
    [
        ("today", FRIDAY, "2026-11-27"),
        ("Tomorrow", FRIDAY, "2026-11-28"),
        ("yesterday", date(2024, 3, 1), "2024-02-29"),
        ("today+3d", FRIDAY, "2026-11-30"),
        ("today - 1w", FRIDAY, "2026-11-20"),
        ("today+1w+1d", FRIDAY, "2026-12-05"),
        ("today+1m", date(2026, 1, 31), "2026-02-28"),
        ("today+1y", date(2024, 2, 29), "2025-02-28"),
        ("today+1b", FRIDAY, "2026-11-30"),
        ("today-5b", FRIDAY, "2026-11-20"),
        ("today-1b", date(2026, 11, 29), "2026-11-27"),
        ("next monday", FRIDAY, "2026-11-30"),
        ("next  Friday", FRIDAY, "2026-12-04"),
        ("last friday", FRIDAY, "2026-11-20"),
        ("last monday", FRIDAY, "2026-11-23"),
        ("month end", FRIDAY, "2026-11-30"),
        ("next month end", date(2027, 1, 31), "2027-02-28"),
        ("last month start", date(2026, 1, 15), "2025-12-01"),
        ("month start+1b", date(2026, 11, 20), "2026-11-02"),
        ("next monday:%d.%m.%Y", FRIDAY, "30.11.2026"),
        ("today:%B %d", FRIDAY, "November 27"),
    ],
)
def test_dates(expression: str, day: date, text: str) -> None:
    assert computed(expression, day) == text


@pytest.mark.parametrize("wrong", ["", "monday", "next week", "today+3", "today+3d soon", "today:", "today:%Q", "+3d"])
def test_what_is_no_date_is_refused(wrong: str) -> None:
    if wrong == "today:":
        assert computed(wrong, FRIDAY) == "2026-11-27"
        return
    with pytest.raises(ConfigError):
        computed(wrong, FRIDAY)


def test_a_day_outside_of_the_calendar() -> None:
    with pytest.raises(ConfigError, match="no date of the calendar"):
        computed("today+9999y", FRIDAY)
