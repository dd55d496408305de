"""MiniWoB++ in the browser environment: every page is there, seeded, told apart and solvable by what a person has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.browsers import needs_miniwob
from tests.fakes import record_oracle

from showonce.actions import Click, Wait
from showonce.demonstrations import EpisodeStore, load_demonstration
from showonce.environments.contract import Presses
from showonce.environments.miniwob.oracles import SOLVED
from showonce.environments.miniwob.settings import MiniWoBSettings
from showonce.environments.miniwob.tasks import NAMES, task_ids
from showonce.environments.miniwob.world import YELLOW, MiniWoB, pages
from showonce.environments.registry import find_task, make_environment, oracle_for
from showonce.errors import ConfigError, EnvironmentBroken, TaskError
from showonce.runtime.loop import run_episode
from showonce.runtime.recorder import HandPolicy
from showonce.types import Outcome, StopReason, Task

GO = Presses()


@pytest.fixture(scope="module")
def world() -> Iterator[MiniWoB]:
    made = make_environment("miniwob")
    assert isinstance(made, MiniWoB)
    yield made
    made.close()


def solve(world: MiniWoB, name: str, seed: int) -> tuple[int, Outcome]:
    """Let the oracle act to the end; return how many actions it took and how it ended."""
    world.reset(find_task(name), seed)
    actions = 0
    while world.verify().success is None and actions < find_task(name).limits.max_steps:
        world.execute(world.oracle(), GO)
        world.observe()
        actions += 1
    return actions, world.verify()


@needs_miniwob
def test_every_page_of_the_wheel_is_a_task() -> None:
    assert sorted(NAMES) == sorted(path.stem for path in pages().glob("*.html"))
    assert len(NAMES) == 130


def test_tasks_are_found_with_and_without_their_prefix() -> None:
    assert find_task("miniwob/click-button") == find_task("click-button")
    assert find_task("click-button").environment == "miniwob"
    for wrong in ("miniwob/click-buton", "miniwob/Click-button"):
        with pytest.raises(TaskError, match="Did you mean 'miniwob/click-button'"):
            find_task(wrong)
    with pytest.raises(TaskError, match="miniwob/click-button"):
        find_task("click-buton")
    assert set(SOLVED) <= set(NAMES) and len(SOLVED) >= 30


@needs_miniwob
@pytest.mark.parametrize("name", NAMES[::16])
def test_a_page_is_seeded_and_steps(world: MiniWoB, name: str) -> None:
    first = world.reset(find_task(name), 3)
    goal = world.goal
    assert (first.width, first.height) == (160, 210) and goal
    assert world.verify().success is None
    world.execute(Click(0.99, 0.99), GO)
    world.observe()
    again = world.reset(find_task(name), 3)
    assert np.array_equal(first.image, again.image) and world.goal == goal


@needs_miniwob
@pytest.mark.parametrize("name", SOLVED[::6])
def test_an_oracle_solves_its_page(world: MiniWoB, name: str) -> None:
    actions, outcome = solve(world, name, 11)
    assert outcome.success is True and "raw reward" in outcome.evidence
    assert 1 <= actions <= 25


@needs_miniwob
def test_a_native_list_and_a_slider_are_operated_by_pixels(world: MiniWoB) -> None:
    for name in ("choose-list", "use-slider", "enter-date", "drag-box"):
        assert solve(world, name, 2)[1].success is True


@needs_miniwob
@pytest.mark.parametrize(
    ("counts", "reward", "success"), [("any", 0.5, True), ("full", 0.5, False), ("full", 1, True), ("any", -1, False)]
)
def test_partial_credit_counts_where_it_is_asked_for(counts: str, reward: float, success: bool) -> None:
    world = MiniWoB(MiniWoBSettings(success=counts))
    try:
        world.reset(find_task("click-button"), 1)
        page = world.session.tab.page  # type: ignore[union-attr]
        world.on_owner(lambda: page.evaluate(f"core.endEpisode({reward}, false, 'nearly')"), 5.0, "the page")
        outcome = world.verify()
        assert (outcome.success, outcome.hopeless) == (success, not success)
        assert outcome.evidence == f"raw reward {reward:.3g}, nearly"
    finally:
        world.close()


def test_what_counts_as_success_is_named_when_it_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"environment\.settings\.success='ful' is not a valid choice.*full"):
        MiniWoB(MiniWoBSettings(success="ful"))


@needs_miniwob
def test_a_wrong_end_is_hopeless_and_shows_its_screen(world: MiniWoB) -> None:
    world.reset(find_task("click-test-2"), 1)
    right = world.oracle()
    seen = world.observe()
    grey = np.argwhere((seen.image == (239, 239, 239)).all(-1))  # the two buttons
    far = grey[np.abs(grey - (right.y * 210, right.x * 160)).sum(1).argmax()]  # type: ignore[union-attr]
    world.execute(Click((far[1] + 0.5) / 160, (far[0] + 0.5) / 210), GO)
    after = world.observe()
    outcome = world.verify()
    assert outcome.success is False and outcome.hopeless
    assert (after.image != seen.image).any(-1).sum() < 3000, "a cover lies over the end of the episode"
    world.execute(Click(0.5, 0.5), GO)
    world.observe()
    assert world.verify() == outcome, "the page began another episode"
    with pytest.raises(EnvironmentBroken, match="no next action"):
        world.oracle()


@needs_miniwob
def test_the_timer_is_off(world: MiniWoB) -> None:
    world.reset(find_task("click-test"), 1)
    world.execute(Wait(0.1), GO)
    session = world.session
    assert session is not None
    from showonce.environments.browser.owner import owner

    limit = owner().call(lambda: session.tab.page.evaluate("core.EPISODE_MAX_TIME"), 5, "asking")
    assert limit >= 1e8


@needs_miniwob
def test_the_instruction_is_text_and_in_the_picture_only_when_asked_for() -> None:
    task = find_task("click-button")
    plain, shown = MiniWoB(), MiniWoB(MiniWoBSettings(show_instruction=True))
    hidden, seen = plain.reset(task, 1).image[:50], shown.reset(task, 1).image[:50]
    assert (hidden == YELLOW).all() and (seen[:, :, 2] < 100).all() and (seen.sum(-1) < 100).any()
    assert plain.goal == shown.goal and "button" in plain.goal
    plain.close()
    shown.close()


@needs_miniwob
@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"scale": 2}, (320, 420)),
        ({"scale": 1.5, "area": "task"}, (240, 240)),
        ({"area": "task", "frame": 112}, (112, 112)),
        ({"scale": 3, "frame": [160, 210]}, (160, 210)),
    ],
)
def test_the_oracle_hits_at_every_size(settings: dict[str, object], size: tuple[int, int]) -> None:
    world = MiniWoB(MiniWoBSettings(**settings))  # type: ignore[arg-type]
    for name in ("grid-coordinate", "drag-circle"):
        assert solve(world, name, 5)[1].success is True
    seen = world.observe()
    assert (seen.width, seen.height) == size
    assert seen.scale == pytest.approx(size[0] / 160)
    world.close()


@needs_miniwob
def test_an_oracle_is_recorded_as_a_demonstration(world: MiniWoB, tmp_path: Path) -> None:
    task = find_task("enter-text")
    path = record_oracle(world, task, 4, oracle_for(world), EpisodeStore(tmp_path))
    shown = load_demonstration(path)
    assert shown.source == "oracle" and shown.goal == world.goal and len(shown.frames) == 3


@needs_miniwob
def test_a_page_without_an_oracle_says_so(world: MiniWoB) -> None:
    world.reset(find_task("terminal"), 1)
    with pytest.raises(TaskError, match="no oracle was written for miniwob/terminal"):
        world.oracle()


@needs_miniwob
def test_a_task_file_may_name_a_page_by_its_start(world: MiniWoB) -> None:
    task = Task("user/mine", "press it", "miniwob", start="click-test")
    oracle = HandPolicy(lambda _: world.oracle())
    episode = run_episode(world, oracle, task, seed=1, executor="oracle")
    assert episode.stop_reason is StopReason.COMPLETED and episode.goal == "press it"
    with pytest.raises(TaskError, match="click-test"):
        world.reset(Task("user/mine", "press it", "miniwob", start="clik-test"))


def test_ids_are_listed() -> None:
    assert len(task_ids()) == 130 and all(name.startswith("miniwob/") for name in task_ids())


@pytest.mark.parametrize("settings", [{"scale": 4}, {"area": "all"}, {"frame": -1}])
def test_bad_settings_are_named(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        make_environment("miniwob", **settings)


@needs_miniwob
@pytest.mark.parametrize("name", ["click-button", "focus-text-2", "click-tab"])
def test_the_next_episode_may_begin_on_the_same_page(world: MiniWoB, name: str) -> None:
    quick = make_environment("miniwob", reload=False)
    assert isinstance(quick, MiniWoB)
    solve(quick, name, 4)
    quick.execute(Click(0.5, 0.6), GO)
    for seed in (5, 6):
        fresh, same = world.reset(find_task(name), seed), quick.reset(find_task(name), seed)
        assert np.array_equal(fresh.image, same.image) and world.goal == quick.goal
        assert quick.verify().success is None
    assert solve(quick, name, 7)[1].success is True
    quick.close()
