"""A proof is what was found: the verdict follows from the numbers, and the page says them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from showonce.environments.registry import find_task
from showonce.errors import BadInput
from showonce.evaluation.bench import Bench
from showonce.evaluation.controls import Control, Exam
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.proof import Proof
from showonce.evaluation.proof_page import picture, summary_of, text
from showonce.evaluation.prove import lesson_of, prove, run_controls
from showonce.evaluation.results import Results
from showonce.runtime.teaching import TeachRequest, TeachResult
from showonce.seeds import Seeds
from showonce.stats import wilson

TASK = find_task("app/dev/single/0")


def phase(successes: int, n: int = 100) -> dict[str, Any]:
    low, high = wilson(successes, n)
    return {"success": successes / n, "n": n, "low": low, "high": high}


HELD = Control("copied_coordinates", "By coordinates?", 0.12, 0.07, 0.2, 100, "<= 0.25", True)
MISSED = replace(HELD, value=0.4, low=0.31, high=0.5, holds=False)
SWAPPED = Control(
    "swapped", "Another meaning?", 0.91, 0.84, 0.95, 100, ">= 0.80", True, {"first_meaning": 0.1, "chance": 0.12}
)
REPORTED = Control("sft_teacher", "Off policy?", 0.9, 0.8, 0.95, 100)
PROCESS = {"process": 4711, "adapter": "adapters/x/versions/v0004", "adapter_hash": "ab" * 16, "demonstrations": 0,
           "cached_prefixes": 0}  # fmt: skip
PROOF = Proof(
    "20260101-demo", TASK.id, "nozaka", 0, 42, 30,
    {"before": phase(15), "teacher": phase(97), "after": phase(94)}, PROCESS, (HELD, SWAPPED, REPORTED),
)  # fmt: skip


def test_all_goals_held_and_a_clear_rise_is_learning() -> None:
    assert PROOF.learned
    assert PROOF.verdict.startswith("Learned from the demonstration")
    assert "the 2 controls that have a goal hold; reported without a goal: sft_teacher 0.90" in PROOF.verdict
    assert PROOF.verdict.endswith("Not shown: that this way of learning is better than sft_teacher.")
    worse = replace(REPORTED, value=0.2, low=0.1, high=0.3)
    assert "Not shown" not in replace(PROOF, controls=(HELD, worse)).verdict


def test_agreement_is_not_called_success() -> None:
    same = Control("adapter_off", "Off?", 1.0, 0.96, 1.0, 100, "all the same", True)
    page = text(replace(PROOF, controls=(HELD, same)), "card.png")
    assert "| adapter off | share of equal answers | 1.000 |" in page
    assert "| copied coordinates | success | 0.120 |" in page
    assert "share of equal answers; goal: all the same" in summary_of(replace(PROOF, controls=(same,)))


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (replace(PROOF, phases={**PROOF.phases, "after": phase(20)}), "Not shown"),
        (replace(PROOF, controls=(MISSED, SWAPPED)), "not all controls hold: copied_coordinates"),
        (replace(PROOF, not_run={"swapped": "not an app"}), "Not run: swapped"),
    ],
)
def test_anything_less_is_not(proof: Proof, said: str) -> None:
    assert not proof.learned
    assert said in proof.verdict


def test_the_page_says_every_number() -> None:
    page = text(replace(PROOF, controls=(MISSED, SWAPPED, REPORTED), not_run={"specificity": "no scene"}), "card.png")
    for said in ("0.940", "0.150", "0.970", "42 updates", "30 practice episodes", "process 4711", "**missed**",
                 "first meaning 0.100", "not run: no scene", "card.png", "abababababab"):  # fmt: skip
        assert said in page, said
    assert "0 demonstrations" in page
    lines = summary_of(PROOF).splitlines()
    assert any(line.startswith("after") and "0.94" in line for line in lines)
    assert lines[-1] == PROOF.verdict


def test_the_picture_has_a_bar_for_everything_that_is_a_rate() -> None:
    with Image.open(io.BytesIO(picture(replace(PROOF, controls=())))) as opened:
        few = opened.convert("RGB")
    with Image.open(io.BytesIO(picture(PROOF))) as opened:
        many = opened.convert("RGB")
    assert few.width == many.width
    assert many.height > few.height  # copied coordinates, both meanings, off policy
    assert len(many.getcolors(2**24)) > 20


def taught(request: TeachRequest) -> TeachResult:
    return TeachResult({}, request.learning.gate.budget_run, 2, 2, 0.1)


@pytest.fixture
def run_dir(tmp_path: Path, make_bench: Callable[..., Bench]) -> tuple[Path, Path, Bench]:
    """A finished run's folder, its adapter and a bench with the run's config."""
    bench = make_bench(taught)
    adapter = bench.adapter
    token = bench.policy.goal_ids(TASK.goal)[0]
    row = bench.policy.engine.backbone.embedding.weight[token].detach().float() * -3
    adapter.set_tensors({f"tokens.{token}": row}, "candidate", "v0004")
    adapter.save(tmp_path / "adapter", "candidate")
    folder = tmp_path / "run"
    folder.mkdir()
    metrics = {"updates": {"accepted": 11}, "practice": {"episodes": 6, "distinct_screens": 9}, "wall_s": 12.5}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder, tmp_path / "adapter", bench


def test_a_run_is_proved_and_its_folder_holds_the_proof(run_dir: tuple[Path, Path, Bench]) -> None:
    folder, adapter, bench = run_dir
    lesson = lesson_of(folder, bench, TASK, bench.show(TASK, 0), adapter)
    assert (lesson.result.updates, lesson.result.practice_episodes) == (11, 6)
    told: list[str] = []
    names = ("adapter_off", "swapped", "copied_coordinates")
    found = prove(folder, bench, lesson, adapter=adapter, screens=6, controls=names, tell=told.append)
    assert [control.name for control in found.controls] == list(names)
    assert told == ["before", "teacher", "after, in a new process", "adapter off", "swapped", "copied coordinates"]
    record = json.loads((folder / "proof.json").read_text())
    assert record["learned"] == found.learned
    assert record["after"] == {key: found.process[key] for key in ("success", "n", "low", "high")}
    assert set(record["controls"]) == set(names)
    measured = Seeds.of(bench.config, 0).take("evaluation", 6)
    assert found.process["seeds"] == [measured.start, measured.stop]
    assert found.verdict in (folder / "card.md").read_text()
    with Image.open(folder / "card.png") as opened:
        assert opened.format == "PNG"


def test_a_control_that_the_task_does_not_allow_is_named(run_dir: tuple[Path, Path, Bench], tmp_path: Path) -> None:
    folder, adapter, bench = run_dir
    skill = find_task("skill/ask")
    shown = bench.show(skill, 0)
    lesson = lesson_of(folder, bench, replace(skill, goal=shown.goal), shown, adapter)
    exam = Exam(range(50, 53), Results(), LessonStore(tmp_path / "lessons"))
    found, not_run = run_controls(bench, lesson, exam, ("copied_coordinates", "swapped"), lambda _: None)
    assert [control.name for control in found] == ["copied_coordinates"]
    assert "not an app" in not_run["swapped"]


def test_a_control_that_learned_nothing_is_not_run_and_never_holds(
    run_dir: tuple[Path, Path, Bench], tmp_path: Path
) -> None:
    folder, adapter, bench = run_dir
    lesson = lesson_of(folder, bench, TASK, bench.show(TASK, 0), adapter)
    idle = replace(bench, teach=lambda request: TeachResult({}, 0, 2, 2, 0.1))
    exam = Exam(range(5_000_000, 5_000_002), Results(tmp_path / "rows.jsonl"), LessonStore(tmp_path / "lessons"))
    names = ("no_demonstration", "practice_alone", "swapped", "sft_demonstration", "sft_teacher")
    found, not_run = run_controls(idle, lesson, exam, names, lambda _: None)
    assert found == () and set(not_run) == set(names)
    assert set(not_run.values()) == {"nothing was learned, by no update in at most 6 practice episodes"}
    proof = replace(PROOF, not_run=not_run)
    assert not proof.learned and "Not run: no_demonstration" in proof.verdict
    assert "not run: nothing was learned" in text(proof, "card.png") and "not run: nothing" in summary_of(proof)
    assert replace(PROOF, not_run={"practice_alone": not_run["practice_alone"]}).learned, "it has no goal to miss"


def test_a_learner_of_ones_own_is_taught_the_same_lesson(run_dir: tuple[Path, Path, Bench], tmp_path: Path) -> None:
    folder, adapter, bench = run_dir
    lesson = lesson_of(folder, bench, TASK, bench.show(TASK, 0), adapter)
    lesson = replace(lesson, learning=replace(lesson.learning, learner="my:Renyi", options={"order": 0.7}))
    asked: list[TeachRequest] = []

    def teach(request: TeachRequest) -> TeachResult:
        asked.append(request)
        return TeachResult(lesson.result.tensors, 2, 2, 2, 0.1)

    exam = Exam(range(5_000_000, 5_000_002), Results(tmp_path / "rows.jsonl"), LessonStore(tmp_path / "lessons"))
    names = ["learner:my:Prefer", "learner:my:Renyi"]
    found, not_run = run_controls(replace(bench, teach=teach), lesson, exam, names, lambda _: None)
    assert [(control.name, control.n, control.holds) for control in found] == [(name, 2, None) for name in names]
    assert [(one.learning.learner, one.learning.options) for one in asked] == [
        ("my:Prefer", {}), ("my:Renyi", {"order": 0.7}),
    ]  # fmt: skip
    assert {one.learning.gate.budget_run for one in asked} == {lesson.result.updates} and not not_run
    proof = replace(PROOF, controls=(*PROOF.controls, *found))
    assert "learner:my:Prefer" in summary_of(proof) and picture(proof) != picture(PROOF)


def test_practice_of_an_older_run_is_counted_in_its_events(run_dir: tuple[Path, Path, Bench]) -> None:
    folder, adapter, bench = run_dir
    metrics = {"updates": {"accepted": 11}, "practice": {"episodes": 0, "distinct_screens": 9}, "wall_s": 12.5}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    lines = [{"kind": "run_started", "learning": True}]
    lines += [{"kind": "episode_finished", "phase": phase} for phase in ("run", "run", "probe", "run")]
    (folder / "events.jsonl").write_text("".join(f"{json.dumps({'t': 1.0, **line})}\n" for line in lines))
    lesson = lesson_of(folder, bench, TASK, bench.show(TASK, 0), adapter)
    assert lesson.result.practice_episodes == 3


def test_a_run_without_updates_has_nothing_to_prove(run_dir: tuple[Path, Path, Bench]) -> None:
    folder, adapter, bench = run_dir
    shown = bench.show(TASK, 0)
    (folder / "metrics.json").write_text(json.dumps({"updates": {"accepted": 0}}))
    with pytest.raises(BadInput, match="nothing to prove"):
        lesson_of(folder, bench, TASK, shown, adapter)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(BadInput, match="not JSON"):
        lesson_of(folder, bench, TASK, shown, adapter)
    (folder / "metrics.json").unlink()
    with pytest.raises(BadInput, match="did not end"):
        lesson_of(folder, bench, TASK, shown, adapter)


def test_an_unknown_control_is_named(run_dir: tuple[Path, Path, Bench]) -> None:
    folder, adapter, bench = run_dir
    lesson = lesson_of(folder, bench, TASK, bench.show(TASK, 0), adapter)
    with pytest.raises(BadInput, match="no control 'magic'"):
        prove(folder, bench, lesson, adapter=adapter, controls=("magic",))


def test_the_tensors_of_the_lesson_are_the_runs(run_dir: tuple[Path, Path, Bench]) -> None:
    folder, adapter, bench = run_dir
    lesson = lesson_of(folder, bench, TASK, bench.show(TASK, 0), adapter)
    saved = bench.adapter.tensors("candidate")
    assert lesson.result.tensors.keys() == saved.keys()
    assert all(torch.equal(lesson.result.tensors[key], saved[key]) for key in saved)
