"""Who answers when a person has to be asked: nobody, or the person at the console.

An answer is yes, no, or "no, there": the right action. At the console it is typed as JSON or in short, its verb and
its arguments in the order in which they are always written: ``click 0.4 0.2``, ``type hello``, ``key ctrl+s``; held
modifiers last: ``click 0.4 0.2 ctrl``, ``scroll 0.4 0.2 3 shift``.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from showonce.actions import VERBS, Action, Type, fields_of, from_json, to_json
from showonce.errors import BadInput, Stopped, nearest
from showonce.protocols import ApprovalRequest, Approver
from showonce.runtime.stop import Stop


@runtime_checkable
class Person(Protocol):
    """Answers a question with yes or no; None when no person is there to answer."""

    def confirm(self, question: str) -> bool | None: ...


def parse_action(text: str) -> Action:
    """Return the action that a person typed.

    Raises:
        BadInput: it is none; the text says what is wrong and names the nearest verb.
    """
    line = text.strip()
    if line.startswith("{"):
        try:
            data = json.loads(line)
        except ValueError as error:
            raise BadInput(f"this is not JSON ({error}); write e.g. click 0.4 0.2") from None
        return from_json(data)
    verb, _, rest = line.partition(" ")
    if verb not in VERBS:
        raise BadInput(f"unknown action {verb!r}.{nearest(verb, VERBS)}")
    specs = fields_of(VERBS[verb])
    given = [rest.strip()] if len(specs) == 1 else rest.replace(",", " ").split()
    given = [word for word in given if word]
    data, needed = {"action": verb}, sum(required for _, required in specs.values())
    if specs.pop("held", None) and len(given) > needed and given[-1][0].isalpha():
        data["held"] = given.pop()
    if not needed <= len(given) <= len(specs):
        raise BadInput(f"{verb} takes {', '.join(specs)}; write e.g. {_example(verb)}")
    for (name, (spec, _)), word in zip(specs.items(), given, strict=False):
        try:
            data[name] = word if spec.kind in ("text", "keys") else json.loads(word.removeprefix("+"))
        except ValueError:
            data[name] = float(word) if word.startswith(".") and word[1:].isdigit() else word
    return from_json(data)


def _example(verb: str) -> str:
    words = {"coordinate": "0.4", "integer": "3", "seconds": "1", "text": "hello", "keys": "ctrl+s"}
    return " ".join([verb, *(words[spec.kind] for spec, required in fields_of(VERBS[verb]).values() if required)])


def person_of(approver: Approver | None) -> Person | None:
    """Return the approver if it can also `confirm` questions, else None."""
    return approver if isinstance(approver, Person) else None


class NobodyThere:
    """Approves nothing, and leaves every question without an answer."""

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        return None, "nobody is there to approve it"

    def confirm(self, question: str) -> None:
        return None


YES_NO: Final = "[y]es / [n]o / [q]uit"


class ConsoleApprover:
    """Asks at the console: yes, no, quit or the right action. Without a person (end of input) the answer is no.

    stop: pressed by quit, so that nothing runs on afterwards.

    Raises:
        Stopped: on quit and on Ctrl-C at the prompt.
    """

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        shown = "nothing" if request.action is None else json.dumps(to_json(request.action), ensure_ascii=False)
        why = f" ({request.reason})" if request.reason else ""
        answer = self._answer(f"{request.task.goal!r}: do {shown}?{why}", correct=True, secret=request.secret)
        if answer is True:
            return request.action, "approved at the console"
        if answer is None or answer is False:
            return None, "denied at the console"
        return answer, "corrected at the console"

    def confirm(self, question: str) -> bool | None:
        answer = self._answer(question)
        assert answer is None or isinstance(answer, bool)
        return answer

    def read(self, prompt: str) -> str:
        """Show a prompt and return the line that is typed; the empty text at the end of the input."""
        print(prompt, end="", file=sys.stderr, flush=True)
        with _interruptible(self._stop):
            return sys.stdin.readline()

    def read_secret(self, field: str) -> str:
        """Ask for what goes into a secret field without showing it; a line of the input where there is no terminal."""
        with _interruptible(self._stop):
            if sys.stdin.isatty():
                return getpass.getpass(f"text for {field!r} (not shown): ", stream=sys.stderr)
            return sys.stdin.readline().rstrip("\n")

    def _answer(self, question: str, correct: bool = False, secret: str = "") -> bool | Action | None:
        """Ask until there is an answer. correct: an action is one, too. secret: name of a secret field that has the
        focus: `type` alone then asks for the text without showing it.
        """
        choices = f"{YES_NO} / the right action, e.g. click 0.4 0.2" if correct else YES_NO
        if secret:
            choices += f"; `type` alone asks for the text of {secret!r} unseen"
        while True:
            line = self.read(f"{question} {choices}: ")
            answer = line.strip().lower()
            if not line:
                print("nobody answers", file=sys.stderr)
                return None
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")
            if answer in ("q", "quit"):
                _quit(self._stop, "quit at the prompt")
            if correct and answer:
                try:
                    if secret and answer == "type":
                        return Type(self.read_secret(secret))
                    action = parse_action(line)
                    if secret and isinstance(action, Type):
                        print("it is stored as a secret, but the terminal has shown it", file=sys.stderr)
                    return action
                except BadInput as error:
                    print(error, file=sys.stderr)


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
