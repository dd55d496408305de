"""A policy whose model runs elsewhere has no engine and no adapter, and fits wherever a policy is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import Board, Recorder, board_task

from showonce.app.compose import assemble
from showonce.app.plan import make_plan
from showonce.app.run_writer import RunWriter
from showonce.errors import Unavailable
from showonce.evaluation.runner import evaluate_task
from showonce.learning.lesson import teaching
from showonce.policy.batched import batchable
from showonce.policy.vlm_policy import local_policy
from showonce.protocols import CHAMPION, Context, Policy, adaptable, adapter_of, choose
from showonce.runtime.player import Player
from showonce.seeds import Seeds
from showonce.settings import load_config
from showonce.types import Observation, Proposal, StopReason

GOAL = "light red"


class RemotePolicy:
    """Answers as a server would: an action for a screen, nothing else."""

    adapter_version = "remote-1"

    def __init__(self, board: Board) -> None:
        self._board = board

    def propose(self, observation: Observation, context: Context, sampling: str = "greedy") -> Proposal:
        action = self._board.oracle()
        return Proposal("an answer", action, None, adapter_version=self.adapter_version)


@pytest.fixture
def board() -> Board:
    return Board()


def test_it_plays(board: Board) -> None:
    policy = RemotePolicy(board)
    assert isinstance(policy, Policy)
    player = Player(policy, lambda _: board, Recorder())
    episode = player.play(board_task(GOAL, max_steps=2), 3, "run")
    assert episode.success and episode.adapter_version == "remote-1"
    player.shadow_every = 1
    with pytest.raises(Unavailable, match=r"RemotePolicy.*learning.shadow_every=0"):
        player.play(board_task(GOAL, max_steps=2), 3, "run")


def test_it_is_measured(board: Board) -> None:
    result = evaluate_task(RemotePolicy(board), lambda: board, board_task(GOAL, max_steps=2), [1, 2, 3], width=4)
    assert (result.success, result.errors) == (1.0, 0)


def test_a_run_is_put_together_around_it(board: Board, tmp_path: Path) -> None:
    config = load_config("demo", ["adapter=none", "learning=frozen", "dashboard.mode=off"])
    plan = make_plan(config, tasks=[replace(board_task(GOAL, max_steps=2), environment="embedded")], learning=True)
    writer = RunWriter(config, tmp_path / "run", report=False)
    with writer, assemble(plan.placed(writer.folder), writer, RemotePolicy(board)) as live:
        live.player.make_environment = lambda _: board
        assert (live.session, live.checkpoint, live.acting) == (None, None, None)
        assert live.player.play(plan.tasks[0], 3, "run").stop_reason is StopReason.COMPLETED
    assert not writer.stopped


def test_what_needs_a_model_of_ones_own_says_what_to_set(board: Board) -> None:
    policy = RemotePolicy(board)
    assert adapter_of(policy) is None and batchable(policy) is None
    choose(policy, None)
    for call, named in (
        (lambda: choose(policy, CHAMPION), "adapter=none"),
        (lambda: adaptable(policy, "one=thing"), "one=thing"),
        (lambda: local_policy(policy, "learning=frozen"), "learning=frozen"),
        (lambda: teaching(Seeds(), policy, lambda _: board), "learning=frozen"),
    ):
        with pytest.raises(Unavailable, match=f"RemotePolicy.*{named}"):
            call()
