"""What an environment can do survives wrapping: the success checks of a page, on a real page behind every wrapper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.browsers import needs_browser
from tests.fakes import Board, ScriptedPolicy

from showonce.actions import Click
from showonce.app.plan import make_plan
from showonce.config import SafetyConfig
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.embedded.world import EmbeddedWorld
from showonce.environments.wrappers.fence import Fenced
from showonce.environments.wrappers.perceive import Perceiving
from showonce.environments.wrappers.secret import WithSecrets
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import EnvironmentBroken
from showonce.evaluation.specificity import HasScene
from showonce.protocols import ABILITIES, Environment, Oracle, Paged, SetsGoal, Undoable, ability
from showonce.runtime.completion import make_checker
from showonce.runtime.loop import run_episode
from showonce.settings import load_config
from showonce.types import Success, Task

PAGE = (
    "<!doctype html><body style='margin:0'>"
    "<button style='width:200px;height:100px' onclick=\"this.id='ok';location.hash='ok'\">b"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserEnvironment]:
    made = BrowserEnvironment(BrowserSettings(width=320, height=240))
    yield made
    made.close()


@needs_browser
@pytest.mark.parametrize("check", [Success("url", "*#ok"), Success("selector", "#ok")], ids=lambda check: check.kind)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: Fenced(inner, SafetyConfig(urls=("file:///*",))),
        lambda inner: Perceiving(inner, marks=True),
        lambda inner: WithSecrets(inner, {"pin": "env:HOME"}, {}),
        lambda inner: Fenced(Perceiving(WithSecrets(inner, {}, {}), marks=True), SafetyConfig(urls=("file:///*",))),
    ],
    ids=["fence", "marks", "secret", "all"],
)
def test_a_wrapped_page_is_checked(
    browser: BrowserEnvironment, tmp_path: Path, check: Success, wrap: Callable[[Environment], Environment]
) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    task = Task("user/page", "press it", "browser", start=str(tmp_path / "page.html"), success=check)
    episode = run_episode(wrap(browser), ScriptedPolicy([Click(0.2, 0.2)]), task, seed=1)
    assert episode.success, episode.outcome


def test_safety_urls_and_a_success_url_go_together(elsewhere: Path) -> None:
    settings = ["environment=browser", "safety.urls=['file:///*']", "success.url=done", "task=site/login"]
    config = load_config("run", settings)
    environment = make_plan(config, tasks=()).environment(
        Task("user/page", "x", "browser", success=Success("url", "done"))
    )
    assert isinstance(environment, Fenced)
    assert make_checker(Task("user/page", "x", "browser", success=Success("url", "done")), environment).name == "url"
    environment.close()


class Goal(Board):
    """A board whose goal may only be read after a reset."""

    @property
    def goal(self) -> str:
        self._check()
        return "light red"


def test_asking_evaluates_nothing_and_needs_no_reset() -> None:
    board = Goal()
    with pytest.raises(EnvironmentBroken):
        _ = board.goal
    assert ability(board, SetsGoal) is board
    assert ability(Wrapper(Wrapper(board)), SetsGoal) is board


def test_an_ability_of_ones_own_is_asked_for_in_the_same_way() -> None:
    world = EmbeddedWorld()
    assert ability(Fenced(world, SafetyConfig(region=(0.0, 0.0, 0.5, 1.0))), HasScene) is world
    assert ability(Fenced(Board(), SafetyConfig()), HasScene) is None


def test_what_nobody_has_is_none() -> None:
    assert ability(Board(), Paged) is None and ability(Wrapper(Board()), Paged) is None and ability(None, Paged) is None
    assert ability(Wrapper(Board()), Oracle) is not None


def test_a_wrapper_that_has_the_ability_itself_comes_first_and_half_of_it_does_not_count() -> None:
    class Undoing(Wrapper):
        url = "half of Paged"

        def undo(self, interrupt: object) -> str:
            return "mine"

    outer = Wrapper(Undoing(Board()))
    assert ability(outer, Undoable) is outer.inner
    assert ability(outer, Paged) is None


def test_none_takes_an_inherited_ability_away() -> None:
    class Blind(Board):
        oracle = None  # type: ignore[assignment]

    assert ability(Blind(), Oracle) is None


def test_abilities_have_public_members_only() -> None:
    for kind in ABILITIES:
        assert [name for name in vars(kind) if not name.startswith("_")], kind
