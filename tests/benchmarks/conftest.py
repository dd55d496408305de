"""A small random model that takes milliseconds: the code path is real, what it says is not."""

from __future__ import annotations

from tests.benchfactory import checkpoint, config, make_bench, policy

__all__ = ["checkpoint", "config", "make_bench", "policy"]
