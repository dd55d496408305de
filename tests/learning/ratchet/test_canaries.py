"""Canaries: what they pass, and that each kind of poison is refused while the greedy answers are still right."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from showonce.actions import Click, Type
from showonce.config import RatchetConfig
from showonce.errors import StoreError
from showonce.learning.ratchet.canaries import Canary, CanaryReason, CanaryReport, CanaryResult, Drift, Group, judge
from showonce.learning.ratchet.canary_screens import load_canaries, save_canaries
from showonce.protocols import turns_of
from showonce.runtime.shadow import same_action
from showonce.types import Observation

CONFIG = RatchetConfig(canary_max_drop=0.05, canary_max_kl=1.0, canary_max_nats=0.25)
N_SKILL, N_LESSON, N_UNTAUGHT, N_CHOICES = 24, 20, 20, 6
Logits = NDArray[np.float64]


class Policy:
    """A softmax over six places on each of 64 screens: real probabilities, real gradients, no network."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n = N_SKILL + N_LESSON + N_UNTAUGHT
        self.groups: list[Group] = ["skill"] * N_SKILL + ["lesson"] * N_LESSON + ["untaught"] * N_UNTAUGHT
        self.answer_N = rng.integers(0, N_CHOICES, n)
        self.logits_NC = rng.normal(0, 0.3, (n, N_CHOICES))
        self.logits_NC[np.arange(n), self.answer_N] += np.repeat([5.0, 5.0, -1.0], [N_SKILL, N_LESSON, N_UNTAUGHT])

    def copy(self) -> Policy:
        other = Policy.__new__(Policy)
        other.groups, other.answer_N, other.logits_NC = self.groups, self.answer_N, self.logits_NC.copy()
        return other

    @property
    def logp_NC(self) -> Logits:
        shifted = self.logits_NC - self.logits_NC.max(1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))

    def update(self, group: Group, wanted_N: NDArray[np.int64], lr: float = 0.5, spill: float = 0.02) -> None:
        """One step of cross entropy towards `wanted_N` on a group's screens; some of it spills over to all others."""
        target_NC = np.eye(N_CHOICES)[wanted_N]
        step_NC = lr * (target_NC - np.exp(self.logp_NC))
        weight_N = np.array([1.0 if g == group else spill for g in self.groups])
        self.logits_NC += step_NC * weight_N[:, None]


def report(champion: Policy, candidate: Policy) -> CanaryReport:
    before_NC, after_NC = champion.logp_NC, candidate.logp_NC
    kl_N = (np.exp(before_NC) * (before_NC - after_NC)).sum(1)
    results = []
    for i, group in enumerate(champion.groups):
        right = [int(logp[i].argmax()) == champion.answer_N[i] for logp in (before_NC, after_NC)]
        passes = [not r for r in right] if group == "untaught" else right
        lost = float(before_NC[i, champion.answer_N[i]] - after_NC[i, champion.answer_N[i]])
        gained = -lost if group == "untaught" else 0.0
        results.append(CanaryResult(group, *passes, kl=float(kl_N[i]), nats_lost=gained or lost, rose=gained))
    return CanaryReport.of(results)


def test_a_canary_knows_its_answer() -> None:
    screen = Observation(np.zeros((8, 8, 3), np.uint8))
    lesson = Canary("a", "lesson", screen, "click zoka", Click(0.5, 0.5), tolerance=0.1)
    assert lesson.passes(Click(0.55, 0.45))
    assert not lesson.passes(Click(0.7, 0.5))
    assert not lesson.passes(None)
    untaught = dataclasses.replace(lesson, group="untaught")
    assert untaught.passes(Click(0.7, 0.5))
    assert not untaught.passes(Click(0.5, 0.5))
    assert not untaught.passes(None)


def test_sums_by_hand() -> None:
    found = CanaryReport.of(
        [
            CanaryResult("skill", True, False, kl=0.4, nats_lost=1.0),
            CanaryResult("skill", True, True, kl=0.2, nats_lost=0.5, candidate_parsed=False),
            CanaryResult("skill", False, True, kl=0.0, nats_lost=-9.0),
            CanaryResult("untaught", True, True),
        ]
    )
    skill = found.groups["skill"]
    assert (skill.n, skill.lost, skill.known) == (3, 1 - 1, 2)
    assert (skill.champion, skill.candidate, skill.loss) == pytest.approx((2 / 3, 2 / 3, 0.0))
    assert (skill.kl_mean, skill.kl_max, skill.nats_lost) == pytest.approx((0.2, 0.4, 0.75))
    assert (found.parsed_champion, found.parsed_candidate) == (1.0, 0.75)
    assert found.numbers["groups"]["untaught"]["n"] == 1


def test_a_healthy_candidate_passes() -> None:
    champion = Policy()
    candidate = champion.copy()
    for _ in range(5):
        candidate.update("lesson", candidate.answer_N)
    found = report(champion, candidate)
    assert judge(found, CONFIG, {}) == (CanaryReason.PASSED, None)
    assert found.groups["lesson"].nats_lost < 0


def test_a_lesson_may_be_learned_from_nothing() -> None:
    """The taught screens change a lot while they are learned; that alone is no reason to refuse."""
    champion = Policy()
    lesson = np.array([g == "lesson" for g in champion.groups])
    champion.logits_NC[lesson] = 0.0
    candidate = champion.copy()
    for _ in range(20):
        candidate.update("lesson", candidate.answer_N)
    assert judge(report(champion, candidate), CONFIG, {})[0] is CanaryReason.PASSED


@pytest.mark.parametrize(
    ("poison", "reasons"),
    [
        ("wrong demonstration", {CanaryReason.SURENESS_LOST}),
        ("inverted loss", {CanaryReason.SURENESS_LOST, CanaryReason.ANSWERS_LOST}),
        ("lr x100", {CanaryReason.ANSWERS_LOST, CanaryReason.SURENESS_LOST, CanaryReason.KL}),
        ("broken weights", {CanaryReason.NOT_FINITE}),
    ],
)
def test_poison_is_refused_before_it_acts(poison: str, reasons: set[CanaryReason]) -> None:
    champion = Policy()
    wrong_N = (champion.answer_N + 1) % N_CHOICES
    candidate, steps = champion.copy(), 0
    while judge(report(champion, candidate), CONFIG, {})[0] is CanaryReason.PASSED and steps < 3000:
        if poison == "wrong demonstration":
            candidate.update("lesson", wrong_N)
        elif poison == "inverted loss":
            candidate.update("lesson", candidate.answer_N, lr=-0.5)
        elif poison == "lr x100":
            candidate.update("lesson", wrong_N, lr=50.0)
        else:
            candidate.logits_NC[3] = np.nan
        steps += 1
    found = report(champion, candidate)
    assert judge(found, CONFIG, {})[0] in reasons
    if poison == "wrong demonstration":
        assert found.groups["lesson"].candidate == 1.0  # greedy success sees nothing yet
        assert steps > 1
    if poison == "inverted loss":
        assert found.groups["lesson"].candidate >= 0.85


def test_small_doses_add_up() -> None:
    """A poison too weak to be refused at once is refused before the greedy answers turn."""
    champion, drift, promotions = Policy(), {}, 0
    wrong_N = (champion.answer_N + 1) % N_CHOICES
    for _ in range(200):
        candidate = champion.copy()
        candidate.update("lesson", wrong_N, lr=0.3)
        found = report(champion, candidate)
        reason, group = judge(found, CONFIG, drift)
        if reason is not CanaryReason.PASSED:
            break
        drift = {g: drift.get(g, Drift()).plus(r) for g, r in found.groups.items()}
        champion, promotions = candidate, promotions + 1
    assert (reason, group) == (CanaryReason.DRIFT, "lesson")
    assert promotions > 2
    assert found.groups["lesson"].candidate == 1.0


def test_leaking_to_untaught_goals_is_refused() -> None:
    champion = Policy()
    candidate = champion.copy()
    untaught = np.flatnonzero([g == "untaught" for g in champion.groups])
    candidate.logits_NC[untaught[:2], champion.answer_N[untaught[:2]]] += 20
    assert judge(report(champion, candidate), CONFIG, {}) == (CanaryReason.ANSWERS_LOST, "untaught")


def turned(n: int, rose: float, to_target: bool = True) -> list[CanaryResult]:
    return [CanaryResult("untaught", to_target, not to_target, nats_lost=max(rose, 0.0), rose=rose)] * n


STILL = [CanaryResult("untaught", True, True)] * 10


def test_a_guess_that_turns_over_is_no_leak_unless_small_rises_add_up() -> None:
    found = CanaryReport.of([*turned(6, 0.2), *STILL])
    assert found.groups["untaught"].lost == 0 and found.groups["untaught"].candidate == 10 / 16
    assert judge(found, CONFIG, {})[0] is CanaryReason.PASSED
    leaked = CanaryReport.of([*turned(2, 1.0), *turned(3, -0.1, to_target=False), *STILL])
    assert judge(leaked, CONFIG, {}) == (CanaryReason.ANSWERS_LOST, "untaught"), (
        "guesses that turn back make up for nothing"
    )
    far = CanaryResult(
        "untaught", True, False, nats_lost=0.0, rose=5.0
    )  # from very unlikely to unlikely, but it is done
    assert judge(CanaryReport.of([far, far, *STILL]), CONFIG, {}) == (CanaryReason.ANSWERS_LOST, "untaught")
    silent = CanaryResult("untaught", True, False, candidate_parsed=False)
    skills = [CanaryResult("skill", True, True)] * 60
    assert judge(CanaryReport.of([silent] * 3 + skills), CONFIG, {}) == (CanaryReason.ANSWERS_LOST, "untaught")


def test_a_leak_in_small_doses_is_refused_though_every_answer_went_over_at_the_first() -> None:
    drift: dict[Group, Drift] = {}
    reasons = []
    for dose in range(4):
        results = (
            turned(16, 0.2) if not dose else [CanaryResult("untaught", False, False, nats_lost=0.2, rose=0.2)] * 16
        )
        found = CanaryReport.of(results)
        reasons.append(judge(found, CONFIG, drift)[0])
        drift["untaught"] = drift.get("untaught", Drift()).plus(found.groups["untaught"])
    assert reasons == [CanaryReason.PASSED, CanaryReason.PASSED, CanaryReason.DRIFT, CanaryReason.DRIFT]


def test_one_flipped_screen_alone_decides_nothing() -> None:
    results = [CanaryResult("skill", True, i > 0) for i in range(4)]
    assert judge(CanaryReport.of(results), CONFIG, {})[0] is CanaryReason.PASSED
    results[1] = CanaryResult("skill", True, False)
    assert judge(CanaryReport.of(results), CONFIG, {}) == (CanaryReason.ANSWERS_LOST, "skill")


def test_parse_rate_kl_and_nothing_at_all() -> None:
    results = [CanaryResult("skill", True, True, candidate_parsed=i > 1) for i in range(20)]
    assert judge(CanaryReport.of(results), CONFIG, {})[0] is CanaryReason.PARSE
    far = [CanaryResult("skill", True, True, kl=1.1)] * 5
    assert judge(CanaryReport.of(far), CONFIG, {}) == (CanaryReason.KL, "skill")
    taught = CanaryReport.of([dataclasses.replace(r, group="lesson") for r in far])
    assert judge(taught, CONFIG, {})[0] is CanaryReason.PASSED
    assert judge(CanaryReport.of([]), CONFIG, {}) == (CanaryReason.NO_CANARIES, None)


def test_a_set_survives_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    screens = [Observation(rng.integers(0, 256, (9, 7, 3)).astype(np.uint8), 2.0) for _ in range(3)]
    canaries = [
        Canary(f"c{i}", group, screen, "click zoka", Click(0.1, 0.2), "task", 1, turns_of([Type("sun")]), 0.05)
        for i, (group, screen) in enumerate(zip(("skill", "lesson", "untaught"), screens, strict=True))
    ]
    assert load_canaries(tmp_path) == []
    save_canaries(tmp_path, canaries)
    again = load_canaries(tmp_path)
    for mine, theirs in zip(again, canaries, strict=True):
        assert np.array_equal(mine.observation.image, theirs.observation.image)
        assert dataclasses.replace(mine, observation=theirs.observation).__dict__ == theirs.__dict__
    save_canaries(tmp_path, canaries[:1])
    assert len(list(tmp_path.glob("*.png"))) == 1
    with pytest.raises(ValueError, match="one id"):
        save_canaries(tmp_path, [canaries[0], canaries[0]])
    (tmp_path / "canaries.json").write_text("{}")
    with pytest.raises(StoreError, match="collected again"):
        load_canaries(tmp_path)


def test_a_changed_screen_is_refused(tmp_path: Path) -> None:
    canary = Canary("c", "skill", Observation(np.zeros((4, 4, 3), np.uint8)), "g", Click(0.1, 0.2))
    save_canaries(tmp_path, [canary])
    other = Canary("d", "skill", Observation(np.ones((4, 4, 3), np.uint8)), "g", Click(0.1, 0.2))
    save_canaries(tmp_path / "other", [other])
    first, second = next(tmp_path.glob("*.png")), next((tmp_path / "other").glob("*.png"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(StoreError, match="was changed"):
        load_canaries(tmp_path)


def test_same_action_compares_verbs_and_places() -> None:
    assert same_action(Click(0.5, 0.5), Click(0.52, 0.53), tolerance=0.05)
    assert not same_action(Click(0.5, 0.5), Click(0.6, 0.5), tolerance=0.05)
    assert not same_action(Type("sun"), Click(0.5, 0.5))
    assert same_action(None, None)


def test_same_action_compares_arguments_too() -> None:
    assert same_action(Type("sun"), Type("sun"))
    assert not same_action(Type("sun"), Type("moon"))
    assert not same_action(None, Type("sun"))
