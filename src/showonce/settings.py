"""From YAML files and ``key=value`` overrides to one frozen `Config`. hydra begins and ends in this file.

A config is a path, or the name of a shipped one. It says only what differs from the defaults, which live in the
dataclasses of `config`. Its ``defaults:`` list may name shipped groups (``- learning: sft_demo``,
``- learning/fault: lr_x100``) and groups of the user's own beside the file. Overrides are hydra's: ``key=value`` for a
value, ``group=option`` for a section, where ``learning/fault=none`` and ``learning.fault=none`` are the same.

Everything is checked against the dataclasses: a misspelt key or a wrong type is a `ConfigError` that names the file,
the line, the key and what would be valid. Nothing is written and the working folder stays what it is.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import threading
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from showonce.about import shipped, shipped_names, shipped_root
from showonce.config import Config
from showonce.errors import ConfigError, nearest
from showonce.plugins import Registry
from showonce.schema import SchemaError, build, check_path, hints_of, join, kind_of
from showonce.secrets import SOURCES, check_source

DEFAULT: Final = "run"
Check = Callable[[Config, tuple[str, ...]], None]
_COMPOSING: Final = threading.Lock()  # hydra composes through one object of the process
PARTS: Final = {  # section: the key that names its part, and the entry point group of further parts
    "environment": ("name", "showonce.environments"),
    "learning": ("learner", "showonce.learners"),
    "inference": ("backend", "showonce.engines"),
}
RETIRED: Final = {"evaluation": ("parts", "workers", "multi_updates")}  # keys that nobody reads now
OF_A_RUN: Final = "config"  # the name, without .yaml, of a run's own file: retired keys in an older one are left out


@dataclass(frozen=True)
class _Override:
    """One ``key=value`` of the command line. `group`: it picks a file of a config group instead of a value."""

    text: str
    key: str  # dotted
    value: Any
    group: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are set; of a picked file, its section alone."""
        return tuple(_leaves(self.key, None if self.group else self.value))


def _leaves(key: str, value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping) or not value:
        yield key
        return
    for name, item in value.items():
        yield from _leaves(join(key, str(name)), item)


def load_config(
    path_or_name: str | Path | None = None, overrides: Sequence[str] = (), check: Check = lambda config, given: None
) -> Config:
    """Return the resolved, checked config of a file (or of a shipped name; None = the shipped ``run``).

    The keys of the overrides are added to `Config.given`. check: called with the config and these keys; a SchemaError
    of it is blamed on the override, or on the file and its line.

    Example:
        >>> load_config("demo", ["seed=3", "learning=rft"]).learning.learner
        'rft'

    Raises:
        ConfigError: missing or unreadable file, unknown key (nearest named), wrong type, value out of range.
    """
    file = _find(path_or_name)
    _check_is_mapping(file)
    parsed = [_parse(text) for text in overrides]
    composed, choices = _compose(file, [item for item in parsed if item.group])
    try:
        config = build(Config, _resolve(file, composed, [item for item in parsed if not item.group]))
        given = tuple(dict.fromkeys(key for item in parsed for key in item.keys))
        config = dataclasses.replace(config, given=tuple(dict.fromkeys((*config.given, *given))))
        check(config, given)
        return config
    except SchemaError as problem:
        raise ConfigError(f"{_where(problem.setting, file, choices, parsed)}: {problem}") from None


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a config with other values for some dotted keys, checked as those of a file are.

    Raises:
        SchemaError: unknown key (nearest named), wrong type, value out of range, or a section in place of a value.
    """
    data = _plain(config)
    for key, value in values.items():
        check_path(Config, key)
        if dataclasses.is_dataclass(kind := kind_of(Config, key)):
            raise SchemaError(key, f"{key} is a section: name one of its keys, {key}.{next(iter(hints_of(kind)))} ...")
        here = data
        *sections, last = key.split(".")
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = str(value) if kind is str and isinstance(value, (int, float)) else value
    return build(Config, data)


def values_of(text: str) -> tuple[str, list[Any]]:
    """Return the key and the values of a word: ``key=a,b``, ``key=[a,b]``, ``key=range(0,3)`` or one value.

    Example:
        >>> values_of("learning.sdft.lr=[.01,.03]"), values_of("seed=range(0,3)")
        (('learning.sdft.lr', [0.01, 0.03]), ('seed', [0, 1, 2]))

    Raises:
        ConfigError: it cannot be read, or its values cannot be counted (interval).
    """
    key, *texts = _sweep(text)
    found = [OverridesParser.create().parse_override(f"{key}={one}").value() for one in texts]
    return key, found[0] if len(found) == 1 and isinstance(found[0], list) else found


def combinations(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the runs of a multirun: for each combination of the words that have several values, one word each.

    Example:
        >>> combinations(["seed=0,1", "name=x", "learning=sdft,rft"])[1]
        ('seed=0', 'learning=rft')

    Raises:
        ConfigError: as `values_of`; or no word has several values.
    """
    swept = [[f"{key}={one}" for one in texts] for key, *texts in map(_sweep, words) if len(texts) > 1]
    if not swept:
        raise ConfigError("-m makes a run of each of several values, and no key has several: key=a,b or range(0,3).")
    return list(itertools.product(*swept))


def _sweep(text: str) -> tuple[str, ...]:
    """Return the key of a word, then its values as texts, by hydra's grammar of sweeps."""
    key, equals, raw = text.partition("=")
    if not equals or not re.fullmatch(r"[\w./]+", key):
        raise ConfigError(f"{text!r} is not of the form key=value.")
    try:
        override = OverridesParser.create().parse_override(text)
        if not override.is_sweep_override():
            return key, raw
        if not override.is_discrete_sweep():
            raise ConfigError(f"{text!r}: an interval has no list of values; write key=a,b or key=range(0,3).")
        return key, *override.sweep_string_iterator()
    except HydraException as error:
        raise ConfigError(f"{text!r} cannot be read: {_first_line(error)}") from None


def to_yaml(config: Config) -> str:
    """Return every setting as YAML, for the run's folder. `load_config` reads it back to an equal `Config`."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# ---------------------------------------------------------------------------------------------- files


def _find(path_or_name: str | Path | None) -> Path:
    """Return the file that is meant: a path first, then the shipped config of that name."""
    if path_or_name is None:
        return shipped("configs", DEFAULT)
    path = Path(path_or_name).expanduser()
    if path.is_file() and path.suffix == ".yaml":
        return path.resolve()
    if path.is_file():
        raise ConfigError(f"{path}: a config's name must end in .yaml.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a YAML file in it.")
    if path.suffix in ("", ".yaml") and str(path.parent) in (".", "configs") and path.stem in shipped_names("configs"):
        return shipped("configs", path.stem)
    if path.stem == "core_table":
        raise ConfigError(f"no config {str(path_or_name)!r}: it is a command now: python -m benchmarks.core_table")
    hint = nearest(path.stem, shipped_names("configs"))
    known = "" if hint.startswith(" Valid") else f" Shipped configs: {', '.join(shipped_names('configs'))}."
    raise ConfigError(f"no config {str(path_or_name)!r}: neither a file nor shipped.{hint}{known}")


def _read(file: Path) -> yaml.Node | None:
    """Return the YAML tree of a file with its line numbers; None for an empty file."""
    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start}).") from error
    except yaml.YAMLError as error:
        raise ConfigError(_not_yaml(error, file)) from error


def _not_yaml(error: yaml.YAMLError, file: Path) -> str:
    mark = getattr(error, "problem_mark", None)
    name = mark.name if mark is not None and mark.name.endswith(".yaml") else file
    line = f", line {mark.line + 1}" if mark is not None else ""
    return f"{name}{line}: is not valid YAML: {getattr(error, 'problem', None) or error}."


def _check_is_mapping(file: Path) -> None:
    node = _read(file)
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file}: must hold `key: value` lines, not a list or a single value.")


def _group_files(group: str, folders: Sequence[Path]) -> dict[str, Path]:
    """Return option -> file of a config group (``learning/fault``); earlier folders win."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted((folder / group).glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


# ------------------------------------------------------------------------------------------ composing


def _parse(text: str) -> _Override:
    """Read one override. A section of the config is set by a group's option, everything else by a value."""
    name, equals, raw = text.partition("=")
    if name.lstrip("+~").startswith("secret"):  # the value may be the secret itself: no error repeats it
        if not re.fullmatch(r"secret\.\w+", name):
            raise ConfigError(f"override {name!r}: a secret is named by secret.NAME=SOURCE; SOURCE: {SOURCES}.")
        check_source(name, raw)
        return _Override(text, name, raw, False)
    if name[:1] in ("+", "~"):
        try:
            check_path(Config, name[1:].replace("/", "."))
        except SchemaError as problem:
            raise ConfigError(f"override {text!r}: {problem}") from None
        raise ConfigError(f"override {text!r}: write key=value; {name[0]!r} is not needed.")
    if not equals or not re.fullmatch(r"[\w./]+", name):
        raise ConfigError(f"override {text!r} is not of the form key=value.")
    key = name.replace("/", ".")
    if key in PARTS and _is_part(raw, PARTS[key][1]):
        return _Override(text, join(key, PARTS[key][0]), raw, False)
    if key == "given":
        raise ConfigError(f"override {text!r}: showonce itself writes this key, into the config.yaml of a run.")
    kind = kind_of(Config, key)
    try:
        override = OverridesParser.create().parse_override(f"{key}={raw}")
        value = None if override.is_sweep_override() else override.value()
        if override.is_sweep_override() and kind is not str:
            raise ConfigError(f"override {text!r}: {_several(kind, name, raw)}")
    except HydraException as error:
        if kind is not str:
            raise ConfigError(
                f"override {text!r} cannot be read: {_first_line(error)} Quote it: {name}='\"...\"'."
            ) from None
        value = raw
    if kind is str and not isinstance(value, str):
        value = raw  # the text itself: name=2026 is a name
    group = dataclasses.is_dataclass(kind) and isinstance(value, str)
    return _Override(text, key, value, group or "/" in name)


def _is_part(raw: str, group: str) -> bool:
    """Whether a section's value names a part of one's own: module:Class, or an entry point."""
    return bool(re.fullmatch(r"[\w./\\-]+:[\w.]+", raw)) or raw in Registry("", group).names()


def _several(kind: Any, name: str, raw: str) -> str:
    """Say what to write in place of several values with commas between."""
    if typing.get_origin(kind) is tuple or kind is Any:
        return f"write several values as a list: {name}=[{raw}]."
    return (
        f"{name} takes one value. For a run of each: showonce run -m {name}={raw}. For learners taught beside each "
        f"other: showonce compare set='{name}=[{raw}]'."
    )


def _compose(file: Path, groups: Sequence[_Override]) -> tuple[DictConfig, dict[str, str]]:
    """Let hydra compose the file and the picked groups. Returns the config and group -> option."""
    folders = [file.parent, shipped_root("configs")]
    search = "hydra.searchpath=[" + ",".join(_quoted(f"file://{folder}") for folder in folders[1:]) + "]"
    try:
        with (
            _COMPOSING,
            warnings.catch_warnings(),
            initialize_config_dir(str(file.parent), job_name="showonce", version_base="1.3"),
        ):
            warnings.filterwarnings("ignore", "In .*_self_", UserWarning)  # without _self_ the file's own values win
            composed = compose(file.name, [search], return_hydra_config=True)
            if groups:
                known = composed.hydra.runtime.choices
                picks = [_pick(item, folders, known) for item in groups]
                composed = compose(file.name, [search, *picks], return_hydra_config=True)
    except yaml.YAMLError as error:
        raise ConfigError(_not_yaml(error, file)) from error
    except MissingConfigException as error:
        raise ConfigError(f"{file}: {_missing(error, folders)}") from error
    except (HydraException, OmegaConfBaseException, RecursionError) as error:
        raise ConfigError(f"{file}: {_first_line(error.__cause__ or error)}") from error
    choices = dict(_ours(composed.hydra.runtime.choices))
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    return composed, choices


def _ours(choices: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the groups of ours that were picked, without hydra's own."""
    for group, option in choices.items():
        if option is not None and not str(group).startswith("hydra/"):
            yield str(group).split("@")[0], str(option)


def _pick(item: _Override, folders: Sequence[Path], known: Mapping[Any, Any]) -> str:
    """Return hydra's spelling of a group override; it needs a ``+`` when the file does not name the group."""
    group = item.key.replace(".", "/")
    options = _group_files(group, folders)
    if not options:
        kind = kind_of(Config, item.key)
        keys = [f"{item.key}.{name}" for name in hints_of(kind)] if dataclasses.is_dataclass(kind) else []
        valid = nearest("", keys) or nearest(item.key, hints_of(Config))
        raise ConfigError(f"override {item.text!r}: there are no ready-made choices for {item.key}.{valid}")
    if item.value not in options:
        raise ConfigError(f"override {item.text!r}: no such choice.{nearest(str(item.value), options)}")
    return f"{'' if group in known else '+'}{group}={_quoted(item.value)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _missing(error: MissingConfigException, folders: Sequence[Path]) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = [Path(name).stem for name in error.options or ()] or sorted(_group_files(group, folders))
    return f"its defaults list names {group}: {option}, which is not there.{nearest(option, options)}"


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0].rstrip(".") if text else type(error).__name__) + "."


def _resolve(file: Path, composed: DictConfig, values: Sequence[_Override]) -> Mapping[str, Any]:
    """Apply the value overrides and return plain Python, interpolations resolved."""
    for item in values:
        check_path(Config, item.key)
        OmegaConf.update(composed, item.key, item.value, merge=True, force_add=True)
    try:
        data = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise SchemaError(str(getattr(error, "full_key", "") or ""), _first_line(error)) from error
    assert isinstance(data, dict)
    for section, keys in RETIRED.items() if file.stem == OF_A_RUN else ():
        if isinstance(held := data.get(section), dict):
            data[section] = {key: value for key, value in held.items() if key not in keys}
    if file.stem == OF_A_RUN and "given" not in data:  # written when success and limits of a config always won
        plain = _plain(Config())
        data["given"] = [
            f"{section}.{key}"
            for section in ("success", "limits")
            for key, value in (data.get(section) or {}).items()
            if value != plain[section].get(key)
        ]
    return typing.cast("Mapping[str, Any]", data)


# -------------------------------------------------------------------------------------------- blaming


def _where(key: str, file: Path, choices: Mapping[str, str], overrides: Sequence[_Override]) -> str:
    """Return who wrote a key: the override, or the file and line."""
    bare = key.partition("[")[0]
    for item in overrides:
        if item.group and item.key == bare:
            return f"override {item.text!r}"
        if not item.group and (bare == item.key or bare.startswith(f"{item.key}.") or item.key.startswith(f"{bare}.")):
            return f"override {item.text!r}"
    for group, option in [("", ""), *choices.items()]:
        source = file if not group else _group_files(group, [file.parent, shipped_root("configs")]).get(option)
        line = _line_of(source, bare, group.replace("/", ".")) if source is not None else None
        if line is not None:
            return f"{source}, line {line}"
    return str(file)


def _line_of(file: Path, key: str, package: str) -> int | None:
    """Return the 1-based line on which a file, put at `package`, sets a dotted key."""
    if package and not key.startswith(f"{package}."):
        return None
    node, line = _read(file), None
    for part in key.removeprefix(f"{package}." if package else "").split("."):
        if not isinstance(node, yaml.MappingNode):
            return None
        pair = next((pair for pair in node.value if pair[0].value == part), None)
        if pair is None:
            return None
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line
