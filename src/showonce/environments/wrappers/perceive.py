"""OCR and marks, for every environment: text read from the pixels, and numbered boxes on the elements.

    showonce run task=site/table environment.settings.marks=true
    showonce run --config desktop environment.settings.ocr=true

Marks and text are part of the observation, so they are stored, too. OCR needs the extra ``showonce[ocr]`` and Debian's
tesseract-ocr (or the language files of Tesseract in TESSDATA_PREFIX); its language is English.
Marks follow "Set-of-Mark prompting" (arXiv 2310.11441): a box and a number on every element, with a legend in the text.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import ConfigError, Unavailable
from showonce.protocols import Elements, Environment, ability
from showonce.types import Element, Observation, Task

MOST_MARKS: Final = 99  # on one frame
LEGIBLE: Final = (
    900  # pixels of width to which smaller frames are enlarged before they are read; Tesseract wants ~20 px
)
AROUND: Final = (600, 120)  # pixels that are read around a place
SURE: Final = 40.0  # per cent; a line with less of Tesseract's confidence is dropped
INKS: Final = ((214, 39, 40), (31, 119, 180), (44, 160, 44), (148, 103, 189), (255, 127, 14))  # of marks, in turn
TESSDATA: Final = ("/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tessdata", "/opt/homebrew/share/tessdata")


class Perceiving(Wrapper):
    """An environment with more in its observations: `ocr` = the words on the screen, `marks` = numbered elements.

    The environment's own text is kept. Marks go on the environment's elements; where it lacks the ability `Elements`,
    on the words that OCR found.

    Raises:
        ConfigError: marks without anything that could be marked.
        Unavailable: OCR without its extra, or without its language files.
    """

    def __init__(self, inner: Environment, ocr: bool = False, marks: bool = False) -> None:
        self._elements = ability(inner, Elements)
        if marks and not ocr and self._elements is None:
            raise ConfigError(
                f"environment.settings.marks: {inner.name} cannot tell its elements. Set ocr=true as well: the "
                "words on the screen are marked then."
            )
        if ocr:
            tessdata()
        super().__init__(inner)
        self._ocr, self._marks = ocr, marks

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        return self._perceived(self.inner.reset(task, seed))

    def observe(self) -> Observation:
        return self._perceived(self.inner.observe())

    def _perceived(self, seen: Observation) -> Observation:
        words: tuple[Element, ...] | None = None
        text = seen.text
        if self._ocr:
            words = read(seen)
            text = text if text is not None else "\n".join(word.name for word in words)
        if not self._marks:
            return replace(seen, text=text)
        found = words or () if self._elements is None else _usable(self._elements.elements())
        return marked(replace(seen, text=text), found)


# ------------------------------------------------------------------------------------------ marks


def marked(seen: Observation, elements: Sequence[Element]) -> Observation:
    """Return the observation with a numbered box on each element and a legend of them in its text."""
    shown = [element for element in elements if _visible(element)][:MOST_MARKS]
    picture = Pillow.fromarray(seen.image)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(8, min(14, seen.height // 24)))
    for number, element in enumerate(shown, start=1):
        ink = INKS[number % len(INKS)]
        left, top, right, bottom = _pixels(element, seen)
        pen.rectangle((left, top, right, bottom), outline=ink)
        x0, y0, x1, y1 = pen.textbbox((left, top), str(number), font=font)
        pen.rectangle((left, top, left + x1 - x0 + 2, top + y1 - y0 + 2), fill=ink)
        pen.text((left + 1 - (x0 - left), top + 1 - (y0 - top)), str(number), fill="white", font=font)
    legend = [f"[{number}] {f'{e.role} {e.name}'.strip()}" for number, e in enumerate(shown, start=1)]
    text = "\n".join(part for part in (*legend, seen.text or "") if part)
    return replace(seen, image=np.asarray(picture, dtype=np.uint8), text=text)


def _usable(elements: Sequence[Element]) -> list[Element]:
    """Return the elements with a role, in reading order; boxes whose middles are about level form one row."""
    usable = [element for element in elements if element.role]
    return sorted(usable, key=lambda e: (round((e.box[1] + e.box[3]) * 20), e.box[0]))


def _visible(element: Element) -> bool:
    left, top, right, bottom = element.box
    return max(left, 0.0) < min(right, 1.0) and max(top, 0.0) < min(bottom, 1.0)


def _pixels(element: Element, seen: Observation) -> tuple[int, int, int, int]:
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in element.box)
    wide, high = seen.width - 1, seen.height - 1
    return round(left * wide), round(top * high), round(right * wide), round(bottom * high)


# ------------------------------------------------------------------------------------------ OCR


@lru_cache(maxsize=1)
def tessdata() -> str:
    """Return the folder of Tesseract's language files.

    Raises:
        Unavailable: tesserocr or the files are not installed.
    """
    try:
        import tesserocr  # noqa: F401
    except ImportError:
        raise Unavailable("OCR needs tesserocr: pip install 'showonce[ocr]'.") from None
    for folder in (os.environ.get("TESSDATA_PREFIX", ""), *TESSDATA):
        if folder and (Path(folder) / "eng.traineddata").is_file():
            return folder
    raise Unavailable(
        "Tesseract's language files were not found: install Debian's tesseract-ocr, or set TESSDATA_PREFIX to the "
        "folder that holds eng.traineddata."
    )


def read(seen: Observation) -> tuple[Element, ...]:
    """Return the lines of text on a screen with their places, in reading order.

    Raises:
        Unavailable: see `tessdata`.
    """
    import tesserocr

    larger = max(1, round(LEGIBLE / seen.width))
    picture = Pillow.fromarray(seen.image)
    picture = picture.resize((seen.width * larger, seen.height * larger), Pillow.Resampling.BICUBIC)
    with tesserocr.PyTessBaseAPI(path=tessdata(), lang="eng", psm=tesserocr.PSM.SPARSE_TEXT) as reader:
        reader.SetImage(picture)
        reader.Recognize()
        return tuple(_lines(reader, tesserocr.RIL, picture.width, picture.height))


def read_around(seen: Observation, x: float, y: float) -> tuple[Element, ...]:
    """Return the lines of text around a place (fractions of the frame), which a smaller picture makes easier to read.

    Raises:
        Unavailable: see `tessdata`.
    """
    wide, high = (min(size, side) for size, side in zip((seen.width, seen.height), AROUND, strict=True))
    left = min(max(int(x * seen.width) - wide // 2, 0), seen.width - wide)
    top = min(max(int(y * seen.height) - high // 2, 0), seen.height - high)
    part = Observation(np.ascontiguousarray(seen.image[top : top + high, left : left + wide]))
    return tuple(
        replace(line, box=(
            (left + line.box[0] * wide) / seen.width, (top + line.box[1] * high) / seen.height,
            (left + line.box[2] * wide) / seen.width, (top + line.box[3] * high) / seen.height,
        ))
        for line in read(part)
    )  # fmt: skip


def _lines(reader: Any, level: Any, width: int, height: int) -> Iterator[Element]:
    found = reader.GetIterator()
    for line in _each(found, level.TEXTLINE):
        with contextlib.suppress(RuntimeError):  # raised by Tesseract for a line without text
            box, text = line.BoundingBox(level.TEXTLINE), " ".join(line.GetUTF8Text(level.TEXTLINE).split())
            if box is not None and text and line.Confidence(level.TEXTLINE) >= SURE:
                left, top, right, bottom = box
                yield Element(text, (left / width, top / height, right / width, bottom / height), "text")


def _each(found: Any, level: Any) -> Iterator[Any]:
    if found is None:
        return
    while True:
        yield found
        if not found.Next(level):
            return
