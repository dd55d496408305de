"""docs/events.md says what events.py says."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from showonce.events import KINDS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from events_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python scripts/events_page.py"


def test_it_has_every_kind_with_every_field() -> None:
    text = page()
    for kind, cls in KINDS.items():
        section = text.split(f"\n## `{kind}`\n")[1].split("\n## ")[0]
        assert all(f"| `{name}` |" in section for one in fields(cls) if (name := one.name) != "t")
        assert "|  |" not in section
