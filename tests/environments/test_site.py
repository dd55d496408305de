"""The demo site: its tasks can be done by hand, look the same for the same seed, and ship with the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browsers import needs_browser
from tests.fakes import ScriptedPolicy

from showonce.actions import Action, Click, Done, Key, Type
from showonce.environments.browser.addresses import FOLDER, address_of, site_pages
from showonce.environments.browser.owner import owner
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.registry import find_task, make_environment
from showonce.errors import BadInput, TaskError
from showonce.runtime.loop import run_episode
from showonce.runtime.tasks import load_task
from showonce.types import StopReason, Task

TASKS = Path(__file__).parents[2] / "configs" / "tasks"
SMALL = {"width": 224, "height": 224, "frame": 112}
# What a person does: a selector to click, or an action.
HANDS: dict[str, list[str | Action]] = {
    "site/login": ["input[name=user]", Type("ada"), "input[name=pass]", Type("sun"), "button"],
    "site/search": ["input", Type("chair\n"), "a:has-text('chair')"],
    "site/form": ["input[name=name]", Type("bob"), "select", "option:has-text('large')", "button"],
    "site/table": ["tr[data-name=bob] button"],
    "site/cart": ["#receipt"],
    "site/shapes": ["[data-name='red star']"],
}


@pytest.fixture(scope="module")
def environment() -> Iterator[BrowserEnvironment]:
    made = make_environment("browser", **SMALL)
    assert isinstance(made, BrowserEnvironment)
    yield made
    made.close()


def place(environment: BrowserEnvironment, selector: str) -> Click:
    """Return the click on the middle of an element, found in the page and mapped to the frame."""
    session, view = environment.session, environment.view
    assert session is not None and view is not None
    page = session.tab.page

    async def box() -> tuple[float, float]:
        found = await page.locator(selector).first.bounding_box()
        assert found is not None, f"no {selector}"
        return found["x"] + found["width"] / 2, found["y"] + found["height"] / 2

    return Click(*view.to_fraction(*owner().call(box, 5, "finding it")))


def shown(environment: BrowserEnvironment, task: Task, seed: int) -> tuple[StopReason, str]:
    """Do a task by hand through the loop; return how it ended."""
    hand = iter(HANDS[task.id if task.id in HANDS else {t.goal: i for i, t in ALL.items()}[task.goal]])

    def step(*_: object) -> Action:
        what = next(hand, Done())
        return place(environment, what) if isinstance(what, str) else what

    episode = run_episode(environment, ScriptedPolicy([step] * 9), task, seed=seed)
    return episode.stop_reason, episode.outcome.checker


ALL = {name: find_task(name) for name in HANDS}


@needs_browser
@pytest.mark.parametrize("name", HANDS)
def test_a_task_can_be_done(environment: BrowserEnvironment, name: str) -> None:
    for seed in (1, 2):
        assert shown(environment, ALL[name], seed) == (StopReason.COMPLETED, ALL[name].success.kind)


@needs_browser
@pytest.mark.parametrize("name", ["success_url", "success_selector", "success_file"])
def test_a_shipped_task_file_can_be_done(environment: BrowserEnvironment, name: str) -> None:
    task = load_task(TASKS / f"{name}.yaml")
    assert shown(environment, task, 3) == (StopReason.COMPLETED, task.success.kind)


@needs_browser
def test_a_wrong_hand_does_not_succeed(environment: BrowserEnvironment) -> None:
    policy = ScriptedPolicy([Click(0.99, 0.99), Key("tab"), Done()])
    episode = run_episode(environment, policy, ALL["site/table"], seed=1)
    assert episode.outcome.success is False


@needs_browser
@pytest.mark.parametrize("page", site_pages())
def test_a_page_depends_on_its_seed_alone(environment: BrowserEnvironment, page: str) -> None:
    def look(seed: int) -> str:
        return environment.reset(Task("user/look", "look", "browser", start=f"site:{page}?seed={{seed}}"), seed).hash

    assert look(1) == look(1) != look(2)
    assert environment.settled


def test_every_page_is_answered_from_the_package() -> None:
    assert set(site_pages()) >= {"index", "login", "search", "form", "table", "cart", "shapes"}
    for page in FOLDER.glob("*.html"):
        assert "http" not in page.read_text("utf-8"), f"{page.name} asks somebody else"


def test_addresses() -> None:
    assert address_of("site:login?seed={seed}", 7).endswith("/login.html?seed=7")
    assert address_of("example.com/a") == "https://example.com/a"
    assert address_of("localhost:8000/x") == "http://localhost:8000/x"
    assert address_of(str(FOLDER / "site.css")).startswith("file://")
    for bad in ("", "notes", "site:lgoin", "some words", "javascript:alert(1)"):
        with pytest.raises(BadInput):
            address_of(bad)


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(TaskError, match="'site/login'"):
        find_task("site/logn")
    with pytest.raises(TaskError, match="'site/table'"):
        find_task("sitetable")
