"""What a test expects of a refusal: the error's key, which is stable; the sentences are in `sentences.txt`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from showonce.errors import ShowonceError


@contextmanager
def refused(key: str, *words: str) -> Iterator[None]:
    """Expect an error with this key. words: what its text has to name (a file, a line, the nearest choice)."""
    with pytest.raises(ShowonceError) as caught:
        yield
    assert caught.value.key == key, f"{caught.value.key!r}: {caught.value}"
    for word in words:
        assert word in str(caught.value)
