"""Was a run's skill learned from its demonstration? The controls on that run's adapter, and one page about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from showonce.errors import BadInput, TaskError
from showonce.evaluation.bench import Bench, Lesson
from showonce.evaluation.card import measured, picture, text
from showonce.evaluation.controls import CONTROLS, Control, Exam, before, teacher
from showonce.evaluation.fresh import adapter_tensors, run_after
from showonce.evaluation.lessons import LessonStore
from showonce.evaluation.results import Results
from showonce.evaluation.tasks import evaluation_seeds, practice_offset
from showonce.fsio import atomic_write_bytes, atomic_write_json, atomic_write_text, explained, make_folder
from showonce.inference.torch.adapter_files import content_hash
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import TeachResult
from showonce.types import Demonstration, Task

FOLDER: Final = "proof"  # of the run: measured rows and taught controls by adapter, so that a second call goes on
JSON, CARD, PICTURE = "proof.json", "card.md", "card.png"
METRICS: Final = "metrics.json"
Tell = Callable[[str], None]  # told what is measured next


@dataclass(frozen=True)
class Proof:
    """What was found about one run. phases: before, teacher, after, each {success, n, low, high}.

    process: what the process that measured `after` says about itself. not_run: controls that could not be run, and why.
    learned: `after` is clearly above `before`, and no control with a goal missed it.
    """

    run: str
    task: str
    goal: str
    seed: int
    updates: int
    practice_episodes: int
    phases: Mapping[str, Mapping[str, Any]]
    process: Mapping[str, Any]
    controls: tuple[Control, ...]
    not_run: Mapping[str, str] = field(default_factory=dict)

    @property
    def improved(self) -> bool:
        return bool(self.phases["after"]["low"] > self.phases["before"]["high"])

    @property
    def missed(self) -> tuple[str, ...]:
        """The controls that missed their goal."""
        return tuple(control.name for control in self.controls if control.holds is False)

    @property
    def learned(self) -> bool:
        return self.improved and not self.missed and not self.not_run

    @property
    def verdict(self) -> str:
        """The finding in one sentence."""
        if not self.improved:
            return "Not shown: success after learning is not clearly above success before."
        if self.missed:
            return f"Improved, but not all controls hold: {', '.join(self.missed)}."
        if self.not_run:
            return f"Improved, and {self._shown}. Not run: {', '.join(self.not_run)}."
        return f"Learned from the demonstration: success rose without it, and {self._shown}."

    @property
    def _shown(self) -> str:
        """What the controls show, and what they do not: a baseline without a goal is reported, it cannot hold."""
        held = [control.name for control in self.controls if control.holds]
        words = f"the {len(held)} controls that have a goal hold" if held else "no control with a goal was run"
        reported = [control for control in self.controls if control.holds is None]
        if not reported:
            return words
        words += f"; reported without a goal: {', '.join(f'{c.name} {c.value:.2f}' for c in reported)}"
        equal = [control.name for control in reported if control.high >= self.phases["after"]["low"]]
        if equal:
            words += f". Not shown: that this way of learning is better than {', '.join(equal)}"
        return words


def prove(
    run_dir: str | Path,
    bench: Bench,
    lesson: Lesson,
    *,
    adapter: Path,
    task: str = "",
    screens: int = 0,
    controls: Sequence[str] = tuple(CONTROLS),
    stop: Stop | None = None,
    tell: Tell = lambda _: None,
) -> Proof:
    """Run the controls on a run's adapter and write proof.json, card.md and card.png into its folder.

    lesson: see `lesson_of`. adapter: the folder that a new process loads it from. task: how a new process finds the
    task (an id or a file; default: the id). screens: per measurement (0 = experiment.eval_screens).

    Raises:
        BadInput: an unknown control. ShowonceError: `after` could not be measured in a new process.
    """
    folder, config = Path(run_dir), bench.config
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown:
        raise BadInput(f"no control {unknown[0]!r}; there are: {', '.join(CONTROLS)}.")
    seeds = evaluation_seeds(config, screens or config.experiment.eval_screens, lesson.seed)
    work = make_folder(folder / FOLDER / content_hash(lesson.result.tensors)[:12])
    results = Results(work / "results.jsonl")
    try:
        exam = Exam(seeds, results, LessonStore(work / "lessons"), "proof", stop=stop)
        tell("before")
        phases = {"before": before(bench, lesson, exam).phase}
        tell("teacher")
        phases["teacher"] = teacher(bench, lesson, exam).phase
        tell("after, in a new process")
        process = run_after(config, adapter, task or lesson.task.id, seeds)
        phases["after"] = {key: process[key] for key in ("success", "n", "low", "high")}
        found, not_run = run_controls(bench, lesson, exam, controls, tell)
    finally:
        results.close()
    proof = Proof(
        folder.name, lesson.task.id, lesson.task.goal, lesson.seed, lesson.result.updates,
        lesson.result.practice_episodes, phases, process, found, not_run,
    )  # fmt: skip
    write_proof(folder, proof)
    return proof


def run_controls(
    bench: Bench, lesson: Lesson, exam: Exam, names: Sequence[str], tell: Tell
) -> tuple[tuple[Control, ...], dict[str, str]]:
    """Run the controls; one that the task or the world does not allow is named with the reason."""
    found: list[Control] = []
    not_run: dict[str, str] = {}
    for name in names:
        tell(name.replace("_", " "))
        try:
            found.append(CONTROLS[name](bench, lesson, exam))
        except TaskError as error:
            not_run[name] = str(error)
    return tuple(found), not_run


def write_proof(folder: Path, proof: Proof) -> None:
    """Write proof.json, card.png and card.md into a folder."""
    record = {
        "run": proof.run, "task": proof.task, "goal": proof.goal, "seed": proof.seed, "learned": proof.learned,
        "verdict": proof.verdict, "updates": proof.updates, "practice_episodes": proof.practice_episodes,
        **proof.phases, "process": proof.process, "controls": {c.name: c for c in proof.controls},
        "not_run": proof.not_run,
    }  # fmt: skip
    atomic_write_json(folder / JSON, record)
    atomic_write_bytes(folder / PICTURE, picture(proof))
    atomic_write_text(folder / CARD, text(proof, PICTURE))


def lesson_of(run_dir: str | Path, bench: Bench, task: Task, demonstration: Demonstration, adapter: Path) -> Lesson:
    """Return a finished run as a lesson: its adapter, and the updates and practice that its metrics.json tells.

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
        int(practised.get("episodes") or 0),
        int(practised.get("distinct_screens") or 0),
        float(metrics.get("wall_s") or 0.0),
    )
    seed, ours = bench.config.seed, bench.config.learning
    learning = replace(ours, practice=replace(ours.practice, seed_offset=practice_offset(bench.config, seed)))
    return Lesson(task, demonstration, learning, result, seed)


def summary_of(proof: Proof) -> str:
    """Return a proof as a few plain lines for a terminal."""
    lines = []
    for name, phase in proof.phases.items():
        lines.append(f"{name:<22} {phase['success']:.2f}  ({phase['low']:.2f} to {phase['high']:.2f}, n={phase['n']})")
    for control in proof.controls:
        mark = "" if control.holds is None else "  holds" if control.holds else "  MISSED"
        value = f"{control.value:.2f}  ({control.low:.2f} to {control.high:.2f}, n={control.n})"
        lines.append(f"{control.name:<22} {value}  {measured(control.name)}; goal: {control.goal}{mark}")
    lines += [f"{name:<22} not run: {why}" for name, why in proof.not_run.items()]
    return "\n".join([*lines, proof.verdict])
