"""The verdict as truth tables, and what holds for it whatever the action, the screen and the rules are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce.actions import EXAMPLES, Action, Ask, Click, Done, Drag, Key, Move, Open, Scroll, Type, Wait
from showonce.config import SafetyConfig
from showonce.errors import ConfigError
from showonce.runtime.safety import TOUCHES_NOTHING, Known, Pace, Verdict, allow, find_word, judge, safety_of
from showonce.types import Confidence, Observation, ScreenFacts

SCREEN = Observation(np.zeros((4, 4, 3), np.uint8))
CLICK = Click(0.5, 0.5)
SURE, UNSURE = Confidence(0.9, 0.95, 0.9), Confidence(0.3, 0.2, 0.1)
SHOP = ScreenFacts("https://shop.example/cart", "Cart - Shop", "chromium", ("Buy now",), "Name", (0, 0, 1, 1))


def verdict(action: Action, known: Known | None = None, **rules: Any) -> Verdict:
    return judge(action, SCREEN, known or Known(), SafetyConfig(**rules))


def at(**facts: Any) -> Known:
    return Known(replace(SHOP, **facts))


# what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "decision"),
    [
        (Click(0.5, 0.5), "allow"),
        (Click(0.5, 0.9), "refuse"),
        (Click(0.5, 0.8), "allow"),  # the border belongs to it
        (Drag(0.5, 0.5, 0.5, 0.9), "refuse"),
        (Drag(0.5, 0.9, 0.5, 0.5), "refuse"),
        (Move(0.0, 0.0), "refuse"),
        (Scroll(0.5, 0.1, 3), "refuse"),
        (Type("hello"), "allow"),
        (Key("ctrl+s"), "allow"),
    ],
)
def test_nothing_outside_of_the_region(action: Action, decision: str) -> None:
    assert verdict(action, region=(0.1, 0.2, 0.9, 0.8)).decision == decision


@pytest.mark.parametrize(
    ("facts", "rules", "decision"),
    [
        (SHOP, {"urls": ("shop.example",)}, "allow"),
        (SHOP, {"urls": ("bank.example", "https://shop.example/*")}, "allow"),
        (SHOP, {"urls": ("bank.example",)}, "refuse"),
        (replace(SHOP, url=None), {"urls": ("*",)}, "refuse"),
        (None, {"urls": ("*",)}, "refuse"),
        (SHOP, {"titles": ("*- shop",)}, "allow"),
        (SHOP, {"titles": ("Shop*",)}, "refuse"),
        (replace(SHOP, title=None), {"titles": ("*",)}, "refuse"),
        (SHOP, {"applications": ("chrom*", "firefox")}, "allow"),
        (SHOP, {"applications": ("mousepad",)}, "refuse"),
        (None, {"applications": ("*",)}, "refuse"),
        (SHOP, {"urls": ("shop.example",), "applications": ("mousepad",)}, "refuse"),  # every rule has to agree
        (None, {}, "allow"),
    ],
)
def test_pages_windows_and_applications(facts: ScreenFacts | None, rules: dict[str, Any], decision: str) -> None:
    for action in (CLICK, Type("a"), Key("enter"), Scroll(0.5, 0.5, 1)):
        assert verdict(action, Known(facts), **rules).decision == decision


def test_a_refusal_for_what_is_not_known_says_so() -> None:
    assert "is not known here" in verdict(CLICK, urls=("shop.example",)).reason
    assert "'https://shop.example/cart'" in verdict(CLICK, Known(SHOP), urls=("bank.example",)).reason


@pytest.mark.parametrize(
    ("target", "decision"),
    [
        ("https://shop.example/cart", "allow"),
        ("shop.example", "allow"),
        ("evil.example", "refuse"),
        ("file:///etc/passwd", "refuse"),
        ("mousepad", "allow"),
        ("xterm", "refuse"),
    ],
)
def test_opening_is_judged_by_where_it_goes(target: str, decision: str) -> None:
    rules = {"urls": ("shop.example",), "applications": ("mousepad",)}
    for known in (Known(), Known(SHOP), at(url="https://elsewhere.example/")):
        assert verdict(Open(target), known, **rules).decision == decision


def test_the_action_budget() -> None:
    assert verdict(CLICK, Known(actions=2), max_actions=3).decision == "allow"
    assert verdict(CLICK, Known(actions=3), max_actions=3).decision == "refuse"
    assert verdict(Done(), Known(actions=3), max_actions=3).decision == "allow"
    assert verdict(CLICK, Known(actions=10**6), max_actions=0).decision == "allow"


# what has to wait -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "now", "wait"),
    [((), 5.0, 0.0), ((5.0,), 5.0, 0.5), ((4.0, 4.7), 5.0, 0.2), ((4.0,), 5.0, 0.0), ((9.0,), 5.0, 0.5)],
)
def test_the_rate_limit_is_a_wait_and_no_refusal(times: tuple[float, ...], now: float, wait: float) -> None:
    said = verdict(CLICK, Known(now=now, times=times), actions_per_second=2.0)
    assert said.decision == "allow" and said.wait_s == pytest.approx(wait)
    assert verdict(Wait(1.0), Known(now=now, times=times), actions_per_second=2.0).wait_s == 0


def test_the_pace_counts_what_touches_the_screen() -> None:
    pace = Pace()
    for action, done in ((CLICK, True), (Wait(1.0), True), (Done(), True), (Type("a"), False), (Type("b"), True)):
        pace.note(action, 7.0, done)
    assert (pace.actions, list(pace.times)) == (2, [7.0, 7.0, 7.0])


# what is asked ----------------------------------------------------------------------------------------------------

WORDS = {"ask_words": ("buy", "delete", "log out", "install*")}


@pytest.mark.parametrize(
    ("action", "facts", "decision"),
    [
        (CLICK, {"near": ("Buy now",)}, "ask"),
        (CLICK, {"near": ("BUY\nNOW",)}, "ask"),
        (CLICK, {"near": ("Buyer's guide",)}, "allow"),
        (CLICK, {"near": ("Log  out",)}, "ask"),
        (CLICK, {"near": ("Installing",)}, "ask"),
        (CLICK, {"near": ("",)}, "allow"),
        (CLICK, {"near": (None,)}, "ask"),
        (CLICK, {"near": None}, "ask"),
        (CLICK, {"near": ()}, "ask"),  # an environment that forgot the point
        (Drag(0.1, 0.1, 0.5, 0.5), {"near": ("a file", "Delete")}, "ask"),
        (Drag(0.1, 0.1, 0.5, 0.5), {"near": ("a file", "a folder")}, "allow"),
        (Scroll(0.5, 0.5, 1), {"near": ("Buy now",)}, "allow"),  # presses nothing
        (Move(0.5, 0.5), {"near": None}, "allow"),
        (Type("please delete it"), {"near": None}, "ask"),
        (Type("hello"), {"near": None}, "allow"),
        (Type("hello\n"), {"focused": "Search"}, "allow"),
        (Type("hello\n"), {"focused": "Delete"}, "ask"),
        (Type("hello\n"), {"focused": None}, "ask"),
        (Key("enter"), {"focused": "Buy now"}, "ask"),
        (Key("ctrl+enter"), {"focused": None}, "ask"),
        (Key("enter"), {"focused": "Search"}, "allow"),
        (Key("a"), {"focused": None}, "allow"),
        (Key("delete"), {"focused": "Search"}, "ask"),
        (Open("installer.exe"), {"near": None}, "ask"),
    ],
)
def test_words_that_always_ask(action: Action, facts: dict[str, Any], decision: str) -> None:
    assert verdict(action, at(**facts), **WORDS).decision == decision


def test_a_risky_goal_asks_before_everything_that_touches() -> None:
    known = replace(at(near=("",)), goal="Delete the old account")
    assert verdict(CLICK, known, **WORDS).decision == "ask"
    assert verdict(Wait(1.0), known, **WORDS).decision == "allow"


def test_places_that_always_ask() -> None:
    rules = {"ask_regions": ((0.0, 0.0, 0.2, 0.2), (0.8, 0.8, 1.0, 1.0))}
    assert verdict(Click(0.1, 0.1), **rules).decision == "ask"
    assert verdict(Drag(0.5, 0.5, 0.9, 0.9), **rules).decision == "ask"
    assert verdict(Click(0.5, 0.5), **rules).decision == "allow"


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Please PAY here", ("pay",), "pay"),
        ("PayPal", ("pay",), ""),
        ("PayPal", ("pay*",), "pay*"),
        ("to repay", ("pay",), ""),
        ("立即购买", ("购买",), "购买"),
        ("Datei löschen", ("löschen",), "löschen"),
        ("sign-in", ("sign",), "sign"),
        ("ＰＡＹ", ("pay",), "pay"),  # full width letters
        ("anything", ("", "*"), ""),
        ("", ("pay",), ""),
        ("a.b", ("a*b",), ""),
    ],
)
def test_finding_words(text: str, words: tuple[str, ...], found: str) -> None:
    assert find_word(text, words) == found


# modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "confidence", "decision"),
    [
        ("free", None, "allow"),
        ("free", UNSURE, "allow"),
        ("step", SURE, "ask"),
        ("confident", SURE, "allow"),
        ("confident", UNSURE, "ask"),
        ("confident", None, "ask"),
        ("confident", Confidence(), "ask"),
        ("confident", Confidence(token=float("nan")), "ask"),
        ("watch", SURE, "refuse"),
    ],
)
def test_modes(mode: str, confidence: Confidence | None, decision: str) -> None:
    said = verdict(CLICK, Known(confidence=confidence), mode=mode, threshold=0.8)
    assert said.decision == decision
    assert bool(said.reason) == (decision != "allow")
    assert said.ends == (mode != "watch")


def test_the_confidence_that_is_read_is_a_setting() -> None:
    known = Known(confidence=Confidence(stated=0.9, token=0.1, calibrated=None))
    decisions = {which: verdict(CLICK, known, mode="confident", confidence=which).decision for which in
                 ("stated", "token", "calibrated")}  # fmt: skip
    assert decisions == {"stated": "allow", "token": "ask", "calibrated": "ask"}


def test_watching_tells_what_would_have_been_said() -> None:
    assert "else refused: safety.urls" in verdict(CLICK, mode="watch", urls=("shop.example",)).reason
    assert "else asked: safety.ask_words: 'buy'" in verdict(CLICK, Known(SHOP), mode="watch", **WORDS).reason


def test_without_rules_nothing_is_looked_at() -> None:
    assert safety_of(SafetyConfig()) is allow
    assert safety_of(SafetyConfig(max_actions=1)) is not allow
    assert verdict(CLICK) == Verdict()


# whatever happens -------------------------------------------------------------------------------------------------

texts = st.sampled_from([None, "", "Buy now", "Cancel", "https://shop.example/cart", "chromium"])
facts = st.none() | st.builds(
    ScreenFacts, url=texts, title=texts, application=texts,
    near=st.none() | st.lists(texts, max_size=2).map(tuple), focused=texts,
)  # fmt: skip
knowns = st.builds(
    Known, facts=facts, goal=st.sampled_from(["", "buy a book"]),
    confidence=st.none() | st.builds(Confidence, token=st.none() | st.floats(0, 1)),
    now=st.floats(0, 10), times=st.lists(st.floats(0, 10), max_size=3).map(tuple), actions=st.integers(0, 5),
)  # fmt: skip
rules = st.builds(
    SafetyConfig,
    mode=st.sampled_from(["watch", "step", "confident", "free"]),
    region=st.sampled_from([(0.0, 0.0, 1.0, 1.0), (0.2, 0.2, 0.6, 0.6)]),
    urls=st.sampled_from([(), ("shop.example",)]),
    titles=st.sampled_from([(), ("Buy*",)]),
    applications=st.sampled_from([(), ("chromium",)]),
    ask_words=st.sampled_from([(), ("buy",)]),
    actions_per_second=st.sampled_from([0.0, 2.0]),
    max_actions=st.integers(0, 3),
)
anything = st.sampled_from([*EXAMPLES, Open("https://shop.example/"), Type("buy\n"), Key("enter")])
STRICT = {"allow": 0, "ask": 1, "refuse": 2}


@settings(max_examples=200, deadline=None)
@given(action=anything, known=knowns, given_rules=rules)
def test_what_always_holds(action: Action, known: Known, given_rules: SafetyConfig) -> None:
    said = judge(action, SCREEN, known, given_rules)
    assert said == judge(action, SCREEN, known, given_rules), "it is a function"
    assert bool(said.reason) == (said.decision != "allow")
    assert 0 <= said.wait_s <= 1.0
    if given_rules.mode == "watch":
        assert said.decision == "refuse" and not said.ends
    elif isinstance(action, TOUCHES_NOTHING):
        assert said.decision != "refuse" and said.wait_s == 0
    if given_rules.mode == "step":
        assert said.decision != "allow"
    if known.facts is None and not isinstance(action, (*TOUCHES_NOTHING, Open)):
        blind = given_rules.urls or given_rules.titles or given_rules.applications
        assert not blind or said.decision == "refuse", "a rule without its fact never lets anything pass"


@settings(max_examples=150, deadline=None)
@given(action=anything, known=knowns, given_rules=rules, more=rules)
def test_one_more_rule_never_loosens(
    action: Action, known: Known, given_rules: SafetyConfig, more: SafetyConfig
) -> None:
    loose = judge(action, SCREEN, known, given_rules)
    for key in ("region", "ask_words", "titles", "actions_per_second"):
        if getattr(given_rules, key) == getattr(SafetyConfig(), key):
            tight = judge(action, SCREEN, known, replace(given_rules, **{key: getattr(more, key)}))
            assert STRICT[tight.decision] >= STRICT[loose.decision]


@settings(max_examples=100, deadline=None)
@given(action=anything, known=knowns, given_rules=rules)
def test_knowing_less_never_loosens(action: Action, known: Known, given_rules: SafetyConfig) -> None:
    full, blind = (judge(action, SCREEN, k, given_rules) for k in (known, replace(known, facts=None, confidence=None)))
    assert STRICT[blind.decision] >= STRICT[full.decision]


# settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mode": "stpe"}, "safety.mode='stpe'.*'step'"),
        ({"guards": ("unchagned",)}, "safety.guards='unchagned'.*'unchanged'"),
        ({"region": (0.5, 0.0, 0.5, 1.0)}, "safety.region"),
        ({"ask_regions": ((0.0, 0.0, 1.5, 1.0),)}, "safety.ask_regions"),
        ({"threshold": 80.0}, "safety.threshold"),
        ({"ask": "phone"}, "safety.ask='phone'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SafetyConfig(**setting)


def test_asking_is_no_question_of_safety() -> None:
    assert verdict(Ask("which one?")).decision == "allow"
