"""`prove` refuses a run that learned nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import MakeConfig
from tests.fakes import events_in

from showonce.app.prove import prove
from showonce.app.run import run
from showonce.errors import (
    BadInput,
)


def the_run() -> Path:
    (found,) = Path("logs").glob("*-t")
    return found


def events(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    return [e for e in events_in(folder) if kind in (None, e["kind"])]


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_prove_needs_a_run_that_learned(make: MakeConfig) -> None:
    run(make(learning=replace(make().learning, enabled=False), adapter="none"))
    with pytest.raises(BadInput, match="without an adapter"):
        prove(the_run(), make())
