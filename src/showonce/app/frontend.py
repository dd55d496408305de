"""What a verb asks of its caller while it works. `Frontend` is headless; a terminal or a service overrides it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from showonce.protocols import Approver
from showonce.runtime.pause import PausableStop


class Frontend:
    """The caller of a verb, headless: it takes no signals, shows nothing, prints nothing and answers no question."""

    def attached(self, folder: Path, control: PausableStop) -> AbstractContextManager[object]:
        """Return the context in which the verb works: `control` may be pressed or paused, and `folder` be shown."""
        return nullcontext()

    def closing(self) -> None:
        """Called when the work is over: until `attached` is left, the verb writes its last files; do not interrupt."""

    def tell(self, text: str) -> None:
        """Pass one sentence on to a person at once, e.g. that the run is paused or that events were lost."""

    def approver(self, control: PausableStop) -> Approver | None:
        """Return who approves actions and answers questions; None = nobody is there, which counts as no."""
        return None
