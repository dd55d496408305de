"""The measured phases of a run on one demonstration: before, teacher, after, retention, calibration, baselines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from showonce.app.baselines import baseline
from showonce.app.compose import LiveRun
from showonce.errors import ShowonceError
from showonce.evaluation.fresh import run_after
from showonce.evaluation.results import EvalResult, Results, Row, paired, readings
from showonce.evaluation.runner import evaluate_set
from showonce.evaluation.tasks import task_set
from showonce.events import EpisodeFinished, ErrorRaised, PhaseMeasured, PhaseStarted
from showonce.fsio import atomic_write_json
from showonce.learning.session import Session
from showonce.protocols import CHAMPION, EventSink, choose
from showonce.runs.layout import AFTER_REPORT, RESULTS
from showonce.stats import auroc, brier, brier_base_rate, ece, wilson
from showonce.types import Demonstration, Task

BEFORE, TEACHER, AFTER, OFF = "before", "teacher", "after", "after:off"
RETENTION_BEFORE, RETENTION_AFTER = "retention:before", "retention:after"
ADAPTER_OFF: Final = "adapter_off"  # the key of `OFF` in metrics.json
NOTHING: Final = "nothing"  # the arm of rows that were measured before this run learned anything
WHERE: Final = ("model", "parser", "executor", "environment", "store")  # what an error event may blame
FACTS: Final = ("process", "adapter", "adapter_hash", "demonstrations", "cached_prefixes")
OFF_TOLERANCE: Final = 1e-3  # largest difference of token confidence that comes from batching alone


class EmittedResults(Results):
    """Results that also emit every new row as an event, for readers of the event file such as the dashboard."""

    def __init__(self, path: Path, events: EventSink) -> None:
        super().__init__(path)
        self._events = events

    def add(self, row: Row) -> None:
        super().add(row)
        self._events.emit(
            EpisodeFinished(
                episode=f"{row.part}-{row.seed}", task=row.task, phase=row.part, stop_reason=row.reason,
                success=row.success, steps=row.steps, seconds=None, adapter_version=row.adapter,
            )
        )  # fmt: skip


class Scores:
    """The measured phases of one run; rows are kept in its folder, so that a resumed run measures nothing twice.

    version: the checkpoint that `after` is about, once there is one.
    """

    def __init__(self, live: LiveRun, task: Task) -> None:
        self.live, self.task = live, task
        self.results = EmittedResults(live.writer.folder / RESULTS, live.writer.events)
        self.version = NOTHING
        plan = live.plan
        self._skills = [plan.limited(t) for t in task_set("skills").tasks] if task.environment == "embedded" else []
        self._screens = plan.seeds.take("evaluation", plan.config.experiment.eval_screens)
        self._old = plan.seeds.take("retention", plan.config.experiment.retention_per_family)

    def measure(self, part: str, adapter: str | None, shown: Demonstration | None = None) -> None:
        """Attempt the task on the evaluation seeds, in the part's name."""
        result = self._attempt(part, [self.task], self._screens, adapter, shown)[self.task.id]
        self._note(part, result)

    def measure_skills(self, part: str, adapter: str | None) -> None:
        """Attempt the old skills, where there are any to be measured."""
        if self._skills and self._old:
            self._attempt(part, self._skills, self._old, adapter)

    def measure_after(self, session: Session) -> None:
        """Measure the champion in a new process that knows the checkpoint's files and no demonstration.

        Raises:
            ShowonceError: that process failed, or measured something else.
        """
        writer, plan = self.live.writer, self.live.plan
        self.version = session.store.champion or NOTHING
        self._announce(AFTER, len(self._screens))
        kept, made = writer.folder / AFTER_REPORT, session.adapter.hash(CHAMPION)
        report = _kept_report(kept, made, self._screens)
        if report is None:
            self.live.player.release()
            folder = session.store.folder(self.version)
            try:
                report = run_after(plan.measurement(self.task, self._screens, folder))
            except ShowonceError:
                writer.stop.check()
                raise
            if report["adapter_hash"] != made:
                raise ShowonceError(f"the new process measured another adapter than {self.version}: {report}.")
            for line in report["rows"]:
                self.results.add(replace(Row.from_json(line), part=AFTER, arm=self.version, adapter=self.version))
            atomic_write_json(kept, report)
        facts = {name: report[name] for name in FACTS}
        self._note(AFTER, self._result(AFTER), {"new_process": facts})

    def measure_off(self) -> None:
        """Measure with the adapter off again and compare with `before`; note whether the rows are the same.

        Raises:
            ShowonceError: they differ, in an environment whose screens are exact (`Capabilities.exact`).
        """
        self.measure(OFF, None)
        before, off = self._result(BEFORE), self._result(OFF)
        same = len(before.rows) == len(off.rows) and all(map(same_row, before.rows, off.rows))
        self.live.writer.found[ADAPTER_OFF]["same_as_before"] = same
        if not same and self.live.player.environment(self.task).capabilities.exact:
            raise ShowonceError(
                "with the adapter off the policy does not do what it did before it learned: the frozen model was "
                "changed. Please report this."
            )

    def note_retention(self) -> None:
        """Note the success on old skills before and after, paired by screen; a positive drop is a loss."""
        before, after, drops = [], [], {}
        for task in self._skills if self._old else []:
            then = self.results.result(RETENTION_BEFORE, task.id, self._arm(RETENTION_BEFORE), self._old)
            now = self.results.result(RETENTION_AFTER, task.id, self._arm(RETENTION_AFTER), self._old)
            pairs = paired(then, now)
            before += pairs[0]
            after += pairs[1]
            drops[task.id.removeprefix("skill/")] = (sum(pairs[0]) - sum(pairs[1])) / max(len(pairs[0]), 1)
        if not before:
            self.live.writer.reasons["retention"] = "no old skills were measured"
            return
        worst = max(drops, key=lambda name: drops[name])
        self.live.writer.found["retention"] = {
            "before": sum(before) / len(before),
            "after": sum(after) / len(after),
            "worst_family": worst,
            "worst_drop": drops[worst],
            "n_per_family": len(self._old),
        }
        low, high = wilson(sum(after), len(after))
        self.live.writer.events.emit(
            PhaseMeasured(
                name="retention", before=sum(before) / len(before), success=sum(after) / len(after), n=len(after),
                low=low, high=high,
            )
        )  # fmt: skip

    def note_calibration(self) -> None:
        """Note calibration (ECE, AUROC, Brier) of the confidence that the gate reads, over all measured rows."""
        which = self.live.plan.config.learning.gate.confidence
        parts = {"before": (BEFORE, RETENTION_BEFORE), "after": (AFTER, RETENTION_AFTER)}
        rows = {
            when: [row for part in names for row in self.results.rows(part, self._arm(part))]
            for when, names in parts.items()
        }
        self.live.writer.found["calibration"] = {
            w: _calibration(found, which) if found else None for w, found in rows.items()
        }

    def note_baseline(self, name: str, shown: Demonstration) -> None:
        """Measure a baseline on the evaluation seeds."""
        part = f"baseline:{name}"
        self._announce(part, len(self._screens))
        result = baseline(name, self.live, self.task, shown, self._screens, self.results)
        self.live.writer.found.setdefault("baselines", {})[name] = result.phase
        self.live.writer.events.emit(PhaseMeasured(name=part, **result.phase))

    def close(self) -> None:
        self.results.close()

    def _attempt(
        self, part: str, tasks: list[Task], seeds: range, adapter: str | None, shown: Demonstration | None = None
    ) -> dict[str, EvalResult]:
        player = self.live.player
        self._announce(part, len(tasks) * len(seeds))
        choose(player.policy, adapter)
        try:
            return evaluate_set(
                player.policy,
                lambda: player.fresh(self.task),
                tasks,
                seeds,
                demonstrations={} if shown is None else {self.task.id: shown},
                results=self.results,
                part=part,
                arm=self._arm(part),
                phase=part,
                stop=player.stop,
                safety=player.safety,
            )
        finally:
            choose(player.policy, self.live.acting)

    def _arm(self, part: str) -> str:
        """Return the arm of a part's rows: for parts after learning the checkpoint, so that each is measured anew."""
        return self.version if part in (AFTER, OFF, RETENTION_AFTER) else NOTHING

    def _result(self, part: str) -> EvalResult:
        return self.results.result(part, self.task.id, self._arm(part), self._screens)

    def _announce(self, part: str, total: int) -> None:
        self.live.writer.events.emit(PhaseStarted(name=part, total=total))

    def _note(self, part: str, result: EvalResult, more: Mapping[str, Any] | None = None) -> None:
        self.live.writer.found[ADAPTER_OFF if part == OFF else part] = {**result.phase, **(more or {})}
        self.live.writer.events.emit(PhaseMeasured(name=part, **result.phase))
        if result.errors:
            last = next(row.error for row in reversed(result.rows) if row.error)
            where = last.split(":")[0] if last.split(":")[0] in WHERE else "model"
            message = f"{part}: {result.errors} attempts broke, the last: {last}"
            self.live.writer.events.emit(ErrorRaised(where=where, message=message))


def _kept_report(path: Path, adapter_hash: str, seeds: range) -> dict[str, Any] | None:
    """Return the report that an earlier start of this run kept, if it is about this adapter and these seeds."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = report["adapter_hash"] == adapter_hash and report["seeds"] == [seeds.start, seeds.stop]
        same = same and not report["errors"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if same else None


def same_row(before: Row, off: Row) -> bool:
    left, right = ([s.token or 0.0 for s in row.steps_scored] for row in (before, off))
    alike = all(abs(a - b) <= OFF_TOLERANCE for a, b in zip(left, right, strict=False))
    return (before.success, before.steps, before.reason) == (off.success, off.steps, off.reason) and alike


def _calibration(rows: Sequence[Row], which: str) -> dict[str, Any]:
    """Return how good a confidence is on the steps of some rows."""
    values, outcomes = readings(rows, which)
    return {
        "ece": ece(values, outcomes),
        "auroc": auroc(values, outcomes),
        "brier": brier(values, outcomes),
        "brier_base_rate": brier_base_rate(outcomes),
        "n": len(values),
    }
