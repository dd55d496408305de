"""The safety verdict on one action: a pure function of the action, the screen, what is known of it, and the rules.

Computed before a person is asked. The rules, in the order in which they are applied:

1. refuse   what lies outside the allowed region, pages, windows and applications, or beyond the action budget
2. refuse   everything, without ending the episode, in mode watch
3. ask      words and places that always ask; everything in mode step; what the policy is unsure of in mode confident
4. allow    the rest; where it comes too soon after the last action, with the seconds that it has to wait

Waiting is a value here and is done by the loop: a fast policy is slowed down, not punished. An unknown fact never
passes: a rule about addresses, titles or applications refuses without it, one about words asks. `wait`, `done` and
`ask` touch nothing, so only modes apply to them; `open` is judged by where it goes, not by where it comes from.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from showonce.actions import (
    Action,
    Click,
    DoubleClick,
    Drag,
    Key,
    Open,
    RightClick,
    TripleClick,
    Type,
    chord_parts,
    points,
)
from showonce.config import SafetyConfig
from showonce.environments.wrappers.fence import TOUCHES_NOTHING, forbidden, inside
from showonce.types import Confidence, Observation, ScreenFacts

PRESSES: Final = (Click, DoubleClick, TripleClick, RightClick, Drag)
PRESS_KEYS: Final = ("enter", "space")  # press what has the focus
# Words on what spends, sends or destroys, in some languages: never taken for another word, and asked about by default
# where what is done cannot be taken back (see `app.plan`).
RISKY: Final = (
    *("delete*", "remove*", "erase", "discard*", "destroy*", "pay", "pay now", "payment*", "buy*", "purchase*"),
    *("order now", "place order", "checkout", "transfer*", "send money", "withdraw*", "donate*", "cancel subscription"),
    *("lösche*", "entferne*", "bezahle*", "zahle*", "kaufe*", "bestelle*", "überweise*", "kündige*"),
    *("supprime*", "efface*", "paye*", "achete*", "achète*", "commande*", "virer", "virement*", "résilie*"),
    *(
        "elimina*",
        "borra*",
        "paga*",
        "compra*",
        "transfiere",
        "transferi*",
        "excluir",
        "apagar",
        "rimuovi",
        "acquista*",
    ),
    *("verwijder*", "betaal*", "koop*", "usuń", "zapłać", "kup", "удалить", "оплатить", "купить", "перевести"),
    *("削除", "支払*", "購入", "送金", "删除", "支付", "购买", "转账", "삭제", "결제", "구매"),
)
WATCH_SECONDS: Final = 1.0  # between two looks in mode watch where no rate is set


@dataclass(frozen=True)
class Verdict:
    """allow: go on; ask: a person has to approve it; refuse: it is not done. `reason` is one sentence.

    wait_s: seconds to wait before it is done. ends: whether a refusal ends the episode.
    """

    decision: Literal["allow", "ask", "refuse"] = "allow"
    reason: str = ""
    wait_s: float = 0.0
    ends: bool = True


@dataclass(frozen=True)
class Known:
    """What a verdict may look at beside the action and the screen.

    facts: None where the environment has none. confidence: of the policy in this action; None for an action of another
    executor. now: monotonic seconds. times: the same for the run's last actions. actions: number of the run's actions
    that sent input to the screen.
    """

    facts: ScreenFacts | None = None
    goal: str = ""
    confidence: Confidence | None = None
    now: float = 0.0
    times: tuple[float, ...] = ()
    actions: int = 0


Safety = Callable[[Action, Observation, Known], Verdict]


@dataclass
class Pace:
    """What a run has done so far, shared by all of its episodes. times: of its last actions."""

    actions: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=8))

    def note(self, action: Action, now: float, done: bool = True) -> None:
        """Count an action that begins now; not `done`: it was only looked at."""
        if not isinstance(action, TOUCHES_NOTHING):
            self.times.append(now)
            self.actions += done


def allow(action: Action, observation: Observation, known: Known) -> Verdict:
    """Allow everything: for worlds without side effects."""
    return Verdict()


def safety_of(rules: SafetyConfig) -> Safety:
    """Return the verdict function of a set of rules; `allow` itself where there are none."""
    if rules.unattended and not (rules.fenced or rules.max_actions or rules.actions_per_second):
        return allow
    return lambda action, observation, known: judge(action, observation, known, rules)


def judge(action: Action, observation: Observation, known: Known, rules: SafetyConfig) -> Verdict:
    """Return the verdict on one action. Pure; see the module's text."""
    refused = _over_budget(action, known, rules) or forbidden(action, known.facts, rules)
    asked = _risky(action, known, rules) or _mode_asks(known, rules)
    wait_s = 0.0 if isinstance(action, TOUCHES_NOTHING) else _too_soon(known, rules.actions_per_second)
    if rules.mode == "watch":
        return _watched(action, known, rules, refused, asked)
    if refused:
        return Verdict("refuse", refused)
    return Verdict("ask", asked, wait_s) if asked else Verdict("allow", "", wait_s)


def _watched(action: Action, known: Known, rules: SafetyConfig, refused: str, asked: str) -> Verdict:
    """Return a refusal that does not end the episode and names the verdict that another mode would give."""
    otherwise = f"; else refused: {refused}" if refused else f"; else asked: {asked}" if asked else ""
    rate = rules.actions_per_second or 1 / WATCH_SECONDS
    return Verdict("refuse", f"mode=watch: nothing is done{otherwise}", _too_soon(known, rate), ends=False)


# ------------------------------------------------------------------------------------------ what is refused


def _over_budget(action: Action, known: Known, rules: SafetyConfig) -> str:
    if not rules.max_actions or isinstance(action, TOUCHES_NOTHING) or known.actions < rules.max_actions:
        return ""
    return f"safety.max_actions: the run has done its {rules.max_actions} actions"


def _too_soon(known: Known, rate: float) -> float:
    """Return the seconds until 1 / rate have passed since the last action."""
    if not rate or not known.times:
        return 0.0
    return min(max(0.0, max(known.times) + 1 / rate - known.now), 1 / rate)


# ------------------------------------------------------------------------------------------ what is asked


def _mode_asks(known: Known, rules: SafetyConfig) -> str:
    if rules.mode == "step":
        return "mode=step: every action is to be approved"
    if rules.mode != "confident":
        return ""
    value = None if known.confidence is None else known.confidence.read(rules.confidence)  # type: ignore[arg-type]
    if value is None:
        return f"mode=confident: the {rules.confidence} confidence is not known"
    unsure = not value >= rules.threshold
    return f"mode=confident: {rules.confidence} confidence {value:.2f} < {rules.threshold:g}" if unsure else ""


def _risky(action: Action, known: Known, rules: SafetyConfig) -> str:
    """Return which of `ask_words` or `ask_regions` an action hits, or which cannot be ruled out; "" for none."""
    if isinstance(action, TOUCHES_NOTHING):
        return ""
    for place in points(action):
        for region in rules.ask_regions:
            if inside(place, region):
                return f"safety.ask_regions: {place} lies in {region}"
    if not rules.ask_words:
        return ""
    texts = {"the goal": known.goal, **_own_words(action)}
    near = _words_at(action, known.facts)
    for where, text in {**texts, **near}.items():
        if text and (word := find_word(text, rules.ask_words)):
            return f"safety.ask_words: {word!r} in {where}"
    unknown = next((where for where, text in near.items() if text is None), None)
    return f"safety.ask_words: {unknown} is not known here" if unknown else ""


def _own_words(action: Action) -> dict[str, str]:
    if isinstance(action, Type):
        return {"the typed text": action.text}
    if isinstance(action, Key):
        return {"the keys": action.keys}
    return {"what is opened": action.target} if isinstance(action, Open) else {}


def _words_at(action: Action, facts: ScreenFacts | None) -> dict[str, str | None]:
    """Return the words that what an action presses bears, by where they are; None = not known."""
    facts = facts or ScreenFacts()
    if isinstance(action, PRESSES):
        places = points(action)
        near = facts.near if facts.near is not None and len(facts.near) == len(places) else (None,) * len(places)
        return {f"the text at {place}": text for place, text in zip(places, near, strict=True)}
    enter = isinstance(action, Type) and ("\n" in action.text or "\r" in action.text)
    if enter or (isinstance(action, Key) and chord_parts(action.keys)[-1] in PRESS_KEYS):
        return {"the text of what has the focus": facts.focused}
    return {}


def find_word(text: str, words: Iterable[str]) -> str:
    """Return the first of the words that stands in a text, whatever its case; "" when none does.

    A word has to stand alone where it begins or ends with an ASCII letter or digit: `pay` is not in `paypal`, but
    `pay*` is. Scripts that write no blanks are searched as they are.
    """
    plain = _normal(text)
    for word in words:
        wanted = _normal(word)
        if not wanted.strip("*"):
            continue
        body = re.escape(wanted).replace(r"\*", r"\w*")
        before = r"(?<!\w)" if wanted[0].isascii() and wanted[0].isalnum() else ""
        after = r"(?!\w)" if wanted[-1].isascii() and wanted[-1].isalnum() else ""
        if re.search(before + body + after, plain):
            return word
    return ""


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
