"""Writes docs/events.md from `showonce.events`: ``python scripts/events_page.py``. A test compares the two."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Final

from showonce.events import KINDS, Event, NotParsed, Readings

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "events.md"
HEAD: Final = """# The events of a run

Everything that watches a run (dashboard, report, trackers) reads `events.jsonl` in the run's folder and nothing else.
A line is one JSON object: `t` (unix seconds), `kind`, and the fields of that kind. Lines are appended whole, in the
order in which things happened; a resumed run goes on in the same file.

Read it with `showonce.runs.event_file`: `read_events(path)` returns a value of `showonce.events` a line, and an
`EventTail` follows a file that grows. A field that is missing or of another type gets an empty value, a key that is not
listed here is ignored, and a kind that is not listed here is an `Unknown` that keeps its data: so files of older and
newer versions can be read. A program that is not Python should do the same.

This page is made from `src/showonce/events.py` by `python scripts/events_page.py`.

"""
JSON_TYPES: Final = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Json": "object",
    "tuple[str, ...]": "list of texts", "None": "null", "Readings": "confidence", "NotParsed": "parse_failure",
}  # fmt: skip


def page() -> str:
    """Return the page: a section for each kind, in the order of events.py, then the two objects inside `step`."""
    sections = [_section(kind, cls) for kind, cls in KINDS.items()]
    objects = [("confidence, in `step`", Readings), ("parse_failure, in `step`", NotParsed)]
    return HEAD + "\n".join([*sections, *(_section(name, cls) for name, cls in objects)])


def _section(title: str, cls: type) -> str:
    head, meanings = _explained(cls)
    rows = []
    for one in fields(cls):
        if one.name != "t":
            types = " or ".join(JSON_TYPES[part.strip()] for part in str(one.type).split("|"))
            rows.append(f"| `{one.name}` | {types} | {meanings[one.name]} |")
    name = f"`{title}`" if issubclass(cls, Event) else title
    return "\n".join([f"## {name}", "", head, "", "| field | type | meaning |", "|---|---|---|", *rows, ""])


def _explained(cls: type) -> tuple[str, dict[str, str]]:
    """Split a docstring of the form ``Sentence. name: meaning. name, name: meaning.`` at the names of the fields."""
    text = " ".join((inspect.getdoc(cls) or "").split())
    for python, json in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{python}\b", json, text)
    names = "|".join(one.name for one in fields(cls))
    start = re.compile(rf"(?:^|(?<=[.;] ))((?:{names})(?:, (?:{names}))*): ")
    head, *parts = start.split(text)
    meanings = {}
    for listed, meaning in zip(parts[::2], parts[1::2], strict=True):
        for name in listed.split(", "):
            meanings[name] = meaning.strip().rstrip(".;").replace("|", "\\|")
    return head.strip(), meanings


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
