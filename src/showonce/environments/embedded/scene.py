"""Scenes of the embedded world: widgets, themes and their random placement.

All places are multiples of `GRID` pixels. A `Scene` is plain data: `draw` renders it, `plan.apply` changes it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from showonce.environments.embedded.language import COLOURS, DISMISS, FIELDS, LABELS, SHAPES, SLIDER_MAX, TITLES, Phrase

SIZE: Final = 112
GRID: Final = 4
TEXT_GRID: Final = 8  # coarser grid for text, which keeps it legible to a very small model
TOP: Final = 16  # below the title or menu bar
BOTTOM: Final = 104  # above the progress strip
FONTS: Final = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "DejaVuSansMono-Bold.ttf")

Rect = tuple[int, int, int, int]  # x, y, width, height in pixels
Kind = Literal["icon", "button", "field", "check", "slider"]


@dataclass
class Widget:
    """One thing on the screen. `page` 1 = below the fold until the screen is scrolled."""

    kind: Kind
    rect: Rect = (0, 0, 0, 0)
    colour: str = ""
    shape: str = ""
    label: str = ""
    text: str = ""
    checked: bool = False
    value: int = 0
    page: int = 0
    late: bool = False  # appears only after a wait

    @property
    def key(self) -> Phrase:
        """The words that name it in a goal."""
        return (self.colour, self.shape) if self.kind == "icon" else (self.label,)


@dataclass
class Popup:
    """A dialog (modal), a context menu or a drop-down; `rows` are its clickable rectangles by label."""

    kind: Literal["dialog", "context", "dropdown"]
    rect: Rect
    rows: dict[str, Rect]


@dataclass(frozen=True)
class Theme:
    """Colours (RGB) and type of one look."""

    background: tuple[int, int, int]
    ink: tuple[int, int, int]
    face: tuple[int, int, int]
    bar: tuple[int, int, int]
    rounded: bool
    font: str
    font_size: int
    tile: bool


@dataclass
class Scene:
    """The whole screen: widgets, open popup, number of steps done."""

    theme: Theme
    widgets: list[Widget] = field(default_factory=list)
    titles: tuple[str, ...] = ()  # menu bar
    popup: Popup | None = None
    focus: int = -1
    page: int = 0
    pages: int = 1
    loading: bool = False
    done: int = 0
    typed: str = ""  # what was typed with no field in focus

    def visible(self, widget: Widget) -> bool:
        return widget.page == self.page and not (widget.late and self.loading)

    def find(self, key: Phrase) -> int:
        """Return the index of the widget with these words, or -1."""
        return next((i for i, w in enumerate(self.widgets) if w.key == key and w.kind != "field"), -1)

    def find_field(self, name: str) -> int:
        return next((i for i, w in enumerate(self.widgets) if w.kind == "field" and w.label == name), -1)

    def at(self, x: int, y: int) -> int:
        """Return the index of the visible widget under a pixel, or -1."""
        for i, w in enumerate(self.widgets):
            if self.visible(w) and inside(w.rect, x, y):
                return i
        return -1


def inside(rect: Rect, x: int, y: int) -> bool:
    return rect[0] <= x < rect[0] + rect[2] and rect[1] <= y < rect[1] + rect[3]


def random_theme(rng: random.Random) -> Theme:
    """Draw a look: light or dark, accent, shape of buttons, face and size of type."""
    dark = rng.random() < 0.35
    base = rng.randint(22, 52) if dark else rng.randint(222, 255)
    background = tuple(max(0, min(255, base + rng.randint(-6, 6))) for _ in range(3))
    shift = rng.choice((24, 34)) if dark else -rng.choice((18, 30))
    face = tuple(max(0, min(255, c + shift)) for c in background)
    ink = (240, 240, 240) if dark else (16, 16, 16)
    bar = tuple(rng.randint(60, 110) if dark else rng.randint(150, 200) for _ in range(3))
    return Theme(
        background, ink, face, bar, rng.random() < 0.5,  # type: ignore[arg-type]
        rng.choice(FONTS), rng.choice((11, 12)), rng.random() < 0.3,
    )  # fmt: skip


def text_width(text: str) -> int:
    """Return the pixels reserved for a label; the same in all fonts, so that layouts do not depend on them."""
    return 8 * len(text)


def measure(widget: Widget, rng: random.Random) -> tuple[int, int]:
    """Return width and height of a widget, multiples of the grid."""
    if widget.kind == "icon":
        side = rng.choice((16, 20))
        return side, side
    if widget.kind == "button":
        return _snap(text_width(widget.label) + 8), 16
    if widget.kind == "field":
        return 36 + 48, 16
    if widget.kind == "check":
        return 16 + _snap(text_width(widget.label)), 16
    return (SLIDER_MAX + 1) * 8 + 8, 16


def _snap(value: int) -> int:
    return (value + GRID - 1) // GRID * GRID


def place(scene: Scene, widget: Widget, rng: random.Random, tries: int = 40) -> bool:
    """Put a widget at a free place of its page; False when none was found."""
    w, h = measure(widget, rng)
    others = [o.rect for o in scene.widgets if o.page == widget.page]
    grid = GRID if widget.kind in ("icon", "slider") else TEXT_GRID
    for _ in range(tries):
        x = rng.randrange(grid, SIZE - w - GRID + 1, grid)
        y = rng.randrange(TOP + grid, BOTTOM - h + 1, grid)
        if all(x + w + 2 <= r[0] or r[0] + r[2] + 2 <= x or y + h <= r[1] or r[1] + r[3] <= y for r in others):
            widget.rect = (x, y, w, h)
            scene.widgets.append(widget)
            return True
    return False


def icon(key: Phrase) -> Widget:
    return Widget("icon", colour=key[0], shape=key[1])


def random_icon(rng: random.Random, taken: set[Phrase], near: list[Widget]) -> Widget | None:
    """Draw an icon that is not on the screen yet; in 70 % of the draws it shares colour or shape with one that is."""
    for _ in range(12):
        colour, shape = rng.choice(COLOURS), rng.choice(SHAPES)
        if near and rng.random() < 0.7:
            model = rng.choice(near)
            if rng.random() < 0.5:
                colour = model.colour
            else:
                shape = model.shape
        if (colour, shape) not in taken:
            return Widget("icon", colour=colour, shape=shape)
    return None


def fill_up(scene: Scene, rng: random.Random, target: int, ban: frozenset[str] = frozenset()) -> None:
    """Add distractors until `target` widgets stand on the first page. `ban`: colours, shapes, labels to leave out."""
    for _ in range(3 * target):
        if sum(w.page == 0 for w in scene.widgets) >= target:
            return
        taken = {w.key for w in scene.widgets}
        kind = rng.choices(("icon", "button", "check", "field", "slider"), (10, 5, 2, 1, 1))[0]
        widget: Widget | None = None
        if kind == "icon":
            widget = random_icon(rng, taken, [w for w in scene.widgets if w.kind == "icon"])
            if widget and (widget.colour in ban or widget.shape in ban):
                continue
        elif kind in ("button", "check"):
            free = [t for t in LABELS if (t,) not in taken and t not in ban]
            widget = Widget(
                "button" if kind == "button" else "check", label=rng.choice(free), checked=rng.random() < 0.5
            )
        elif kind == "field" and "field" not in ban and not any(w.kind == "field" for w in scene.widgets):
            widget = Widget("field", label=rng.choice(FIELDS))
        elif kind == "slider" and "slider" not in ban and not any(w.kind == "slider" for w in scene.widgets):
            widget = Widget("slider", value=rng.randint(0, SLIDER_MAX))
        if widget:
            place(scene, widget, rng)


def compose(rng: random.Random, needed: list[Widget], target: int, ban: frozenset[str] = frozenset()) -> Scene:
    """Place every needed widget, then distractors up to about `target`. Tries anew until all needed ones fit.

    Raises:
        ValueError: they do not fit on one screen.
    """
    for _ in range(500):
        scene = Scene(random_theme(rng))
        if rng.random() < 0.3:
            scene.titles = tuple(rng.sample(TITLES, 3))
        placed = sorted((replace(w) for w in needed), key=lambda w: w.kind in ("icon",))
        if all(place(scene, w, rng) for w in placed):
            fill_up(scene, rng, target, ban)
            rng.shuffle(scene.widgets)
            return scene
    raise ValueError(f"no screen holds all of {[w.key for w in needed]}")


def open_dialog(scene: Scene, rng: random.Random) -> None:
    """Put a modal dialog over the screen; its one button is one of `DISMISS`."""
    w, h = 64, 40
    x = rng.randrange(TEXT_GRID, SIZE - w - GRID + 1, TEXT_GRID)
    y = rng.randrange(TOP + TEXT_GRID, BOTTOM - h + 1, TEXT_GRID)
    label = rng.choice(DISMISS)
    bw = _snap(text_width(label) + 8)
    bx = x + rng.randrange(TEXT_GRID, w - bw - GRID + 1, TEXT_GRID)
    scene.popup = Popup("dialog", (x, y, w, h), {label: (bx, y + h - 24, bw, 16)})


def open_list(scene: Scene, kind: Literal["context", "dropdown"], x: int, y: int, labels: list[str]) -> None:
    """Open a list of labels near a pixel, kept inside the screen."""
    w = _snap(max(text_width(t) for t in labels) + 8)
    h = 16 * len(labels)
    x = min(x, SIZE - w - GRID) // TEXT_GRID * TEXT_GRID
    y = max(TOP, min(y, BOTTOM - h) // TEXT_GRID * TEXT_GRID)
    scene.popup = Popup(kind, (x, y, w, h), {t: (x, y + 16 * i, w, 16) for i, t in enumerate(labels)})


def title_rect(scene: Scene, title: str) -> Rect:
    """Return where a menu title stands in the bar."""
    return (scene.titles.index(title) * 40, 0, 32, TOP)


def knob(widget: Widget, value: int) -> tuple[int, int]:
    """Return the pixel of a slider's knob at a value."""
    return widget.rect[0] + 8 + 8 * value, widget.rect[1] + widget.rect[3] // 2
