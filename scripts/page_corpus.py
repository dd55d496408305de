"""Training sequences from rendered pages (`pages.py`): goals in words, and demonstrations on another page of the group.

A goal is one to three clauses, of which the question is about one (its number is the step). Under a demonstration the
goal is a fresh word, a sentence of random words, or the true instruction. A question with neither a meaning nor a
demonstration has any target and a low confidence; a wrong answer teaches its confidence alone.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import corpus
from corpus import (
    CONFIDENCE,
    FRESH,
    OTHER,
    UNSURE,
    VOCAB,
    WRONG,
    Question,
    Sequence,
    ask,
    bare_ids,
    frame_ids,
    ids,
    word,
)
from page_html import LOOK, SCREENS
from page_words import (
    COLOUR,
    GRAMMAR,
    KIND,
    KINDS,
    LABEL,
    ORDINAL,
    PAGE_COLOURS,
    WORDS,
    Signature,
    allowed,
    clause,
    joined,
    narration,
    resembles_held_out,
)
from showonce import actions as act
from showonce.actions import Action
from showonce.environments.embedded.language import KEYS, NUMBERS, SHAPES, TEXTS
from tiny_model import BINS

HELD_BACK = 400  # number of screens at the end of a folder that only `evaluate` uses
SHIFT = 8  # largest shift of a frame in pixels, in each direction
ORDINALS = (("first", "1st"), ("second", "2nd"), ("third", "3rd"))
_ORDERED = ("link", "check", "radio", "row", "button", "field")
_FILLER = (*GRAMMAR, *WORDS)


@dataclass
class Shown:
    """One visible thing of one screen. rect: in fractions of the frame; namings: ways in which a goal can name it."""

    index: int
    kind: str
    label: str
    colour: str
    shape: str
    rect: list[float]  # left, top, width, height
    namings: list[str]

    @property
    def middle(self) -> tuple[float, float]:
        x, y, w, h = self.rect
        return min(x + w / 2, 0.999), min(y + h / 2, 0.999)

    def name(self, naming: str) -> str:
        """Return the words by which a goal names it in this way."""
        if naming == COLOUR:
            return f"{self.colour} {self.shape}" if self.kind == "shape" else self.colour
        return self.label if naming == LABEL else ""

    def described(self) -> str:
        """Return the words by which a description names it."""
        return self.label or (f"{self.colour} {self.shape}" if self.kind == "shape" else self.colour)


@dataclass
class View:
    """A screen prepared for one use: its record, its frame (shifted), and its visible things."""

    screen: dict[str, Any]
    frame: np.ndarray
    things: list[Shown]


class Pages:
    """Frames with the records of their things. folders: one or several, comma-separated; split: train | eval.

    Raises:
        FileNotFoundError: the folder was not rendered, or not to its end.
    """

    def __init__(self, folders: str | Path, split: str = "train") -> None:
        self.frames: list[np.ndarray] = []  # one a screen, views of memory-mapped files
        self.screens: list[dict[str, Any]] = []
        for part in str(folders).split(","):
            frames = np.load(Path(part) / "frames.npy", mmap_mode="r")
            with (Path(part) / "screens.jsonl").open() as lines:
                screens = [json.loads(line) for line in lines]
            if len(screens) < 2 * HELD_BACK or len(frames) < len(screens):
                raise FileNotFoundError(f"{part} was not rendered to its end; run scripts/pages.py again.")
            self.frames += [frames[i] for i in range(len(screens))]
            self.screens += screens
        cut = (len(self.screens) - HELD_BACK) // SCREENS
        self.groups = range(cut) if split == "train" else range(cut, len(self.screens) // SCREENS)

    def things(self, i: int) -> list[Shown]:
        return [Shown(*row) for row in self.screens[i]["things"]]

    def look(self, i: int, rng: random.Random) -> View:
        """Return a screen shifted by up to SHIFT pixels, so that letters lie differently on the patches."""
        dx, dy = rng.randint(-SHIFT, SHIFT), rng.randint(-SHIFT, SHIFT)
        frame = self.frames[i]
        size = len(frame)
        wide = np.pad(frame, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
        moved = wide[SHIFT - dy : SHIFT - dy + size, SHIFT - dx : SHIFT - dx + size]
        things = []
        for thing in self.things(i):
            x, y, w, h = thing.rect
            left, top = max(x + dx / size, 0.0), max(y + dy / size, 0.0)
            right, bottom = min(x + dx / size + w, 1.0), min(y + dy / size + h, 1.0)
            if (right - left) * (bottom - top) > 0.6 * w * h and right > left and bottom > top:
                things.append(replace(thing, rect=[left, top, right - left, bottom - top]))
        return View(self.screens[i], moved, things)

    def draw(self, rng: random.Random) -> int:
        """Draw a screen with at least one visible thing."""
        while True:
            i = rng.choice(self.groups) * SCREENS + rng.randrange(SCREENS)
            if self.screens[i]["things"]:
                return i

    def pair(self, rng: random.Random) -> tuple[int, int]:
        """Draw two screens of one group at the same step that look different; the step can be taken on both."""
        while True:
            first = rng.choice(self.groups) * SCREENS + rng.randrange(SCREENS // 2)
            a, b = rng.sample((first, first + SCREENS // 2), 2)
            able = all(step_action(self.screens[i], self.things(i)) is not None for i in (a, b))
            if able and not np.array_equal(self.frames[a], self.frames[b]):
                return a, b


def click(thing: Shown) -> Action:
    return act.Click(*thing.middle)


def step_action(screen: dict[str, Any], things: list[Shown]) -> Action | None:
    """Return the action of a screen's current step; None when the step's thing is not visible."""
    kind, _, index, other = screen["program"][screen["at"]]
    if kind == "key":
        return act.Key(other)
    if kind == "type":
        return act.Type(other)
    thing = next((t for t in things if t.index == index), None)
    if thing is None:
        return None
    if kind == "scroll":
        return act.Scroll(*thing.middle, 3)
    if kind == "drag":
        end = next((t for t in things if t.index == int(other)), None)
        return None if end is None else act.Drag(*thing.middle, *end.middle)
    return click(thing)


def step_narration(screen: dict[str, Any]) -> str:
    kind, _, index, other = screen["program"][screen["at"]]
    label, colour, shape = screen["names"][index] if index >= 0 else ("", "", "")
    if kind == "drag":
        target = screen["names"][int(other)]
        return narration(kind, f"{colour} {shape}", f"{target[1]} {target[2]}")
    return narration(kind, label or (f"{colour} {shape}" if kind == "shape" else colour), other)


# ------------------------------------------------------------------------------------------------ goals in words


def _ordinal(thing: Shown, things: list[Shown]) -> int | None:
    """Return the place (0 to 2) of a thing among its kind, from the top; None when they are not in a column."""
    alike = sorted((t for t in things if t.kind == thing.kind), key=lambda t: t.rect[1])
    tops = [t.rect[1] for t in alike]
    if not 2 <= len(alike) <= 4 or any(b - a < 0.05 for a, b in pairwise(tops)):
        return None
    place = alike.index(thing)
    return place if place < 3 else None


def _clauses(rng: random.Random, things: list[Shown], count: int) -> list[tuple[str, str, str, str]]:
    """Return clauses for the other steps of a goal, about things that may be on the page or not."""
    out = []
    for _ in range(count):
        nameable = [t for t in things if t.namings]
        if nameable and rng.random() < 0.6:
            thing = rng.choice(nameable)
            naming = rng.choice(thing.namings)
            out.append((thing.kind, naming, thing.name(naming), ""))
        else:
            kind = rng.choice(("button", "button", "link", "check", "radio", "tab", "field", "close", "key", "header"))
            naming = KIND if kind == "close" or rng.random() < 0.15 else LABEL
            naming = LABEL if kind == "key" else naming
            out.append((kind, naming, rng.choice(WORDS), rng.choice(KEYS)))
    return out


def goal_question(rng: random.Random, things: list[Shown]) -> Question | None:
    """Draw a question with a goal in words; goals with the logic or the words of a held-out task are left out."""
    target = rng.choice(things)
    named: tuple[str, str, str, str]
    action = click(target)
    place = _ordinal(target, things)
    coloured = [t for t in things if t.colour and COLOUR in t.namings]
    roll = rng.random()
    if roll < 0.12 and len(coloured) > 1:
        a, b = rng.sample(coloured, 2)
        named = ("drag", COLOUR, f"{a.colour} {a.shape}", f"{b.colour} {b.shape}")
        action = act.Drag(*a.middle, *b.middle)
    elif roll < 0.2 and target.kind in _ORDERED and place is not None:
        named = (target.kind, ORDINAL, rng.choice(ORDINALS[place]), "")
    elif target.kind in ("field", "area") and roll < 0.35:
        text = rng.choice(TEXTS)
        named, action = ("type", LABEL, "", text), act.Type(text)
    elif target.kind == "area" and roll < 0.5:
        named, action = ("scroll", KIND, "", ""), act.Scroll(*target.middle, 3)
    elif target.namings:
        naming = rng.choice(target.namings)
        named = (target.kind, naming, target.name(naming), "")
    else:
        return None
    for _ in range(4):
        count = rng.choices((1, 2, 3), (0.35, 0.5, 0.15))[0]
        clauses = _clauses(rng, things, count - 1)
        at = rng.randrange(count)
        clauses.insert(at, named)
        logic: Signature = tuple((kind, naming) for kind, naming, *_ in clauses if kind != "type")
        goal = joined([clause(kind, naming, label, rng, other) for kind, naming, label, other in clauses], rng)
        if allowed(logic) and not resembles_held_out(goal):
            break
    else:
        return None
    if rng.random() < 0.12:
        wrong = [t for t in things if t is not target]
        if wrong and isinstance(action, act.Click):
            return ask(ids(goal), at, click(rng.choice(wrong)), WRONG, "wrong", wrong=True)
    return ask(ids(goal), at, action, tag=f"page_{named[0]}" if named[0] in ("drag", "type") else "page_goal")


def describe(rng: random.Random, things: list[Shown]) -> Question:
    """Return a question about the effect of a click."""
    thing = rng.choice(things)
    answer = [*ids(narration(thing.kind, thing.described())), VOCAB["<eos>"]]
    prompt = [VOCAB["<what>"], *bare_ids(click(thing)), VOCAB["<is>"]]
    return Question(prompt, answer, [corpus.PLAIN] * len(answer), [1.0] * len(answer), tag="page_describe")


def junk(rng: random.Random) -> list[int]:
    """Return a sentence of random words."""
    unknown = VOCAB["<unk>"]
    return [unknown if rng.random() < 0.3 else VOCAB[rng.choice(_FILLER)] for _ in range(rng.randint(1, 12))]


def _unsure(rng: random.Random, things: list[Shown]) -> Question:
    goal = junk(rng) if rng.random() < 0.7 else word(OTHER)
    question = ask(goal, rng.choice((0, 0, 1, 2)), click(rng.choice(things)), UNSURE, "unknown")
    question.weights = [0.3 * w for w in question.weights]
    question.weights[question.kinds.index(CONFIDENCE)] = 0.5
    return question


def _extra(rng: random.Random, things: list[Shown]) -> Question | None:
    roll = rng.random()
    if roll < 0.78:
        return goal_question(rng, things)
    return describe(rng, things) if roll < 0.93 else _unsure(rng, things)


# ------------------------------------------------------------------------------------------------ sequences


def page_sequence(pages: Pages, rng: random.Random, length: int, form: str) -> Sequence:
    """Draw a sequence of at most `length` ids. form: plain | frames | frames_narrated."""
    frames: list[np.ndarray] = []
    prefix: list[int] = []
    questions: list[Question] = []
    if form == "plain":
        query = pages.look(pages.draw(rng), rng)
    else:
        question: Question | None = None
        while question is None:
            shown, query = (pages.look(i, rng) for i in pages.pair(rng))
            prefix, question = _demonstrated(rng, shown, query, form)
        frames.append(shown.frame)
        questions.append(question)
    frames.append(query.frame)
    prefix = [*prefix, *frame_ids()]
    things = query.things
    used = len(prefix) + sum(len(q.prompt) + len(q.answer) for q in questions)
    misses = 0
    while misses < 4 and things:
        more = _extra(rng, things)
        if more is None or used + len(more.prompt) + len(more.answer) > length:
            misses += 1
            continue
        used += len(more.prompt) + len(more.answer)
        questions.append(more)
    return Sequence(frames, prefix, questions, rng.randrange(1 << 30), dense_targets(things))


def _demonstrated(rng: random.Random, shown: View, query: View, form: str) -> tuple[list[int], Question | None]:
    """Return the ids of a demonstration of one step, and the question on another page of the group.

    The question is None when the step's thing was shifted out of the frame.
    """
    screen, here = shown.screen, query.things
    example, right = step_action(screen, shown.things), step_action(query.screen, here)
    if example is None or right is None:
        return [], None
    roll, step = rng.random(), min(screen["at"], 9)
    goal = word(FRESH) if roll < 0.35 else junk(rng) if roll < 0.75 else _instruction(rng, screen)
    out = [VOCAB["<demo>"], VOCAB["<goal>"], *goal, VOCAB["<step>"], VOCAB[NUMBERS[step]]]
    out += [*frame_ids(), *bare_ids(example)]
    if form == "frames_narrated":
        out += [VOCAB["<is>"], *ids(step_narration(screen))]
    out.append(VOCAB["</demo>"])
    others = [t for t in here if isinstance(right, act.Click) and t.middle != (right.x, right.y)]
    if others and rng.random() < 0.08:
        question = ask(goal, step, click(rng.choice(others)), WRONG, "wrong", wrong=True)
    else:
        question = ask(goal, step, right, tag=f"page_{form}")
        question.weights = [2.0 * w for w in question.weights]
    return out, question


def _instruction(rng: random.Random, screen: dict[str, Any]) -> list[int]:
    clauses = []
    if any(naming == LOOK for _, naming, *_ in screen["program"]):
        return junk(rng)
    for kind, naming, index, other in screen["program"]:
        label, colour, shape = screen["names"][index] if index >= 0 else ("", "", "")
        if kind == "drag":
            target = screen["names"][int(other)]
            label, other = f"{colour} {shape}", f"{target[1]} {target[2]}"
        elif naming == COLOUR:
            label = f"{colour} {shape}" if kind == "shape" else colour
        clauses.append(clause(kind, naming, label, rng, other))
    goal = joined(clauses, rng)
    return junk(rng) if resembles_held_out(goal) else ids(goal)


# ------------------------------------------------------------------------------------------------ dense targets

_LABELS = {w: i + 1 for i, w in enumerate(corpus.DENSE_WORDS)}


def dense_targets(things: list[Shown]) -> np.ndarray:
    """Return labels of each 16 x 16 cell of the frame, as `corpus.dense_targets` does; the state column is 0."""
    out = np.zeros((corpus.IMAGE_TOKENS, 7), np.int64)
    best = np.full(corpus.IMAGE_TOKENS, 1.0)
    for t in things:
        x, y, w, h = t.rect
        kind = "icon" if t.colour else t.kind
        bins = [min(int(v * BINS), BINS - 1) for v in t.middle]
        row = [
            KINDS.index(kind) + 1, PAGE_COLOURS.index(t.colour) + 1 if t.colour else 0,
            SHAPES.index(t.shape) + 1 if t.shape else 0, _LABELS.get(t.label, 0), *bins, 0,
        ]  # fmt: skip
        for r in range(int(y * 7), min(int((y + h) * 7 - 1e-6), 6) + 1):
            for c in range(int(x * 7), min(int((x + w) * 7 - 1e-6), 6) + 1):
                area = (min(x + w, (c + 1) / 7) - max(x, c / 7)) * (min(y + h, (r + 1) / 7) - max(y, r / 7))
                if 0 < area < best[7 * r + c]:
                    best[7 * r + c] = area
                    out[7 * r + c] = row
    return out
