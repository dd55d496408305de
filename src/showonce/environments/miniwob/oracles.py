"""Scripted oracles: which pages they solve, and the script that finds the next action in a page.

They look into the page for the target but act only as a person does, by places on the screen, typed text and keys, so
that what they show is a demonstration (labelled scripted). The script is `oracles.js`: one function a page, asked again
before every step, that looks how far things are and returns the next action in CSS pixels.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

_FILE: Final = resources.files("showonce.environments.miniwob") / "oracles.js"


@cache
def oracle_script() -> str:
    """Return the script: an expression that is a function of a page's name."""
    return _FILE.read_text("utf-8")


def _solved() -> tuple[str, ...]:
    return tuple(sorted(set(re.findall(r"^  '([a-z0-9-]+)':", oracle_script(), re.MULTILINE))))


SOLVED: Final = _solved()
