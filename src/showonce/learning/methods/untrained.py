"""Methods without weights to train, as baselines.

in_context   the policy is shown the demonstration whenever it acts
frozen       the base as it is
"""

from __future__ import annotations

from typing import ClassVar

from showonce.learning.methods.base import Method


class InContext(Method):
    """The demonstration stays in the prompt; no weights change."""

    name: ClassVar[str] = "in_context"
    trains: ClassVar[bool] = False
    acts_with_demonstration: ClassVar[bool] = True


class Frozen(Method):
    """Nothing is shown and nothing changes."""

    name: ClassVar[str] = "frozen"
    trains: ClassVar[bool] = False
