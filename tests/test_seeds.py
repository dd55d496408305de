"""Seeds of different uses never meet, in one run or between two."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showonce.config import Config, ExperimentConfig
from showonce.errors import ConfigError, DemonstrationError
from showonce.seeds import STRIDE, Seeds, Use

USES: tuple[Use, ...] = get_args(Use)


def test_no_two_uses_share_a_seed() -> None:
    ranges = [Seeds().bounds(use) for use in USES]
    for one, other in itertools.combinations(ranges, 2):
        assert one[-1] < other[0] or other[-1] < one[0]


@given(st.integers(0, 10**9), st.integers(STRIDE, 10**7), st.integers(2 * STRIDE, 10**7), st.sampled_from(USES))
def test_what_a_run_takes_lies_in_the_range_of_its_use(seed: int, practice: int, room: int, use: Use) -> None:
    seeds = Seeds(seed, practice, practice + room)
    taken = seeds.take(use, 1000)
    assert taken[0] in seeds.bounds(use) and taken[-1] in seeds.bounds(use)


def test_runs_with_other_seeds_practise_on_other_screens() -> None:
    first, second = (set(Seeds(seed).take("practice", 1000)) for seed in (0, 1))
    assert not first & second


def test_skipped_seeds_are_not_taken_again() -> None:
    seeds = Seeds(3)
    assert seeds.take("probe", 5, skip=5)[0] == seeds.take("probe", 5)[-1] + 1


def test_a_repetition_has_the_ranges_of_the_run_with_that_seed() -> None:
    config = replace(Config(), seed=7)
    assert Seeds.of(config, 2) == Seeds.of(config).repetition(2) == Seeds.of(replace(config, seed=2))
    assert Seeds.of(config, 0).take("evaluation", 50) == range(5_000_000, 5_000_050)


def test_what_is_demonstrated_practised_and_measured_never_shares_a_seed() -> None:
    books = [Seeds.of(Config(), repetition) for repetition in range(50)]
    demonstrated = {book.first("demonstration") for book in books}
    practised = [book.take("practice", STRIDE) for book in books]
    measured = [set(book.take("evaluation", 400)) for book in books]
    assert max(demonstrated) < min(seeds.start for seeds in practised)
    assert max(seeds.stop for seeds in practised) <= min(map(min, measured))
    assert len(set().union(*measured)) == 50 * 400
    assert len({seeds.start for seeds in practised}) == 50


@pytest.mark.parametrize("repetition", [98, 99, 1234, 10**9])
def test_ranges_are_kept_whatever_the_repetition(repetition: int) -> None:
    book = Seeds.of(Config(), repetition)
    measured = book.take("evaluation", STRIDE)
    assert 5_000_000 <= measured.start < measured.stop <= 6_000_000
    assert 1_000_000 <= book.first("practice") <= 3_000_000 - STRIDE
    assert 0 <= book.first("demonstration") < 1_000_000 - STRIDE


@given(st.integers(0, 10**6), st.integers(STRIDE, 10**7), st.integers(2 * STRIDE, 10**6))
def test_a_lesson_never_practises_or_probes_what_is_measured(number: int, practice: int, room: int) -> None:
    """Also where the offsets are as close as they may be: there, probes used to reach into the evaluation seeds."""
    book = Seeds(number, practice, practice + room)
    lesson = book.lesson(book.first("practice"))
    assert lesson.bounds("evaluation") == book.bounds("evaluation")
    for use in ("practice", "probe"):
        assert practice <= lesson.bounds(use)[0] and lesson.bounds(use)[-1] < book.evaluation


def test_a_repetition_measures_no_more_than_its_share() -> None:
    with pytest.raises(ConfigError, match="more than the"):
        Seeds().take("evaluation", STRIDE + 1)


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="ask for fewer"):
        Seeds().take("canary", 2_000_000)


@pytest.mark.parametrize(("practice", "evaluation"), [(10, 5_000_000), (1_000_000, 1_000_001), (5_000_000, 1_000_000)])
def test_offsets_without_room_are_refused(practice: int, evaluation: int) -> None:
    with pytest.raises(ConfigError, match=f"eval_seed_offset={evaluation}"):
        Seeds(0, practice, evaluation)


def test_offsets_come_from_the_config() -> None:
    config = replace(Config(), seed=7, experiment=ExperimentConfig(eval_seed_offset=9_000_000))
    assert Seeds.of(config) == Seeds(7, 1_000_000, 9_000_000)


@pytest.mark.parametrize(
    ("seed", "fine"), [(None, True), (0, True), (999_999, True), (1_000_000, False), (5_000_003, False)]
)
def test_a_demonstration_from_practice_or_evaluation_is_refused(seed: int | None, fine: bool) -> None:
    if fine:
        Seeds().check_demonstration(seed, "logs/x")
    else:
        with pytest.raises(DemonstrationError, match=f"logs/x was recorded with seed {seed}"):
            Seeds().check_demonstration(seed, "logs/x")
