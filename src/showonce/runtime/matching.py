"""Find a demonstrated point on another screen: by the picture around it, or by the name of the element under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from showonce.actions import from_pixel, to_pixel
from showonce.runtime.targets import SIMILAR, plain, ratio
from showonce.types import Element, Image, Region

Place = tuple[float, float]
PATCH: Final = 24  # pixels: least side of the square around a demonstrated point that is looked for
SURE: Final = 0.97  # correlation from which on a match near the old place ends the search
LIKELY: Final = 0.9  # correlation from which on a match anywhere on the screen ends it
GROWTH: Final = (1, 2, 4)  # sides of the square, as multiples of the patch


def patch_for(screen: Image) -> int:
    """Return the side in pixels of the square that is matched: 1/14 of the screen's shorter side, at least `PATCH`."""
    height, width = screen.shape[:2]
    return max(PATCH, min(int(height), int(width)) // 14)


def find_target(shown: Image, point: Place, screen: Image, patch: int) -> tuple[Place, float]:
    """Find a demonstrated point again: near its old place, else everywhere.

    Near the old place the smallest square is tried first, larger ones where it has no contrast. On the whole screen
    the largest square is tried first, since many places look alike within a small one.

    Returns:
        The point on `screen` in [0, 1] and its correlation in [-1, 1]; the best one when none is sure.
    """
    best: tuple[Place, float] = (point, 0.0)
    near = [(patch * factor, 2 * patch * factor) for factor in GROWTH]
    far = [(patch * factor, None) for factor in reversed(GROWTH)]
    for side, reach in [*near, *far]:
        place, score = find_point(shown, point, screen, side, reach)
        if score > best[1]:
            best = (place, score)
        if score >= (SURE if reach is not None else LIKELY):
            return place, score
    return best


def stays(shown: Image, point: Place, screen: Image) -> float | None:
    """Return how alike the surroundings of a point are at the same place or a few pixels off: the better correlation of
    a small and a larger square. A highlight keeps it. None: the recorded ones have no contrast that could be found.
    """
    patch = patch_for(screen)
    column, row = to_pixel(point[0], shown.shape[1]), to_pixel(point[1], shown.shape[0])
    square = shown[max(0, row - patch) : row + patch, max(0, column - patch) : column + patch]
    if (square == square[:1, :1]).all():
        return None
    return max(find_point(shown, point, screen, side, side // 2 + 4)[1] for side in (patch, 2 * patch))


def second_peak(shown: Image, point: Place, screen: Image, patch: int, place: Place) -> float:
    """Return the best correlation of the middle square of `GROWTH` anywhere but around `place`, where it was found."""
    height, width = shown.shape[:2]
    half = patch * GROWTH[1] // 2
    column, row = to_pixel(point[0], width), to_pixel(point[1], height)
    top, left = max(0, row - half), max(0, column - half)
    scores = correlation(shown[top : row + half, left : column + half], screen)
    if scores is None:
        return 0.0
    at_row = to_pixel(place[1], screen.shape[0]) - (row - top)
    at_column = to_pixel(place[0], screen.shape[1]) - (column - left)
    scores[max(0, at_row - half) : at_row + half + 1, max(0, at_column - half) : at_column + half + 1] = -1.0
    return float(scores.max())


def find_named(name: str, point: Place, elements: Sequence[Element]) -> Place | None:
    """Return the middle of the element of that name, the nearest to the old place when there are several."""
    wanted = plain(name)
    middles = [
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        for element in elements
        if wanted and plain(element.name) == wanted
        for box in (element.box,)
    ]
    return min(middles, key=lambda at: (at[0] - point[0]) ** 2 + (at[1] - point[1]) ** 2, default=None)


def other_name(name: str, point: Place, elements: Sequence[Element]) -> str:
    """Return the name of the smallest thing that can be used at a place, if it has quite another name; else ""."""
    here = [one for one in elements if one.role and one.name and _covers(one.box, point)]
    found = min(here, key=lambda one: (one.box[2] - one.box[0]) * (one.box[3] - one.box[1]), default=None)
    if found is None or ratio(name, found.name) >= SIMILAR:
        return ""
    return found.name


def _covers(box: Region, point: Place) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def find_point(
    shown: Image, point: Place, screen: Image, patch: int = PATCH, reach: int | None = None
) -> tuple[Place, float]:
    """Find the surroundings of a demonstrated point on another screen.

    The square of `patch` pixels around the point (cut at the border) is matched by normalised cross-correlation
    (Lewis 1995), zero mean per colour channel. Of equal matches the nearest to the old place counts. A square without
    any contrast matches nowhere: the old place is returned with score 0. reach: look only so many pixels around the old
    place.

    Returns:
        The point on `screen` in [0, 1] and its correlation in [-1, 1].
    """
    height, width = shown.shape[:2]
    column, row = to_pixel(point[0], width), to_pixel(point[1], height)
    half = patch // 2
    top, left = max(0, row - half), max(0, column - half)
    square = shown[top : row + half, left : column + half]
    new_height, new_width = screen.shape[:2]
    if reach is not None:
        middle_row, middle_column = to_pixel(point[1], new_height), to_pixel(point[0], new_width)
        first_row, first_column = max(0, middle_row - reach), max(0, middle_column - reach)
        screen = screen[first_row : middle_row + reach, first_column : middle_column + reach]
    else:
        first_row = first_column = 0
    score = correlation(square, screen)
    if score is None:
        return point, 0.0
    offset_row, offset_column = first_row + row - top, first_column + column - left
    rows, columns = np.ogrid[: score.shape[0], : score.shape[1]]
    away_rows = (rows + offset_row + 0.5) / new_height - (row + 0.5) / height
    away_columns = (columns + offset_column + 0.5) / new_width - (column + 0.5) / width
    best_row, best_column = np.unravel_index(np.argmax(score - 1e-6 * np.hypot(away_rows, away_columns)), score.shape)
    place = (
        from_pixel(int(best_column) + offset_column, new_width),
        from_pixel(int(best_row) + offset_row, new_height),
    )
    return place, float(score[best_row, best_column])


def correlation(square: Image, screen: Image) -> NDArray[np.float64] | None:
    """Return the correlation of an (h, w, 3) square with every place of an (H, W, 3) screen: (H-h+1, W-w+1).

    None when the square has no contrast or does not fit.
    """
    height, width = square.shape[:2]
    if height > screen.shape[0] or width > screen.shape[1]:
        return None
    kernel = square.astype(np.float64)
    kernel -= kernel.mean(axis=(0, 1))
    norm = float(np.sqrt((kernel**2).sum()))
    if norm < 1e-6:
        return None
    shape = (screen.shape[0] - height + 1, screen.shape[1] - width + 1)
    size = (_fast_length(screen.shape[0]), _fast_length(screen.shape[1]))
    spectrum, spread = np.zeros((size[0], size[1] // 2 + 1), np.complex128), np.zeros(shape)
    for channel in range(3):  # one after the other: whole planes are several times faster than strided ones
        plane = screen[..., channel].astype(np.float64)
        spectrum += np.fft.rfft2(plane, size) * np.conj(np.fft.rfft2(kernel[..., channel], size))
        spread += _window_sums(plane**2, height, width) - _window_sums(plane, height, width) ** 2 / (height * width)
    product = np.fft.irfft2(spectrum, size)[: shape[0], : shape[1]]  # what wraps around lies outside of these places
    score: NDArray[np.float64] = product / (norm * np.sqrt(np.maximum(spread, 1e-3)))
    score[spread <= 1e-3] = 0.0
    return np.clip(score, -1.0, 1.0, out=score)


def _fast_length(n: int) -> int:
    """Return the smallest length of at least n whose only factors are 2, 3 and 5: a transform of it is fast."""
    rest = n
    for factor in (2, 3, 5):
        while rest % factor == 0:
            rest //= factor
    return n if rest == 1 else _fast_length(n + 1)


def _window_sums(plane: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return the sums over all height x width windows of an (H, W) plane, by running sums."""
    rows = plane.cumsum(axis=0)
    rows = np.concatenate([rows[height - 1 : height], rows[height:] - rows[:-height]])
    sums = rows.cumsum(axis=1)
    found: NDArray[np.float64] = np.concatenate(
        [sums[:, width - 1 : width], sums[:, width:] - sums[:, :-width]], axis=1
    )
    return found
