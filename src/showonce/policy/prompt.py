"""Turns a family's prompt into token ids and features, and draws actions on frames that only a teacher sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from showonce.actions import Action, Drag, points, to_pixel
from showonce.inference.prefixes import PromptParts
from showonce.protocols import Features
from showonce.types import Observation

_MARK: Final = (255, 0, 128)
_DIM: Final = 0.45  # how much is taken from the brightness far from a highlighted place
_BOX: Final = 0.07  # half the side of a highlight box, as a share of the longer side of the frame
_SOFT: Final = 0.35  # width of the soft edge of the mask, as a share of the box


class Tokens:
    """Turns prompts into parts: one text is tokenised once, a frame is wrapped as its family wants."""

    def __init__(self, tokenizer: Any, wrap: tuple[list[int], list[int]]) -> None:
        self._before, self._after = wrap
        self._ids: Callable[[str], tuple[int, ...]] = lru_cache(4096)(
            lambda text: tuple(tokenizer(text, add_special_tokens=False).input_ids)
        )

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, nothing added."""
        return list(self._ids(text))

    def parts(
        self,
        prompt: Sequence[str | Observation],
        encode_many: Callable[[Sequence[Observation]], Sequence[Features]],
        demonstrated: int = 0,
    ) -> PromptParts:
        """Return the prompt as ids and features; all its frames are encoded together.

        demonstrated: how many of its frames, the first ones, belong to a demonstration.
        """
        frames = [p for p in prompt if isinstance(p, Observation)]
        features = iter(encode_many(frames)) if frames else iter(())
        out, seen = PromptParts(), 0
        for part in prompt:
            if isinstance(part, Observation):
                out += self._before
                if demonstrated and seen == demonstrated:
                    out.constant = len(out)
                out += [next(features), *self._after]
                seen += 1
            else:
                out += self._ids(part)
        return out


def draw_action(observation: Observation, action: Action) -> Observation:
    """Return the frame with a ring where the action points, and an arrow for a drag; unchanged if it points nowhere."""
    places = points(action)
    if not places:
        return observation
    image = Image.fromarray(observation.image)
    draw = ImageDraw.Draw(image)
    longest = max(image.size)
    radius, line = max(3, round(longest * 0.03)), max(1, round(longest / 200))
    pixels = [(to_pixel(x, image.width), to_pixel(y, image.height)) for x, y in places]
    for x, y in pixels[:1]:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_MARK, width=line)
    if isinstance(action, Drag):
        _arrow(draw, pixels[0], pixels[1], radius, line)
    return Observation(np.asarray(image), observation.scale, observation.text)


def highlight(observation: Observation, action: Action) -> Observation:
    """Return the frame with a box around each place of a verified action and the rest softly dimmed.

    It shows the place of an action without its verb (as GUI-SD, arXiv 2605.00642, does for grounding).
    """
    places = points(action)
    if not places:
        return observation
    height, width = observation.height, observation.width
    half = max(4.0, _BOX * max(height, width))
    ys, xs = np.mgrid[0:height, 0:width]
    light = np.zeros((height, width))
    for x, y in places:
        outside = np.maximum(np.abs(xs - x * width), np.abs(ys - y * height)) - half
        light = np.maximum(light, np.clip(1.0 - outside / (_SOFT * half), 0.0, 1.0))
    dimmed = observation.image * (1.0 - _DIM * (1.0 - light))[..., None]
    image = Image.fromarray(np.round(dimmed).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for x, y in places:
        cx, cy = x * width, y * height
        draw.rectangle((cx - half, cy - half, cx + half, cy + half), outline=_MARK, width=max(1, round(half / 12)))
    return Observation(np.asarray(image), observation.scale, observation.text)


def _arrow(draw: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int], size: int, line: int) -> None:
    draw.line((start, end), fill=_MARK, width=line)
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    for turn in (2.6, -2.6):
        tip = (end[0] + size * math.cos(angle + turn), end[1] + size * math.sin(angle + turn))
        draw.line((end, tip), fill=_MARK, width=line)
