"""States after the beginnings that prompts share, computed once: a demonstration stands before many screens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from showonce.protocols import DecodeState, Engine, Features

KEPT: Final = 8  # states


class PromptParts(list[int | Features]):
    """The parts of a prompt. constant: the number of parts before the first frame that no demonstration holds."""

    constant: int = 0


class Prefixes:
    """The states of one engine after demonstrations, the `KEPT` last used ones.

    A state is found again by the content of the adapter in use (`Engine.identity`) and of the parts. `len`: how many
    are kept.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._states: OrderedDict[tuple[Any, ...], DecodeState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def state(self, parts: Sequence[int | Features]) -> DecodeState:
        """Return the state after `parts` under the adapter in use; [] = the empty state."""
        if not parts:
            return self._engine.start()
        key = (self._engine.identity, *_key(parts))
        state = self._states.get(key)
        if state is None:
            state, _ = self._engine.extend(self._engine.start(), parts)
            self._states[key] = state
            while len(self._states) > KEPT:
                self._states.popitem(last=False)
        self._states.move_to_end(key)
        return state

    def grouped(
        self, prompts: Sequence[Sequence[int | Features]]
    ) -> Iterator[tuple[DecodeState, list[int], list[Sequence[int | Features]]]]:
        """Yield, for each prefix that prompts share: its state, their indices, and what follows the prefix in each."""
        groups: dict[tuple[Any, ...], tuple[int, list[int]]] = {}
        for i, prompt in enumerate(prompts):
            at = prefix_length(prompt)
            groups.setdefault(_key(prompt[:at]), (at, []))[1].append(i)
        for at, members in groups.values():
            yield self.state(prompts[members[0]][:at]), members, [prompts[i][at:] for i in members]


def prefix_length(parts: Sequence[int | Features]) -> int:
    """Return how many of the first parts are the same on every screen; 0 without demonstrated frames."""
    return parts.constant if isinstance(parts, PromptParts) else 0


def _key(parts: Sequence[int | Features]) -> tuple[int | str, ...]:
    return tuple(part if isinstance(part, int) else part.key for part in parts)
