"""The ratchet: what is poisoned does not act, or not for long; what was proved comes back; restarts change nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from showonce.config import RatchetConfig
from showonce.errors import StoreError
from showonce.learning.adapter_store import AdapterStore
from showonce.learning.ratchet.canaries import CanaryReason, CanaryReport, CanaryResult
from showonce.learning.ratchet.promotion import PromotionReason, Ratchet
from showonce.versions.store import Identity

CONFIG = RatchetConfig(promote_every=5, p0_window=20, horizon=200, false_alarm_rate=0.05, drop=0.3)
TASK = "app/dev/single/0"
GOOD = CanaryReport.of([CanaryResult("lesson", True, True, nats_lost=-0.01)] * 20)
BAD = CanaryReport.of([CanaryResult("lesson", True, True, nats_lost=0.4)] * 20)


class World:
    """A store whose versions succeed with a known probability, and the app's part between episodes."""

    def __init__(self, root: Path, config: RatchetConfig = CONFIG, tasks: int = 1, seed: int = 0) -> None:
        self.root, self.config, self.tasks = root, config, tasks
        self.rng = np.random.default_rng(seed)
        self.success: dict[str, float] = {}
        self.open()

    def open(self) -> None:
        self.store = AdapterStore(self.root, "chores", Identity("adapter/tokens", "b"))
        self.ratchet = Ratchet(self.config, self.store, self.tasks)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def save(self, p: float, *sources: str) -> str:
        version = self.store.save({"p": np.array([p])}, sources=sources)
        self.success[version] = p
        return version

    def learn(self, p: float, *sources: str, report: CanaryReport = GOOD) -> bool:
        """Five updates, the canaries' word, and what the app does with it."""
        self.ratchet.note_update(5)
        decision = self.ratchet.decide_promotion(report)
        if decision.accepted:
            self.ratchet.promote(self.save(p, *sources))
        return decision.accepted

    def probes(self, n: int, task: str = TASK) -> int | None:
        """Probe the champion up to n times and return the number of the probe that fired, or None."""
        for i in range(n):
            champion = self.store.champion
            assert champion is not None
            success = bool(self.rng.random() < self.success[champion])
            if self.ratchet.note_probe(task, success, champion).fired:
                return i + 1
        return None


@pytest.fixture
def world(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = World(tmp_path)
    made.save(0.2)
    yield made
    made.store.close()


def taught(world: World, p: float = 0.97) -> str:
    """Learn in two promotions and settle: the champion has a frozen window."""
    assert world.learn(0.7, "demo")
    assert world.learn(p, "demo")
    assert world.probes(21) is None
    assert world.ratchet.standing(TASK) is not None
    champion = world.store.champion
    assert champion is not None
    return champion


def test_updates_are_counted_over_restarts(world: World) -> None:
    assert world.ratchet.decide_promotion(GOOD).reason is PromotionReason.NO_UPDATES
    world.ratchet.note_update(4)
    assert not world.ratchet.due
    world.restart()
    world.ratchet.note_update()
    assert world.ratchet.due
    decision = world.ratchet.decide_promotion(GOOD)
    assert (decision.accepted, decision.reason) == (True, PromotionReason.PASSED)
    assert decision.numbers["updates"] == 5
    assert not world.ratchet.due


def test_the_canaries_refuse_and_nothing_acts(world: World) -> None:
    before = world.store.champion
    world.ratchet.note_update(5)
    decision = world.ratchet.decide_promotion(BAD)
    assert (decision.accepted, decision.reason, decision.canary) == (
        False, PromotionReason.CANARIES, CanaryReason.SURENESS_LOST,
    )  # fmt: skip
    assert (decision.numbers["canary_reason"], decision.numbers["group"]) == ("sureness_lost", "lesson")
    assert world.store.champion == before
    assert world.store.versions() == [before]
    assert world.ratchet.candidate_updates == 0


def test_without_canaries_refused_unless_switched_off(tmp_path: Path, world: World) -> None:
    world.ratchet.note_update(5)
    assert world.ratchet.decide_promotion(CanaryReport()).canary is CanaryReason.NO_CANARIES
    off = Ratchet(dataclasses.replace(CONFIG, canary_screens=0), world.store)
    off.note_update(5)
    assert off.decide_promotion(CanaryReport()).reason is PromotionReason.CANARIES_OFF


def test_small_losses_add_up_over_promotions_and_restarts(world: World) -> None:
    dose = CanaryReport.of([CanaryResult("lesson", True, True, nats_lost=0.2)] * 20)
    accepted = []
    for _ in range(4):
        accepted.append(world.learn(0.9, report=dose))
        world.restart()
    assert accepted == [True, True, False, False]
    assert world.learn(0.9, report=GOOD)


def test_a_collapse_is_seen_and_the_best_comes_back(world: World) -> None:
    best = taught(world)
    world.store.ledger.count_update("run", TASK, 10)
    assert world.learn(0.05, "poison")  # the canaries missed it
    poisoned = world.store.champion
    fired = world.probes(15)
    assert fired is not None
    decision = world.ratchet.rollback(TASK, sources=["episode-77"])
    assert decision.move is not None
    assert (decision.move.old, decision.move.new, world.store.champion) == (poisoned, best, best)
    assert decision.move.quarantined == (poisoned,)
    assert decision.statistic > 0
    assert f"success on {TASK} dropped" in decision.reason
    assert set(world.store.ledger.quarantined_sources) == {"poison", "episode-77"}
    assert world.store.load().tensors["p"][0] == 0.97
    assert world.store.ledger.updates_task(TASK) == 10  # spent stays spent
    assert not world.ratchet.due


def test_a_loss_of_three_tenths_is_seen_within_fifty_probes(world: World) -> None:
    taught(world, 1.0)
    assert world.learn(0.67, "poison")
    champion = world.store.champion
    assert champion is not None
    fired = [world.ratchet.note_probe(TASK, i % 3 > 0, champion).fired for i in range(50)]
    assert any(fired)
    assert not any(fired[:6])  # three failures are not yet a drop


def test_a_promotion_does_not_hide_a_drop(world: World) -> None:
    """The older champion's reference watches the new one until that has a window of its own."""
    taught(world)
    reference = world.ratchet.standing(TASK)
    assert world.learn(0.0, "poison")
    after = world.ratchet.standing(TASK)
    assert reference is not None and after is not None
    assert after.p0 == reference.p0
    assert world.probes(15) is not None


def test_half_a_drop_is_neither_promoted_over_nor_frozen(world: World) -> None:
    taught(world)
    champion = world.store.champion
    assert champion is not None
    while not (standing := world.ratchet.standing(TASK)) or standing.statistic <= 0.5 * (standing.threshold or 0):
        assert not world.ratchet.note_probe(TASK, False, champion).fired
    world.ratchet.note_update(5)
    decision = world.ratchet.decide_promotion(GOOD)
    assert (decision.accepted, decision.reason) == (False, PromotionReason.DROP_SUSPECTED)
    assert world.ratchet.due  # the candidate waits, it is not thrown away
    for _ in range(15):
        world.ratchet.note_probe(TASK, True, champion)
    assert world.ratchet.decide_promotion(GOOD).accepted


def test_a_window_of_lower_success_never_becomes_the_reference_of_its_own_drop(world: World) -> None:
    taught(world)
    before = world.ratchet.standing(TASK)
    assert world.learn(0.9, "more")
    champion = world.store.champion
    assert champion is not None
    for success in ([True] * 8 + [False]) * 3:
        assert not world.ratchet.note_probe(TASK, success, champion).fired
    after = world.ratchet.standing(TASK)
    assert before is not None and after is not None
    assert (after.p0, after.n) == (before.p0, before.n + 27)


def test_a_rise_beyond_doubt_renews_the_reference(world: World) -> None:
    first = world.store.champion
    assert first is not None
    for success in [True, False] * 12:
        world.ratchet.note_probe(TASK, success, first)
    assert world.ratchet.standing(TASK).p0 == pytest.approx(0.5)  # type: ignore[union-attr]
    world.learn(1.0)
    assert world.probes(19) is None
    assert world.ratchet.standing(TASK).p0 == pytest.approx(0.5)  # type: ignore[union-attr]
    assert world.probes(1) is None
    assert world.ratchet.standing(TASK).p0 == pytest.approx(20.5 / 21)  # type: ignore[union-attr]


def test_the_end_of_the_horizon_renews_the_reference(tmp_path: Path) -> None:
    world = World(tmp_path, dataclasses.replace(CONFIG, horizon=40))
    world.save(1.0)
    assert world.probes(25) is None
    world.learn(1.0)
    champion = world.store.champion
    assert champion is not None
    for i in range(34):
        assert not world.ratchet.note_probe(TASK, i != 3, champion).fired
    assert world.ratchet.standing(TASK).p0 == pytest.approx(20.5 / 21)  # type: ignore[union-attr]
    world.ratchet.note_probe(TASK, True, champion)
    assert world.ratchet.standing(TASK).p0 == pytest.approx(19.5 / 21)  # type: ignore[union-attr]
    world.store.close()


def test_part_of_a_window_serves_when_the_next_promotion_comes_early(world: World) -> None:
    world.learn(0.95)
    champion = world.store.champion
    assert champion is not None
    for _ in range(10):
        world.ratchet.note_probe(TASK, True, champion)
    assert world.ratchet.standing(TASK) is None
    world.learn(0.95)
    standing = world.ratchet.standing(TASK)
    assert standing is not None
    assert standing.p0 == pytest.approx(10.5 / 11)


def test_after_a_rollback_the_restored_version_proves_itself_first(world: World) -> None:
    taught(world)
    world.learn(0.05, "poison")
    world.probes(15)
    world.ratchet.rollback(TASK)
    world.restart()
    world.ratchet.note_update(5)
    assert world.ratchet.decide_promotion(GOOD).reason is PromotionReason.PROBATION
    assert world.ratchet.standing(TASK) is None
    assert world.probes(5) is None
    assert world.ratchet.decide_promotion(GOOD).accepted


def test_a_damaged_best_is_skipped(world: World) -> None:
    taught(world)
    assert world.learn(0.98, "demo")
    assert world.probes(30) is None
    assert world.learn(0.0, "poison")
    assert world.probes(15) is not None
    best, second = world.store.candidates(TASK, exclude=[world.store.champion or ""])[:2]
    path = world.store.folder(best) / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    decision = world.ratchet.rollback(TASK)
    assert decision.move is not None and (decision.skipped, decision.move.new) == ((best,), second)


def test_with_nothing_to_go_back_to_it_says_so_and_starts_a_new_window(world: World) -> None:
    first = world.store.champion
    assert first is not None
    for success in [True] * 20 + [False] * 30:
        if world.ratchet.note_probe(TASK, success, first).fired:
            break
    decision = world.ratchet.rollback(TASK)
    assert (decision.move, world.store.champion) == (None, first)
    assert "no other whole version" in decision.reason
    assert world.ratchet.standing(TASK) is None
    assert not world.ratchet.note_probe(TASK, False, first).fired


def test_probes_of_others_are_counted_and_do_not_feed_the_test(world: World) -> None:
    taught(world)
    before = world.ratchet.standing(TASK)
    verdict = world.ratchet.note_probe(TASK, False, "v0000")
    assert (verdict.fired, verdict.drop, verdict.successes, verdict.n) == (False, None, 0, 1)
    assert world.ratchet.standing(TASK) == before


def test_tasks_have_tests_of_their_own(world: World) -> None:
    taught(world)
    champion = world.store.champion
    assert champion is not None
    before = world.ratchet.standing(TASK)
    for _ in range(25):
        world.ratchet.note_probe("another", False, champion)
    assert world.ratchet.standing(TASK) == before
    assert world.ratchet.standing("another").threshold is None  # type: ignore[union-attr]


def test_the_stated_rate_is_split_over_the_tasks(tmp_path: Path) -> None:
    thresholds = []
    for tasks in (1, 4):
        world = World(tmp_path / str(tasks), tasks=tasks)
        world.save(1.0)
        world.probes(21)
        standing = world.ratchet.standing(TASK)
        assert standing is not None and standing.threshold is not None
        thresholds.append(standing.threshold)
        world.store.close()
    assert thresholds[1] > thresholds[0]


def test_a_state_that_cannot_be_read_is_named(world: World) -> None:
    world.store.ledger.write_section("ratchet", {"tasks": {TASK: {"n": 3}}})
    with pytest.raises(StoreError, match="ratchet's state"):
        Ratchet(CONFIG, world.store)


def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    standings = []
    for restarts in (False, True):
        world = World(tmp_path / str(restarts), seed=4)
        world.save(0.9)
        for i in range(45):
            assert world.probes(1) is None
            if restarts and i % 10 == 3:
                world.restart()
        standings.append(world.ratchet.standing(TASK))
        world.store.close()
    assert standings[0] is not None
    assert standings[0] == standings[1]


def present(champion: int, candidate: int, n: int = 16) -> CanaryReport:
    """A report on `n` screens of the lesson at hand, so many of them passed."""
    return CanaryReport.of([CanaryResult("present", i < champion, i < candidate) for i in range(n)])


def test_a_lesson_that_was_known_once_stays_guarded(world: World) -> None:
    taught(world)
    for champion, candidate, accepted in ((4, 2, True), (8, 15, True), (15, 15, True), (14, 13, True), (13, 9, False)):
        assert world.learn(0.9, report=present(champion, candidate)) is accepted, (champion, candidate)
        world.restart()
    assert world.ratchet.guards_lesson
    world.ratchet.begin_lesson(new=False)
    assert world.ratchet.guards_lesson, "the same lesson on other screens"
    world.ratchet.begin_lesson(new=True)
    assert not world.ratchet.guards_lesson and world.learn(0.9, report=present(13, 9))


def test_what_other_goals_take_over_is_added_up_for_each_lesson(world: World) -> None:
    taught(world)
    dose = CanaryReport.of([CanaryResult("untaught", True, True, nats_lost=0.2, rose=0.2)] * 16)
    assert [world.learn(0.9, report=dose) for _ in range(3)] == [True, True, False]
    world.ratchet.begin_lesson(new=False)
    world.restart()
    assert not world.learn(0.9, report=dose), "the same lesson on other screens"
    world.ratchet.begin_lesson(new=True)
    assert world.learn(0.9, report=dose)


def test_what_was_not_promoted_adds_nothing_up(world: World) -> None:
    taught(world)
    dose = CanaryReport.of([CanaryResult("lesson", True, True, nats_lost=0.2)] * 20)
    for _ in range(4):  # accepted each time, and then its files were not whole
        world.ratchet.note_update(5)
        assert world.ratchet.decide_promotion(dose).accepted
