"""Between episodes: what is learned, what may act, what is brought back. A toy model on a toy board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.toys import Toy, a_task, lesson_config

from showonce.errors import StoreLocked
from showonce.inference.torch.adapter_files import content_hash
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.methods.faults import corrupt_checkpoint
from showonce.learning.ratchet.champion import RECENT
from showonce.learning.ratchet.refusals import MAX_REFUSED
from showonce.protocols import CANDIDATE, CHAMPION

MakeToy = Callable[..., Toy]


@pytest.fixture
def make(toy_checkpoint: Path, tmp_path: Path) -> Iterator[MakeToy]:
    """Return a function that makes a session; sections are those of the learning config."""
    made: list[Toy] = []

    def build(name: str = "toy", kind: str = "lora", **sections: dict[str, Any]) -> Toy:
        made.append(Toy(toy_checkpoint, tmp_path, lesson_config(**sections), kind, name))
        return made[-1]

    yield build
    for toy in made:
        toy.close()


def updated(toy: Toy, n: int = 2) -> None:
    """Make `n` updates on a few screens."""
    toy.begin()
    toy.practise()
    for _ in range(n):
        assert toy.session.update(toy.task) == ""


def test_it_begins_with_a_first_version_that_does_nothing(make: MakeToy) -> None:
    toy = make()
    assert toy.store.champion == "v0000"
    assert [event["version"] for event in toy.events.of("checkpoint")] == ["v0000"]
    assert toy.policy.adapter_version == "v0000"


def test_updates_train_the_candidate_and_the_champion_stays(make: MakeToy) -> None:
    toy = make()
    before = toy.session.adapter.hash(CHAMPION)
    updated(toy)
    assert toy.session.adapter.hash(CHAMPION) == before != toy.session.adapter.hash(CANDIDATE)
    assert toy.store.ledger.updates_run("a-run") == 2 == toy.store.ledger.updates_task(toy.task.id)
    assert len(toy.events.of("update")) == 2


def test_a_candidate_that_passes_is_saved_verified_and_acts(make: MakeToy) -> None:
    toy = make()
    updated(toy)
    candidate = toy.session.adapter.hash(CANDIDATE)
    decision = toy.session.consider()
    assert decision is not None and decision.accepted
    assert toy.store.champion == "v0001" == toy.policy.adapter_version
    assert toy.session.adapter.hash(CHAMPION) == candidate == content_hash(toy.store.load("v0001").tensors)
    (event,) = toy.events.of("promotion")
    assert (event["accepted"], event["old"], event["new"]) == (True, "v0000", "v0001")
    assert toy.store.ledger.read_section("lessons") == {toy.task.id: toy.shown.ref}


def test_before_its_time_nothing_is_decided(make: MakeToy) -> None:
    toy = make()
    updated(toy, 1)
    assert toy.session.consider() is None and not toy.events.of("promotion")
    assert toy.session.consider(force=True) is not None


def test_a_candidate_that_the_canaries_refuse_is_taken_back(make: MakeToy) -> None:
    toy = make(ratchet={"canary_max_drop": -1.0})  # not even no loss is small enough
    updated(toy)
    champion = toy.session.adapter.hash(CHAMPION)
    decision = toy.session.consider()
    assert decision is not None and not decision.accepted
    assert toy.session.adapter.hash(CANDIDATE) == champion == toy.session.adapter.hash(CHAMPION)
    assert toy.store.champion == "v0000" and toy.store.versions() == ["v0000"]
    assert toy.session.trainer.updates == 2, "what was spent is not refunded"
    (event,) = toy.events.of("promotion")
    assert (event["accepted"], event["reason"]) == (False, "parse")


def test_after_a_refusal_other_screens_and_draws_are_tried(make: MakeToy) -> None:
    toy = make(ratchet={"canary_max_drop": -1.0})
    updated(toy)
    chance = toy.session.context.rng.bit_generator.state
    toy.session.consider()
    assert toy.session.context.rng.bit_generator.state == chance


def test_what_is_refused_again_and_again_is_put_aside_and_learning_ends(make: MakeToy) -> None:
    toy = make(ratchet={"canary_max_drop": -1.0}, gate={"updates_per_episode": 100})
    known(toy)
    updated(toy)
    toy.session.consider()
    assert toy.session.context.demonstration(toy.task.id) is toy.shown and not toy.events.of("quarantine")
    for _ in range(2):
        assert toy.session.update(toy.task) == ""
    toy.session.consider()
    assert toy.session.context.demonstration(toy.task.id) is None
    aside = toy.events.of("quarantine")[0]["versions"]
    assert isinstance(aside, list) and toy.shown.ref in aside


def test_while_a_lesson_is_being_learned_refusals_end_nothing(make: MakeToy) -> None:
    toy = make(ratchet={"canary_max_drop": -1.0}, gate={"updates_per_episode": 100})
    updated(toy)
    for _ in range(4):
        toy.session.consider()
        for _ in range(2):
            assert toy.session.update(toy.task) == ""
    assert not any(event["accepted"] for event in toy.events.of("promotion")) and not toy.events.of("quarantine")


def refuse(toy: Toy) -> None:
    """Let the canaries refuse as many candidates as suspend a lesson."""
    toy.session.ratchet.config = replace(toy.session.ratchet.config, canary_max_drop=-1.0)
    for _ in range(MAX_REFUSED):
        for _ in range(2):
            assert toy.session.update(toy.task) == ""
        toy.session.consider()


def known(toy: Toy) -> None:
    """Let the champion pass enough probes to count as one that knows the lesson."""
    for seed in range(RECENT):
        assert toy.session.probe(toy.task, 900_000 + seed) is not None


def test_what_a_good_version_was_made_from_is_never_put_aside(make: MakeToy) -> None:
    toy = make(gate={"updates_per_episode": 100})
    known(toy)
    updated(toy)
    toy.session.consider()
    refuse(toy)
    assert toy.session.context.demonstration(toy.task.id) is toy.shown
    assert toy.session.update(toy.task) == "suspended"
    assert [event["accepted"] for event in toy.events.of("promotion")] == [True, False, False]


def test_after_refusals_the_best_proven_version_acts(make: MakeToy) -> None:
    toy = make(gate={"updates_per_episode": 100}, ratchet={"min_probes_best": RECENT})
    known(toy)
    updated(toy)
    toy.session.consider()
    assert toy.session.store.champion == "v0001"
    refuse(toy)
    assert toy.session.store.champion == "v0000"
    told = toy.events.of("rollback")[0]
    assert (told["old"], told["new"], told["statistic"]) == ("v0001", "v0000", None)
    assert "2 candidates of one lesson" in str(told["reason"])


def test_a_dose_that_passed_between_two_refusals_goes_as_well(make: MakeToy) -> None:
    toy = make(gate={"updates_per_episode": 100}, ratchet={"min_probes_best": RECENT})
    strict = replace(toy.session.ratchet.config, canary_max_drop=-1.0)
    lenient = toy.session.ratchet.config
    known(toy)
    for config in (strict, lenient, strict):
        toy.session.ratchet.config = config
        updated(toy)
        toy.session.consider()
    assert [event["accepted"] for event in toy.events.of("promotion")] == [False, True, False]
    assert toy.session.store.champion == "v0000", "the version between them was proven by nothing"
    assert toy.session.context.demonstration(toy.task.id) is None


def test_a_champion_that_is_proven_to_be_better_stays(make: MakeToy) -> None:
    toy = make(gate={"updates_per_episode": 100}, ratchet={"min_probes_best": RECENT})
    known(toy)
    toy.wins = False
    toy.session.probe(toy.task, 900_100)  # 10 of 11
    toy.wins = True
    updated(toy)
    toy.session.consider()
    for seed in range(40):
        toy.session.probe(toy.task, 910_000 + seed)
    refuse(toy)
    assert toy.session.update(toy.task) == "suspended"
    assert toy.session.store.champion == "v0001" and not toy.events.of("rollback")


def test_a_run_that_goes_on_does_not_forget_its_refusals(make: MakeToy) -> None:
    toy = make(gate={"updates_per_episode": 100})
    known(toy)
    updated(toy)
    toy.session.consider()
    refuse(toy)
    told = [event["reason"] for event in toy.events.of("gate") if not event["accepted"]]
    assert told.count("suspended") == 1
    toy.session.close()
    again = Toy(toy.checkpoint, toy.root, toy.config)
    again.session.begin(toy.task, toy.shown)
    assert again.session.update(toy.task) == "suspended"
    again.session.begin(replace(toy.task, id="board/another"))
    assert again.session.update(toy.task) != "suspended", "another lesson begins anew"


def test_a_candidate_that_moved_further_than_its_rate_allows_never_acts(make: MakeToy) -> None:
    toy = make()
    updated(toy)
    far = {key: tensor + 100 for key, tensor in toy.session.adapter.tensors(CANDIDATE).items()}
    toy.session.adapter.set_tensors(far, CANDIDATE)
    decision = toy.session.consider(force=True)
    assert decision is not None and decision.canary == "moved" and decision.numbers["moved"] > 1.1
    assert toy.session.store.champion == "v0000"


def test_broken_weights_never_act(make: MakeToy) -> None:
    toy = make()
    updated(toy)
    adapter = toy.session.adapter
    adapter.set_tensors({key: value * float("nan") for key, value in adapter.tensors(CANDIDATE).items()}, CANDIDATE)
    decision = toy.session.consider()
    assert decision is not None and not decision.accepted
    assert toy.store.champion == "v0000"
    assert adapter.hash(CANDIDATE) == adapter.hash(CHAMPION)


def test_a_checkpoint_damaged_on_disk_is_refused_by_its_hash(make: MakeToy) -> None:
    toy = make(fault={"kind": "corrupt_checkpoint"})
    updated(toy, 0)
    for _ in range(10):
        toy.session.probe(toy.task, 7)
    updated(toy)
    champion = toy.session.adapter.hash(CHAMPION)
    toy.session.consider()
    assert toy.events.of("fault")[0]["name"] == "corrupt_checkpoint"
    assert toy.store.champion == "v0000" and toy.session.adapter.hash(CHAMPION) == champion
    assert toy.session.adapter.hash(CANDIDATE) == champion
    assert "v0001" in toy.store.ledger.quarantine
    assert toy.events.of("error")[0]["where"] == "store"
    assert "not whole" in str(toy.events.of("promotion")[0]["reason"])


def test_a_fault_waits_until_probes_are_good(make: MakeToy) -> None:
    toy = make(fault={"kind": "inverted_loss", "after_update": 1})
    updated(toy)
    assert not toy.session.context.fault.active
    for _ in range(10):
        toy.session.probe(toy.task, 7)
    toy.session.update(toy.task)
    assert toy.session.context.fault.active


def test_a_probe_is_told_and_teaches_nothing(make: MakeToy) -> None:
    toy = make()
    toy.begin()
    verdict = toy.session.probe(toy.task, 7)
    assert verdict is not None and (verdict.successes, verdict.n) == (1, 1)
    (event,) = toy.events.of("probe")
    assert (event["success"], event["n"], event["champion"], event["task"]) == (True, 1, "v0000", toy.task.id)
    assert len(toy.session.context.buffer) == 0 and len(toy.session.calibration) == 1
    assert toy.store.ledger.probes("v0000") == {toy.task.id: (1, 1)}


def test_a_drop_brings_the_best_version_back_and_puts_the_rest_aside(make: MakeToy) -> None:
    toy = make()
    toy.begin()
    toy.store.ledger._data["quarantined_sources"]["another/lesson"] = "long ago"
    toy.session.context.quarantined = toy.store.ledger.quarantined_sources
    good = toy.session.adapter.hash(CHAMPION)
    probe_until_rollback(toy, 20)
    updated(toy)
    assert toy.session.consider() is not None and toy.store.champion == "v0001"
    toy.wins = False
    assert probe_until_rollback(toy, 25) <= 15, "a collapse is seen within 15 probes"
    (event,) = toy.events.of("rollback")
    assert (event["old"], event["new"]) == ("v0001", "v0000") and event["statistic"] > 0
    assert toy.store.champion == "v0000" == toy.policy.adapter_version
    assert toy.session.adapter.hash(CHAMPION) == good == toy.session.adapter.hash(CANDIDATE)
    assert good == content_hash(toy.store.load("v0000").tensors)
    aside = toy.events.of("quarantine")[0]["versions"]
    assert isinstance(aside, list) and {"v0001", toy.shown.ref} <= set(aside)
    assert "another/lesson" not in aside, "what was put aside before is not told again"
    assert "another/lesson" in toy.session.context.quarantined


def test_what_was_put_aside_is_not_learned_from_again(make: MakeToy) -> None:
    toy = make()
    toy.begin()
    probe_until_rollback(toy, 20)
    updated(toy)
    toy.session.consider()
    toy.wins = False
    probe_until_rollback(toy, 25)
    assert toy.session.context.demonstration(toy.task.id) is None
    assert toy.session.update(toy.task) != ""
    toy.store.readmit([toy.shown.ref])
    toy.session.context.quarantined = toy.store.ledger.quarantined_sources
    assert toy.session.context.demonstration(toy.task.id) is toy.shown


def probe_until_rollback(toy: Toy, most: int) -> int:
    """Probe until something is rolled back; return how many probes it took."""
    for n in range(1, most + 1):
        toy.session.probe(toy.task, 100 + n)
        if toy.events.of("rollback"):
            return n
    return most


def test_the_next_session_goes_on_with_champion_budget_and_screens(make: MakeToy) -> None:
    first = make()
    updated(first)
    first.session.consider()
    champion, screens = first.session.adapter.hash(CHAMPION), len(first.session.context.buffer)
    first.session.update(first.task)
    first.close()
    second = make()
    assert second.store.champion == "v0001" and second.session.adapter.hash(CHAMPION) == champion
    assert second.session.adapter.hash(CANDIDATE) == champion, "what was not saved is not there any more"
    assert second.session.ratchet.candidate_updates == 0
    assert second.store.ledger.updates_run("a-run") == 3, "the budget is not refunded"
    assert len(second.session.context.buffer) == screens


def test_a_champion_damaged_between_two_sessions_gives_way_to_the_one_before(make: MakeToy) -> None:
    first = make()
    updated(first)
    first.session.consider()
    first.close()
    corrupt_checkpoint(first.store.folder("v0001"), first.session.context.rng)
    second = make()
    assert second.store.champion == "v0000"
    (event,) = second.events.of("rollback")
    assert (event["old"], event["new"]) == ("v0001", "v0000") and "adapter.safetensors" in str(event["reason"])


def test_a_store_has_one_writer(make: MakeToy, toy_checkpoint: Path, tmp_path: Path) -> None:
    make()
    with pytest.raises(StoreLocked, match="in use by pid"):
        Toy(toy_checkpoint, tmp_path)


def test_a_lock_of_the_dead_is_taken_over_and_told(make: MakeToy, tmp_path: Path) -> None:
    first = make()
    lock = (first.store.path / "lock.json").read_text()
    first.close()
    (first.store.path / "lock.json").write_text(lock)
    second = make()
    (event,) = second.events.of("lock_taken_over")
    assert event["path"] == str(second.store.path)


def test_practised_screens_with_a_verified_action_take_the_place_of_imagined_ones(make: MakeToy) -> None:
    toy = make(ratchet={"promote_every": 1})
    toy.begin()
    imagined = {canary.observation.hash for canary in toy.session.canaries.canaries}
    toy.practise(4)
    toy.session.update(toy.task)
    toy.session.consider()
    lesson = [canary for canary in toy.session.canaries.canaries if canary.group == "present"]
    assert len(lesson) == 2 and not imagined & {canary.observation.hash for canary in lesson}


def lessons(toy: Toy) -> set[str]:
    return {canary.task_id for canary in toy.session.canaries.canaries if canary.group != "skill"}


def test_a_lesson_on_any_screen_watches_the_skills_of_the_embedded_model(make: MakeToy) -> None:
    toy = make()
    toy.begin()
    skills = [canary for canary in toy.session.canaries.canaries if canary.group == "skill"]
    assert len(skills) == 4 and all(canary.task_id.startswith("skill/") for canary in skills)
    assert toy.session.context.anchors and [e["skills"] for e in toy.events.of("canaries")] == [4]


def test_of_another_model_no_skills_are_known_and_that_is_said(make: MakeToy) -> None:
    toy = make()
    own = toy.policy.family
    toy.policy.family = cast(Any, SimpleNamespace(name="qwen3_vl", spelt=str, geometry=own.geometry))
    toy.begin()
    groups = {canary.group for canary in toy.session.canaries.canaries}
    assert groups == {"present", "untaught"} and not toy.session.context.anchors
    (event,) = toy.events.of("canaries")
    assert event["skills"] == 0 and "only the embedded model" in event["reason"]


def test_earlier_lessons_stay_watched(make: MakeToy) -> None:
    toy = make()
    other = a_task("light green")
    toy.session.remember(other, replace(toy.shown, task_id=other.id, goal=other.goal))
    toy.begin()
    assert lessons(toy) == {toy.task.id, other.id}
    toy.close()
    again = make()
    again.begin()
    assert lessons(again) == {toy.task.id, other.id}


def test_calibration_travels_with_the_checkpoint(make: MakeToy) -> None:
    toy = make()
    toy.begin()
    for seed in range(5):
        toy.session.probe(toy.task, seed)
    updated(toy)
    toy.session.consider()
    assert len(toy.session.calibration) == 5
    toy.close()
    assert len(make().session.calibration) == 5


def test_the_store_is_given_back_when_the_disk_fails(make: MakeToy) -> None:
    toy = make()
    updated(toy)
    blocked = toy.store.path / "screens"
    blocked.write_text("in the way")
    with pytest.raises(Exception, match="screens"):
        toy.session.close()
    AdapterStore(toy.root, toy.name).close()
    blocked.unlink()
