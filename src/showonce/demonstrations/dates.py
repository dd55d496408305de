"""Computed dates: ``today``, ``next monday``, ``month end``, with an offset and a format.

today, tomorrow, yesterday           the day of the run, by the clock of this machine
next friday, last friday             the first one after, or before, today
month start, month end               of this month; also `next month end`, `last month start`
+3d  -1w  +2m  +1y  +5b              days, weeks, months, years, business days (Monday to Friday); also several
:%d.%m.%Y                            how it is written (strftime); ISO without one
"""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from typing import Final

from showonce.errors import ConfigError, nearest

ISO: Final = "%Y-%m-%d"
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WORDS: Final = (
    "today", "tomorrow", "yesterday", *(f"{which} {day}" for which in ("next", "last") for day in DAYS),
    *(f"{which}month {end}" for which in ("", "next ", "last ") for end in ("start", "end")),
)  # fmt: skip
_OFFSET: Final = re.compile(r"\s*([+-])\s*(\d{1,4})\s*([dwmyb])")
_FORM: Final = re.compile(r"(?:[^%]|%[aAbBdjmUuVwWyYG%])*")


def computed(expression: str, today: date, form: str = "") -> str:
    """Return the text of a date expression on a day. form: how it is written where the expression does not say it.

    Example:
        >>> friday = date(2026, 11, 27)
        >>> computed("today+3d", friday), computed("next monday:%d.%m.%Y", friday), computed("month end +1b", friday)
        ('2026-11-30', '30.11.2026', '2026-12-01')

    Raises:
        ConfigError: it is none; the text names the nearest word.
    """
    spelt, _, own = expression.partition(":")
    own = own or form or ISO
    check_form(own)
    offsets = list(_OFFSET.finditer(spelt))
    word = " ".join((spelt[: offsets[0].start()] if offsets else spelt).lower().split())
    rest = _OFFSET.sub("", spelt[offsets[0].start() :]).strip() if offsets else ""
    if word not in WORDS or rest:
        wrong = rest if word in WORDS else word
        raise ConfigError(
            f"{expression!r} is not computed: {wrong!r} is no date.{nearest(wrong, WORDS)} After it may follow +3d, "
            "-1w, +2m, +1y, +5b (business days), and :%d.%m.%Y for how it is written.",
            key="values.expression",
        )
    try:
        day = _day(word, today)
        for offset in offsets:
            day = _moved(day, int(offset[1] + offset[2]), offset[3])
    except (OverflowError, ValueError):
        raise ConfigError(f"{expression!r} is no date of the calendar.", key="values.expression") from None
    return day.strftime(own)


def check_form(form: str) -> None:
    """Refuse what is no format of a date. Raises ConfigError."""
    if "%" not in form or not _FORM.fullmatch(form):
        raise ConfigError(
            f"{form!r} is no format of a date: it is written with %d (day), %m (month), %Y (year), %B (month's name) "
            "and the like, e.g. %d.%m.%Y.",
            key="values.form",
        )


def _day(word: str, today: date) -> date:
    fixed = {"today": 0, "tomorrow": 1, "yesterday": -1}
    if word in fixed:
        return today + timedelta(fixed[word])
    parts = word.split()
    which, what = (parts[0], parts[-1]) if len(parts) == 3 else ("", parts[-1]) if parts[0] == "month" else parts
    if what in DAYS:
        ahead = (DAYS.index(what) - today.weekday() - 1) % 7 + 1
        return today + timedelta(ahead if which == "next" else ahead - 7 if ahead < 7 else -7)
    first = _moved(today.replace(day=1), {"": 0, "next": 1, "last": -1}[which], "m")
    return first if what == "start" else _moved(first, 1, "m") - timedelta(1)


def _moved(day: date, count: int, unit: str) -> date:
    if unit in "dw":
        return day + timedelta(count * (7 if unit == "w" else 1))
    if unit == "b":
        for _ in range(abs(count)):
            day += timedelta(1 if count > 0 else -1)
            while day.weekday() >= 5:
                day += timedelta(1 if count > 0 else -1)
        return day
    months = day.year * 12 + day.month - 1 + count * (12 if unit == "y" else 1)
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
