"""A dialect's grammar over a tokenizer: which tokens may come next, and which must.

The grammar is Lark text as llguidance reads it. Two kinds of token are forced: those that llguidance derives from
forced bytes, and a token that is the only one allowed (a vocabulary may lack every other continuation).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from llguidance.hf import from_tokenizer
from numpy.typing import NDArray

from showonce.errors import ConfigError

_SMALL: Final = 4096  # vocabularies up to here get no slices: building them costs more than they save


class _WholeWords:
    """A tokenizer whose tokens are whole strings (WordLevel), in the form that llguidance wraps.

    256 single bytes stand behind the real tokens, because llguidance needs every text to have tokens; no mask lets
    one through. Marks of the prompt's own (written ``<...>``) are special: no answer may contain them.
    """

    def __init__(self, tokenizer: Any, eos: int) -> None:
        vocabulary = tokenizer.get_vocab()
        self._words = {token: i for token, i in vocabulary.items() if not (token[0] == "<" and token[-1] == ">")}
        self._size = max(vocabulary.values()) + 1
        longest_first = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(word) for word in longest_first))
        names = [b"<unused>"] * self._size
        for token, i in vocabulary.items():
            names[i] = token.encode()
        self.tokens = [*names, *(bytes([b]) for b in range(256))]
        self.special_token_ids = sorted(set(range(self._size)) - set(self._words.values()))
        self.eos_token_id = eos
        self.bos_token_id = tokenizer.bos_token_id

    def __call__(self, text: bytes | str) -> list[int]:
        """Return tokens that cover the text: words, longest first, and single bytes between them."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        out: list[int] = []
        at = 0
        for match in self._pattern.finditer(text):
            out += self._bytes(text[at : match.start()])
            out.append(self._words[match.group()])
            at = match.end()
        return out + self._bytes(text[at:])

    def _bytes(self, text: str) -> list[int]:
        return [self._size + b for b in text.encode("utf-8", "surrogateescape")]


def _ll_tokenizer(tokenizer: Any, stop_ids: Sequence[int]) -> Any:
    if type(tokenizer.backend_tokenizer.model).__name__ == "WordLevel":
        return LLTokenizer(TokenizerWrapper(_WholeWords(tokenizer, stop_ids[0])), slices=[])
    return from_tokenizer(tokenizer, eos_token=list(stop_ids), slices=[] if len(tokenizer) <= _SMALL else None)


class Grammar:
    """A compiled grammar over one tokenizer; `start` gives a fresh matcher each time.

    Raises:
        ConfigError: the grammar is not valid, or no stop token is known.
    """

    def __init__(self, tokenizer: Any, lark: str, stop_ids: Iterable[int], vocabulary: int) -> None:
        stops = sorted(set(stop_ids))
        if not stops:
            raise ConfigError("the tokenizer has no end token, so a grammar cannot end: set inference.grammar=false.")
        self._tokenizer = _ll_tokenizer(tokenizer, stops)
        self._stops_V = np.zeros(vocabulary, dtype=bool)
        self._stops_V[stops] = True
        self._first = self._compiled(lark)

    def other(self, lark: str) -> Grammar:
        """Return another grammar over the same tokenizer, whose tables are shared.

        Raises:
            ConfigError: the grammar is not valid.
        """
        found = copy.copy(self)
        found._first = self._compiled(lark)
        return found

    def _compiled(self, lark: str) -> Any:
        problem = LLMatcher.validate_grammar(lark, self._tokenizer)
        if problem and not problem.startswith("WARNING"):
            raise ConfigError(f"the dialect's grammar cannot be used: {problem}")
        return LLMatcher(self._tokenizer, lark, log_level=0)

    def start(self) -> Matcher:
        """Return a matcher at the beginning of an answer."""
        return Matcher(self._first.deep_copy(), self._stops_V)


class Matcher:
    """The position of one answer in the grammar.

    ended: nothing but a stop token can follow. dead: nothing can follow and the text is not whole, because the
    vocabulary lacks the words for it.
    """

    def __init__(self, matcher: Any, stops_V: NDArray[np.bool_]) -> None:
        self._matcher = matcher
        self._stops_V = stops_V
        self._allowed_V: NDArray[np.bool_] | None = None
        self.ended = False
        self.dead = False

    def forced(self) -> list[int]:
        """Step over the tokens that are forced here and return them; `ended` may be True afterwards."""
        out: list[int] = []
        while not self.ended:
            ids = self._matcher.compute_ff_tokens()
            real = [i for i in ids if i < len(self._stops_V)]
            if not ids or ids != real:
                choices = np.flatnonzero(self.allowed())
                real = [int(i) for i in choices if not self._stops_V[i]]
                self.ended = not real
                self.dead = len(choices) == 0
                if len(real) != 1 or len(choices) != 1:
                    break
            self.push(real)
            out += real
        return out

    def allowed(self) -> NDArray[np.bool_]:
        """Return the (V,) mask of tokens that may come now."""
        if self._allowed_V is None:
            seen = np.frombuffer(self._matcher.compute_logit_bias(), dtype=np.uint8)[: len(self._stops_V)]
            self._allowed_V = np.zeros(len(self._stops_V), dtype=bool)
            self._allowed_V[: len(seen)] = seen > 0
        return self._allowed_V

    def push(self, ids: Sequence[int]) -> bool:
        """Step over `ids`; False (and `ended`) when the grammar does not allow them."""
        self._allowed_V = None
        if self._matcher.consume_tokens(list(ids)):
            return True
        self.ended = True
        return False

    def back(self, count: int) -> None:
        """Take back the last `count` tokens."""
        self._matcher.rollback(count)
        self._allowed_V = None
        self.ended = self.dead = False
