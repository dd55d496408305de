"""The core table does every job once, says honestly what it did not do, and judges by its goals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from tests.benchfactory import embedded

from benchmarks.core_table import job_bodies, rows_learning, rows_safety, schedule
from benchmarks.core_table.__main__ import main
from benchmarks.core_table.lesson_settings import fault_learning
from benchmarks.core_table.rows import Found, TableRow
from benchmarks.core_table.schedule import STEPS, TABLE_CONTROLS, jobs_of, lines_of
from benchmarks.core_table.standalone import run_standalone_job
from benchmarks.core_table.table import BUILDERS, Table, core_table, markdown, rich_table, table_of
from benchmarks.jobs import Job, Record, Work, check_settings, records, run_jobs, settings_of
from showonce.config import Config, EvaluationConfig, InferenceConfig
from showonce.errors import BadInput, ConfigError, ShowonceError, Stopped
from showonce.evaluation.bench import Bench
from showonce.evaluation.results import Results, Row, StepScore
from showonce.evaluation.tasks import task_set
from showonce.events import from_json
from showonce.policy.vlm_policy import load_policy
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import TeachRequest, TeachResult
from showonce.settings import load_config

MACHINE = ("drop_test", "overhead", "demo_time")
SMALL = EvaluationConfig(split="dev", apps=2, seeds=(0,), screens=2, per_family=2)
LEARNED = tuple(part for part in STEPS if part not in MACHINE)


@pytest.fixture
def small(config: Config) -> Config:
    return replace(config, evaluation=SMALL, inference=InferenceConfig(max_new_tokens=12))


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


# ------------------------------------------------------------------------------------------ rows from made numbers


def found_of(config: Config, results: Results | None = None, **jobs: dict[str, Any]) -> Found:
    made = {key.replace("_at_", "|"): value for key, value in jobs.items()}
    kept = {f"{key}|0": Record(f"{key}|0", 1.0, numbers) for key, numbers in made.items()}
    return Found(config, results or Results(), kept)


def fill(results: Results, part: str, arm: str, task: str, successes: int, n: int) -> None:
    for seed in range(n):
        results.add(Row(part, task, seed, arm, seed < successes, "completed", 1))


@pytest.mark.parametrize(("successes", "verdict"), [(19, "reached"), (16, "missed")])
def test_success_is_judged_by_its_mean_over_apps(small: Config, successes: int, verdict: str) -> None:
    results = Results()
    for app in ("app/dev/single/0", "app/dev/single/1"):
        fill(results, "single", "before@0", app, 2, 20)
        fill(results, "single", "teacher@0", app, 20, 20)
        fill(results, "single", "after@0", app, successes, 20)
    before, teacher, after, _ = rows_learning.single(found_of(small, results))
    assert (before.verdict, teacher.verdict, after.verdict) == ("reached", "reached", verdict)
    assert after.value == f"{successes / 20:.3f}"


def test_retention_is_missed_when_one_family_clearly_falls(small: Config) -> None:
    results = Results()
    for at, task in enumerate(task_set("skills").ids):
        fill(results, "skills", "before", task, 200, 200)
        fill(results, "retention", "after", task, 184 if at == 3 else 200, 200)
    (row,) = rows_learning.retention(found_of(small, results))
    assert row.verdict == "missed"
    assert "below: double_click" in row.worst
    for seed in range(184, 200):
        results.add(Row("retention", task_set("skills").ids[3], seed, "after", True, "completed", 1))
    assert rows_learning.retention(found_of(small, results))[0].verdict == "reached"


def test_the_confidence_is_judged_on_a_mixed_set_that_is_large_enough(small: Config) -> None:
    def score(good: bool, n: int) -> Found:
        results = Results()
        for seed in range(n):
            right = seed % 2 == 0
            stated = StepScore(0.5, (0.97 if right else 0.03) if good else 0.5, None, right)
            results.add(Row("calibration", "app/dev/single/5", seed, "untaught:x", right, "", 1, 0, "v", (stated,)))
        return found_of(small, results)

    assert rows_learning.calibration(score(True, 1000))[0].verdict == "reached"
    assert rows_learning.calibration(score(True, 900))[0].verdict == "missed"
    assert rows_learning.calibration(score(False, 1000))[0].verdict == "missed"
    assert "50% failures" in rows_learning.calibration(score(True, 1000))[0].n


def test_one_fault_that_goes_on_acting_is_a_miss(small: Config) -> None:
    whole = {"refusals": 1, "by_hash": 1, "probes_to_see": None, "seen_rate": None, "restored": None, "start": 1.0}
    whole |= {"end_rate": 1.0}
    kinds = [(kind, run) for kind in schedule.FAULTS for run in range(schedule.FAULT_RUNS)]
    jobs = {
        f"faults|{kind}|{run}": Record(f"faults|{kind}|{run}", 1.0, {**whole, "end": "refused"}) for kind, run in kinds
    }
    found = Found(small, Results(), jobs)
    first, alone, collapse, smaller, by_hash, restored = rows_safety.faults(found)
    assert (first.verdict, alone.verdict, by_hash.verdict, restored.verdict) == (
        "reached", "not run", "reached", "reported",
    )  # fmt: skip
    assert (collapse.verdict, smaller.verdict) == ("reported", "reported")
    jobs["faults|lr_x100|1"] = Record("faults|lr_x100|1", 1.0, {**whole, "end": "contained"})
    assert rows_safety.faults(found)[0].verdict == "missed", "contained is told apart, and is not rolled back"
    jobs["faults|lr_x100|0"] = Record("faults|lr_x100|0", 1.0, {**whole, "end": "acted", "end_rate": 0.2})
    back = {**whole, "end": "rolled_back", "probes_to_see": 20, "seen_rate": 0.4, "restored": False}
    jobs["faults|inverted_loss|0"] = Record("faults|inverted_loss|0", 1.0, back)
    first, _, collapse, smaller, _, restored = rows_safety.faults(found)
    assert (first.verdict, collapse.verdict, restored.verdict) == ("missed", "missed", "missed")
    assert smaller.verdict == "reported", "what fell from 1.0 to 0.4 is a collapse"
    assert "0.80" in first.worst
    jobs["faults|inverted_loss|0"] = Record("faults|inverted_loss|0", 1.0, {**back, "seen_rate": 0.7})
    _, _, collapse, smaller, *_ = rows_safety.faults(found)
    assert (collapse.verdict, smaller.verdict) == ("reported", "reached"), "a smaller loss may take 50 probes"
    jobs["faults|drop_test:lr_x100|0"] = Record("faults|drop_test:lr_x100|0", 1.0, {**back, "restored": True})
    assert "1 rolled back" in rows_safety.faults(found)[1].value


def test_specificity_is_a_paired_difference_and_names_the_worst_app(small: Config) -> None:
    def numbers(rise: float) -> dict[str, Any]:
        shares = {"greedy_before": 0.2, "greedy_after": 0.2 + rise, "sampled_before": 0.2, "sampled_after": 0.2}
        return {"numbers": shares, "n": 400, "value": rise}

    made = {f"specificity|app/dev/single/{i}|0": numbers(0.3 * i) for i in range(2)}
    found = Found(small, Results(), {key: Record(key, 1.0, value) for key, value in made.items()})
    greedy, sampled, in_context = rows_learning.specificity(found)
    assert (greedy.verdict, sampled.verdict, in_context.verdict) == ("missed", "reached", "not run")
    assert greedy.value.startswith("+0.150")
    assert greedy.worst == "dev/single/1 +0.30"


# ------------------------------------------------------------------------------------------ jobs


def write_down(job: Job, work: Work, folder: str) -> dict[str, Any]:
    """A job that leaves a file with the process it ran in."""
    if job.task == "fails":
        raise ValueError("on purpose")
    (Path(folder) / f"{job.task}.{job.repetition}").write_text(str(os.getpid()))
    return {"pid": os.getpid()}


def no_bench(config: Config, stop: Stop) -> Bench:
    """A bench that cannot measure anything."""
    return Bench(config, None, embedded)  # type: ignore[arg-type]


def test_jobs_are_done_once_and_those_that_failed_again(config: Config, tmp_path: Path) -> None:
    jobs = [Job("part", task) for task in ("a", "fails", "b")]
    run, advanced = partial(write_down, folder=str(tmp_path)), []
    run_jobs(jobs, run, no_bench, config, tmp_path / "work", workers=0, advance=advanced.append)
    assert sum(advanced) == 3
    assert records(tmp_path / "work")["part|fails|0"].error == "ValueError: on purpose"
    (tmp_path / "a.0").unlink()
    run_jobs(jobs, run, no_bench, config, tmp_path / "work", workers=0)
    assert not (tmp_path / "a.0").exists()
    assert len((tmp_path / "work" / "jobs.jsonl").read_text().splitlines()) == 4


def test_the_stop_file_ends_the_jobs(config: Config, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "STOP").touch()
    with pytest.raises(Stopped):
        run_jobs(
            [Job("p", "a")], partial(write_down, folder=str(tmp_path)), no_bench, config, tmp_path / "work", workers=0
        )
    assert records(tmp_path / "work") == {}


def test_new_processes_do_the_jobs_and_one_that_dies_is_told(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "worker_jobs_of_a_test.py"
    module.write_text(
        "import os\n"
        "from showonce.evaluation.bench import Bench\n"
        "def bench(config, stop):\n    return Bench(config, None, None)\n"
        "def run(job, work):\n"
        "    if job.task == 'dies':\n        os._exit(9)\n"
        "    import torch\n"
        "    return {'pid': os.getpid(), 'threads': torch.get_num_threads()}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import worker_jobs_of_a_test as worker  # type: ignore[import-not-found]

    jobs = [Job("part", "x", i) for i in range(3)]
    run_jobs(jobs, worker.run, worker.bench, config, tmp_path / "work", workers=1)
    done = records(tmp_path / "work")
    assert {record.numbers["threads"] for record in done.values()} == {1}
    assert os.getpid() not in {record.numbers["pid"] for record in done.values()}
    assert len(done) == 3
    with pytest.raises(ShowonceError, match="ended by itself"):
        run_jobs([Job("part", "dies")], worker.run, worker.bench, config, tmp_path / "work", workers=1)


def test_a_worker_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    script = tmp_path / "starts_a_worker.py"
    script.write_text(
        "import multiprocessing, os, time\n"
        "from showonce.runtime.stop import end_with_parent\n"
        "def work():\n    end_with_parent()\n    print(os.getpid(), flush=True)\n    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    worker.start()\n    worker.join()\n"
    )
    starter = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout as told:
        worker = psutil.Process(int(told.readline()))
        starter.kill()
        starter.wait(10)
        worker.wait(20)  # raises when it is still there


def test_the_overhead_is_a_job_too(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    stop = Stop()
    work = Work(make_bench(), Results(), None, stop)  # type: ignore[arg-type]
    overhead = run_standalone_job(Job("overhead", ""), work)
    assert overhead["n"] > 60
    assert 0 < overhead["median"] <= overhead["p99"]
    assert overhead["answer"] > 0


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


def test_a_folder_of_an_older_version_is_gone_on_with(small: Config, tmp_path: Path) -> None:
    wanted = settings_of(small)
    older = {**wanted["evaluation"], "set": "core_table", "parts": [], "workers": 0, "multi_updates": 200}
    (tmp_path / "settings.json").write_text(json.dumps({**wanted, "evaluation": older}))
    check_settings(small, tmp_path)
    with pytest.raises(BadInput, match="other settings"):
        check_settings(replace(small, seed=7), tmp_path)
