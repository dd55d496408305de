"""Whether there is a browser to test with, and if not, why."""

from __future__ import annotations

import importlib.util

import pytest

from showonce.environments.browser.executable import find_browser
from showonce.errors import Unavailable


def _missing() -> str:
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    try:
        find_browser()
    except Unavailable as reason:
        return str(reason)
    return ""


NO_BROWSER = _missing()
needs_browser = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
needs_miniwob = pytest.mark.skipif(
    bool(NO_BROWSER) or importlib.util.find_spec("miniwob") is None, reason=NO_BROWSER or "miniwob is not installed"
)
