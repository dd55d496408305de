"""The core table does every job once, says honestly what it did not do, and judges by its goals."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tests.benchfactory import embedded

from benchmarks.core_table import job_bodies, schedule
from benchmarks.core_table.__main__ import main
from benchmarks.core_table.lesson_settings import fault_learning
from benchmarks.core_table.rows import TableRow
from benchmarks.core_table.schedule import STEPS, TABLE_CONTROLS, jobs_of, lines_of
from benchmarks.core_table.table import BUILDERS, Table, core_table, markdown, rich_table, table_of
from showonce.app.jobs import records
from showonce.config import Config, EvaluationConfig
from showonce.errors import BadInput, ConfigError
from showonce.evaluation.bench import Bench
from showonce.evaluation.tasks import task_set
from showonce.events import from_json
from showonce.policy.vlm_policy import load_policy
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import TeachRequest, TeachResult
from showonce.settings import load_config

MACHINE = ("drop_test", "overhead", "demo_time")
LEARNED = tuple(part for part in STEPS if part not in MACHINE)


class Teaching:
    """Teaches nothing, quickly, and remembers what it was asked; fails for the tasks it is told to."""

    def __init__(self, fails: tuple[str, ...] = ()) -> None:
        self.requests: list[TeachRequest] = []
        self.fails = fails

    def teach(self, request: TeachRequest) -> TeachResult:
        self.requests.append(request)
        if request.task.id in self.fails:
            raise RuntimeError("the optimiser exploded")
        return TeachResult({}, 12, request.learning.practice.episodes, 8, 0.5, (from_json({"kind": "probe"}),))

    def bench(self, config: Config, stop: Stop) -> Bench:
        return Bench(config, load_policy(config), embedded, self.teach)


@pytest.mark.slow
def test_the_whole_table_on_a_small_scale(small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "FAULT_RUNS", 1)
    monkeypatch.setattr(schedule, "NO_CANARY_RUNS", 1)
    monkeypatch.setattr(job_bodies, "UNTAUGHT_SCREENS", 2)
    teaching = Teaching()
    table = core_table(small, tmp_path, teaching.bench, LEARNED, 0)
    assert table.failed == {}
    done = {record.key for record in records(tmp_path).values()}
    assert done == {job.key for phase in jobs_of(small, LEARNED) for job in phase}
    by_title = {row.title: row for row in table.rows}
    assert {row.part for row in table.rows} == set(BUILDERS)
    not_run = {row.part: row.worst for row in table.rows if row.verdict == "not run"}
    assert not_run.keys() == {*MACHINE, "calibration"}
    assert not_run["calibration"] == "one class only"  # a random model is never right
    assert "2 apps, 2 lessons, 4 screens (fewer than 20 x 3 x 200)" in by_title["single-step apps: after"].n
    assert "20 families, 2 screens each" in by_title["retention of the built-in skills (paired, greedy)"].n
    assert by_title["retention of the built-in skills (paired, greedy)"].value == "+0.0000"  # nothing was learned
    assert len([row for row in table.rows if row.part == "controls"]) == len(TABLE_CONTROLS)
    assert "4 not injected" in by_title["faults on purpose: refused before acting, or rolled back"].value
    page = (tmp_path / "table.md").read_text()
    assert all(row.title in page and f"| {row.verdict} |" in page for row in table.rows)
    assert json.loads((tmp_path / "table.json").read_text())["summary"] == table.summary
    assert rich_table(table).row_count == len(table.rows)

    asked, rows_before = len(teaching.requests), (tmp_path / "results.jsonl").stat().st_size
    again = core_table(small, tmp_path, teaching.bench, LEARNED, 0)
    assert (len(teaching.requests), (tmp_path / "results.jsonl").stat().st_size) == (asked, rows_before)
    assert again.rows == table.rows
    _check_lessons(teaching, small)
    _check_settings(teaching, small, tmp_path)


def _check_lessons(teaching: Teaching, small: Config) -> None:
    """What is taught is apart from what is measured, and each kind of lesson is asked for as the part says."""
    assert {r.learning.practice.seed_offset for r in teaching.requests} == {1_000_000}
    heads = [r for r in teaching.requests if r.learning.practice.source == "head"]
    assert [(r.task.id, r.learning.practice.episodes) for r in heads] == [
        ("app/dev/single/0", 0), ("app/dev/single/1", 0),
    ]  # fmt: skip
    (line,) = lines_of(small)
    growing = [r for r in teaching.requests if r.start is not None and r.learning.fault.kind == "none"]
    assert [(r.task.id, [t.id for t, _ in r.lessons]) for r in growing] == [(line[1], [line[0]])]
    damaged = [r for r in teaching.requests if r.learning.fault.kind != "none"]
    watched = [r.learning.fault.kind for r in damaged if r.learning.ratchet.canary_screens]
    alone = [r.learning.fault.kind for r in damaged if not r.learning.ratchet.canary_screens]
    assert (watched, alone) == (list(schedule.FAULTS), list(schedule.FAULTS[:3]))
    assert all(r.start is not None and r.learning.gate.headroom == 0 for r in damaged)


def _check_settings(teaching: Teaching, small: Config, folder: Path) -> None:
    """Other parts may follow in the same folder; other settings may not."""
    core_table(small, folder, teaching.bench, ("skills",), 1)
    more = replace(small, evaluation=replace(small.evaluation, seeds=(0, 1)))
    core_table(more, folder, teaching.bench, ("skills",), 1)
    core_table(small, folder, teaching.bench, ("skills",), 1)
    assert json.loads((folder / "settings.json").read_text())["evaluation"]["seeds"] == [0, 1]
    for changed in ({"screens": 3}, {"seeds": (1,)}):
        other = replace(small, evaluation=replace(small.evaluation, **changed))
        with pytest.raises(BadInput, match="other settings \\(evaluation\\)"):
            core_table(other, folder, teaching.bench, LEARNED, 0)


def test_a_job_that_fails_is_told_and_tried_again(small: Config, tmp_path: Path) -> None:
    some = ("single", "specificity")
    table = core_table(small, tmp_path, Teaching(fails=("app/dev/single/1",)).bench, some, 0)
    assert "optimiser exploded" in table.failed["single|app/dev/single/1|0"]
    assert "was not taught" in table.failed["after_single|app/dev/single/1|0"]
    row = next(row for row in table.rows if row.title == "single-step apps: after")
    assert row.verdict == "missed"
    assert "1 apps, 1 lessons" in row.n
    assert "2 jobs failed" in row.n
    mended = core_table(small, tmp_path, Teaching().bench, some, 0)
    assert mended.failed == {}


def test_unknown_parts_are_refused_before_anything_is_done(small: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'single'"):
        core_table(small, tmp_path, Teaching().bench, ("singel",))
    assert not (tmp_path / "settings.json").exists()


def test_an_empty_folder_gives_a_table_of_what_was_not_run(small: Config, tmp_path: Path) -> None:
    table = table_of(small, tmp_path)
    assert {row.verdict for row in table.rows} == {"not run"}
    assert table.summary.startswith(f"{len(table.rows)} rows: {len(table.rows)} not run")
    assert "| not run |" in markdown(table)


def test_the_table_is_written_as_markdown_and_drawn_for_a_wide_terminal() -> None:
    one = TableRow("single", "a | b", ">= 0.9", "0.95", "100", "[0.90, 0.98]", "app 3:\n0.5", "reached")
    other = TableRow("faults", "faults", "0", "1", "20", verdict="missed")
    table = Table((one, other), 90.0, {"job": "it broke"})
    lines = markdown(table).splitlines()
    assert lines[0] == "|  | goal | reached | 95 % interval | n | worst | verdict |" and lines[1] == "|" + "---|" * 7
    assert lines[2] == "| a / b | >= 0.9 | 0.95 | [0.90, 0.98] | 100 | app 3: 0.5 | reached |"
    assert lines[3:] == [
        "| faults | 0 | 1 |  | 20 |  | missed |", "",
        "2 rows: 1 reached, 1 missed; 2 minutes of jobs; 1 jobs failed",
    ]  # fmt: skip
    out = Console(width=200, record=True, file=io.StringIO())
    out.print(rich_table(table))
    drawn = out.export_text()
    assert "[0.90, 0.98]" in drawn and "app 3:" in drawn and "…" not in drawn and "missed" in drawn


def test_every_part_is_in_the_table_and_has_its_jobs(small: Config) -> None:
    assert set(STEPS) == set(BUILDERS)
    full = replace(small, evaluation=EvaluationConfig())
    phases = jobs_of(full, tuple(STEPS))
    count: dict[str, int] = {}
    for job in (job for phase in phases for job in phase):
        count[job.part] = count.get(job.part, 0) + 1
    assert count["single"] == count["multi"] == count["after_single"] == count["after_multi"] == 60
    assert (count["skills"], count["faults"], count["sequence"], count["retention"]) == (20, 55, 4, 20)
    assert [len(line) for line in lines_of(full)] == [5] * 4
    assert all("app/test/" in job.task for phase in phases for job in phase if job.task.startswith("app/"))


def test_a_fault_run_is_well_first_and_probed_often(small: Config) -> None:
    learning = fault_learning(small, "inverted_loss", 3)
    assert learning.fault.after_update < learning.gate.budget_run
    assert (learning.gate.headroom, learning.ratchet.probe_every) == (0.0, 1)
    assert learning.ratchet.probe_batch * learning.ratchet.promote_every >= learning.ratchet.min_probes_best


# ------------------------------------------------------------------------------------------ the command


def test_whoever_types_the_old_command_reads_the_new_one() -> None:
    with pytest.raises(ConfigError, match=r"python -m benchmarks\.core_table"):
        task_set("core_table")
    with pytest.raises(ConfigError, match=r"python -m benchmarks\.core_table"):
        load_config("configs/core_table.yaml")


def test_the_command_fills_a_folder_and_prints_it_again(
    small: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "filled"
    words = [f"policy.checkpoint={small.policy.checkpoint}", "evaluation.per_family=1", "inference.max_new_tokens=4"]
    words += [f"run_dir={folder}", f"output.logs={tmp_path}"]
    assert main(["--parts", "skills", "--workers", "0", *words]) == 1  # a random model has no skills
    first = capsys.readouterr().out
    assert "| built-in skills of the tiny VLM | mean >= 0.95, each family >= 0.85 | 0." in first
    assert main(["--print", *words]) == 1
    assert capsys.readouterr().out == first
    assert main(["--parts", "skills", "--workers", "0", *words]) == 1  # goes on where it was, with nothing to do
    assert len((folder / "jobs.jsonl").read_text().splitlines()) == 20
    assert main(["--parts", "skils", *words]) == 2
    assert "Did you mean 'skills'" in capsys.readouterr().err
