"""The words of the page source: on our pages and in their goals; and the MiniWoB++ tasks that are held out.

A goal is one to three *clauses*, each about one thing on the page. The *signature* of a goal is the task's logic: what
kind of thing every clause is about and how it is named (by its label, its kind alone, its colour). No page goal has the
signature of a held-out task, nor the words of one of its templates.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from typing import Final

from showonce.environments.embedded.language import COLOURS, FIELDS, LABELS, NUMBERS, TEXTS

LABEL: Final = "label"
KIND: Final = "kind"
COLOUR: Final = "colour"
ORDINAL: Final = "ordinal"
MORE_COLOURS: Final = ("cyan", "magenta", "white", "black", "gray", "lime", "olive", "pink", "brown", "navy", "silver")
PAGE_COLOURS: Final = (*COLOURS, *MORE_COLOURS)
DIGITS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9")
NEW_LABELS: Final = (
    "submit", "cancel", "yes", "no", "previous", "agree", "accept", "search", "clear", "reset", "remove", "add",
    "confirm", "continue", "finish", "start", "stop", "more", "less", "home", "about", "contact", "news", "store",
    "cart", "order", "pay", "account", "profile", "settings", "inbox", "sent", "archive", "forward", "trash", "star",
    "like", "follow", "username", "password", "email", "phone", "address", "country", "date", "time", "price", "total",
    "title", "subject", "message", "comment", "task", "chart", "video", "user", "group", "team", "report", "upload",
    "download",
)  # fmt: skip
WORDS: Final = tuple(  # every word that may be read on a page
    dict.fromkeys((*LABELS, *NEW_LABELS, *FIELDS, *TEXTS, *NUMBERS, *DIGITS, "ok", "close", "later"))
)
FREQUENT: Final = (  # most labels are one of these, so that reading begins with them
    "ok", "cancel", "submit", "yes", "no", "next", "previous", "back", "save", "send", "close", "help", "login",
    "search", "home", "add", "remove", "reply", "copy", "print", "one", "two", "three", "four", "1", "2", "3", "4",
    "name", "email", "password", "user", "title", "date", "more", "news", "account", "view", "share", "start",
)  # fmt: skip
GRAMMAR: Final = (  # the other words of page goals
    "the", "a", "on", "in", "into", "to", "of", "with", "and", "then", "after", "that", "now", "please", "tap", "hit",
    "push", "choose", "select", "tick", "mark", "focus", "go", "write", "put", "dismiss", "expand", "unfold", "switch",
    "show", "onto", "down", "called", "labeled", "colored", "button", "link", "tab", "checkbox", "radio", "textbox",
    "field", "input", "text", "textarea", "area", "dialog", "window", "popup", "panel", "section", "header", "list",
    "dropdown", "row", "item", "line", "option", "box", "block", "dot", "x", "by", "clicking", "below", "above", "left",
    "right", "first", "second", "third", "1st", "2nd", "3rd", "small", "large", "widget", "shape", "it", "wait",
    "seconds",
)  # fmt: skip


def page_vocabulary() -> tuple[str, ...]:
    """Return every word of the page source, in a fixed order."""
    return tuple(dict.fromkeys((*WORDS, *MORE_COLOURS, *GRAMMAR)))


Naming = tuple[str, str]  # kind of thing, way in which it is named
Signature = tuple[Naming, ...]


@dataclass(frozen=True)
class HeldOut:
    """A MiniWoB++ task that no page of ours may resemble.

    template: the instruction as `plain_words` spells it, a regular expression over the whole of it.
    logics: its signatures; most tasks have one.
    """

    task: str
    template: str
    logics: tuple[Signature, ...]


_SUBMIT: Final = ("button", LABEL)
_ANY: Final = ("button", "field", "area", "check", "radio")
HELD_OUT_TASKS: Final = (
    HeldOut("click-test", r"click the button", ((("button", KIND),),)),
    HeldOut("click-test-2", r"click button (one|two)", ((("button", LABEL),),)),
    HeldOut("click-test-transfer", r"click button (one|two)", ((("button", LABEL),),)),
    HeldOut("click-button", r"click on the .+ button", ((("button", LABEL),),)),
    HeldOut("unicode-test", r"click on the( .*)? button", ((("button", LABEL),),)),
    HeldOut("click-dialog-2", r"click the button in the dialog box labeled .+", ((("button", LABEL),),)),
    HeldOut("click-dialog", r"close the dialog box by clicking the x", ((("close", KIND),),)),
    HeldOut("focus-text", r"focus into the textbox", ((("field", KIND),),)),
    HeldOut("focus-text-2", r"focus into the \w+ input textbox", ((("field", ORDINAL),),)),
    HeldOut("click-color", r"click on the \w+ colored box", ((("box", COLOUR),),)),
    HeldOut("click-tab", r"click on tab \w+", ((("tab", ORDINAL),),)),
    HeldOut("click-widget", r"click on a \w+ widget", tuple(((kind, KIND),) for kind in _ANY)),
    HeldOut(
        "click-button-sequence", r"click button one then click button two", ((("button", LABEL), ("button", LABEL)),)
    ),
    HeldOut(
        "button-delay", r"click button one wait \w+ seconds then click button two",
        ((("button", LABEL), ("wait", KIND), ("button", LABEL)),),
    ),
    HeldOut("click-collapsible", r"expand the section below and click submit", ((("header", KIND), _SUBMIT),)),
    HeldOut("click-collapsible-nodelay", r"expand the section below and click submit", ((("header", KIND), _SUBMIT),)),
    HeldOut(
        "copy-paste", r"copy the text in the textarea below paste it into the textbox and press submit",
        ((("area", KIND), ("key", LABEL), ("key", LABEL), ("field", KIND), ("key", LABEL), _SUBMIT),),
    ),
    HeldOut(
        "highlight-text", r"highlight the text in the paragraph below and click submit", ((("drag", KIND), _SUBMIT),)
    ),
    HeldOut(
        "drag-box", r"drag the smaller box so that it is completely inside the larger box",
        ((("drag", KIND),), (("drag", KIND), _SUBMIT)),
    ),
    HeldOut(
        "circle-center", r"find and click on the center of the circle then press submit",
        ((("dot", KIND), _SUBMIT), (("dot", COLOUR), _SUBMIT)),
    ),
)  # fmt: skip
HELD_OUT_LOGICS: Final = frozenset(logic for task in HELD_OUT_TASKS for logic in task.logics)


def held_out_pages_hash() -> str:
    """Return the SHA-256 of the held-out MiniWoB++ tasks; written down before pre-training on pages."""
    plain = [(t.task, t.template, t.logics) for t in HELD_OUT_TASKS]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def allowed(signature: Signature) -> bool:
    """Return whether a goal of our pages may have this logic."""
    return signature not in HELD_OUT_LOGICS


_CLICKS: Final = ("click", "click", "click on", "tap", "tap on", "press", "hit", "push", "select", "choose")
_JOINS: Final = ("then", "and", "and then", "after that")


def clause(kind: str, naming: str, label: str, rng: random.Random, other: str = "") -> str:
    """Return the words for one thing. label: its word, colour, or both; other: where to, text or key.

    Raises:
        KeyError: no such kind of thing.
    """
    c = rng.choice
    verb, the = c(_CLICKS), c(("the ", "the ", ""))
    if kind == "key":
        return f"press {other}"
    if kind == "type":
        return f"{c(('type', 'write', 'put'))} {other}"
    if kind == "scroll":
        return f"scroll {the}{c(('textarea', 'text area', 'text'))} down"
    if kind == "drag":
        return f"drag {the}{label} {c(('to', 'onto', 'into'))} {the}{other}"
    if kind == "close":
        thing = c(("dialog", "window", "popup", "dialog window", "panel", "box"))
        return f"{c(('close', 'dismiss'))} the {thing}{c(('', '', ' with x', ' with the x'))}"
    if kind == "dot" and naming == COLOUR:
        return f"{verb} {the}{label} {c(('dot', 'circle', 'colored dot'))}"
    if kind == "box" and naming == COLOUR:
        return f"{verb} {the}{label} {c(('box', 'square', 'block', 'colored square', 'colored block'))}"
    if kind == "shape":
        return f"{verb} {the}{label}"
    nouns = _NOUNS[kind]
    noun = c(nouns)
    if kind in _OWN_VERBS:
        verb = c((verb, *_OWN_VERBS[kind], *_OWN_VERBS[kind]))
    if naming == ORDINAL:
        return f"{verb} the {label} {noun}"
    if naming == KIND:
        return f"{verb} {c(('the ', 'the ', 'a '))}{noun}"
    return f"{verb} " + c(
        (f"{the}{noun} {label}", f"{the}{label} {noun}", f"{the}{noun} {c(('called', 'labeled'))} {label}", label)
    )


_NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "button": ("button",), "link": ("link",), "tab": ("tab",), "check": ("checkbox",), "radio": ("radio", "option"),
    "field": ("textbox", "textbox", "text field", "input", "field"), "area": ("textarea", "textarea", "text area"),
    "header": ("section", "header"), "select": ("list", "dropdown"), "row": ("row", "item", "line"),
    "box": ("box", "block"),
}  # fmt: skip
_OWN_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "check": ("tick", "check", "mark"), "radio": ("choose", "select", "pick"), "tab": ("switch to", "show", "open"),
    "field": ("focus", "focus on", "click into", "go to"), "area": ("focus", "focus on", "click into"),
    "header": ("expand", "unfold", "open"), "link": ("follow", "open"), "select": ("open", "show"),
}  # fmt: skip


def resembles_held_out(goal: str) -> bool:
    """Return whether a goal reads like the instruction of a held-out task."""
    return any(re.fullmatch(task.template, goal) for task in HELD_OUT_TASKS)


def joined(clauses: list[str], rng: random.Random) -> str:
    """Return a goal made of several clauses."""
    out = clauses[0]
    for more in clauses[1:]:
        out += f" {rng.choice(_JOINS)} {more}"
    return f"please {out}" if rng.random() < 0.05 else out


_NARRATED: Final = {"check": "checkbox", "field": "textbox", "area": "textarea", "close": "close x"}


def narration(kind: str, label: str, other: str = "") -> str:
    """Return a few words about a demonstrated step, without text that cannot be read on the page."""
    if kind == "key":
        return f"press {other}"
    if kind == "type":
        return f"type {other}"
    if kind == "drag":
        return f"drag {label} to {other}"
    if kind == "scroll":
        return "scroll textarea down"
    if kind == "shape":
        return f"tap {label}"
    return f"tap {_NARRATED.get(kind, kind)} {label}".rstrip()


KINDS: Final = ("icon", "button", "field", "check", "slider", "title", "popup", "link", "radio", "tab", "area", "close",
                "header", "select", "row", "box")  # fmt: skip
