"""The study, for real and small: one page, one lesson, two measured episodes; and its page from given rows."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image
from tests.browsers import needs_miniwob

from showonce.app.jobs import RECORDS, ROWS
from showonce.config import Config, ExperimentConfig
from showonce.errors import ConfigError, ShowonceError

SMALL = (
    "learning.practice.episodes=2", "learning.ratchet.min_probes_best=1", "learning.ratchet.canary_screens=0",
    "learning.sdft.batch_size=2", "learning.gate.teacher_threshold=0", "learning.gate.headroom=0",
)  # fmt: skip


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from benchmarks import miniwob_study

    monkeypatch.setattr(miniwob_study, "PER_SKILL", 1)
    return miniwob_study


@needs_miniwob
def test_a_study_is_filled_told_and_gone_on_with(study: ModuleType, tmp_path: Path) -> None:
    words = ["--tasks", "click-test", "--seeds", "1", "--episodes", "2", "--updates", "2", "--workers", "0"]
    words += ["--out", str(tmp_path), "--no-taught", "--full", *SMALL]
    said: list[str] = []
    assert study.main(words, said.append) == 1  # one task is not five
    assert said[-1].startswith("FAIL: tasks at 0.8 zero-shot or better: ")
    rows = [json.loads(line) for line in (tmp_path / ROWS).read_text().splitlines()]
    arms = {row["arm"] for row in rows if row["part"] == "study"}
    assert {
        "before",
        "teacher@1",
        "after@1",
        "full:before",
        "full:after@1",
        "replay-coordinates@1",
        "replay-template@1",
    } <= arms
    assert any(arm.startswith("curve@1-") for arm in arms)
    assert len({row["seed"] for row in rows if row["arm"] == "after@1"}) == 2
    assert not [row for row in rows if row["error"]]
    done = [json.loads(line) for line in (tmp_path / RECORDS).read_text().splitlines()]
    assert not [record for record in done if record["error"]]
    found = json.loads((tmp_path / "study.json").read_text())[0]
    assert found["task"] == "miniwob/click-test" and found["updates"] == [2] and found["goal"] == "Click the button."
    assert found["checks"]["adapter_off"] == 1.0 and {"before", "teacher", "after"} <= set(found)
    page = (tmp_path / "study.md").read_text()
    assert "| click-test |" in page and "Only the whole raw reward" in page and found["full_after"]["n"] == 2
    with Image.open(tmp_path / "study.png") as picture:
        assert picture.format == "PNG"

    assert study.main(words, said.append) == 1
    assert len((tmp_path / ROWS).read_text().splitlines()) == len(rows)  # nothing is measured twice
    assert len((tmp_path / RECORDS).read_text().splitlines()) == len(done)


def test_what_is_measured_is_neither_shown_nor_practised(study: ModuleType) -> None:
    assert study.seeds_of(Config(), 1) == study.seeds_of(Config(), 3) == range(5_000_000, 5_000_200)
    near = Config(experiment=ExperimentConfig(eval_seed_offset=1_000_000))
    with pytest.raises((ConfigError, ShowonceError)):
        study.seeds_of(near, 1)


def test_the_verdict_asks_for_five_and_five(study: ModuleType) -> None:
    from benchmarks.study_page import Row as row
    from benchmarks.study_page import Share as share
    from benchmarks.verdict import Verdict

    def word(rows: list[Any]) -> str:
        return Verdict(tuple(study.verdict(rows))).word

    known = [row(f"miniwob/k{i}", before=share(8, 10), after=share(8, 10)) for i in range(5)]
    lifted = [row(f"miniwob/l{i}", before=share(1, 10), after=share(24, 60)) for i in range(5)]
    assert word([*known, *lifted]) == "PASS"
    assert word([*known[1:], *lifted]) == "FAIL"
    assert word([*known, *lifted[1:]]) == "FAIL"
    assert word([*known, *lifted[1:], row("miniwob/l0", before=share(1, 10))]) == "NOT MEASURED"


def test_the_page_tells_failures_too(study: ModuleType) -> None:
    from benchmarks import study_page
    from benchmarks.study_page import Share as share

    worse = study.Row(
        "miniwob/a", "do it", 1, share(5, 10), share(5, 10), share(2, 10), updates=(0,), practice=(4,), held_back=2
    )
    unshown = study.Row("miniwob/b", before=share(1, 10), errors=("TaskError: no oracle",))
    text = study_page.page(Config(), [worse, unshown])
    assert "- a: worse after learning than before (-0.30); the demonstration does not help the teacher" in text
    assert "no update was made" in text and "canaries held 2 candidates back" in text
    assert "- b: TaskError: no oracle." in text and "0.50 (0.24 to 0.76)" in text


def test_controls_that_learned_stand_in_the_rows(study: ModuleType, tmp_path: Path) -> None:
    from benchmarks import study_page

    found = {name: {"value": 0.25, "n": 8} for name in study.TAUGHT}
    record = {"key": "taught|miniwob/click-test|0", "seconds": 1.0, "numbers": found, "error": ""}
    (tmp_path / RECORDS).write_text(json.dumps(record) + "\n")
    (row,) = study_page.rows_of(Config(tasks=("miniwob/click-test",)), tmp_path)
    assert {name: (share.successes, share.n) for name, share in row.controls.items() if share.n} == dict.fromkeys(
        study.TAUGHT, (2, 8)
    )
