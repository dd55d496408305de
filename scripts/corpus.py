"""Draws the tiny model's training sequences: screens, questions about them, and demonstrations in context.

One sequence is a prefix (an optional demonstration, then one screen) and as many questions about the screen as fit.
Questions do not see one another (segment ids), so each is answered as at run time, and the frame is paid for once.

Kinds of question: the next action of a built-in skill; a phrase on what stands on the screen; a goal word whose
meaning is in the demonstration (fresh random vectors each time); a *coded* word, to the pieces of which codes learned
for its phrases are added, one a step (the code book is thrown away afterwards: it only teaches the model to read a
program out of the embeddings of a word); an unknown word (any target, low confidence); a description of an action; a
wrong action, of which only the confidence is learned. A demonstration and its question never share a seed, hence no
layout.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from page_words import KINDS, PAGE_COLOURS, WORDS
from showonce import actions as act
from showonce.actions import Action
from showonce.environments.embedded.draw import draw
from showonce.environments.embedded.families import FAMILIES, Problem, build_program
from showonce.environments.embedded.language import (
    COLOURS,
    FIELDS,
    KEYS,
    LABELS,
    NUMBERS,
    POINTING,
    PROGRAMS,
    SHAPES,
    SLIDER_MAX,
    TEXTS,
    TITLES,
    Phrase,
    held_out_programs,
    program_phrases,
    random_program,
)
from showonce.environments.embedded.plan import PRECONDITIONS, Sub, apply, event, expected, oracle_action, phrase_sub
from showonce.environments.embedded.scene import GRID, Scene, Widget, open_dialog
from tiny_model import BINS, COORDINATES, SUFFIXES, WORD_PIECES, tokens

VOCAB = {t: i for i, t in enumerate(tokens())}
FIRST_BIN = VOCAB[COORDINATES[0]]
FIRST_CONFIDENCE = VOCAB["0.05}"]
PHRASES = program_phrases()
PHRASE_INDEX = {p: i for i, p in enumerate(PHRASES)}
HELD_OUT = held_out_programs()
MAX_STEPS = 5
CODED, FRESH, OTHER = -10, -20, -30  # ids in place of a goal word: a word coded by its program; two random words
SURE, UNSURE, WRONG = 9, 1, 0  # confidence tokens 0.95, 0.15, 0.05
PLAIN, COORDINATE, CONFIDENCE = 0, 1, 2
IMAGE_TOKENS = 49


@dataclass
class Question:
    """Prompt and answer ids of one question; `kinds` and `weights` are per answer token. program: for a coded word."""

    prompt: list[int]
    answer: list[int]
    kinds: list[int]
    weights: list[float]
    program: tuple[int, ...] = ()  # phrase ids by step, for a coded word
    tag: str = ""


@dataclass
class Sequence:
    """One training sequence: frames, prefix ids (frames stand as `IMAGE_TOKENS` image ids), questions."""

    frames: list[np.ndarray]
    prefix: list[int]
    questions: list[Question]
    fresh: int = 0  # seed of the fresh word vector
    dense: np.ndarray | None = field(default=None, repr=False)  # `dense_targets` of the last frame


def ids(text: str) -> list[int]:
    return [VOCAB[t] for t in text.split()]


def word(stand_in: int) -> list[int]:
    """Return the stand-ins for the pieces of a goal word."""
    return [stand_in - k for k in range(WORD_PIECES)]


def _bin(value: float, suffix: str) -> int:
    return FIRST_BIN + SUFFIXES.index(suffix) * BINS + min(int(value * BINS), BINS - 1)


def action_ids(action: Action, end: str = ',"confidence":') -> tuple[list[int], list[int]]:
    """Return token ids and kinds of an action's JSON up to its confidence field, or closed with `end` = "}"."""
    out, kinds = [VOCAB['{"action":"']], [PLAIN]

    def add(*items: int, kind: int = PLAIN) -> None:
        out.extend(items)
        kinds.extend([kind] * len(items))

    values = {act.Type: ("text", "text"), act.Key: ("keys", "keys"), act.Open: ("target", "target")}
    values |= {act.Done: ("answer", "answer"), act.Ask: ("question", "question")}
    if isinstance(action, (act.Click, act.DoubleClick, act.RightClick, act.Move, act.Drag, act.Scroll)):
        after = {act.Drag: ',"to_x":', act.Scroll: ',"dy":'}.get(type(action), end)
        add(VOCAB[f'{action.verb}","x":'])
        add(_bin(action.x, ',"y":'), _bin(action.y, after), kind=COORDINATE)
        if isinstance(action, act.Drag):
            add(_bin(action.to_x, ',"to_y":'), _bin(action.to_y, end), kind=COORDINATE)
        elif isinstance(action, act.Scroll):
            add(VOCAB[str(action.dy)], VOCAB[end])
    elif isinstance(action, act.Wait):
        add(VOCAB['wait","seconds":'], VOCAB[f"{action.seconds:g}"], VOCAB[end])
    else:
        name, attribute = values[type(action)]
        add(VOCAB[f'{action.verb}","{name}":"'], VOCAB[getattr(action, attribute)], VOCAB['"' + end])
    return out, kinds


def bare_ids(action: Action) -> list[int]:
    """Return the ids of an action's JSON without its confidence field, closed."""
    return action_ids(action, "}")[0]


def ask(
    goal: list[int], step: int, action: Action, confidence: int = SURE, tag: str = "", wrong: bool = False
) -> Question:
    """Return the question "what now?" with its answer. `wrong`: only the confidence is learned from it."""
    prompt = [VOCAB["<goal>"], *goal, VOCAB["<step>"], VOCAB[NUMBERS[min(step, 9)]]]
    answer, kinds = action_ids(action)
    weights = [0.0 if t == VOCAB['{"action":"'] else 1.0 for t in answer]  # the first token is forced at run time
    answer += [FIRST_CONFIDENCE + confidence, VOCAB["<eos>"]]
    kinds += [CONFIDENCE, PLAIN]
    weights += [0.5, 0.02]
    if wrong:
        weights = [0.0] * (len(answer) - 2) + [1.0, 0.0]
    return Question(prompt, answer, kinds, weights, tag=tag)


def describe(action: Action, phrase: Phrase) -> Question:
    """Return the question "what does this action do?"."""
    answer = [*ids(" ".join(phrase)), VOCAB["<eos>"]]
    prompt = [VOCAB["<what>"], *bare_ids(action), VOCAB["<is>"]]
    return Question(prompt, answer, [PLAIN] * len(answer), [1.0] * len(answer), tag="describe")


def frame_ids() -> list[int]:
    image = [VOCAB["<image>"]] * IMAGE_TOKENS
    return [VOCAB["<fake_token_around_image>"], VOCAB["<global-img>"], *image, VOCAB["<fake_token_around_image>"]]


def advance(problem: Problem, rng: random.Random) -> tuple[int, int]:
    """Carry a problem to a random point before its end; return (effective actions so far, plan index)."""
    total = len(problem.plan)
    stop = rng.randrange(total + 2) if total > 1 else rng.randrange(2)
    index = progress = 0
    while progress < stop:
        sub = expected(problem.scene, problem.plan, index)
        last = sub is not None and sub.kind not in PRECONDITIONS and index == total - 1
        if sub is None or last:
            break
        apply(problem.scene, sub, problem.menus)
        progress += 1
        if sub.kind not in PRECONDITIONS:
            index += 1
            problem.scene.done = index
    return progress, index


def phrases_on(scene: Scene) -> list[Phrase]:
    """Return every one-step phrase of a program that can be carried out by pointing at the scene."""
    out: list[Phrase] = []
    for w in scene.widgets:
        if not scene.visible(w):
            continue
        if w.kind == "icon":
            out += [(verb, w.colour, w.shape) for verb in POINTING]
        elif w.kind in ("button", "check") and scene.find(w.key) == scene.widgets.index(w):
            out.append(("click", w.label))
    return out


def random_phrase(scene: Scene, rng: random.Random, share: float = 0.84) -> Phrase:
    """Draw a phrase that can be carried out on the scene: pointing with probability `share`, else typing or a key."""
    pointing = phrases_on(scene)
    if pointing and rng.random() < share:
        return rng.choice(pointing)
    return ("type", rng.choice(TEXTS)) if rng.random() < 0.5 else ("press", rng.choice(KEYS))


def act_on(scene: Scene, sub: Sub) -> Action:
    """Return the action for a subgoal on the current scene; a dialog in the way is closed first."""
    now = expected(scene, (sub,), 0)
    assert now is not None
    return oracle_action(scene, now)


def other_action(scene: Scene, right: Action, rng: random.Random) -> Action | None:
    """Draw a plausible wrong action: another target, or another verb on the right one."""
    for _ in range(6):
        phrase = random_phrase(scene, rng)
        wrong = oracle_action(scene, phrase_sub(phrase))
        if act.points(right) and act.points(wrong) and rng.random() < 0.7:
            (x, y) = act.points(wrong)[0]
            there: dict[str, Any] = {"to_x": x, "to_y": y} if isinstance(right, act.Drag) else {"x": x, "y": y}
            wrong = replace(right, **there)
        if event(scene, wrong) != event(scene, right):
            return wrong
    return None


def program_with(rng: random.Random, phrase: Phrase) -> tuple[tuple[Phrase, ...], int]:
    """Draw a program that holds `phrase`, and the step at which it does; never a held-out one."""
    while True:
        steps = 1 if rng.random() < 0.15 else rng.randint(3, MAX_STEPS)
        at = rng.randrange(steps)
        program = list(random_program(rng, steps)) if steps > 1 else [phrase]
        program[at] = phrase
        if tuple(program) not in HELD_OUT:
            return tuple(program), at


def extra(scene: Scene, rng: random.Random) -> Question | None:
    """Draw one more question about the objects of the scene."""
    icons = [w for w in scene.widgets if w.kind == "icon" and scene.visible(w)]
    kind = rng.choices(
        (
            "phrase",
            "describe",
            "code",
            "unknown",
            "colour_click",
            "answer",
            "count",
            "drag",
            "set",
            "fill",
            "words",
            "pick",
            "title",
            "form",
            "check",
        ),
        (13, 7, 60, 4, 3, 5, 6, 5, 4, 3, 3, 6, 4, 10, 5),
    )[0]
    step = rng.choice((0, 0, 0, 1, 2, 3, 4))
    if kind == "phrase":
        phrase = random_phrase(scene, rng)
        return _maybe_wrong(ids(" ".join(phrase)), step, scene, phrase_sub(phrase), rng)
    if kind == "describe":
        phrase = random_phrase(scene, rng)
        return describe(oracle_action(scene, phrase_sub(phrase)), phrase)
    if kind == "code":
        phrase = random_phrase(scene, rng, 0.5)  # a typed word shows best whether the right piece was read
        program, at = program_with(rng, phrase)
        question = _maybe_wrong(word(CODED), at, scene, phrase_sub(phrase), rng, 0.1)
        question.program, question.tag = (
            tuple(PHRASE_INDEX[p] for p in program),
            "code1" if len(program) == 1 else "code",
        )
        return question
    if kind == "unknown":
        action = act_on(scene, phrase_sub(random_phrase(scene, rng)))
        question = ask(word(OTHER), step, action, UNSURE, "unknown")
        question.weights = [w * 0.3 for w in question.weights]
        question.weights[-2] = 0.5
        return question
    return _skill_extra(kind, step, scene, icons, rng)


def _maybe_wrong(
    goal: list[int], step: int, scene: Scene, sub: Sub, rng: random.Random, share: float = 0.15
) -> Question:
    right = act_on(scene, sub)
    if rng.random() < share:
        wrong = other_action(scene, right, rng)
        if wrong is not None:
            return ask(goal, step, wrong, WRONG, "wrong", wrong=True)
    return ask(goal, step, right, tag="phrase")


def _skill_extra(kind: str, step: int, scene: Scene, icons: list[Widget], rng: random.Random) -> Question | None:
    blocked = scene.popup is not None and scene.popup.kind == "dialog"
    if kind == "words":
        verb, value = rng.choice(
            (("press", rng.choice(KEYS)), ("open", rng.choice(PROGRAMS)), ("ask", rng.choice(FIELDS)))
        )
        return ask(ids(f"{verb} {value}"), step, act_on(scene, Sub(verb, (), value)))
    if kind == "fill":
        boxes = [w for w in scene.widgets if w.kind == "field" and scene.visible(w)]
        if not boxes:
            return None
        box, text = rng.choice(boxes), rng.choice(TEXTS)
        focused = scene.focus >= 0 and scene.widgets[scene.focus] is box
        sub = Sub("type", (), text) if focused else Sub("focus", (box.label,))
        return ask(ids(f"fill {box.label} {text}"), 1 if focused else 0, act_on(scene, sub))
    if kind == "set":
        sliders = [w for w in scene.widgets if w.kind == "slider" and scene.visible(w)]
        if not sliders:
            return None
        place = rng.choice([v for v in range(SLIDER_MAX + 1) if v != sliders[0].value])
        return ask(ids(f"set {NUMBERS[place]}"), step, act_on(scene, Sub("slide", (), str(place))))
    if kind in ("pick", "title"):
        if not scene.titles or scene.popup is not None:
            return None
        title = rng.choice(scene.titles)
        goal = f"pick {title} {rng.choice(LABELS)}" if kind == "pick" else f"click {title}"
        return _stressed(ask(ids(goal), 0, act_on(scene, Sub("title", (title,)))))
    if kind == "form":
        return _form_extra(scene, rng)
    if kind == "check":
        free = [w.label for w in scene.widgets if w.kind == "check" and scene.visible(w) and not w.checked]
        if not free or blocked:
            return None
        label, at = rng.choice(free), rng.randrange(2)
        # the other box is on the screen too (checked, when it is the first), or the question would be ambiguous
        others = [w.label for w in scene.widgets if w.kind == "check" and w.label != label and (w.checked or not at)]
        if not others:
            return None
        pair = (label, rng.choice(others)) if at == 0 else (rng.choice(others), label)
        return ask(ids(f"check {pair[0]} {pair[1]}"), at, act_on(scene, Sub("click", (label,))))
    if not icons or blocked:
        return None
    one = rng.choice(icons)
    if kind == "colour_click" and sum(w.colour == one.colour for w in icons) == 1:
        return ask([VOCAB["click"], VOCAB[one.colour]], step, act_on(scene, Sub("click", one.key)))
    if kind == "answer" and sum(w.shape == one.shape for w in icons) == 1:
        return ask(ids(f"colour {one.shape}"), 0, act.Done(one.colour))
    if kind == "count":
        return ask(ids(f"count {one.shape}"), 0, act.Done(NUMBERS[sum(w.shape == one.shape for w in icons)]))
    if kind == "drag" and len(icons) > 1:
        a, b = rng.sample(icons, 2)
        return ask(
            ids(f"drag {a.colour} {a.shape} {b.colour} {b.shape}"),
            step,
            act_on(scene, Sub("drag", a.key, " ".join(b.key))),
        )
    return None


def _form_extra(scene: Scene, rng: random.Random) -> Question | None:
    """Return a question at any step of a two-field form; what is typed depends on the step alone."""
    if scene.popup is not None:
        return None
    boxes = [w.label for w in scene.widgets if w.kind == "field" and scene.visible(w)]
    at, names, texts = rng.randrange(4) if boxes else rng.choice((1, 3)), rng.sample(FIELDS, 2), rng.sample(TEXTS, 2)
    if boxes:
        name = scene.widgets[scene.focus].label if at % 2 and scene.focus >= 0 else rng.choice(boxes)
        names[at // 2], names[1 - at // 2] = name, rng.choice([n for n in FIELDS if n != name])
    sub = Sub("type", (), texts[at // 2]) if at % 2 else Sub("focus", (names[at // 2],))
    filled = " ".join(f"{n} {t}" for n, t in zip(names, texts, strict=True))
    return _stressed(ask(ids(f"form {filled} {rng.choice(('send', 'save'))}"), at, act_on(scene, sub)))


def _stressed(question: Question) -> Question:
    """Triple the weights of a question, as the choice between two or three steps otherwise stays at chance for long."""
    question.weights = [3.0 * w for w in question.weights]
    return question


def _add_titles(scene: Scene, rng: random.Random) -> None:
    """Add a menu bar to six screens of ten, so that the model also reads text that the task does not need."""
    if not scene.titles and scene.popup is None and rng.random() < 0.6:
        scene.titles = tuple(rng.sample(TITLES, 3))


def make_sequence(rng: random.Random, length: int, form: str) -> Sequence:
    """Draw a sequence of at most `length` ids. form: plain | narrated | frames | frames_narrated."""
    demonstrated = form != "plain"
    steps = rng.choice((1, 1, 3, 4, 5))
    aligned = form.startswith("frames") or rng.random() < 0.65  # only the step that is due is shown
    program: tuple[Phrase, ...] = ()
    if demonstrated:
        while not program or program in HELD_OUT:
            program = random_program(rng, steps)
        problem = build_program(rng, "", program)
        if rng.random() < 0.05:
            open_dialog(problem.scene, rng)
    elif rng.random() < 0.2:
        problem = build_program(rng, "", random_program(rng, rng.choice((1, 3, 4))))
    else:
        problem = FAMILIES[rng.choice(_WEIGHTED)](rng)
    progress, index = advance(problem, rng)
    scene = problem.scene
    _add_titles(scene, rng)
    frames: list[np.ndarray] = []
    prefix: list[int] = []
    questions: list[Question] = []
    if demonstrated:
        asked = [rng.randrange(steps)] if aligned else rng.sample(range(steps), steps)
        prefix = _demonstration(rng, program, form, frames, asked if aligned else list(range(steps)))
        for at in asked:
            scene.done = scene.done if at == index else rng.choice((scene.done, at))
            q = _maybe_wrong(word(FRESH), at, scene, phrase_sub(program[at]), rng, 0.08)
            q.tag = f"demo_{form}" if q.tag != "wrong" else "wrong"
            q.weights = [w * 1.5 for w in q.weights]
            questions.append(q)
    elif problem.goal:
        sub = expected(scene, problem.plan, index)
        assert sub is not None
        questions.append(ask(ids(problem.goal), progress, oracle_action(scene, sub), tag="skill"))
    frames.append(draw(scene))
    prefix += frame_ids()
    used = len(prefix) + sum(len(q.prompt) + len(q.answer) for q in questions)
    misses = 0
    while misses < 4:
        more = extra(scene, rng)
        if more is None:
            continue
        if used + len(more.prompt) + len(more.answer) > length:
            misses += 1
            continue
        used += len(more.prompt) + len(more.answer)
        questions.append(more)
    return Sequence(frames, prefix, questions, rng.randrange(1 << 30), dense_targets(scene))


_WEIGHTED = [
    *FAMILIES, "click_label", "dialog", "slider", "slider", "count", "fill_field", "drag", "scroll", "wait", "answer",
    *["menu"] * 5, *["context_menu"] * 4, *["form"] * 12, *["checkboxes"] * 7,
]  # fmt: skip


def _demonstration(
    rng: random.Random, program: tuple[Phrase, ...], form: str, frames: list[np.ndarray], shown_steps: list[int]
) -> list[int]:
    """Return the ids of a demonstration in context; its frames come from scenes of their own."""
    out = [VOCAB["<demo>"], VOCAB["<goal>"], *word(FRESH)]
    for at in shown_steps:
        phrase = program[at]
        out += [VOCAB["<step>"], VOCAB[NUMBERS[at]]]
        if form != "narrated":
            shown = build_program(rng, "", program)
            shown.scene.done = at
            frames.append(draw(shown.scene))
            out += [*frame_ids(), *bare_ids(oracle_action(shown.scene, phrase_sub(phrase)))]
        if form != "frames":
            out += [VOCAB["<is>"], *ids(" ".join(phrase))]
    return [*out, VOCAB["</demo>"]]


def random_scene(rng: random.Random) -> Scene:
    """Draw a screen in some state, of any family or app."""
    if rng.random() < 0.25:
        problem = build_program(rng, "", random_program(rng, rng.choice((1, 3, 4))))
    else:
        problem = FAMILIES[rng.choice(_WEIGHTED)](rng)
    advance(problem, rng)
    _add_titles(problem.scene, rng)
    return problem.scene


def dense_targets(scene: Scene) -> np.ndarray:
    """Return labels of the object that covers each 16 x 16 cell of the screen, row by row: int (49, 7).

    Columns: kind, colour, shape, label, centre-x bin, centre-y bin, state (checked / focused / slider value).
    """
    out = np.zeros((IMAGE_TOKENS, 7), np.int64)
    best = np.full(IMAGE_TOKENS, 24.0)
    for item in _items(scene):
        (x, y, w, h), row = item
        for r in range(y // 16, min((y + h - 1) // 16, 6) + 1):
            for c in range(x // 16, min((x + w - 1) // 16, 6) + 1):
                area = (min(x + w, 16 * c + 16) - max(x, 16 * c)) * (min(y + h, 16 * r + 16) - max(y, 16 * r))
                if area >= best[7 * r + c]:
                    best[7 * r + c] = area
                    out[7 * r + c] = row
    return out


WORLD_WORDS = (*LABELS, *TITLES, *FIELDS, "ok", "close", "later")
DENSE_WORDS = tuple(dict.fromkeys((*WORLD_WORDS, *WORDS)))
DENSE_SIZES = (
    len(KINDS) + 1, len(PAGE_COLOURS) + 1, len(SHAPES) + 1, len(DENSE_WORDS) + 1, BINS, BINS, SLIDER_MAX + 3,
)  # fmt: skip
_KINDS = {"icon": 1, "button": 2, "field": 3, "check": 4, "slider": 5}


def _items(scene: Scene) -> list[tuple[tuple[int, int, int, int], list[int]]]:
    from showonce.environments.embedded.scene import title_rect

    def name(label: str) -> int:
        return DENSE_WORDS.index(label) + 1 if label in DENSE_WORDS else 0

    out = []
    for title in scene.titles:
        rect = title_rect(scene, title)
        out.append((rect, [6, 0, 0, name(title), *_middle(rect), 0]))
    for i, w in enumerate(scene.widgets):
        if scene.visible(w):
            state = w.value + 2 if w.kind == "slider" else int(w.checked or i == scene.focus)
            colour = COLOURS.index(w.colour) + 1 if w.colour else 0
            shape = SHAPES.index(w.shape) + 1 if w.shape else 0
            out.append((w.rect, [_KINDS[w.kind], colour, shape, name(w.label), *_middle(w.rect), state]))
    if scene.popup is not None:
        x, y, w_, h = scene.popup.rect
        # objects under a popup are not labelled
        out = [
            o
            for o in out
            if not (x <= o[0][0] and o[0][0] + o[0][2] <= x + w_ and y <= o[0][1] and o[0][1] + o[0][3] <= y + h)
        ]
        out += [(r, [7, 0, 0, name(t), *_middle(r), 0]) for t, r in scene.popup.rows.items()]
    return out


def _middle(rect: tuple[int, int, int, int]) -> tuple[int, int]:
    return (rect[0] + rect[2] // 2 - 1) // GRID, (rect[1] + rect[3] // 2 - 1) // GRID
