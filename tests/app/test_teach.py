"""`teach` gives a lesson as a run gives it, and leaves the policy that it was given as it came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.app.conftest import TASK, MakeConfig
from tests.fakes import events_in

from showonce import read_runs, teach
from showonce.app.compose import assemble
from showonce.app.experiment import learn_lessons
from showonce.app.frontend import Frontend
from showonce.app.plan import make_plan
from showonce.app.run import run
from showonce.app.run_writer import RunWriter
from showonce.config import Config, ExperimentConfig
from showonce.errors import BadInput, DemonstrationError, TaskError
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.session import identity_of
from showonce.policy.vlm_policy import load_policy
from showonce.protocols import CANDIDATE, CHAMPION
from showonce.runs.folder import start_run


def quick(config: Config, learner: str = "sft_demo", episodes: int = 3) -> Config:
    """The config of a lesson of a few updates, from an open gate: whatever is learned is kept."""
    gate = replace(config.learning.gate, enabled=False, budget_run=3, headroom=0.0)
    ratchet = replace(config.learning.ratchet, canary_screens=0, min_probes_best=0, promote_every=1)
    practice = replace(config.learning.practice, episodes=episodes)
    learning = replace(config.learning, learner=learner, gate=gate, ratchet=ratchet, practice=practice)
    return replace(config, learning=learning)


def test_it_teaches_what_a_run_teaches(make: MakeConfig) -> None:
    config = quick(make(experiment=ExperimentConfig("one_demo", eval_screens=2, retention_per_family=0)))
    taught = teach(config, screens=2)
    assert taught.updates == 3 and taught.practice_episodes >= 1 and taught.seconds > 0
    assert (taught.task, taught.learner, taught.seed) == (TASK, "sft_demo", 0)
    assert taught.after is not None and [row.seed for row in taught.after.rows] == [5_000_000, 5_000_001]
    folder = run(config).folder
    with AdapterStore(Path("adapters"), folder.name, identity_of(load_policy(config)), readonly=True) as store:
        assert content_hash(store.load().tensors)[:12] == taught.version
    (row,) = read_runs("logs")
    assert (row["task"], row["updates"], row["after.n"], row["learning.learner"]) == (TASK, 3, 2, "sft_demo")
    assert row == read_runs("logs", ["latest"])[0]
    with pytest.raises(BadInput):
        read_runs("logs", ["no such run"])


def test_a_policy_serves_many_lessons_and_each_begins_fresh(make: MakeConfig) -> None:
    config = quick(make())
    policy = load_policy(config)
    adapter = policy.adapter
    assert adapter is not None
    before = [adapter.hash(name) for name in (CANDIDATE, CHAMPION)]
    numbers: list[int] = []
    first = teach(config, policy=policy, screens=1, updated=numbers.append)
    assert numbers == [1, 2, 3] and policy.acting == CHAMPION
    assert adapter.hash(CANDIDATE) == before[0]
    second = teach(config, TASK, policy=policy)
    assert first.version == second.version == teach(config).version != "base"
    assert second.after is None
    onwards = teach(config, TASK, policy=policy, start=first.tensors)
    assert onwards.version not in ("base", first.version)


def test_what_was_taught_is_an_adapter_for_a_run(make: MakeConfig, tmp_path: Path) -> None:
    config = quick(make())
    taught = teach(config, folder=tmp_path / "mine", screens=3)
    assert taught.after is not None
    adapter = load_policy(config).adapter
    assert adapter is not None
    tensors, version = adapter.read(tmp_path / "mine")
    assert content_hash(tensors)[:12] == version == taught.version == taught.after.rows[0].adapter


def test_a_learner_without_weights_is_taught_nothing(make: MakeConfig, tmp_path: Path) -> None:
    frozen = teach(quick(make(), "frozen"), screens=2)
    assert (frozen.version, frozen.updates, dict(frozen.tensors)) == ("base", 0, {})
    assert frozen.after is not None and frozen.after.n == 2
    with pytest.raises(BadInput, match="nothing was learned"):
        teach(quick(make(), "frozen"), folder=tmp_path / "none")


def test_what_is_missing_is_said(make: MakeConfig) -> None:
    with pytest.raises(TaskError, match="app/dev/single"):
        teach(make(), "app/dev/single/99")
    with pytest.raises(DemonstrationError, match="record one"):
        teach(make(), "skill/click_icon")


def test_a_task_of_several_lessons_is_taught_all_of_them_by_run_and_by_teach(make: MakeConfig) -> None:
    """Each with the whole budget. A run goes on with its optimiser, so their tensors are not the same."""
    config = quick(make(task="hard/sequence/0"))
    policy = load_policy(config)
    assert teach(config, policy=policy).updates == 9
    folder = start_run(config)
    plan = make_plan(config, learning=True).placed(folder)
    with RunWriter(config, folder, Frontend(), report=False) as writer, assemble(plan, writer, policy) as live:
        assert live.session is not None
        learn_lessons(live, live.session, live.lessons(plan.tasks[0], live.demonstrate(plan.tasks[0])))
    practised = [
        e["task"] for e in events_in(folder) if e.get("phase") == "practice" and e["kind"] == "episode_finished"
    ]
    assert list(dict.fromkeys(practised)) == ["hard/sequence/0", "hard/sequence/0/2", "hard/sequence/0/3"]
    assert sum(e["kind"] == "update" for e in events_in(folder)) == 9
