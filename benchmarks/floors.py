"""Floors: what the machine allows in this very run, against which a benchmark's own time is a ratio."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from benchmarks.verdict import Row, of_ratio, of_times
from showonce.config import Config
from showonce.environments.registry import find_task, make_environment
from showonce.evaluation.goals import Goal
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context

ANSWERS: Final = 30


def embedded_policy() -> VLMPolicy:
    """Return the embedded model without an adapter, on one torch thread."""
    import torch

    torch.set_num_threads(1)
    return load_policy(Config(adapter="none"))


def answer_times(policy: VLMPolicy, n: int = ANSWERS) -> list[float]:
    """Return the milliseconds of greedy answers to n new screens of one app, after three answers that do not count."""
    environment, task, found = make_environment("embedded"), find_task("app/dev/single/0"), list[float]()
    for seed in range(n + 3):
        screen = environment.reset(task, seed)
        begun = time.perf_counter()
        policy.propose(screen, Context(task.goal))
        found.append((time.perf_counter() - begun) * 1e3)
    environment.close()
    return found[3:]


def beside_an_answer(name: str, measure: Callable[[], list[float]], goal: Goal) -> list[Row]:
    """Return the rows of measured milliseconds and of their ratio to the embedded model's answers, before and after."""
    policy = embedded_policy()
    answers = answer_times(policy)
    found = measure()
    answers += answer_times(policy)
    return [
        of_times(name, found),
        of_times("one answer of the embedded model", answers),
        of_ratio(f"{name} / one answer", found, answers, goal),
    ]
