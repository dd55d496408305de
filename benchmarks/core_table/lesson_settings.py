"""The settings of the core table's lessons, derived from the config: practice seeds, budgets, faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from benchmarks.core_table.schedule import NO_CANARIES
from showonce.config import Config, FaultConfig, LearningConfig
from showonce.seeds import Seeds

MULTI_UPDATES: Final = 200  # updates allowed for a lesson of several steps; practice grows in the same ratio
HEALTHY_UPDATES: Final = 10  # updates of a fault run before the fault begins
POISONED_UPDATES: Final = 50  # updates of a fault run under the fault, at most
PROBES_EACH: Final = 4  # probes after every episode of a fault run


def learning_of(config: Config, repetition: int, kind: str = "single") -> LearningConfig:
    """Return the settings of a lesson; every repetition practises on seeds of its own.

    kind: "multi", a lesson of several steps, is allowed MULTI_UPDATES updates and as many more practice episodes.
    """
    ours, practice = config.learning, config.learning.practice
    practice = replace(practice, seed_offset=Seeds.of(config, repetition).first("practice"))
    if kind == "multi":
        most = max(MULTI_UPDATES, ours.gate.budget_task)
        gate = replace(ours.gate, budget_run=MULTI_UPDATES, budget_task=most)
        share = MULTI_UPDATES / max(ours.gate.budget_run, 1)
        return replace(ours, gate=gate, practice=replace(practice, episodes=round(practice.episodes * share)))
    return replace(ours, practice=practice)


def fault_learning(config: Config, kind: str, seed: int) -> LearningConfig:
    """Return the settings of a run whose updates are damaged after HEALTHY_UPDATES of them: many probes, no cool-down.

    kind: of the fault; behind the prefix `NO_CANARIES` the canaries are off.
    """
    ours = learning_of(config, seed)
    most = HEALTHY_UPDATES + POISONED_UPDATES
    gate = replace(
        ours.gate, budget_run=most, budget_task=max(most, ours.gate.budget_task), updates_per_episode=1, headroom=0.0,
        cooldown=0,
    )  # fmt: skip
    ratchet = replace(ours.ratchet, probe_every=1, probe_batch=PROBES_EACH)
    if kind.startswith(NO_CANARIES):
        ratchet = replace(ratchet, canary_screens=0)
    practice = replace(ours.practice, episodes=2 * most)
    fault = FaultConfig(kind.removeprefix(NO_CANARIES), HEALTHY_UPDATES)
    return replace(ours, gate=gate, ratchet=ratchet, practice=practice, fault=fault)
