"""Which jobs each part of the core table needs, in three phases of processes of their own.

*teach*: the frozen policy is measured, with and without demonstration, and lessons are taught. *compare*: other ways to
learn beside a lesson. *fresh*: processes that never see a demonstration measure what was taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from showonce.app.jobs import Job
from showonce.config import Config
from showonce.errors import ConfigError, nearest
from showonce.evaluation.controls import CONTROLS
from showonce.evaluation.tasks import task_set

TEACH: Final = ("skills", "single", "multi", "head_only", "sequence")
COMPARE: Final = ("controls", "in_context", "faults")
FRESH: Final = (
    "after_single", "after_multi", "after_head_only", "after_sequence", "specificity", "retention", "calibration",
)  # fmt: skip
PHASES: Final = (TEACH, COMPARE, FRESH)
STEPS: Final[dict[str, tuple[str, ...]]] = {  # a part of the table -> the jobs that it needs
    "skills": ("skills",),
    "single": ("single", "after_single"),
    "multi": ("multi", "after_multi"),
    "head_only": ("head_only", "after_head_only"),
    "controls": ("single", "controls"),
    "specificity": ("single", "specificity", "in_context"),
    "retention": ("skills", "single", "retention"),
    "sequence": ("sequence", "after_sequence"),
    "calibration": ("skills", "single", "after_single", "retention", "calibration"),
    "faults": ("single", "faults"),
    "drop_test": (),
    "overhead": (),
    "demo_time": (),
}
CONTROL_APPS: Final = 6  # number of apps on which the baselines are taught
LINE: Final = 5  # number of apps that one adapter learns one after another
FAULTS: Final = ("wrong_demonstration", "inverted_loss", "lr_x100", "corrupt_checkpoint")
FAULT_RUNS: Final = 10  # runs of each kind of fault
NO_CANARIES: Final = "drop_test:"  # prefix of a kind of fault whose runs have no canaries: only the drop test watches
NO_CANARY_FAULTS: Final = tuple(f"{NO_CANARIES}{kind}" for kind in FAULTS[:3])
NO_CANARY_RUNS: Final = 5  # runs of each of these
TABLE_CONTROLS: Final = tuple(name for name in CONTROLS if name not in ("specificity", "other_demonstrations"))


def check_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts to run; none named = all.

    Raises:
        ConfigError: an unknown part (nearest named).
    """
    for name in names:
        if name not in STEPS:
            raise ConfigError(f"--parts: {name!r} is no part of the core table.{nearest(name, STEPS)}")
    return tuple(names) or tuple(STEPS)


def jobs_of(config: Config, parts: Sequence[str]) -> tuple[list[Job], ...]:
    """Return the jobs of the three phases, in order."""
    wanted = {step for part in parts for step in STEPS[part]}
    return tuple([job for step in phase if step in wanted for job in _jobs(config, step)] for phase in PHASES)


def apps_of(config: Config, kind: str) -> tuple[str, ...]:
    """Return the ids of the apps that are measured."""
    return task_set(kind, config.evaluation.split, config.evaluation.apps).ids


def lines_of(config: Config) -> list[tuple[str, ...]]:
    """Return the groups of LINE apps that one adapter learns one after another; a shorter one only if alone."""
    ids = apps_of(config, "single")
    return [ids[at : at + LINE] for at in range(0, len(ids), LINE) if at == 0 or len(ids) - at >= LINE]


def _jobs(config: Config, step: str) -> list[Job]:
    repetitions = range(len(config.evaluation.seeds))
    kind = "multi" if step.endswith("multi") else "single"
    if step == "skills":
        return [Job(step, task_id) for task_id in task_set("skills").ids]
    if step in ("single", "multi", "after_single", "after_multi"):
        return [Job(step, app, r) for r in repetitions for app in apps_of(config, kind)]
    if step in ("sequence", "after_sequence"):
        return [Job(step, line[0]) for line in lines_of(config)]
    if step == "faults":
        both = [Job(step, fault, run) for run in range(FAULT_RUNS) for fault in FAULTS]
        return both + [Job(step, fault, run) for run in range(NO_CANARY_RUNS) for fault in NO_CANARY_FAULTS]
    if step == "controls":
        return [Job(step, app) for app in apps_of(config, kind)[:CONTROL_APPS]]
    return [Job(step, app) for app in apps_of(config, kind)]
