"""One lesson from its demonstration to its end, and teaching as a function. A toy model on a toy board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import Board
from tests.toys import Toy, a_demonstration, a_task, lesson_config, toy_policy

from showonce.config import Config
from showonce.errors import Stopped, Unavailable
from showonce.events import EpisodeStarted
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.lesson import MAX_IDLE, Lesson, teaching
from showonce.policy.vlm_policy import load_policy
from showonce.runtime.stop import Stop
from showonce.runtime.teaching import TeachRequest
from showonce.seeds import Seeds

MakeLesson = Callable[..., tuple[Lesson, Toy]]


@pytest.fixture
def make(toy_checkpoint: Path, tmp_path: Path) -> Iterator[MakeLesson]:
    made: list[Toy] = []

    def build(wins: bool = True, learner: str = "sdft", **sections: dict[str, Any]) -> tuple[Lesson, Toy]:
        sections = {"practice": {"episodes": 6}, **sections}
        sections["ratchet"] = {"min_probes_best": 3, "probe_every": 2, "probe_batch": 2, **sections.get("ratchet", {})}
        toy = Toy(toy_checkpoint, tmp_path, replace(lesson_config(**sections), learner=learner), wins=wins)
        made.append(toy)
        toy.begin()
        return Lesson(toy.session, toy.task), toy

    yield build
    for toy in made:
        toy.close()


def phases(toy: Toy) -> list[object]:
    return [event["phase"] for event in toy.events.of("episode_started")]


def test_practice_updates_promotions_and_probes(make: MakeLesson) -> None:
    lesson, toy = make()
    lesson.learn()
    assert phases(toy).count("practice") == 6 == lesson.practised
    assert len(toy.events.of("update")) >= 6
    assert toy.store.champion != "v0000" and toy.session.ratchet.candidate_updates == 0
    assert phases(toy).count("probe") == lesson.probed >= 6
    assert toy.store.ledger.probes(toy.store.champion or "")[toy.task.id][1] >= 3, "the last champion was probed, too"


def test_practice_and_probe_seeds_are_apart_and_each_is_used_once(make: MakeLesson) -> None:
    lesson, toy = make()
    lesson.learn()
    for phase in ("practice", "probe"):
        seeds = [event["seed"] for event in toy.events.of("episode_started") if event["phase"] == phase]
        assert len(set(seeds)) == len(seeds) and set(seeds) <= set(toy.session.seeds.bounds(phase))  # type: ignore[arg-type]


def test_the_teacher_acts_less_and_less(make: MakeLesson) -> None:
    lesson, toy = make()
    lesson.learn()
    practised = [e["episode"] for e in toy.events.of("episode_started") if e["phase"] == "practice"]
    hands = [next(s["executor"] for s in toy.events.of("step") if s["episode"] == episode) for episode in practised]
    assert hands[0] == "teacher" and hands[-1] == "student"


def test_nothing_left_to_gain_ends_the_lesson(make: MakeLesson) -> None:
    lesson, toy = make(gate={"headroom": 0.02}, practice={"episodes": 60}, ratchet={"probe_every": 1, "probe_batch": 5})
    lesson.learn()
    assert lesson.practised < 10
    refused = [event["reason"] for event in toy.events.of("gate") if not event["accepted"]]
    assert refused == ["headroom"] * 3


def test_a_spent_budget_ends_the_lesson(make: MakeLesson) -> None:
    lesson, toy = make(gate={"budget_run": 3}, practice={"episodes": 60})
    lesson.learn()
    assert len(toy.events.of("update")) == 3 and lesson.practised < 5


def test_a_lesson_whose_demonstration_is_put_aside_ends(make: MakeLesson) -> None:
    lesson, toy = make(practice={"episodes": 60})
    toy.store.quarantine([], "by the test", [toy.shown.ref])
    toy.session.context.quarantined = toy.store.ledger.quarantined_sources
    toy.wins = False
    lesson.learn()
    assert not toy.events.of("update") and lesson.practised == MAX_IDLE


def test_practice_in_the_head_executes_nothing(make: MakeLesson) -> None:
    lesson, toy = make(gate={"budget_run": 5}, practice={"source": "head", "head_views": 6})
    lesson.learn()
    assert len(toy.events.of("update")) == 5 and phases(toy) == []
    assert toy.store.champion == "v0003"


def test_a_mixed_lesson_has_views_and_episodes(make: MakeLesson) -> None:
    lesson, toy = make(practice={"source": "mixed", "head_views": 5, "episodes": 2})
    lesson.learn()
    origins = {sample.origin for sample in toy.session.context.buffer}
    assert origins == {"head", "practice"} and lesson.practised == 2


def test_ordinary_episodes_have_no_teacher(make: MakeLesson) -> None:
    lesson, toy = make(practice={"source": "episodes", "episodes": 3})
    lesson.learn()
    assert set(phases(toy)) == {"run", "probe"}
    assert {event["executor"] for event in toy.events.of("step")} == {"student"}


@pytest.mark.parametrize("learner", ["in_context", "frozen"])
def test_without_weights_there_is_nothing_to_practise_for(make: MakeLesson, learner: str) -> None:
    lesson, toy = make(learner=learner)
    lesson.learn()
    assert phases(toy) == [] and toy.store.versions() == ["v0000"]


def test_a_stop_ends_it_at_once(make: MakeLesson) -> None:
    lesson, toy = make()
    toy.stop.press()
    with pytest.raises(Stopped):
        lesson.learn()
    assert phases(toy) == []


# ------------------------------------------------------------------------------------------ teaching


def request(**sections: dict[str, Any]) -> TeachRequest:
    sections = {"practice": {"episodes": 3, "seed_offset": 2_000_000}, "ratchet": {"min_probes_best": 2}, **sections}
    return TeachRequest(a_task(), a_demonstration(), lesson_config(**sections))


def test_teaching_gives_a_taught_adapter_and_leaves_the_policy_fresh(toy_checkpoint: Path) -> None:
    policy = toy_policy(toy_checkpoint)
    assert policy.adapter is not None
    fresh = {name: policy.adapter.hash(name) for name in policy.adapter.names}
    result = teaching(Seeds(), policy, lambda _: Board())(request())
    assert {name: policy.adapter.hash(name) for name in policy.adapter.names} == fresh
    assert content_hash(result.tensors) != fresh["champion"]
    assert result.updates > 0 and result.practice_episodes == 3 and result.distinct_screens > 0
    assert content_hash(result.tensors) in result.versions.values()
    seeds = [e.seed for e in result.events if isinstance(e, EpisodeStarted) and e.phase == "practice"]
    assert seeds == [2_000_000, 2_000_001, 2_000_002]


def test_the_same_request_gives_the_same_adapter(toy_checkpoint: Path) -> None:
    policy = toy_policy(toy_checkpoint)
    teach = teaching(Seeds(), policy, lambda _: Board())
    first, other, again = (content_hash(teach(replace(request(), seed=s)).tensors) for s in (1, 2, 1))
    assert first == again != other


def test_a_lesson_goes_on_from_where_an_earlier_one_ended(toy_checkpoint: Path) -> None:
    teach = teaching(Seeds(), toy_policy(toy_checkpoint), lambda _: Board())
    first = teach(request())
    asked = request(gate={"budget_run": 0})
    again = teach(replace(asked, start=first.tensors, lessons=((a_task(), a_demonstration()),)))
    assert again.updates == 0 and content_hash(again.tensors) == content_hash(first.tensors)


def test_the_candidate_can_be_asked_for(toy_checkpoint: Path) -> None:
    teach = teaching(Seeds(), toy_policy(toy_checkpoint), lambda _: Board())
    refused = request(ratchet={"canary_max_drop": -1.0, "promote_every": 100, "min_probes_best": 0})
    champion, candidate = (teach(replace(refused, keep=keep)) for keep in ("champion", "candidate"))  # type: ignore[arg-type]
    assert champion.updates > 0 and list(champion.versions) == ["v0000"]
    assert content_hash(champion.tensors) == champion.versions["v0000"]
    assert content_hash(candidate.tensors) == content_hash(champion.tensors), "a refused candidate is taken back"


@pytest.mark.parametrize("frames", ["none", "empty"])
def test_a_lesson_without_anything_shown_learns_nothing(toy_checkpoint: Path, frames: str) -> None:
    teach = teaching(Seeds(), toy_policy(toy_checkpoint), lambda _: Board())
    asked = request(gate={"enabled": False})
    assert asked.demonstration is not None
    shown = None if frames == "none" else replace(asked.demonstration, frames=())
    result = teach(replace(asked, demonstration=shown))
    assert result.practice_episodes == 3 and (result.updates == 0) == (frames == "none")


def test_a_policy_without_an_adapter_cannot_be_taught(toy_checkpoint: Path) -> None:
    config = Config()
    policy = load_policy(replace(config, policy=replace(config.policy, checkpoint=str(toy_checkpoint)), adapter="none"))
    with pytest.raises(Unavailable, match="adapter=auto"):
        teaching(Seeds.of(config), policy, lambda _: Board(), Stop())
