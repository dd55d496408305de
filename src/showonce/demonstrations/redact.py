"""Blanks regions of a frame before it is written to disk; `showonce.secrets` does so for text.

Text typed into a plain field is not covered: it is part of the recorded action and of the model's answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from showonce.errors import BadInput
from showonce.types import Observation, Region


def check_regions(regions: Any) -> tuple[Region, ...]:
    """Return `regions` as (left, top, right, bottom) tuples of fractions of the frame.

    Raises:
        BadInput: not a list of four numbers in [0, 1] with left < right and top < bottom.
    """
    if not isinstance(regions, (list, tuple)):
        raise BadInput(f"redact must be a list of [left, top, right, bottom], not {regions!r}.")
    checked = []
    for region in regions:
        numbers = isinstance(region, (list, tuple)) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and 0.0 <= v <= 1.0 for v in region
        )
        if not numbers or len(region) != 4 or not (region[0] < region[2] and region[1] < region[3]):
            raise BadInput(
                f"redact region {region!r} must be [left, top, right, bottom] as fractions of the frame in [0, 1], "
                "with left < right and top < bottom."
            )
        checked.append((float(region[0]), float(region[1]), float(region[2]), float(region[3])))
    return tuple(checked)


def redact(observation: Observation, regions: Sequence[Region]) -> Observation:
    """Return a copy whose regions are black (`masked`) and whose page text is gone; the same object without regions.

    See `Observation.without`.
    """
    return observation.without(regions) if regions else observation
