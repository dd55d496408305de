"""Pixels of a scene, with Pillow. The fonts are those that matplotlib carries, so every machine draws the same."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from showonce.environments.embedded.language import SLIDER_MAX
from showonce.environments.embedded.scene import (
    BOTTOM,
    GRID,
    SIZE,
    TOP,
    Rect,
    Scene,
    Theme,
    Widget,
    knob,
    title_rect,
)
from showonce.errors import Unavailable
from showonce.types import Image

RGB = tuple[int, int, int]
PAINT: dict[str, RGB] = {
    "red": (214, 40, 40), "green": (40, 160, 60), "blue": (40, 90, 220),
    "yellow": (236, 200, 30), "purple": (150, 60, 190), "orange": (240, 130, 30),
}  # fmt: skip


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Load one of matplotlib's own fonts.

    Raises:
        Unavailable: matplotlib is not installed, so that there are no fonts.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("the embedded world draws with the fonts of matplotlib; install matplotlib.")
    path = Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _text(text: str, name: str, size: int, colour: RGB) -> tuple[PilImage.Image, PilImage.Image]:
    face = font(name, size)
    _, _, right, bottom = face.getbbox(text)
    mask = PilImage.new("L", (max(1, int(right)), max(1, int(bottom))), 0)
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=face)
    return PilImage.new("RGB", mask.size, colour), mask


def _write(
    image: PilImage.Image, theme: Theme, x: int, y: int, text: str, colour: RGB | None = None, size: int = 0
) -> None:
    ink, mask = _text(text.capitalize(), theme.font, size or theme.font_size, colour or theme.ink)
    image.paste(ink, (x, y), mask)


def _shape(d: ImageDraw.ImageDraw, rect: Rect, shape: str, colour: RGB) -> None:
    x, y, w, h = rect
    r, b = x + w - 1, y + h - 1
    cx, cy = x + w / 2 - 0.5, y + h / 2 - 0.5
    if shape == "circle":
        d.ellipse((x, y, r, b), fill=colour)
    elif shape == "square":
        d.rectangle((x + 1, y + 1, r - 1, b - 1), fill=colour)
    elif shape == "triangle":
        d.polygon([(cx, y), (r, b), (x, b)], fill=colour)
    elif shape == "diamond":
        d.polygon([(cx, y), (r, cy), (cx, b), (x, cy)], fill=colour)
    elif shape == "cross":
        t = w // 3
        d.rectangle((x + t, y, r - t, b), fill=colour)
        d.rectangle((x, y + t, r, b - t), fill=colour)
    else:
        angles = np.arange(10) * np.pi / 5 - np.pi / 2
        radii = np.where(np.arange(10) % 2 == 0, w / 2, w / 5)
        d.polygon([(cx + q * np.cos(a), cy + q * np.sin(a)) for a, q in zip(angles, radii, strict=True)], fill=colour)


def _box(d: ImageDraw.ImageDraw, rect: Rect, theme: Theme, fill: RGB, width: int = 1) -> None:
    x, y, w, h = rect
    box = (x, y, x + w - 1, y + h - 1)
    if theme.rounded:
        d.rounded_rectangle(box, radius=4, fill=fill, outline=theme.ink, width=width)
    else:
        d.rectangle(box, fill=fill, outline=theme.ink, width=width)


def _widget(image: PilImage.Image, d: ImageDraw.ImageDraw, scene: Scene, w: Widget, focused: bool) -> None:
    theme = scene.theme
    x, y, width, height = w.rect
    if w.kind == "icon":
        if theme.tile:
            d.rectangle((x - 1, y - 1, x + width, y + height), fill=theme.face)
        _shape(d, w.rect, w.shape, PAINT[w.colour])
    elif w.kind == "button":
        _box(d, w.rect, theme, theme.face)
        _write(image, theme, x + 4, y + 1, w.label)
    elif w.kind == "check":
        d.rectangle((x, y + 2, x + 11, y + 13), outline=theme.ink, fill=theme.background)
        if w.checked:
            d.line((x + 2, y + 4, x + 9, y + 11), fill=theme.ink, width=2)
            d.line((x + 9, y + 4, x + 2, y + 11), fill=theme.ink, width=2)
        _write(image, theme, x + 16, y + 1, w.label)
    elif w.kind == "field":
        _write(image, theme, x, y + 1, w.label)
        white: RGB = (255, 255, 255) if theme.background[0] > 128 else (0, 0, 0)
        d.rectangle(
            (x + 36, y, x + width - 1, y + height - 1), fill=white, outline=theme.ink, width=2 if focused else 1
        )
        _write(image, theme, x + 40, y + 1, w.text)
        if focused:
            d.rectangle((x + width - 6, y + 3, x + width - 4, y + height - 4), fill=PAINT["blue"])
    else:
        d.line((*knob(w, 0), *knob(w, SLIDER_MAX)), fill=theme.ink, width=1)
        for value in range(SLIDER_MAX + 1):
            kx, ky = knob(w, value)
            d.line((kx, ky - (4 if value % 4 == 0 else 2), kx, ky), fill=theme.ink)
        kx, ky = knob(w, w.value)
        d.rectangle((kx - 3, ky - 6, kx + 3, ky + 6), fill=theme.bar, outline=theme.ink)


def _popup(image: PilImage.Image, d: ImageDraw.ImageDraw, scene: Scene) -> None:
    popup, theme = scene.popup, scene.theme
    if popup is None:
        return
    x, y, w, h = popup.rect
    d.rectangle((x + 2, y + 2, x + w + 1, y + h + 1), fill=(90, 90, 90))
    _box(
        d,
        popup.rect,
        theme,
        theme.background if popup.kind == "dialog" else theme.face,
        2 if popup.kind == "dialog" else 1,
    )
    if popup.kind == "dialog":
        d.rectangle((x + 2, y + 2, x + w - 3, y + 9), fill=theme.bar)
        for i, length in enumerate((w - 20, w - 32)):
            d.line((x + 6, y + 13 + 3 * i, x + 6 + length, y + 13 + 3 * i), fill=theme.ink)
    for label, rect in popup.rows.items():
        if popup.kind == "dialog":
            _box(d, rect, theme, theme.face)
        _write(image, theme, rect[0] + 4, rect[1] + 1, label)


def draw(scene: Scene) -> Image:
    """Return the screen as uint8 (112, 112, 3)."""
    theme = scene.theme
    image = PilImage.new("RGB", (SIZE, SIZE), theme.background)
    d = ImageDraw.Draw(image)
    d.rectangle((0, 0, SIZE - 1, TOP - 3), fill=theme.bar)
    for title in scene.titles:
        _write(image, theme, title_rect(scene, title)[0] + 2, 0, title, (0, 0, 0), 11)
    for index, widget in enumerate(scene.widgets):
        if scene.visible(widget):
            _widget(image, d, scene, widget, index == scene.focus)
    if scene.pages > 1:
        height = (BOTTOM - TOP) // scene.pages
        y = TOP + scene.page * height
        d.rectangle((SIZE - 4, TOP, SIZE - 1, BOTTOM), fill=theme.face)
        d.rectangle((SIZE - 4, y, SIZE - 1, y + height), fill=theme.ink)
    if scene.loading:
        for i in range(3):
            d.ellipse((44 + 8 * i, 54, 49 + 8 * i, 59), fill=theme.ink)
    _popup(image, d, scene)
    d.line((0, BOTTOM + 2, SIZE - 1, BOTTOM + 2), fill=theme.face)
    for i in range(scene.done):
        d.rectangle((GRID + 8 * i, BOTTOM + 4, GRID + 8 * i + 4, SIZE - 2), fill=theme.ink)
    if scene.typed:
        _write(image, theme, 64, BOTTOM - 3, scene.typed, None, 9)
    return np.asarray(image)
