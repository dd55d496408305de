"""Answers as one policy spells them: action to token ids, token ids to marked answers, answers to actions.

A vocabulary may hold a coordinate or a confidence as one whole token (``0.518``, ``0.95}``); then only those values can
be written, and `number_tokens` finds them. Elsewhere numbers are spelt in digits and any value can be written.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np

from showonce.actions import CONFIDENCE_DECIMALS, COORDINATE_DECIMALS, Action, fields_of
from showonce.errors import BadInput
from showonce.inference.decode import Decoded, Rules, mark
from showonce.policy.confidence import pieces_of, tokens_in_span
from showonce.policy.dialects.base import FRACTIONS, Dialect, Geometry
from showonce.types import ParseResult

_GRAMMARS: Final = 32  # that are kept compiled: one for each size of frame where coordinates are pixels


def number_tokens(tokenizer: Any, decimals: int) -> dict[int, float]:
    """Return token -> value of the tokens that are a whole number in [0, 1] with these decimals.

    A number token may carry what follows it (``0.518,"y":``, ``0.95}``). Sorted by the text they carry, then by
    rising value, so that tokens next to one another are neighbours that can stand in the same place. {} for
    vocabularies that spell such numbers in digits.
    """
    form = re.compile(rf'([01]\.[0-9]{{{decimals}}})(\}}?|,"[a-z_]+":)')
    found = {i: (m[2], float(m[1])) for token, i in tokenizer.get_vocab().items() if (m := form.fullmatch(token))}
    return {i: value for i, (_, value) in sorted(found.items(), key=lambda item: item[1])}


class Spelling:
    """A dialect over a tokenizer.

    rules: their grammar, if any, is that of one geometry; the others are compiled when they are asked for.
    coordinates, confidences: token -> value where these are whole tokens, else {}.
    """

    def __init__(self, rules: Rules, dialect: Dialect) -> None:
        self._rules = rules
        self._tokenizer: Any = rules.tokenizer
        self.dialect = dialect
        self.coordinates = number_tokens(self._tokenizer, COORDINATE_DECIMALS)
        self.confidences = number_tokens(self._tokenizer, CONFIDENCE_DECIMALS)
        self._bins = np.array(list(self.coordinates.values()))
        self._levels = np.array(list(self.confidences.values()))
        self._lark = lru_cache(256)(dialect.grammar)
        self._constrained = lru_cache(_GRAMMARS)(self._with_grammar)

    def rules(self, geometry: Geometry = FRACTIONS) -> Rules:
        """Return the rules of answers in a geometry; geometries with the same grammar share it."""
        return self._constrained(self._lark(geometry)) if self._rules.grammar else self._rules

    def _with_grammar(self, lark: str) -> Rules:
        assert self._rules.grammar is not None
        return replace(self._rules, grammar=self._rules.grammar.other(lark))

    def ids(self, action: Action, confidence: float, geometry: Geometry = FRACTIONS) -> list[int]:
        """Return the tokens of an action; coordinates and confidence are rounded to what the model can write.

        Raises:
            BadInput: the model's vocabulary cannot spell it.
        """
        if len(self._levels):
            confidence = float(self._levels[np.abs(self._levels - confidence).argmin()])
        text = self.dialect.write(self.snapped(action), confidence, geometry)
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        if self._tokenizer.unk_token_id is not None and self._tokenizer.unk_token_id in token_ids:
            raise BadInput(
                f"this model's vocabulary cannot spell the answer {text}: choose another demonstration or model."
            )
        return token_ids

    def snapped(self, action: Action) -> Action:
        """Return the action with its coordinates on the model's bins (fractions of the frame), if there are bins."""
        if not len(self._bins):
            return action
        moved = {
            name: float(self._bins[np.abs(self._bins - getattr(action, name)).argmin()])
            for name, (spec, _) in fields_of(type(action)).items()
            if spec.kind == "coordinate"
        }
        given: dict[str, Any] = dataclasses.asdict(action) | moved
        out: Action = type(action)(**given)
        return out

    def label(self, token_ids: Sequence[int], geometry: Geometry = FRACTIONS) -> Decoded:
        """Return given tokens as an answer with decision_T and confidence_T; log-probabilities are 0."""
        rules, zeros = self.rules(geometry), (0.0,) * len(token_ids)
        return self.marked(Decoded(tuple(token_ids), rules.text(token_ids), zeros, mark(rules, token_ids), zeros))

    def marked(self, decoded: Decoded) -> Decoded:
        """Return the answer with confidence_T filled in."""
        span = self.dialect.confidence_span(decoded.text)
        pieces = pieces_of(self._tokenizer, decoded.token_ids, decoded.text)
        return replace(decoded, confidence_T=tokens_in_span(pieces, span))

    def read(self, decoded: Decoded, geometry: Geometry = FRACTIONS) -> ParseResult:
        """Return the action that an answer names, or why there is none."""
        return self.dialect.parse(decoded.text, geometry)
