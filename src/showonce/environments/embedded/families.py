"""The built-in skills: one small builder per task family. A builder draws a `Problem`: goal text, plan and scene.

The frozen tiny model has learned every family in pre-training; apps (see `language`) have to be shown to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from showonce.environments.embedded.language import (
    COLOURS,
    FIELDS,
    KEYS,
    LABELS,
    NUMBERS,
    PROGRAMS,
    SHAPES,
    SLIDER_MAX,
    TEXTS,
    TITLES,
    Phrase,
    phrase_text,
)
from showonce.environments.embedded.plan import Sub, phrase_sub
from showonce.environments.embedded.scene import Scene, Widget, compose, fill_up, icon, open_dialog, place, random_theme


@dataclass
class Problem:
    """A goal on a screen: its text, plan and scene, and the rows of its menus."""

    goal: str
    plan: tuple[Sub, ...]
    scene: Scene
    menus: dict[str, list[str]] = field(default_factory=dict)
    any_order: bool = False  # the steps of the plan may be done in any order


def _icon_key(rng: random.Random) -> Phrase:
    return rng.choice(COLOURS), rng.choice(SHAPES)


def _two_icons(rng: random.Random) -> tuple[Phrase, Phrase]:
    a = _icon_key(rng)
    b = _icon_key(rng)
    while b == a:
        b = _icon_key(rng)
    return a, b


def _near(rng: random.Random, key: Phrase) -> Widget:
    """A hard distractor: an icon that shares colour or shape."""
    if rng.random() < 0.5:
        return icon((key[0], rng.choice([s for s in SHAPES if s != key[1]])))
    return icon((rng.choice([c for c in COLOURS if c != key[0]]), key[1]))


def _target(rng: random.Random) -> int:
    return rng.randint(4, 6)


def _pointing(verb: str) -> Callable[[random.Random], Problem]:
    def build(rng: random.Random) -> Problem:
        key = _icon_key(rng)
        needed = [icon(key), _near(rng, key)]
        return Problem(phrase_text((verb, *key)), (Sub(verb, key),), compose(rng, needed, _target(rng)))

    return build


def _click_label(rng: random.Random) -> Problem:
    label, other = rng.sample(LABELS, 2)
    scene = compose(rng, [Widget("button", label=label), Widget("button", label=other)], _target(rng))
    return Problem(f"click {label}", (Sub("click", (label,)),), scene)


def _click_colour(rng: random.Random) -> Problem:
    key = _icon_key(rng)
    scene = compose(rng, [icon(key)], _target(rng), frozenset({key[0]}))
    return Problem(f"click {key[0]}", (Sub("click", key),), scene)


def _context(rng: random.Random) -> Problem:
    key = _icon_key(rng)
    rows = rng.sample(LABELS, 3)
    scene = compose(rng, [icon(key), _near(rng, key)], _target(rng))
    goal = f"context {phrase_text(key)} {rows[0]}"
    plan = (Sub("right_click", key), Sub("entry", (rows[0],)))
    return Problem(goal, plan, scene, {" ".join(key): rng.sample(rows, 3)})


def _fill(rng: random.Random) -> Problem:
    name, text = rng.choice(FIELDS), rng.choice(TEXTS)
    scene = compose(rng, [Widget("field", label=name)], _target(rng))
    return Problem(f"fill {name} {text}", (Sub("focus", (name,)), Sub("type", (), text)), scene)


def _form(rng: random.Random) -> Problem:
    names, texts, button = rng.sample(FIELDS, 2), rng.sample(TEXTS, 2), rng.choice(("send", "save"))
    needed = [*(Widget("field", label=n) for n in names), Widget("button", label=button)]
    scene = compose(rng, needed, 4, frozenset({"field"}))
    plan: list[Sub] = []
    for name, text in zip(names, texts, strict=True):
        plan += [Sub("focus", (name,)), Sub("type", (), text)]
    goal = "form " + " ".join(f"{n} {t}" for n, t in zip(names, texts, strict=True)) + f" {button}"
    return Problem(goal, (*plan, Sub("click", (button,))), scene)


def _check(rng: random.Random) -> Problem:
    labels = rng.sample(LABELS, rng.randint(3, 4))
    needed = [Widget("check", label=t, checked=i >= 2 and rng.random() < 0.5) for i, t in enumerate(labels)]
    scene = compose(rng, needed, 5)
    return Problem(
        f"check {labels[0]} {labels[1]}", tuple(Sub("click", (t,)) for t in labels[:2]), scene, any_order=True
    )


def _drag(rng: random.Random) -> Problem:
    a, b = _two_icons(rng)
    scene = compose(rng, [icon(a), icon(b)], rng.randint(3, 5))
    return Problem(f"drag {phrase_text(a)} {phrase_text(b)}", (Sub("drag", a, " ".join(b)),), scene)


def _slider(rng: random.Random) -> Problem:
    start, goal = rng.sample(range(SLIDER_MAX + 1), 2)
    scene = compose(rng, [Widget("slider", value=start)], rng.randint(3, 5))
    return Problem(f"set {NUMBERS[goal]}", (Sub("slide", (), str(goal)),), scene)


def _scroll(rng: random.Random) -> Problem:
    key = _icon_key(rng)
    while True:
        scene = Scene(random_theme(rng), pages=2)
        target = icon(key)
        target.page = 1
        if not place(scene, target, rng):
            continue
        fill_up(scene, rng, _target(rng))
        below = [w for w in scene.widgets if w.page == 0]
        for _ in range(3):
            other = _near(rng, key)
            other.page = 1
            if scene.find(other.key) < 0:
                place(scene, other, rng)
        if scene.find(key) >= 0 and below and all(w.key != key for w in below):
            return Problem(f"find {phrase_text(key)}", (Sub("click", key),), scene)


def _menu(rng: random.Random) -> Problem:
    scene = compose(rng, [], _target(rng))
    scene.titles = tuple(rng.sample(TITLES, 3))
    title, rows = rng.choice(scene.titles), rng.sample(LABELS, 3)
    plan = (Sub("title", (title,)), Sub("entry", (rows[0],)))
    return Problem(f"pick {title} {rows[0]}", plan, scene, {title: rng.sample(rows, 3)})


def _dialog(rng: random.Random) -> Problem:
    problem = _pointing("click")(rng) if rng.random() < 0.5 else _click_label(rng)
    open_dialog(problem.scene, rng)
    return problem


def _shortcut(rng: random.Random) -> Problem:
    keys = rng.choice(KEYS)
    return Problem(f"press {keys}", (Sub("press", (), keys),), compose(rng, [], _target(rng)))


def _wait(rng: random.Random) -> Problem:
    label = rng.choice(LABELS)
    scene = compose(rng, [Widget("button", label=label, late=True)], _target(rng))
    scene.loading = True
    return Problem(f"wait {label}", (Sub("click", (label,)),), scene)


def _colour(rng: random.Random) -> Problem:
    key = _icon_key(rng)
    scene = compose(rng, [icon(key)], _target(rng), frozenset({key[1]}))
    return Problem(f"colour {key[1]}", (Sub("answer", (), key[0]),), scene)


def _count(rng: random.Random) -> Problem:
    shape, n = rng.choice(SHAPES), rng.randint(1, 4)
    colours = rng.sample(COLOURS, n)
    scene = compose(rng, [icon((c, shape)) for c in colours], n + rng.randint(1, 3), frozenset({shape}))
    return Problem(f"count {shape}", (Sub("answer", (), NUMBERS[n]),), scene)


def _open(rng: random.Random) -> Problem:
    name = rng.choice(PROGRAMS)
    return Problem(f"open {name}", (Sub("open", (), name),), compose(rng, [], _target(rng)))


def _ask(rng: random.Random) -> Problem:
    topic = rng.choice(FIELDS)
    return Problem(f"ask {topic}", (Sub("ask", (), topic),), compose(rng, [], _target(rng)))


FAMILIES: Final[dict[str, Callable[[random.Random], Problem]]] = {
    "click_icon": _pointing("click"),
    "click_label": _click_label,
    "click_colour": _click_colour,
    "double_click": _pointing("double_click"),
    "hover": _pointing("move"),
    "context_menu": _context,
    "fill_field": _fill,
    "form": _form,
    "checkboxes": _check,
    "drag": _drag,
    "slider": _slider,
    "scroll": _scroll,
    "menu": _menu,
    "dialog": _dialog,
    "shortcut": _shortcut,
    "wait": _wait,
    "answer": _colour,
    "count": _count,
    "open": _open,
    "ask": _ask,
}


def needed_widgets(program: tuple[Phrase, ...]) -> list[Widget]:
    """Return the widgets that a program's phrases point at."""
    out = [icon(p[1:]) for p in program if len(p) == 3]
    return out + [Widget("button", label=p[1]) for p in program if len(p) == 2 and p[0] == "click"]


def build_program(rng: random.Random, goal: str, program: tuple[Phrase, ...], extra: Sequence[Widget] = ()) -> Problem:
    """Draw a screen on which an app's program can be carried out; at least four things can be pointed at.

    extra: further things that must be there.
    """
    needed = [*needed_widgets(program), *extra]
    pointed = [p[1:] for p in program if len(p) == 3]
    if pointed and len(pointed) < 3:
        near = _near(rng, rng.choice(pointed))
        if near.key not in {widget.key for widget in needed}:
            needed.append(near)
    scene = compose(rng, needed, max(5, len(needed) + 1), frozenset({"field"}))
    return Problem(goal, tuple(phrase_sub(p) for p in program), scene)
