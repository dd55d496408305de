"""Parts by name: built-in ones, ones of other packages (Python entry points), ones of a file that a config names.

A name is looked up in this order:
    module:Name, file.py:Name   the attribute `Name` of a module, or of a Python file; modules are searched for on the
                                Python path, then in the working folder
    name                        a built-in part, else an entry point of the registry's group

A built-in name cannot be replaced by an entry point. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from showonce.errors import BadInput, ConfigError, ShowonceError, nearest

_importing = threading.RLock()  # sys.path is changed while a plugin is imported


@dataclass(frozen=True)
class Registry:
    """The parts of one kind.

    kind: the noun that errors use ("learner"). group: the entry point group ("showonce.learners"). built_in: name ->
    "module:attribute". setting: the config key that holds the name ("learning.learner"), for errors.
    """

    kind: str
    group: str
    built_in: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""

    def names(self) -> tuple[str, ...]:
        """Return every name that `load` accepts, sorted: built-in parts and installed entry points."""
        return tuple(sorted({*self.built_in, *(point.name for point in metadata.entry_points(group=self.group))}))

    def check(self, name: str) -> None:
        """Raise ConfigError unless `name` is registered or has the form module:Name; nothing is imported."""
        if ":" not in name and name not in self.built_in and not self._points(name):
            what = f"{self.setting}={name!r}" if self.setting else repr(name)
            raise ConfigError(
                f"{what} is no known {self.kind}.{nearest(name, self.names())} One of your own: module:Name.",
                key="plugin.unknown",
            )

    def load(self, name: str) -> Any:
        """Import and return the attribute that `name` stands for, usually a class.

        Raises:
            ConfigError: no such name, module, file or attribute (the nearest name is given); the plugin fails while it
                is imported (its file and line are given); two packages register the same name.
        """
        self.check(name)
        if name in self.built_in:  # a fault in one of ours is not explained away
            module, _, attribute = self.built_in[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if ":" in name:
            return self._import(name, name)
        points = self._points(name)
        if len({point.value for point in points}) > 1:
            homes = " and ".join(
                sorted(f"{point.dist.name if point.dist else '?'} ({point.value})" for point in points)
            )
            raise ConfigError(f"{self.kind} {name!r} is registered by {homes}; remove one of them.", key="plugin.twice")
        return self._import(points[0].value, name)

    def _points(self, name: str) -> tuple[metadata.EntryPoint, ...]:
        return tuple(metadata.entry_points(group=self.group, name=name))

    def _import(self, place: str, name: str) -> Any:
        """Return the attribute at `place` (module:Name or file.py:Name); `name` is what the person wrote."""
        home, _, attribute = place.rpartition(":")
        label = f"{self.kind} {name!r}"
        if home.endswith(".py"):
            module = _import_file(label, Path(home).expanduser().resolve())
        else:
            module = _import_module(label, home)
        found: Any = module
        for part in attribute.split("."):
            if not hasattr(found, part):
                known = [own for own, value in vars(found).items() if not own.startswith("_") and callable(value)]
                raise ConfigError(f"{label}: {home} has no {part!r}.{nearest(part, known)}", key="plugin.attribute")
            found = getattr(found, part)
        return found


def _import_module(label: str, name: str) -> ModuleType:
    """Import a module from the Python path, else from the working folder.

    Raises:
        ConfigError: there is none (the nearest file of the working folder is named), or it fails (`_explained`).
    """
    here = Path.cwd()
    try:
        with _explained(label, here):
            return importlib.import_module(name)
    except ConfigError as error:
        cause = error.__cause__
        if not (isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}.")):
            raise
        hint = nearest(name, [file.stem for file in here.glob("*.py")])
        text = f"{label}: there is no module {name!r} on the Python path or in {here}.{hint}"
        raise ConfigError(text, key="plugin.missing") from None


def _import_file(label: str, file: Path) -> ModuleType:
    """Import a Python file; the same file gives the same module, so that its classes are the same.

    Raises:
        ConfigError: there is none (the nearest file of its folder is named), or it fails (`_explained`).
    """
    if not file.is_file():
        hint = nearest(file.name, [other.name for other in file.parent.glob("*.py")])
        raise ConfigError(f"{label}: there is no file {file}.{hint}", key="plugin.missing")
    name = f"showonce_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    with _explained(label, file.parent):
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None and spec.loader is not None  # it is a .py file
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # before it runs: dataclasses look their module up
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return sys.modules[name]


@contextmanager
def _explained(label: str, folder: Path) -> Iterator[None]:
    """Import with `folder` at the end of the Python path; whatever is raised becomes a ConfigError with its place."""
    with _importing:
        known = str(folder) in sys.path
        if not known:
            sys.path.append(str(folder))
            importlib.invalidate_caches()
        try:
            yield
        except (Exception, SystemExit) as error:
            text = f"{label} cannot be imported: {type(error).__name__}: {_what(error)} ({_where(error)})"
            raise ConfigError(text, key="plugin.broken") from error
        finally:
            if not known:
                sys.path.remove(str(folder))


@contextmanager
def blamed(kind: str, cls: type) -> Iterator[None]:
    """Turn what the code of a plugin's class raises while it works into BadInput with its file and line.

    kind: the noun for the error ("learner"). Errors of showonce's own classes, and those on whose way no line of the
    plugin's module lies, pass as they are.
    """
    try:
        yield
    except ShowonceError:
        raise
    except Exception as error:
        homes = [sys.modules.get(one.__module__) for one in cls.__mro__ if one.__module__.split(".")[0] != "showonce"]
        files = {str(getattr(module, "__file__", "")) for module in homes}
        lines = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
        if not lines:
            raise
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        text = f"{kind} {cls.__module__}:{cls.__qualname__} failed: {what} ({lines[-1]})"
        raise BadInput(text, key="plugin.failed") from error


def _what(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _where(error: BaseException) -> str:
    """Return FILE:LINE of what raised: of the syntax error, else of the last frame outside the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}"
