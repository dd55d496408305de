"""Checks that every engine must pass; they ship with the package. `check_engine` runs all that its capabilities ask.

Each check raises AssertionError with the broken rule and, for numbers, the largest difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from showonce.errors import ShowonceError
from showonce.protocols import CANDIDATE, DecodeState, Engine, Features
from showonce.types import Observation

TOLERANCE: Final = 1e-4  # of a logit, in float32; half precision engines pass their own


def check_engine(
    engine: Engine,
    observation: Observation,
    ids: Sequence[int],
    tensors: Mapping[str, Any] | None = None,
    tolerance: float = TOLERANCE,
) -> None:
    """Run every check. ids: at least four tokens; tensors: an adapter that changes the answer, None = it takes none."""
    parts: list[int | Features] = [*ids[:2], engine.encode(observation), *ids[2:]]
    engine.use(None)
    check_features(engine, observation)
    check_chunks(engine, parts, tolerance)
    check_forks(engine, parts, tolerance)
    check_all_logits(engine, parts, tolerance)
    if engine.capabilities.rows:
        check_rows(engine, parts, tolerance)
    if engine.capabilities.scores:
        check_scores(engine, parts, tolerance)
    if tensors is not None:
        check_adapters(engine, parts, tensors)


def check_features(engine: Engine, observation: Observation) -> None:
    """The same frame has the same features, whichever adapter is in use."""
    first, again = engine.encode(observation), engine.encode(observation)
    assert first.key == again.key == observation.hash, "features do not carry their frame's hash"
    assert len(first) > 0, "a frame has no features"
    assert min(first.seen) > 0, f"the network was given an image of {first.seen} pixels"
    assert first.pooled_d.ndim == 1 and first.pooled_d.dtype == np.float32, "pooled features are no float32 vector"


def check_chunks(engine: Engine, parts: Sequence[int | Features], tolerance: float = TOLERANCE) -> None:
    """Reading all parts in one chunk gives the logits of reading them one by one."""
    _, whole = engine.extend(engine.start(), parts)
    assert isinstance(whole, np.ndarray) and whole.dtype == np.float32, "logits are no float32 array of numpy"
    assert whole.shape == (engine.vocabulary,), f"{whole.shape} logits for a vocabulary of {engine.vocabulary}"
    state: DecodeState = engine.start()
    for part in parts:
        state, logits = engine.extend(state, [part])
    _near(logits, whole, tolerance, "one part after the other differs from one chunk")
    assert state.length >= len(parts), f"the state says {state.length} positions after {len(parts)} parts"


def check_forks(engine: Engine, parts: Sequence[int | Features], tolerance: float = TOLERANCE) -> None:
    """A state is a value: two branches from one state give equal logits, and neither changes the state."""
    middle, _ = engine.extend(engine.start(), parts[:-1])
    length = middle.length
    token = int(parts[-1])  # type: ignore[arg-type]
    _, first = engine.extend(middle, [token])
    engine.extend(middle, [token, token, token])
    _, second = engine.extend(middle, [token])
    _near(first, second, 0.0, "the second branch from one state differs from the first")
    assert middle.length == length, "going on from a state changed the state"
    _, whole = engine.extend(engine.start(), parts)
    _near(first, whole, tolerance, "a branch differs from computing everything again")


def check_all_logits(engine: Engine, parts: Sequence[int | Features], tolerance: float = TOLERANCE) -> None:
    """The last row of `all_logits` equals the logits that are returned without it."""
    _, last = engine.extend(engine.start(), parts)
    _, every = engine.extend(engine.start(), parts, all_logits=True)
    assert len(every) >= len(parts), f"all_logits returned {len(every)} rows for {len(parts)} parts"
    _near(every[-1], last, tolerance, "the last of all logits is not the last logits")


def check_rows(engine: Engine, parts: Sequence[int | Features], tolerance: float = TOLERANCE) -> None:
    """Rows of unequal length, one of which rests, give the logits of each prompt alone."""
    _, whole = engine.extend(engine.start(), parts)
    rows = engine.rows(engine.start(), 2)
    first = rows.extend([parts, parts[:1]])
    _near(first[0], whole, tolerance, "a row differs from the same parts alone")
    second = rows.extend([[], parts[1:]])
    _near(second[1], whole, tolerance, "a row that went on beside a resting one differs from the same parts alone")


def check_scores(engine: Engine, parts: Sequence[int | Features], tolerance: float = TOLERANCE) -> None:
    """Teacher-forced logits are those of going on token by token, with and without a shared prefix."""
    answers = [[int(parts[-1])], [int(parts[0]), int(parts[-1])]]  # type: ignore[arg-type]
    prefix, _ = engine.extend(engine.start(), parts[:1])
    for scored in (engine.score([parts, parts], answers), engine.score([parts[1:]] * 2, answers, prefix=prefix)):
        for answer, logits_TV in zip(answers, scored, strict=True):
            assert len(logits_TV) == len(answer), f"{len(logits_TV)} rows of logits for {len(answer)} tokens"
            state, logits_V = engine.extend(engine.start(), parts)
            for token, row_V in zip(answer, logits_TV, strict=True):
                _near(row_V, logits_V, tolerance, "a score differs from going on token by token")
                state, logits_V = engine.extend(state, [token])


def check_adapters(engine: Engine, parts: Sequence[int | Features], tensors: Mapping[str, Any]) -> None:
    """An adapter changes the logits, off restores them bit for bit, and a state of another version is refused."""
    _, base = engine.extend(engine.start(), parts)
    base_state = engine.start()
    engine.put(CANDIDATE, tensors, "contract-1")
    engine.use(CANDIDATE)
    assert engine.version == "contract-1", f"the version in use is {engine.version!r}, not 'contract-1'"
    state, adapted = engine.extend(engine.start(), parts)
    assert _distance(adapted, base) > 0, "putting an adapter changed nothing"
    _refuses(lambda: engine.extend(base_state, parts), "a state made without the adapter was taken with it")
    engine.use(None)
    _, off = engine.extend(engine.start(), parts)
    _near(off, base, 0.0, "switching the adapter off did not restore the base bit for bit")
    _refuses(lambda: engine.extend(state, parts[-1:]), "a state made with the adapter was taken without it")
    engine.use(CANDIDATE)
    engine.put(CANDIDATE, {key: value * 0.5 for key, value in tensors.items()}, "contract-2")
    _refuses(lambda: engine.extend(state, parts[-1:]), "a state outlived the adapter that it was made under")
    engine.put(CANDIDATE, tensors, "contract-3")
    _, again = engine.extend(engine.start(), parts)
    _near(again, adapted, 0.0, "the same tensors put again compute something else")
    engine.use(None)


def _refuses(call: Callable[[], Any], message: str) -> None:
    try:
        call()
    except ShowonceError:
        return
    raise AssertionError(message)


def _distance(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).max())


def _near(a: Any, b: Any, tolerance: float, message: str) -> None:
    distance = _distance(a, b)
    assert distance <= tolerance, f"{message} (largest difference {distance:.3g}, allowed {tolerance:.3g})"
