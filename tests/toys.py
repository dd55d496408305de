"""A toy model on a toy board: what the tests above the learning layer share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fakes import Board, Recorder, board_task

from showonce.config import AdapterConfig, Config, GateConfig, LearningConfig, PolicyConfig, RatchetConfig
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.session import Session, identity_of
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context, Sampling
from showonce.runtime.player import Player
from showonce.runtime.recorder import shown_by_oracle
from showonce.runtime.stop import Stop
from showonce.seeds import Seeds
from showonce.types import Demonstration, Observation, Proposal, Task

GOAL = "light red"
ANYTHING_GOES = {"canary_max_drop": 2.0, "canary_max_kl": 1e9, "canary_max_nats": 1e9}


def toy_policy(checkpoint: Path, kind: str = "lora", seed: int = 0) -> VLMPolicy:
    """Load the toy model with an adapter."""
    policy = PolicyConfig(checkpoint=str(checkpoint), adapter=AdapterConfig(kind=kind, rank=4))
    return load_policy(replace(Config(), policy=policy, seed=seed))


def lesson_config(**sections: dict[str, Any]) -> LearningConfig:
    """Return settings under which a random model may learn at all: its teacher is never sure of anything."""
    config = LearningConfig(
        gate=GateConfig(teacher_threshold=0.0, headroom=0.0, updates_per_episode=4),
        ratchet=RatchetConfig(canary_screens=8, promote_every=2, **ANYTHING_GOES),
    )
    config = replace(config, sdft=replace(config.sdft, batch_size=4, lora_lr=0.01, confidence_weight=0.0))
    return replace(config, **{name: replace(getattr(config, name), **more) for name, more in sections.items()})


def a_task(goal: str = GOAL) -> Task:
    return board_task(goal, max_steps=2)


def a_demonstration() -> Demonstration:
    return shown_by_oracle(Board(), a_task(), 3)


class Skilled:
    """The toy policy, but for what it does: whether an episode succeeds is said by `wins`."""

    def __init__(self, policy: VLMPolicy, wins: Callable[[], bool]) -> None:
        self._policy, self._wins = policy, wins
        self.board: Board | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def propose(
        self, observation: Observation, context: Context, sampling: Sampling = "greedy", **how: Any
    ) -> Proposal:
        proposal = self._policy.propose(observation, context, sampling, **how)
        assert self.board is not None
        action = self.board.oracle() if self._wins() else self.board.click("blue")
        return replace(proposal, action=action, failure=None)


@dataclass
class Toy:
    """A session on the board; `wins` decides what its champion's episodes come to."""

    checkpoint: Path
    root: Path
    config: LearningConfig = field(default_factory=lesson_config)
    kind: str = "lora"
    name: str = "toy"
    wins: bool = True

    def __post_init__(self) -> None:
        self.policy = toy_policy(self.checkpoint, self.kind)
        self.events = Recorder()
        skilled: Any = Skilled(self.policy, lambda: self.wins)

        def make(task: Task) -> Board:
            skilled.board = Board()
            return skilled.board

        self.stop = Stop()
        self.stage = Player(skilled, make, self.events, self.stop)
        self.store = AdapterStore(self.root, self.name, identity_of(self.policy))
        self.session = Session(self.config, self.stage, self.store, Seeds(), run="a-run")
        self.task, self.shown = a_task(), a_demonstration()

    def begin(self) -> Session:
        self.session.begin(self.task, self.shown)
        return self.session

    def practise(self, n: int = 4) -> None:
        """Let the session see some screens of the task."""
        for seed in range(1_000_000, 1_000_000 + n):
            self.session.observe(self.stage.play(self.task, seed, "practice", [self.session.trainer]))

    def close(self) -> None:
        self.session.close()
        self.stage.close()
