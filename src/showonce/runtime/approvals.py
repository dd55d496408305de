"""Who answers when a person has to be asked: always yes, always no, or the person at the console."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from showonce.actions import Action, to_json
from showonce.errors import Stopped
from showonce.runtime.stop import Stop
from showonce.types import Observation, Proposal, Task


@runtime_checkable
class Person(Protocol):
    """Somebody who can answer a question with yes or no; None when nobody is there."""

    def confirm(self, question: str) -> bool | None: ...


class AlwaysAllow:
    """Approves what was proposed and confirms every question."""

    def ask(self, task: Task, observation: Observation, proposal: Proposal) -> tuple[Action | None, str]:
        return proposal.action, "approved without asking"

    def confirm(self, question: str) -> bool:
        return True


class AlwaysDeny:
    """Approves nothing and confirms nothing."""

    def ask(self, task: Task, observation: Observation, proposal: Proposal) -> tuple[Action | None, str]:
        return None, "denied without asking"

    def confirm(self, question: str) -> bool:
        return False


class ConsoleApprover:
    """Asks at the console: yes, no or quit. Without a person (end of input) the answer is no.

    stop: pressed by quit, so that nothing runs on afterwards.

    Raises:
        Stopped: on quit and on Ctrl-C at the prompt.
    """

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop

    def ask(self, task: Task, observation: Observation, proposal: Proposal) -> tuple[Action | None, str]:
        shown = "nothing" if proposal.action is None else json.dumps(to_json(proposal.action), ensure_ascii=False)
        if self.confirm(f"{task.goal!r}: do {shown}?"):
            return proposal.action, "approved at the console"
        return None, "denied at the console"

    def confirm(self, question: str) -> bool | None:
        while True:
            print(f"{question} [y]es / [n]o / [q]uit: ", end="", file=sys.stderr, flush=True)
            with _interruptible(self._stop):
                line = sys.stdin.readline()
            answer = line.strip().lower()
            if not line:
                print("nobody answers", file=sys.stderr)
                return None
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")
            if answer in ("q", "quit"):
                _quit(self._stop, "quit at the prompt")


def _quit(stop: Stop | None, reason: str) -> None:
    if stop is not None:
        stop.press(reason)
    raise Stopped(f"stopped: {reason}.")


@contextlib.contextmanager
def _interruptible(stop: Stop | None) -> Iterator[None]:
    """Let Ctrl-C end a blocking read, whatever handler is installed, and make it a stop."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    try:
        yield
    except KeyboardInterrupt:
        _quit(stop, "Ctrl-C at the prompt")
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
