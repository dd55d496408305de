"""An environment that types secrets in place of the words that stand for them, only where they belong.

A word is typed as its value into a field that may hold a secret, of a document or window to which that secret is bound:
where it was recorded, where a person typed it as a correction, or what `safety.secret_origins` adds. Everywhere else
the action is refused, and the word itself is never typed. From then on such fields are black on every frame and the
values are taken out of the page's text.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from showonce.actions import Action, Type, to_json
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import BadInput, ConfigError, EnvironmentBroken, Unavailable, nearest
from showonce.protocols import Environment, Interrupt, SecretFields, ability
from showonce.secrets import KNOWN, NOWHERE, SOURCES, VARIABLE, Places, mentions, name_for, name_in, word_for
from showonce.types import Executed, Field, Observation, Step, Task

ANYWHERE: Final = "*"  # bound to no origin: recordings of 2026 did not keep it


@dataclass(frozen=True)
class Need:
    """A secret that an episode types. step: the first one that does, from 1. field: the label of what it went into."""

    name: str
    step: int
    field: str
    origins: tuple[str, ...]


def needs_of(steps: Iterable[Step]) -> list[Need]:
    """Return which secrets the executed steps of an episode type, in their order."""
    found: dict[str, Need] = {}
    for step in steps:
        name = name_in(step.executed.text) if isinstance(step.executed, Type) else None
        if name is None:
            continue
        label = step.proposal.text if step.proposal is not None and step.executor == "person" else ""
        origin = step.origin or (ANYWHERE if not name else "")
        need = found.setdefault(name, Need(name, step.index + 1, label, ()))
        if origin and origin not in need.origins:
            found[name] = dataclasses.replace(need, origins=(*need.origins, origin))
    return list(found.values())


def sources_for(needs: Sequence[Need], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Return a source for each secret that is needed, after every value has been read once.

    The only secret of an episode has the environment variable `VARIABLE` as its source where none is given; one without
    a name takes the only source that is given. where: of the error, e.g. the episode's folder.

    Raises:
        ConfigError, Unavailable: one is missing; the text names the step, the field and the key to set.
    """
    found = dict(given)
    for need in needs:
        if need.name not in found and not need.name and len(given) == 1:
            found[need.name] = next(iter(given.values()))
        if need.name not in found and len(needs) == 1 and os.environ.get(VARIABLE):
            found[need.name] = f"env:{VARIABLE}"
        field = f" into {need.field!r}" if need.field else ""
        at = f" of {', '.join(need.origins)}" if need.origins and ANYWHERE not in need.origins else ""
        what = f"{where}, step {need.step}: types a secret{field}{at}"
        if need.name not in found:
            hint = nearest(need.name, given) if given else ""
            key = f"secret.{need.name or 'password'}"
            raise ConfigError(f"{what}. Set {key} to {SOURCES}, e.g. {key}=env:{need.name.upper() or VARIABLE}.{hint}")
        try:
            KNOWN.read(need.name or "password", found[need.name], f"{need.field}{at}")
        except (ConfigError, Unavailable) as error:
            raise type(error)(f"{what}, and {error}") from None
    return found


def bind(needs: Sequence[Need], bound: dict[str, list[str]]) -> None:
    """Add where the secrets of an episode belong."""
    for need in needs:
        bound.setdefault(need.name, []).extend(origin for origin in need.origins if origin not in bound[need.name])


class WithSecrets(Wrapper):
    """Types the secrets of `sources` (name -> source, see `showonce.secrets`). What comes back never quotes a value.

    bound: name -> origins where it may be typed; shared with whoever finds them out. wider: further ones, as in
    `safety.secret_origins`. marked: what counts as a field for secrets beside those that are found.

    Raises:
        BadInput: by `execute`: it is no secret's place, or the value is not known.
    """

    def __init__(
        self,
        inner: Environment,
        sources: Mapping[str, str],
        bound: dict[str, list[str]],
        wider: Sequence[str] = (),
        marked: Places = NOWHERE,
    ) -> None:
        super().__init__(inner)
        self._sources, self._bound, self._wider, self._marked = sources, bound, wider, marked
        self._taken: dict[str, str] = {}  # name -> what a person typed as a correction
        self._fields = ability(inner, SecretFields)

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        return self._hidden(self.inner.reset(task, seed))

    def observe(self) -> Observation:
        return self._hidden(self.inner.observe())

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        if not any(isinstance(value, str) and mentions(value) for value in to_json(action).values()):
            return self.inner.execute(action, interrupt)
        name = name_in(action.text) if isinstance(action, Type) else None
        if name is None:
            raise BadInput("the word of a secret stands for nothing here: it has to be the whole text of `type`.")
        field = self._place(name)
        value = self._value(name)
        try:
            self.inner.execute(Type(value), interrupt)
        except BadInput:
            raise BadInput(f"{word_for(name)} could not be typed here.") from None  # the reason would quote it
        except EnvironmentBroken as error:
            raise EnvironmentBroken(KNOWN.hide(str(error))) from None
        return Executed(action, "typed a secret", origin=field.origin)

    def secret_focus(self) -> Field | None:
        """Return what typed text goes to, if it may hold a secret. See `protocols.TypesSecrets`."""
        field = None if self._fields is None else self._fields.focused_field(self._marked)
        return field if field is not None and field.secret else None

    def take(self, value: str, field: Field) -> str:
        """Keep a person's correction as a secret of a field and return its word. The same text again is the same."""
        KNOWN.add(value)
        known = {name: KNOWN.read(name, source) for name, source in self._sources.items()}
        for name, held in {**known, **self._taken}.items():
            if held == value and field.origin in self._bound.get(name, ()):
                return word_for(name)
        name = name_for(field.name, [*self._sources, *self._bound, *self._taken])
        self._taken[name] = value
        self._bound.setdefault(name, []).append(field.origin)
        return word_for(name)

    def _place(self, name: str) -> Field:
        """Return what has the focus. Raises BadInput: this secret must not be typed there."""
        word = word_for(name)
        if self._fields is None:
            raise BadInput(f"{word} is not typed: the {self.name} environment cannot tell which field has the focus.")
        field = self._fields.focused_field(self._marked)
        if field.secret is False:
            where = repr(field.name) if field.name else "what has the focus"
            raise BadInput(f"{word} is not typed: {where} is not a field for a secret.")
        bound, wider = self._bound.get(name, ()), _for(name, self._wider)
        if (field.origin in bound and field.origin != "null") or (ANYWHERE in bound and field.secret):
            return field
        if any(fnmatchcase(field.origin, origin) for origin in wider):
            return field
        known = f"it is bound to {', '.join([*bound, *wider])}" if bound or wider else "nothing says where it belongs"
        key = f"safety.secret_origins=['{name}@{field.origin}']"
        raise BadInput(f"{word} is not typed into {field.origin}: {known}. {key} allows it.")

    def _value(self, name: str) -> str:
        if name in self._taken:
            return self._taken[name]
        if name not in self._sources:
            raise BadInput(f"{word_for(name)} is not known: set secret.{name or 'NAME'} to {SOURCES}.")
        return KNOWN.read(name or "password", self._sources[name])

    def _hidden(self, screen: Observation) -> Observation:
        """Return a frame without what secret fields show and say, where a secret may have been typed."""
        if self._fields is None or not (self._sources or self._bound or self._taken or self._marked):
            return screen
        if screen.text is not None:
            screen = dataclasses.replace(screen, text=KNOWN.hide(screen.text))
        regions = self._fields.secret_regions(self._marked)
        return dataclasses.replace(screen.without(regions), text=screen.text) if regions else screen


def _for(name: str, wider: Sequence[str]) -> list[str]:
    """Return the origins of ``[NAME@]ORIGIN`` entries that hold for a secret."""
    parts = [entry.rpartition("@") for entry in wider]
    return [origin for owner, _, origin in parts if owner in ("", name)]
