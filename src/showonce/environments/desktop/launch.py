"""Starts an application or opens a file, by the name that a person would use."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from showonce.errors import BadInput, nearest

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+$", re.IGNORECASE)
END_SECONDS: Final = 2.0  # a program that did not end by then is killed


class Program:
    """A program started here, in a process session of its own."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self.name = Path(command[0]).name
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the program)
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said,
                start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            self._said.close()
            raise BadInput(f"{shlex.join(command)} cannot be started: {problem.strerror}.") from None

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Return the end of what it wrote to stderr."""
        with contextlib.suppress(ValueError, OSError):
            self._said.seek(0)
            return self._said.read().decode("utf-8", "replace").strip()[-300:]
        return ""

    def end(self) -> None:
        """End it and its children: SIGTERM, and SIGKILL after END_SECONDS."""
        for hard in (False, True):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if sys.platform == "win32":
                    self._process.kill() if hard else self._process.terminate()
                else:
                    os.killpg(self._process.pid, signal.SIGKILL if hard else signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
                break
        self._said.close()


def command_for(target: str, environ: Mapping[str, str], arguments: bool = False) -> list[str]:
    """Return the command that opens a target: an address, a file, a program on PATH, an application by its name.

    arguments: the target may also be a program with arguments, as in a task file.

    Raises:
        BadInput: there is no such file, program or application; the text names the nearest application.
    """
    target = target.strip()
    if not target:
        raise BadInput("open needs the name of an application, a file or an address.")
    path = Path(target).expanduser()
    if address := _ADDRESS.match(target):
        return _opener(address.string, environ)
    if path.exists():
        return _opener(str(path.resolve()), environ)
    words = _words(target)
    if words and (arguments or len(words) == 1) and (program := _program(words[0], environ)):
        return [program, *words[1:]]
    entries = dict(_applications(environ))
    wanted = target.casefold()
    for name, command in entries.items():
        if name.casefold() == wanted:
            return command
    close = nearest(target, entries) if entries else ""
    raise BadInput(
        f"nothing called {target!r} can be opened. Looked for a file {str(path)!r}, a program {(words or [''])[0]!r} "
        f"on PATH, and an application of that name among {len(entries)} menu entries.{close}"
    )


def _words(target: str) -> list[str]:
    try:
        return shlex.split(target)
    except ValueError:
        return []


def _program(word: str, environ: Mapping[str, str]) -> str | None:
    if word in ("python", "python3"):
        return sys.executable
    return shutil.which(word, path=environ.get("PATH"))


def _opener(target: str, environ: Mapping[str, str]) -> list[str]:
    """Return the system's command that opens a file or an address with its default application."""
    if sys.platform == "win32":
        return ["cmd", "/c", "start", "", target]
    name, package = ("open", "macOS") if sys.platform == "darwin" else ("xdg-open", "package xdg-utils")
    opener = shutil.which(name, path=environ.get("PATH"))
    if opener is None:
        raise BadInput(f"{target!r} cannot be opened: {name} is not here ({package}).")
    return [opener, target]


def _applications(environ: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the names and commands of the applications in the desktop's menu (freedesktop.org desktop entries)."""
    home = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    shared = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for folder in (home, *shared.split(":")):
        for file in sorted(Path(folder, "applications").glob("*.desktop")):
            entry = _entry(file)
            command = [word for word in _words(entry.get("Exec", "")) if not word.startswith("%")]
            if entry.get("Name") and command and entry.get("Terminal", "false") != "true":
                yield entry["Name"], command
                yield file.stem, command


def _entry(file: Path) -> dict[str, Any]:
    """Return the keys of the first section of a desktop entry."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("[") and line.strip() != "[Desktop Entry]":
                break
            key, equals, value = line.partition("=")
            if equals:
                found.setdefault(key.strip(), value.strip())
    return found
