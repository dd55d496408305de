"""Was a run's skill learned from its demonstration? The controls on that run's adapter, and one page about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from showonce.environments.factory import EnvironmentFactory
from showonce.errors import BadInput, TaskError
from showonce.evaluation.bench import Bench, TaughtLesson
from showonce.evaluation.controls import BY, CONTROLS, Control, Exam, before, control_of, teacher
from showonce.evaluation.fresh import Measurement, adapter_tensors, run_after
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.proof import Proof
from showonce.evaluation.proof_page import picture, text
from showonce.evaluation.results import Results
from showonce.fsio import atomic_write_bytes, atomic_write_json, atomic_write_text, explained, make_folder
from showonce.runs.event_file import read_events
from showonce.runs.layout import CARD, CARD_PICTURE, EVENTS, METRICS, PROOF, RESULTS
from showonce.runs.metrics import practised_in
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import TeachResult
from showonce.seeds import Seeds
from showonce.types import Demonstration, Task

FOLDER: Final = "proof"  # folder in the run's: measured rows and taught controls by adapter, for a second call
Tell = Callable[[str], None]  # called with the name of what is measured next


def prove(
    run_dir: str | Path,
    bench: Bench,
    lesson: TaughtLesson,
    *,
    adapter: Path,
    environment: EnvironmentFactory | None = None,
    screens: int = 0,
    controls: Sequence[str] = tuple(CONTROLS),
    learners: Sequence[str] = (),
    stop: Stop | None = None,
    tell: Tell = lambda _: None,
) -> Proof:
    """Run the controls on a run's adapter and write proof.json, card.md and card.png into its folder.

    lesson: see `lesson_of`. adapter: the folder that a new process loads it from. environment: the new
    process's (None = an embedded one without settings). screens: per measurement (0 = experiment.eval_screens).
    learners: further ones that are taught the same lesson for comparison.

    Raises:
        BadInput: an unknown control. ShowonceError: `after` could not be measured in a new process.
    """
    from showonce.inference.torch.adapter_files import content_hash

    folder, config = Path(run_dir), bench.config
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown:
        raise BadInput(f"no control {unknown[0]!r}; there are: {', '.join(CONTROLS)}.")
    seeds = Seeds.of(config, lesson.seed).take("evaluation", screens or config.experiment.eval_screens)
    work = make_folder(folder / FOLDER / content_hash(lesson.result.tensors)[:12])
    results = Results(work / RESULTS)
    try:
        exam = Exam(seeds, results, LessonStore(work / "lessons"), "proof", stop=stop)
        tell("before")
        phases = {"before": before(bench, lesson, exam).phase}
        tell("teacher")
        phases["teacher"] = teacher(bench, lesson, exam).phase
        tell("after, in a new process")
        process = run_after(Measurement(config, lesson.task, environment or EnvironmentFactory(), seeds, adapter))
        phases["after"] = {key: process[key] for key in ("success", "n", "low", "high")}
        found, not_run = run_controls(bench, lesson, exam, [*controls, *(BY + name for name in learners)], tell)
    finally:
        results.close()
    proof = Proof(
        folder.name, lesson.task.id, lesson.task.goal, lesson.seed, lesson.result.updates,
        lesson.result.practice_episodes, phases, process, found, not_run,
    )  # fmt: skip
    write_proof(folder, proof)
    return proof


def run_controls(
    bench: Bench, lesson: TaughtLesson, exam: Exam, names: Sequence[str], tell: Tell
) -> tuple[tuple[Control, ...], dict[str, str]]:
    """Run the controls; return their results, and by name why one was not run: the task does not allow it, or it was to
    be taught something and made no update.
    """
    found: list[Control] = []
    not_run: dict[str, str] = {}
    for name in names:
        tell(name.replace("_", " "))
        try:
            control = control_of(name)(bench, lesson, exam)
        except TaskError as error:
            not_run[name] = str(error)
            continue
        if control.numbers.get("updates") == 0:
            practised = lesson.result.practice_episodes
            not_run[name] = f"nothing was learned, by no update in at most {practised} practice episodes"
        else:
            found.append(control)
    return tuple(found), not_run


def write_proof(folder: Path, proof: Proof) -> None:
    """Write proof.json, card.png and card.md into a folder."""
    record = {
        "run": proof.run, "task": proof.task, "goal": proof.goal, "seed": proof.seed, "learned": proof.learned,
        "verdict": proof.verdict, "updates": proof.updates, "practice_episodes": proof.practice_episodes,
        **proof.phases, "process": proof.process, "controls": {c.name: c for c in proof.controls},
        "not_run": proof.not_run,
    }  # fmt: skip
    atomic_write_json(folder / PROOF, record)
    atomic_write_bytes(folder / CARD_PICTURE, picture(proof))
    atomic_write_text(folder / CARD, text(proof, CARD_PICTURE))


def lesson_of(
    run_dir: str | Path, bench: Bench, task: Task, demonstration: Demonstration, adapter: Path
) -> TaughtLesson:
    """Return a finished run as a lesson: its adapter, and the updates and practice episodes in its metrics.json.

    An older metrics.json counts no practice for a run that learned in its attempts; then its events are counted.

    Raises:
        BadInput: the run has no readable metrics.json, or learned nothing.
    """
    path = Path(run_dir) / METRICS
    with explained(path, "read"):
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput(f"{run_dir} has no {METRICS}: the run did not end. Go on with resume={run_dir}.") from None
        except ValueError as error:
            raise BadInput(f"{path} is not JSON ({error}).") from None
    updates = int((metrics.get("updates") or {}).get("accepted") or 0)
    if not updates:
        raise BadInput(f"{run_dir} made no update, so there is nothing to prove.")
    practised = metrics.get("practice") or {}
    result = TeachResult(
        adapter_tensors(bench.policy, adapter),
        updates,
        int(practised.get("episodes") or 0) or practised_in(read_events(Path(run_dir) / EVENTS)),
        int(practised.get("distinct_screens") or 0),
        float(metrics.get("wall_s") or 0.0),
    )
    seed, ours = bench.config.seed, bench.config.learning
    learning = replace(
        ours, practice=replace(ours.practice, seed_offset=Seeds.of(bench.config, seed).first("practice"))
    )
    return TaughtLesson(task, demonstration, learning, result, seed)
