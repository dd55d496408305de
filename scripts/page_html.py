"""Draws random pages: groups of things, programs over them, and the HTML of a screen."""

from __future__ import annotations

import html
import random
from dataclasses import dataclass, field
from typing import Any

from page_words import (
    COLOUR,
    DIGITS,
    FREQUENT,
    KIND,
    LABEL,
    PAGE_COLOURS,
    WORDS,
    Signature,
    allowed,
)
from showonce.environments.embedded.language import KEYS, NUMBERS, SHAPES, TEXTS


@dataclass
class Thing:
    """Something on a page. label: the word by which a goal can name it, or ""; text: what is drawn."""

    kind: str
    label: str = ""
    text: str = ""
    colour: str = ""
    shape: str = ""
    varies: bool = False  # its text differs between the screens of a group
    on: bool = False
    value: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.label or f"{self.colour} {self.shape}".strip()


@dataclass
class Step:
    """One step of a program: `thing` is an index, -1 for a key; `naming`: the way in which a goal names it."""

    kind: str
    naming: str
    thing: int = -1
    other: str = ""  # typed text, keys, or the index of where to drag


@dataclass
class Group:
    """Things and a program over them."""

    things: list[Thing]
    program: list[Step]
    layout: str
    style: dict[str, Any] = field(default_factory=dict)


def signature(program: list[Step]) -> Signature:
    """Return a program's logic: kind and naming of every step; typing belongs to the step before it."""
    return tuple((s.kind, LABEL if s.naming == LOOK else s.naming) for s in program if s.kind != "type")


# ------------------------------------------------------------------------------------------------ what is on a page

_SYLLABLES = [c + v for c in ("b", "d", "f", "g", "l", "m", "n", "p", "qu", "r", "s", "t", "v") for v in "aeiou"]
_ALNUM = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_KINDS = {
    "button": 8, "link": 4, "check": 4, "radio": 3, "field": 5, "area": 2, "tab": 2, "box": 3, "dot": 3, "shape": 3,
    "header": 2, "select": 2, "row": 2, "close": 3,
}  # fmt: skip
SCREENS = 4  # number of screens of one group
LOOK = "look"  # naming of a thing that only a demonstration can show, by its looks
_NUMBERED = frozenset((*DIGITS, *NUMBERS))
_SINGLE = ("button", "field", "box", "dot", "shape", "check", "radio", "link", "header", "area", "row", "tab")


def pseudo(rng: random.Random) -> str:
    """Return a random word that is in no vocabulary."""
    if rng.random() < 0.3:
        return "".join(rng.choices(_ALNUM, k=rng.randint(1, 6)))
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4)))


def sentence(rng: random.Random, words: int) -> str:
    return (" ".join(pseudo(rng) for _ in range(words)) + rng.choice((".", ":", ""))).capitalize()


def random_label(rng: random.Random, numbers: bool) -> str:
    """Draw a readable word."""
    while True:
        word = rng.choice(FREQUENT if rng.random() < 0.7 else WORDS)
        if numbers or word not in _NUMBERED:
            return word


def random_thing(rng: random.Random, kind: str, taken: set[tuple[str, str]]) -> Thing:
    """Draw a thing whose key is not in use yet."""
    while True:
        thing = Thing(kind, on=rng.random() < 0.2)
        if kind in ("dot", "shape") or (kind == "box" and rng.random() < 0.75):
            thing.colour = rng.choice(PAGE_COLOURS)
            thing.shape = {"dot": "circle", "box": "square"}.get(kind) or rng.choice(SHAPES)
        elif kind in ("field", "area", "close") and rng.random() < (0.5 if kind == "field" else 0.8):
            pass
        elif rng.random() < 0.75:
            thing.label = random_label(rng, numbers=kind != "tab")  # "tab 3" is a held-out task's logic
            thing.text = thing.label
        else:
            thing.varies = rng.random() < 0.4
            thing.text = pseudo(rng)
        if kind == "close":
            thing.label = ""
            thing.text = sentence(rng, 2) if rng.random() < 0.6 else ""
        if thing.kind in ("field", "area") and rng.random() < 0.2:
            thing.value = rng.choice((*TEXTS, pseudo(rng)))
        if not any(thing.key) or thing.key not in taken or not thing.key[1]:
            taken.add(thing.key)
            return thing


def namings(group: list[Thing], i: int) -> list[str]:
    """Return the namings that distinguish a thing from the others."""
    thing, out = group[i], []
    alike = [t for t in group if t.kind == thing.kind]
    if thing.kind == "shape":
        return [COLOUR] if sum(t.key[1] == thing.key[1] for t in group) == 1 else []
    if thing.colour and sum(t.colour == thing.colour and t.shape == thing.shape for t in group) == 1:
        out.append(COLOUR)
    if thing.label and sum(t.label == thing.label for t in group) == 1:
        out += [LABEL, LABEL]
    if len(alike) == 1 and thing.kind not in ("dot", "box", "row"):
        out.append(KIND)
    return out


def shown_by(group: list[Thing], i: int) -> list[str]:
    """Return the namings by which a demonstration can distinguish a thing; unreadable text counts by its looks."""
    thing, out = group[i], namings(group, i)
    same = [t for t in group if t.kind == thing.kind and t.text == thing.text]
    if not out and thing.text and not thing.varies and not thing.shape and len(same) == 1:
        return [LOOK]
    return out


def random_program(rng: random.Random, things: list[Thing]) -> list[Step]:
    """Draw a program; empty when every program over the things has the logic of a held-out task."""
    able = [i for i in range(len(things)) if shown_by(things, i)]
    for _ in range(12):
        program: list[Step] = []
        for i in rng.sample(able, min(len(able), rng.choice((1, 2, 2, 3, 4)))):
            thing = things[i]
            program.append(Step(thing.kind, rng.choice(shown_by(things, i)), i))
            if thing.kind in ("field", "area") and rng.random() < 0.6:
                program.append(Step("type", LABEL, i, rng.choice(TEXTS)))
            elif thing.kind == "area" and rng.random() < 0.5:
                program.append(Step("scroll", KIND, i))
            if rng.random() < 0.08:
                program.append(Step("key", LABEL, -1, rng.choice(KEYS)))
        movable = [i for i in able if things[i].kind in ("dot", "box", "shape") and things[i].colour]
        if len(movable) > 1 and rng.random() < 0.5:
            a, b = rng.sample(movable, 2)
            drag = Step("drag", COLOUR, a, str(b))
            program = [s for s in program if s.thing not in (a, b)]
            program.insert(rng.randint(0, len(program)), drag)
        # a dialog covers the page, so its things come first
        program.sort(key=lambda s: s.kind != "close")
        if program and allowed(signature(program)):
            return program
    return []


def random_group(rng: random.Random) -> Group:
    """Draw things, and a program over them."""
    while True:
        taken: set[tuple[str, str]] = set()
        if rng.random() < 0.45:  # a page of one kind of thing, now and then with a button below
            kind = rng.choice(_SINGLE)
            things = [random_thing(rng, kind, taken) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 5)))]
            if rng.random() < 0.7:
                things.append(random_thing(rng, "button", taken))
        else:
            kinds = rng.choices(list(_KINDS), list(_KINDS.values()), k=rng.randint(2, 7))
            kinds = [k for i, k in enumerate(kinds) if k not in ("close", "area", "select") or k not in kinds[:i]]
            things = [random_thing(rng, kind, taken) for kind in kinds]
        tabs = [t for t in things if t.kind == "tab"]
        for t in tabs:
            t.on = t is tabs[0]
        program = random_program(rng, things)
        if program:
            layout = rng.choice(("flow", "flow", "scatter", "scatter", "rows"))
            return Group(things, program, layout, random_style(rng))


# ------------------------------------------------------------------------------------------------ how it is drawn

_SHADES = {
    "red": ("red", "#d33"), "green": ("green", "#2a2"), "blue": ("blue", "#25e"), "yellow": ("yellow", "#fd0"),
    "purple": ("purple", "#83b"), "orange": ("orange", "#f80"), "gray": ("gray", "#999"), "navy": ("navy",),
    "silver": ("silver",), "white": ("white",), "black": ("black",),
}  # fmt: skip


def random_style(rng: random.Random) -> dict[str, Any]:
    """Draw the looks that the screens of a group share."""
    modern = rng.random() < 0.35
    dark = modern and rng.random() < 0.25
    accent = rng.choice(("#007fff", "#0a64c8", "#2a8a4a", "#7a3db8", "#444", "#d24", "#e69500", "#888"))
    return {
        "modern": modern, "dark": dark, "accent": accent, "case": rng.choice(("lower", "title", "title", "upper")),
        "font": rng.choice(("Arial", "Arial", "Arial", "Arial", "Verdana", "Georgia", "monospace")),
        "size": rng.choice((10, 10, 10, 11, 12, 13, 14)), "radius": rng.choice((0, 3, 6, 12)),
        "padding": rng.choice(("", "", "2px 8px", "6px 14px", "8px 22px")),
    }  # fmt: skip


def shown_text(text: str, style: dict[str, Any]) -> str:
    if style["case"] == "upper":
        return html.escape(text.upper())
    return html.escape(text.capitalize() if style["case"] == "title" else text)


_POINTS = {
    "triangle": "10,1 19,18 1,18", "diamond": "10,1 19,10 10,19 1,10",
    "star": "10,1 12.5,7.5 19.5,7.5 14,12 16,19 10,15 4,19 6,12 .5,7.5 7.5,7.5",
    "cross": "7,1 13,1 13,7 19,7 19,13 13,13 13,19 7,19 7,13 1,13 1,7 7,7",
}  # fmt: skip


def chunk(rng: random.Random, i: int, t: Thing, style: dict[str, Any], focus: bool) -> tuple[str, int, int]:
    """Return the HTML of a thing and about how wide and high it is."""
    mark = f"data-i={i}"
    ring = "outline:2px auto -webkit-focus-ring-color;" if focus else ""
    text = shown_text(pseudo(rng) if t.varies else t.text, style)
    if t.shape:
        return _drawn(rng, mark, t, style)
    if t.kind == "button":
        css = f"padding:{style['padding']};" if style["padding"] else ""
        if style["modern"]:
            css += f"background:{style['accent']};color:#fff;border:0;border-radius:{style['radius']}px;"
        wide, high = 30 + 6 * len(text), 24
        if rng.random() < 0.25:
            wide, high = rng.randint(36, 90), rng.randint(22, 60)
            css += f"width:{wide}px;height:{high}px;padding:0;"
        return f"<button {mark} style='{css}{ring}'>{text}</button>", wide, high
    if t.kind == "link":
        return f"<a href='#' {mark} style='{ring}'>{text}</a>", 8 * len(text) + 4, 12
    if t.kind in ("check", "radio"):
        kind = "checkbox" if t.kind == "check" else "radio"
        on = "checked" if t.on else ""
        return f"<label><input type={kind} {mark} {on} style='{ring}'>{text}</label>", 26 + 6 * len(text), 16
    if t.kind in ("field", "area"):
        return _box(rng, mark, t, style, text, ring)
    if t.kind == "select":
        more = "".join(f"<option>{pseudo(rng)}" for _ in range(3))
        return f"<select {mark} style='{ring}'><option>{text}{more}</select>", 30 + 7 * len(text), 20
    if t.kind == "header":
        css = f"background:{style['accent']};color:#fff;padding:2px 6px;border-radius:{min(style['radius'], 4)}px;"
        inner = f"<div style='border:1px solid #ccc;padding:4px'>{sentence(rng, 5)}</div>" if t.on else ""
        return f"<div {mark} style='{css}width:{rng.randint(110, 150)}px'>{text or 'i'}</div>{inner}", 150, 18
    if t.kind == "row":
        line = f"{text} <span style='color:#777'>{sentence(rng, 2)}</span>"
        return f"<div {mark} style='border-bottom:1px solid #bbb;padding:3px;width:145px'>{line}</div>", 150, 18
    if t.kind == "box":
        wide, high = rng.randint(28, 70), rng.randint(24, 50)
        css = f"width:{wide}px;height:{high}px;border:1px solid #333;color:#222;display:inline-block;overflow:hidden;"
        return f"<div {mark} style='{css}background:{rng.choice(('#eee', '#fff', '#cde'))}'>{text}</div>", wide, high
    raise KeyError(t.kind)


def _drawn(rng: random.Random, mark: str, t: Thing, style: dict[str, Any]) -> tuple[str, int, int]:
    side = rng.randint(14, 34) if t.kind != "box" else rng.randint(18, 56)
    paint = rng.choice(_SHADES.get(t.colour, (t.colour,)))
    plain = t.colour == "white" or rng.random() < 0.5
    line = f"stroke='{'#ccc' if style['dark'] else 'black'}' stroke-width='.7'" if plain else ""
    if t.shape == "circle":
        form = f"<circle cx=10 cy=10 r=9 fill='{paint}' {line}/>"
    elif t.shape == "square":
        form = f"<rect x=1 y=1 width=18 height=18 fill='{paint}' {line}/>"
    else:
        form = f"<polygon points='{_POINTS[t.shape]}' fill='{paint}' {line}/>"
    space = f"margin:{rng.randint(0, 6)}px"
    svg = f"<svg {mark} width={side} height={side} viewBox='0 0 20 20' style='{space}'>{form}</svg>"
    return svg, side + 8, side + 8


def _box(rng: random.Random, mark: str, t: Thing, style: dict[str, Any], text: str, ring: str) -> tuple[str, int, int]:
    wide = rng.choice((60, 90, 120, 120, 120, 130, 145))
    value, hint = html.escape(t.value, quote=True), ""
    before = ""
    if text and rng.random() < 0.35:
        hint = f"placeholder='{text}'"
    elif text:
        before = rng.choice((f"<b>{text}</b><br>", f"{text}<br>", f"{text}: " if wide < 100 else f"{text}<br>"))
    css = f"width:{wide}px;{ring}" + (f"border:1px solid #aaa;border-radius:{style['radius']}px;" * style["modern"])
    if t.kind == "field":
        return f"{before}<input type=text {mark} {hint} value='{value}' style='{css}'>", wide + 8, 36 if before else 22
    high = rng.choice((25, 40, 50))
    inner = value or (sentence(rng, 9) if rng.random() < 0.6 else "")
    area = f"<textarea {mark} {hint} style='{css}height:{high}px'>{inner}</textarea>"
    return f"{before}{area}", wide + 8, high + (18 if before else 4)


def screen_html(rng: random.Random, group: Group, at: int) -> str:
    """Return the inside of a cell: the group's things as they are when `at` steps of the program are done."""
    things = [Thing(**vars(t)) for t in group.things]
    style = group.style if rng.random() < 0.75 else random_style(rng)
    focus, closed = -1, False
    for s in group.program[:at]:
        t = things[s.thing] if s.thing >= 0 else None
        if s.kind in ("check", "header") and t:
            t.on = s.kind == "header" or not t.on
        elif s.kind in ("radio", "tab") and t:
            for other in things:
                if other.kind == s.kind:
                    other.on = other is t
        elif s.kind in ("field", "area"):
            focus = s.thing
        elif s.kind == "type" and t:
            t.value = s.other
        elif s.kind == "close":
            closed = True
        focus = focus if s.kind in ("field", "area", "type", "key", "scroll") else -1
    for t in things:  # things that later steps switch on are off
        due = [s for s in group.program[at:] if s.thing >= 0 and things[s.thing] is t]
        t.on = t.on and not (due and t.kind in ("check", "radio", "header"))
    order = list(range(len(things)))
    if rng.random() < 0.5:
        rng.shuffle(order)
    dialog = next((i for i in order if things[i].kind == "close" and not closed), None)
    inside: list[int] = []
    if dialog is not None:
        inside = [i for i in order if things[i].kind in ("button", "link", "check") and rng.random() < 0.5]
    tabs = [i for i in order if things[i].kind == "tab"]
    body = [i for i in order if i not in inside and things[i].kind not in ("close", "tab")]
    out = _tabs(rng, sorted(tabs), things, style) if tabs else ""
    top = 26 if tabs else 0
    out += (
        _scattered(rng, body, things, style, focus, top)
        if group.layout == "scatter"
        else _flow(rng, body, things, style, focus, group.layout == "rows")
    )
    if dialog is not None:
        out += _dialog(rng, dialog, inside, things, style)
    back = "#223" if style["dark"] else rng.choice(("#fff", "#fff", "#fff", "#fff", "#f4f4f4", "#eef"))
    ink = "#ddd" if style["dark"] else "#000"
    css = f"background:{back};color:{ink};font:{style['size']}px {style['font']};"
    return f"<div class=in style='{css}'>{out}</div>"


def _tabs(rng: random.Random, tabs: list[int], things: list[Thing], style: dict[str, Any]) -> str:
    out = []
    for i in tabs:
        t = things[i]
        look = f"background:{style['accent']};color:#fff" if t.on else "background:#eee;color:#333"
        text = shown_text(pseudo(rng) if t.varies else t.text, style)
        css = f"display:inline-block;padding:3px 5px;border:1px solid #bbb;border-radius:3px 3px 0 0;{look}"
        out.append(f"<span data-i={i} style='{css}'>{text}</span>")
    joint = rng.choice(("", " "))
    return f"<div style='background:{rng.choice(('#ddd', '#fff'))};padding:2px'>{joint.join(out)}</div>"


def _flow(
    rng: random.Random, order: list[int], things: list[Thing], style: dict[str, Any], focus: int, rows: bool
) -> str:
    out = [f"<div style='height:{rng.choice((0, 0, 4, 10, 30))}px'></div>"]
    chatter = 0.3 if rng.random() < 0.5 else 0.0
    for i in order:
        if rng.random() < chatter:
            out.append(f"<div>{sentence(rng, rng.randint(2, 6))}</div>")
        part = chunk(rng, i, things[i], style, i == focus)[0]
        if things[i].kind == "link" and rng.random() < 0.5:
            part = f"{sentence(rng, rng.randint(1, 4))} {part} {sentence(rng, rng.randint(0, 3))}"
        tight = things[i].shape or (things[i].kind in ("button", "link", "radio", "check") and rng.random() < 0.3)
        if tight and not rows:
            out.append(part)
        else:
            shift = f"margin-left:{rng.choice((0, 0, 0, 5, 20, 40))}px;margin-top:{rng.choice((0, 1, 4, 8))}px"
            out.append(f"<div style='{shift}'>{part}</div>")
    return "".join(out)


def _scattered(
    rng: random.Random, order: list[int], things: list[Thing], style: dict[str, Any], focus: int, top: int
) -> str:
    out: list[str] = []
    boxes: list[tuple[int, int, int, int]] = []
    for i in order:
        part, wide, high = chunk(rng, i, things[i], style, i == focus)
        for _ in range(30):
            x, y = rng.randint(0, max(1, 158 - wide)), rng.randint(top, max(top + 1, 156 - high))
            if all(x + wide < bx or bx + bw < x or y + high < by or by + bh < y for bx, by, bw, bh in boxes):
                break
        boxes.append((x, y, wide, high))
        out.append(f"<div style='position:absolute;left:{x}px;top:{y}px;white-space:nowrap'>{part}</div>")
    return "".join(out)


def _dialog(rng: random.Random, i: int, inside: list[int], things: list[Thing], style: dict[str, Any]) -> str:
    wide, high = rng.randint(80, 140), rng.randint(60, 120)
    x, y = rng.randint(0, 158 - wide), rng.randint(0, 150 - high)
    bar = style["accent"] if style["modern"] or rng.random() < 0.3 else rng.choice(("#e9e9e9", "#ccc", "#f6f6f6"))
    glyph = rng.choice(("&times;", "&#10006;", "x", "X", "&#10005;"))
    size = rng.choice((12, 14, 16))
    edge = rng.choice(("border:1px solid #aaa;background:#f6f6f6;", "border:1px solid #888;", "border:0;"))
    cross = (
        f"<span data-i={i} style='position:absolute;right:{rng.randint(2, 6)}px;top:{rng.randint(2, 5)}px;"
        f"width:{size}px;height:{size}px;line-height:{size}px;text-align:center;color:#333;{edge}'>{glyph}</span>"
    )
    head = (
        f"<div style='background:{bar};height:{size + 4}px;margin:3px;padding-left:4px;border-radius:3px;"
        f"overflow:hidden'><b>{shown_text(things[i].text, style)}</b></div>"
    )
    parts = "".join(chunk(rng, k, things[k], style, False)[0] + " " for k in inside)
    text = f"<div style='padding:5px'>{sentence(rng, rng.randint(2, 8))}</div>"
    css = (
        f"position:absolute;left:{x}px;top:{y}px;width:{wide}px;min-height:{high}px;background:#fff;color:#222;"
        f"border:1px solid #aaa;border-radius:{rng.choice((0, 4))}px;"
        f"{rng.choice(('', 'box-shadow:0 2px 8px #0006;'))}z-index:5"
    )
    return f"<div style='{css}'>{head}{cross}{text}<div style='padding:4px'>{parts}</div></div>"
