"""A realistic event file without a model: one_demo learns, is poisoned, and the drop test brings the best back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from showonce.events import from_json
from showonce.learning.gate.gate import GateReason
from showonce.stats import wilson

Events = list[dict[str, Any]]
TASK, GOAL = "app/dev/single/0", "zorb the lamp"
START = 1_700_000_000.0
SCREENS = 20  # episodes of before, teacher and after
PRACTICE = 150


class Simulation:
    """Writes the events of one run in order; `clock` is the unix time of the next one."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.events: Events = []
        self.clock = START
        self.episode = 0
        self.updates = 0
        self.statistic = 0.0
        self.champion = "base"

    def emit(self, kind: str, **data: Any) -> None:
        event = replace(from_json({"kind": kind, **data}), t=round(self.clock, 3))
        assert set(data) <= set(vars(event)), f"{kind} has no such field"
        self.events.append(event.to_json())
        self.clock += 0.002

    def episodes(self, phase: str, chance: float, executor: str = "student") -> bool:
        """One episode of one step that succeeds with that probability."""
        self.episode += 1
        name = f"{phase}-{self.episode:04d}"
        success = self.rng.random() < chance
        self.emit(
            "episode_started", episode=name, task=TASK, goal=GOAL, seed=self.episode, phase=phase,
            adapter_version=self.champion, executor=executor,
        )  # fmt: skip
        broken = self.rng.random() < 0.01
        x, y = (0.71, 0.32) if success else (0.25, 0.66)
        action = {"action": "click", "x": x, "y": y}
        sure = min(max(self.rng.gauss(chance, 0.1), 0.02), 0.99)
        self.clock += 0.04
        self.emit(
            "step", episode=name, index=0, frame="frame.png", goal=GOAL,
            proposed=None if broken else action, executed=None if broken else action, executor=executor,
            text='{"action":"click"' if broken else json.dumps({**action, "confidence": round(sure, 2)}),
            parse_failure={"reason": "truncated", "detail": "an object begins and never ends"} if broken else None,
            confidence={"stated": round(sure, 2), "token": round(sure * 0.9, 3), "calibrated": None},
            timings={
                "observe": self.rng.uniform(0.8, 1.4), "model": self.rng.uniform(28, 45),
                "parse": self.rng.uniform(0.03, 0.06), "execute": self.rng.uniform(0.4, 0.8),
                "overhead": self.rng.uniform(0.2, 0.5),
            },
            changed=not broken, step_correct=None if broken else success,
        )  # fmt: skip
        self.emit(
            "episode_finished", episode=name, task=TASK, phase=phase, success=success and not broken, steps=1,
            stop_reason="parse_failures" if broken else "completed" if success else "failed", seconds=0.045,
            adapter_version=self.champion,
        )  # fmt: skip
        return success and not broken

    def scored(self, phase: str, chance: float, executor: str = "student") -> None:
        self.emit("phase", name=phase, total=SCREENS)
        good = sum(self.episodes(phase, chance, executor) for _ in range(SCREENS))
        low, high = wilson(good, SCREENS)
        self.emit("phase_result", name=phase, success=good / SCREENS, n=SCREENS, low=low, high=high)

    def learn(self, poison_at: int | None) -> None:
        self.emit("phase", name="learn", total=PRACTICE)
        skill, poisoned = 0.2, False
        for i in range(PRACTICE):
            if poison_at is not None and i == poison_at:
                self.emit("fault", name="lr_x100", detail="one update with the learning rate x100")
                poisoned, skill = True, 0.15
            self.episodes("practice", skill, "teacher" if i < 10 else "student")
            skill = self.decide(skill, i, poisoned)
            if i % 2 == 0 and self.probe(skill, poisoned):
                poisoned, skill = False, 0.97

    def decide(self, skill: float, i: int, poisoned: bool) -> float:
        left = {"budget_run_left": 60 - self.updates, "budget_task_left": 240 - self.updates}
        if skill < 0.95 and not poisoned and i % 3 != 2:
            route = "shown" if self.updates < 18 else "earned"
            self.emit("gate", accepted=True, route=route, reason=route, updates=1, numbers={}, **left)
            self.updates += 1
            self.clock += 0.18
            self.emit(
                "update", n=self.updates, loss=1.4 * 0.9**self.updates, kl=0.02 * self.updates, grad_norm=0.7,
                ms=180.0, route=route, candidate=f"v{self.updates:03d}",
            )  # fmt: skip
            if self.updates % 5 == 0:
                self.promote()
            return min(0.97, skill + 0.04)
        reason = GateReason.TEACHER_UNSURE if skill < 0.95 else GateReason.HEADROOM
        numbers = {"teacher_confidence": 0.31, "teacher_threshold": 0.5} if skill < 0.95 else {"probe_success": 1.0}
        self.emit("gate", accepted=False, route=None, reason=reason, updates=0, numbers=numbers, **left)
        return skill

    def promote(self) -> None:
        old, self.champion = self.champion, f"v{self.updates:03d}"
        self.statistic = 0.0
        self.emit("promotion", accepted=True, old=old, new=self.champion, reason="passed", canaries={"n": 64})
        self.emit(
            "checkpoint", version=self.champion, path=f"adapters/one_demo/{self.champion}",
            probes={"n": 5, "successes": 4, "lower": 0.42},
        )  # fmt: skip

    def probe(self, skill: float, poisoned: bool) -> bool:
        """One probe; True when it ended in a rollback."""
        success = self.rng.random() < skill
        armed = self.updates >= 15
        self.statistic = max(0.0, self.statistic + (-0.35 if success else 1.1)) if armed else 0.0
        self.emit(
            "probe", task=TASK, episode=f"practice-{self.episode:04d}", success=success, n=1, champion=self.champion,
            p0=0.93 if armed else None, statistic=self.statistic if armed else None, threshold=4.9 if armed else None,
        )  # fmt: skip
        if not poisoned or self.statistic <= 4.9:
            return False
        old, self.champion = "v999", self.champion
        self.emit(
            "rollback", episode=f"practice-{self.episode:04d}", old=old, new=self.champion, statistic=self.statistic,
            reason=f"success on {TASK} dropped",
        )  # fmt: skip
        self.emit("quarantine", versions=[old], reason=f"success on {TASK} dropped")
        self.statistic = 0.0
        return True


def simulate(seed: int = 0, poison_at: int | None = 90, finish: bool = True) -> Events:
    """Return the events of a one_demo run; poison_at: practice episode of the poisoned update, None = a healthy run."""
    run = Simulation(seed)
    run.emit(
        "run_started", run="20261121-101500-one_demo", name="one_demo", task=TASK, goal=GOAL, adapter="one_demo",
        learner="sdft", budget_run=60, budget_task=240, learning=True, seed=seed, versions={"showonce": "0.1.0"},
    )  # fmt: skip
    run.scored("before", 0.2)
    run.scored("teacher", 0.95, "teacher")
    run.learn(poison_at)
    run.emit("error", where="environment", message="the screen did not answer within 5 s")
    if finish:
        run.scored("after", 0.96)
        run.emit("run_finished", reason="completed", seconds=round(run.clock - START, 1))
    return run.events


def write_events(folder: Path, events: Events) -> Path:
    """Write events and the one frame that they name into a run folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "events.jsonl").write_text(lines, encoding="utf-8")
    frame = Image.new("RGB", (112, 112), (236, 239, 244))
    draw = ImageDraw.Draw(frame)
    draw.rectangle((0, 0, 111, 13), fill=(94, 129, 172))
    for word, x, y, colour in (
        ("red", 12, 24, (191, 97, 106)),
        ("leaf", 64, 24, (163, 190, 140)),
        ("sand", 12, 62, (208, 135, 112)),
        ("plum", 64, 62, (180, 142, 173)),
    ):
        draw.rectangle((x, y, x + 34, y + 22), fill=colour)
        draw.text((x + 6, y + 5), word, fill=(255, 255, 255))
    frame.save(folder / "frame.png")
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a run folder: ``make_run(seed=0, poison_at=90, finish=True)``, or its events."""
    numbers: Iterator[int] = count()

    def make(events: Events | None = None, **settings: Any) -> Path:
        return write_events(tmp_path / f"run{next(numbers)}", simulate(**settings) if events is None else events)

    return make
