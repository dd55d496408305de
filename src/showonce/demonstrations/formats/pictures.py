"""Reads pictures of other projects' files as RGB arrays."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from showonce.types import Frame, Image

MAX_PIXELS: Final = 64_000_000  # a larger picture is refused


def read_picture(places: Sequence[Path], what: str) -> Image:
    """Return the first of some files that is there as uint8 (H, W, 3) RGB. Raises ValueError that names `what`."""
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ValueError(f"{what}: the picture {places[0].name} is not there (looked in {places[0].parent})")
    return decode_picture(path.read_bytes(), f"{what}: {path.name}")


def decode_picture(data: bytes, what: str) -> Image:
    """Return the pixels of an encoded picture as RGB. Raises ValueError that names `what`."""
    try:
        with PillowImage.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width}x{picture.height} pixels are too many")
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        raise ValueError(f"{what} cannot be read as a picture ({error})") from None


def one_size(frames: Sequence[Frame]) -> None:
    """Check that all frames have one size. Raises ValueError that names them."""
    sizes = sorted({(frame.observation.width, frame.observation.height) for frame in frames})
    if len(sizes) > 1:
        raise ValueError(f"its pictures have several sizes {sizes}")
