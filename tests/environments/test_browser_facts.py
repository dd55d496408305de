"""What a real page tells the safety rules: its address and title, and the words of what an action would press."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browsers import needs_browser
from tests.fakes import Recorder, ScriptedPolicy

from showonce.actions import Click, Key, Open
from showonce.config import SafetyConfig
from showonce.environments.browser.settings import BrowserSettings
from showonce.environments.browser.world import BrowserEnvironment
from showonce.environments.contract import Presses
from showonce.protocols import Facts
from showonce.runtime.loop import run_episode
from showonce.runtime.safety import safety_of
from showonce.types import Limits, ScreenFacts, StopReason, Success, Task

pytestmark = needs_browser
WIDTH, HEIGHT = 320, 240
PAGE = """<title>Shop - cart</title><body style='margin:0'>
<style>.at {position: absolute; left: 10px; width: 90px; height: 20px}</style>
<button class=at style='top:10px'>Buy <b>now</b></button>
<div class=at style='top:40px; cursor:pointer' onclick=''><span>Delete</span></div>
<a class=at style='top:70px' href='#' aria-label='Log out'><svg width=20 height=20></svg></a>
<form><input class=at style='top:100px' placeholder='Card number'><button class=at style='top:130px'>Pay</button></form>
<div class=at style='top:160px' id=host></div>
<iframe style='position:absolute; left:150px; top:50px; width:120px; height:60px; border:2px solid' srcdoc="
  <body style='margin:0'><button style='position:absolute; left:20px; top:20px; width:60px'>Send</button>"></iframe>
<p style='position:absolute; top:200px'>Nothing to press here, only a long text that says delete among many other words,
so that nobody would take it for a button that deletes.</p>
<script>host.attachShadow({mode: 'open'}).innerHTML = '<button style="width:90px;height:20px">Install</button>'</script>
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserEnvironment]:
    page = tmp_path_factory.mktemp("pages") / "cart.html"
    page.write_text(f"<!doctype html>{PAGE}", "utf-8")
    environment = BrowserEnvironment(BrowserSettings(start=str(page), width=WIDTH, height=HEIGHT))
    yield environment
    environment.close()


def task(browser: BrowserEnvironment, steps: int = 3) -> Task:
    limits = Limits(max_steps=steps)
    return Task("user/cart", "look", "browser", start=browser.settings.start, success=Success("none"), limits=limits)


def at(browser: BrowserEnvironment, x: float, y: float) -> str | None:
    (words,) = browser.facts([(x / WIDTH, y / HEIGHT)]).near or (None,)
    return words


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (20, 20, "Buy now"),
        (20, 50, "Delete"),
        (95, 58, "Delete"),  # the padding of what bears the word
        (20, 75, "Log out"),
        (20, 110, "Card number"),
        (20, 140, "Pay"),
        (20, 170, "Install"),  # in a shadow root
        (190, 80, "Send"),  # in an iframe
        (160, 60, ""),  # the iframe's own ground
        (300, 10, ""),
    ],
)
def test_the_words_at_a_place(browser: BrowserEnvironment, x: int, y: int, words: str) -> None:
    browser.reset(task(browser), 1)
    said = at(browser, x, y)
    assert said is not None
    assert (words in said) if words else said == ""


def test_address_title_and_focus(browser: BrowserEnvironment) -> None:
    assert isinstance(browser, Facts)
    browser.reset(task(browser), 1)
    facts = browser.facts()
    assert facts == ScreenFacts(
        Path(browser.settings.start).as_uri(), "Shop - cart", "chromium", (), "", (0.0, 0.0, 1.0, 1.0), 200
    )
    browser.execute(Click(20 / WIDTH, 110 / HEIGHT), Presses())
    focused = browser.facts().focused or ""
    assert "Card number" in focused and "Pay" in focused, "Enter would press the form's button"


def test_the_rules_keep_to_the_page_and_ask_for_its_words(browser: BrowserEnvironment) -> None:
    rules = SafetyConfig(urls=(f"{Path(browser.settings.start).as_uri()}",), ask_words=("pay", "delete"))
    log = Recorder()

    def play(*actions: object) -> object:
        policy = ScriptedPolicy(list(actions))  # type: ignore[arg-type]
        return run_episode(
            browser, policy, task(browser, len(actions)), seed=1, safety=safety_of(rules), events=log, guards=()
        ).stop_reason

    assert play(Click(20 / WIDTH, 20 / HEIGHT), Click(300 / WIDTH, 10 / HEIGHT)) is StopReason.MAX_STEPS
    assert play(Click(20 / WIDTH, 50 / HEIGHT)) is StopReason.DENIED  # nobody is there to say yes
    assert play(Click(20 / WIDTH, 110 / HEIGHT), Key("enter")) is StopReason.DENIED
    assert play(Open("https://elsewhere.example/")) is StopReason.REFUSED
    assert log.of("error") == []
