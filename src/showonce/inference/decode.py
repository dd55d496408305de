"""The one decode loop: free tokens are chosen one by one; tokens that the grammar forces are pushed in the same chunk.

`GrowingAnswer` is the loop's logic for one answer. `decode` drives one answer over any engine; `decode_batch` drives
many over an engine that can advance several rows at once, and gives each row the answer that `decode` would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from showonce.errors import BadInput
from showonce.inference.grammar import Grammar, Matcher
from showonce.protocols import DecodeState, Engine, Features, Rows


@dataclass(frozen=True)
class Decoded:
    """One answer. All sequences have one entry per token.

    logprobs_T: natural log-probabilities under the whole softmax at temperature 1, whatever the sampling was; 0 for
    forced tokens. decision_T: the token was a free choice. mass_T: as logprobs_T, but for an ordered token (a
    coordinate bin) the log of the mass within one neighbour on either side. confidence_T: the token writes the stated
    confidence (filled in by the policy, which has the dialect). complete: it ended by itself, not at the limit.
    The stop token is part of the answer only where it was a free choice; `text` never has it.
    """

    token_ids: tuple[int, ...]
    text: str
    logprobs_T: tuple[float, ...] = ()
    decision_T: tuple[bool, ...] = ()
    mass_T: tuple[float, ...] = ()
    confidence_T: tuple[bool, ...] = ()
    complete: bool = True


@dataclass(frozen=True, eq=False)
class Rules:
    """The settings that all answers of a policy share.

    grammar: None = free text that ends at a stop token. ordered: token ids whose neighbours in the list are their
    neighbours in space, or (). max_new_tokens: at most this many tokens an answer.
    """

    tokenizer: Any
    stop_ids: frozenset[int]
    grammar: Grammar | None = None
    max_new_tokens: int = 96
    ordered: tuple[int, ...] = ()

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text of an answer without its stop token."""
        ids = token_ids[:-1] if token_ids and token_ids[-1] in self.stop_ids else token_ids
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


class GrowingAnswer:
    """One answer while it grows: its tokens so far, and the choice of the next one.

    temperature: 0 = greedy; else tokens are drawn from the allowed ones with `rng`.
    """

    def __init__(self, rules: Rules, temperature: float = 0.0, rng: np.random.Generator | None = None) -> None:
        if temperature > 0 and rng is None:
            raise BadInput("sampling needs a random generator: pass rng=numpy.random.default_rng(seed).")
        self._rules = rules
        self._temperature = temperature
        self._rng = rng
        self._matcher: Matcher | None = rules.grammar.start() if rules.grammar else None
        self._ordered = {token: i for i, token in enumerate(rules.ordered)}
        self.done = False
        self.token_ids: list[int] = []
        self.logprobs_T: list[float] = []
        self.mass_T: list[float] = []
        self.decision_T: list[bool] = []
        self._complete = False
        self.opening = self._take(self._matcher.forced() if self._matcher else [])

    def choose(self, logits_V: NDArray[np.float32]) -> list[int]:
        """Choose the next token and return it with the forced ones after it: the chunk to push (if not `done`)."""
        logprobs_V = log_softmax(logits_V)
        token, forced = self._step(logprobs_V)
        if token is None:
            self.done = True
            return []
        self._note(token, float(logprobs_V[token]), self._mass(token, logprobs_V), True)
        if token in self._rules.stop_ids:
            self.done = self._complete = True
            return [token]
        return [token, *self._take(forced)]

    def result(self) -> Decoded:
        """Return the answer so far."""
        return Decoded(
            tuple(self.token_ids),
            self._rules.text(self.token_ids),
            tuple(self.logprobs_T),
            tuple(self.decision_T),
            tuple(self.mass_T),
            complete=self._complete,
        )

    def _step(self, logprobs_V: NDArray[np.float32]) -> tuple[int | None, list[int]]:
        """Pick a token and return it with the tokens it forces; None when no choice can be continued.

        A choice after which the vocabulary has no allowed token is taken back, and the next best is tried.
        """
        if self._matcher is None:
            return self._pick(logprobs_V, None), []
        allowed_V = self._matcher.allowed().copy()
        while allowed_V.any():
            token = self._pick(logprobs_V, allowed_V)
            if token in self._rules.stop_ids:
                return token, []
            if self._matcher.push([token]):
                forced = self._matcher.forced()
                if not self._matcher.dead:
                    return token, forced
                self._matcher.back(1 + len(forced))
            allowed_V[token] = False
        return None, []

    def _take(self, forced: list[int]) -> list[int]:
        """Append forced tokens up to max_new_tokens, and set `done` if the answer has ended."""
        room = self._rules.max_new_tokens - len(self.token_ids)
        for token in forced[:room]:
            self._note(token, 0.0, 0.0, False)
        ended = self._matcher is not None and self._matcher.ended
        self._complete = ended and len(forced) <= room
        self.done = ended or len(forced) >= room
        return forced[:room]

    def _pick(self, logprobs_V: NDArray[np.float32], allowed_V: NDArray[np.bool_] | None) -> int:
        scores = logprobs_V if allowed_V is None else np.where(allowed_V, logprobs_V, -np.inf)
        if self._temperature <= 0 or self._rng is None:
            return int(scores.argmax())
        scaled = scores.astype(np.float64) / self._temperature
        cumulative = np.exp(scaled - scaled.max()).cumsum()
        drawn = int(np.searchsorted(cumulative, self._rng.random() * cumulative[-1], side="right"))
        return min(drawn, int(np.flatnonzero(np.isfinite(scores))[-1]))

    def _mass(self, token: int, logprobs_V: NDArray[np.float32]) -> float:
        index = self._ordered.get(token)
        if index is None:
            return float(logprobs_V[token])
        near = self._rules.ordered[max(index - 1, 0) : index + 2]
        return min(float(np.logaddexp.reduce(logprobs_V[list(near)].astype(np.float64))), 0.0)

    def _note(self, token: int, logprob: float, mass: float, free: bool) -> None:
        self.token_ids.append(token)
        self.logprobs_T.append(logprob)
        self.mass_T.append(mass)
        self.decision_T.append(free)


def decode(
    engine: Engine,
    state: DecodeState,
    parts: Sequence[int | Features],
    rules: Rules,
    temperature: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Decoded:
    """Answer after `parts` are read on top of `state`; the state itself stays as it is.

    Raises:
        ShowonceError: the state was made under another adapter version.
    """
    answer = GrowingAnswer(rules, temperature, rng)
    chunk: Sequence[int | Features] = [*parts, *answer.opening]
    while not answer.done:
        state, logits_V = engine.extend(state, chunk)
        chunk = answer.choose(logits_V)
    return answer.result()


def decode_batch(
    rows: Rows, prompts: Sequence[Sequence[int | Features]], rules: Rules, answers: Sequence[GrowingAnswer]
) -> list[Decoded]:
    """Answer every prompt; `answers` are fresh, one a row, each with its own generator."""
    chunks: list[Sequence[int | Features]] = [[*p, *a.opening] for p, a in zip(prompts, answers, strict=True)]
    while not all(a.done for a in answers):
        logits_BV = rows.extend(chunks)
        chunks = [[] if a.done else a.choose(logits_BV[b]) for b, a in enumerate(answers)]
        chunks = [[] if a.done else c for a, c in zip(answers, chunks, strict=True)]
    return [a.result() for a in answers]


def log_softmax(logits_V: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return natural log-probabilities (V,); NaN everywhere where a logit is NaN or all are infinite."""
    with np.errstate(invalid="ignore"):
        shifted_V: NDArray[np.float32] = logits_V - logits_V.max()
        shifted_V -= np.log(np.exp(shifted_V).sum())
    return shifted_V


def mark(rules: Rules, token_ids: Sequence[int]) -> tuple[bool, ...]:
    """Return decision_T of given tokens: which of them are free choices under the grammar.

    Tokens that leave the grammar, and everything after them, count as free; so does all free text.
    """
    if rules.grammar is None:
        return (True,) * len(token_ids)
    matcher = rules.grammar.start()
    out: list[bool] = []
    forced = matcher.forced()
    for token in token_ids:
        if forced:
            if token != forced[0]:
                break
            forced = forced[1:]
            out.append(False)
        elif matcher.ended or not matcher.push([token]):
            break
        else:
            out.append(True)
            forced = matcher.forced()
    return tuple(out + [True] * (len(token_ids) - len(out)))
