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
from showonce.evaluation.tasks import evaluation_seeds
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


def test_the_first_run_is_measured_where_evaluation_measures() -> None:
    config = Config()
    assert Seeds.of(config).take("evaluation", 50) == evaluation_seeds(config, 50)
    assert Seeds.of(replace(config, seed=2)).take("evaluation", 50) == evaluation_seeds(config, 50, repetition=2)


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
