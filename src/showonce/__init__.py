"""showonce: show it once. It practises, it learns, and what it learns can be undone.

The names below are stable. They are imported on first use, so that ``import showonce`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from showonce.about import __version__

if TYPE_CHECKING:
    from showonce.app.teach import Taught, teach
    from showonce.environments.registry import make_environment
    from showonce.policy.dialects import parse_action
    from showonce.policy.vlm_policy import load_policy
    from showonce.runs.comparison import read_runs
    from showonce.runtime.loop import run_episode
    from showonce.settings import load_config

__all__ = [
    "Taught",
    "__version__",
    "load_config",
    "load_policy",
    "make_environment",
    "parse_action",
    "read_runs",
    "run_episode",
    "teach",
]

_HOME = {
    "Taught": "showonce.app.teach",
    "load_config": "showonce.settings",
    "load_policy": "showonce.policy.vlm_policy",
    "make_environment": "showonce.environments.registry",
    "parse_action": "showonce.policy.dialects",
    "read_runs": "showonce.runs.comparison",
    "run_episode": "showonce.runtime.loop",
    "teach": "showonce.app.teach",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
