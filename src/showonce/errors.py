"""Every exception that showonce raises on purpose, as one tree.

    ShowonceError
    |-- BadInput               exit 2: a person's input is wrong; the text says what to do next
    |   |-- ConfigError          a config key, value or file
    |   |-- DemonstrationError   a demonstration or episode folder
    |   |-- TaskError            a task file or a task id
    |   `-- DiskError            a file or folder cannot be written: full disk, read-only folder
    |-- Unavailable            exit 3: a backend, a device, an extra or a display that is not here
    |-- EnvironmentBroken      exit 3: the environment failed while in use
    |-- StoreError             exit 2: an adapter store cannot be used
    |   |-- StoreLocked          another live process owns it
    |   `-- CheckpointCorrupt    hash, size or marker do not match
    `-- Stopped                exit 130: a person pressed stop

Outcomes are not here: why an episode ended, why a text did not parse and why the gate said no are values with
a reason (see `types`). A bad episode is data, not a crash.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ShowonceError(Exception):
    """Base of every error that showonce raises on purpose.

    The text is for people. `key` is for programs: short, dotted, and the same over releases; a subclass gives its
    default, ``key="plugin.unknown"`` a finer one.
    """

    exit_code = 2
    key = "error"

    def __init__(self, *args: object, key: str = "") -> None:
        super().__init__(*args)
        if key:
            self.key = key


class BadInput(ShowonceError):
    """Something that a person wrote cannot be used."""

    key = "input"


class ConfigError(BadInput):
    """A configuration file, key or value is wrong."""

    key = "config"


class DemonstrationError(BadInput):
    """A demonstration or an episode folder cannot be read or does not fit."""

    key = "demonstration"


class GoalMissed(DemonstrationError):
    """A recording is stored, and it does not show what it was to show."""

    key = "demonstration.goal"
    exit_code = 4


class TaskError(BadInput):
    """A task file or a task id cannot be used."""

    key = "task"


class DiskError(BadInput):
    """A file or folder cannot be written or read: full disk, read-only folder, a file in the way."""

    key = "disk"


class Unavailable(ShowonceError):
    """A part that this machine or this release does not have."""

    key = "unavailable"
    exit_code = 3


class EnvironmentBroken(ShowonceError):
    """The environment itself failed; the episode ends, the run may go on."""

    key = "environment"
    exit_code = 3


class StoreError(ShowonceError):
    """An adapter store cannot be used."""

    key = "store"


class StoreLocked(StoreError):
    """Another live process owns the adapter store."""

    key = "store.locked"


class CheckpointCorrupt(StoreError):
    """A checkpoint does not match its manifest."""

    key = "store.corrupt"


class Stopped(ShowonceError):
    """A person asked for the end."""

    key = "stopped"
    exit_code = 130


MOST_CHOICES = 40  # choices that are listed where none is close; of more only the nearest is named


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest choice, or the list of choices when none is close.

    Example:
        >>> nearest("clikc", ["click", "scroll"]), nearest("zzz", ["click", "scroll"])
        (" Did you mean 'click'?", ' Valid choices: click, scroll.')
    """
    known = sorted(set(choices))
    cutoff = 0.5 if len(known) <= MOST_CHOICES else 0.0
    close = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Valid choices: {', '.join(known)}." if known else ""
