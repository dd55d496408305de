"""The exit codes of the command line, stated once; help and docs/exit_codes.md repeat them."""

from __future__ import annotations

from typing import Final

from showonce.errors import BadInput, GoalMissed, Stopped, Unavailable

DONE: Final = 0
DIFFERS: Final = 1
BAD_INPUT: Final = BadInput.exit_code
BROKEN: Final = Unavailable.exit_code
NOT_REACHED: Final = GoalMissed.exit_code
IN_DOUBT: Final = 5
CRASHED: Final = 70
STOPPED: Final = Stopped.exit_code
CODES: Final = {
    DONE: "done",
    DIFFERS: "`replay --check`: the goal was reached, and the screens or steps differ from the recording",
    BAD_INPUT: "bad input: a word, a file, a setting or a stored folder cannot be used",
    BROKEN: "something is not here or broke: an extra, a display, a device, the environment",
    NOT_REACHED: "the goal was not reached",
    IN_DOUBT: "it stopped in doubt: what it found on the screen was not surely what was recorded",
    CRASHED: "showonce itself is wrong: an error that it did not foresee, with a traceback",
    STOPPED: "stopped by a person or by a limit of the run",
}
ALWAYS: Final = {
    BAD_INPUT: "bad input",
    BROKEN: "something is not here or broke",
    CRASHED: "a defect of showonce",
    STOPPED: "stopped",
}


def codes_line(done: str, more: dict[int, str]) -> str:
    """Return the exit codes of a verb as one sentence. done: what 0 means there. more: the codes that it alone has."""
    meanings = {DONE: done, **dict(sorted({**ALWAYS, **more}.items()))}
    return f"Exit codes: {', '.join(f'{code} {meaning}' for code, meaning in meanings.items())}."
