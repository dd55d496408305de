"""The values of a recording: what was typed or chosen in it, and which of that changes from one time to the next.

They stand in `parameters.json` beside the episode's own files, which are never changed. An episode without that file
has the values that its steps show, all of them constants. Step numbers are from 1, as on the contact sheet.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from showonce.actions import MAX_TEXT, Action, Click, Key, Move, Scroll, Type, Wait
from showonce.demonstrations.dates import ISO
from showonce.demonstrations.format import load_episode
from showonce.errors import DemonstrationError, nearest
from showonce.fsio import atomic_write_json
from showonce.secrets import KNOWN, mentions, name_in
from showonce.types import Element, Episode, Region

Kind = Literal["constant", "parameter", "secret", "computed"]
KINDS: Final = get_args(Kind)
VALUES: Final = "parameters.json"
SCHEMA_VERSION: Final = 1
DATE_TYPE: Final = "date"  # of a native date field, in its attribute `type`
_TYPED_DATES: Final = ("%m%d%Y", "%d%m%Y", "%Y%m%d")  # digits typed into a native date field, by the browser's language
_WRITTEN_DATES: Final = (ISO, "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
_LONGEST_NAME: Final = 32
_TAGS: Final = ("", "input", "textarea", "select", "div", "span", "body", "td")  # an element's tag is no label
OPTION: Final = "option"
_OPTIONS: Final = (OPTION, "radio")  # roles of which a click is a choice, whatever came before
_NO_ENTRY: Final = ("checkbox", "combobox", "heading", "menuitem", "searchbox", "switch", "tab", "textbox")
_BLOCKS: Final = ("", "button", "generic", "listitem")  # roles of blocks on which a click does something
_BETWEEN: Final = ("enter", "down", "up")  # keys between what was typed and the click on what it found
_CHOOSING: Final = ("down", "end", "home", "pagedown", "pageup", "space", "up")  # keys that choose in a list


@dataclass(frozen=True)
class Value:
    """Something typed or chosen in a recording.

    name: a word, by which a person gives it another value. recorded: its text in the recording, "" of a secret; a date
    of a native date field as ISO, where that is sure. label: of the field or list, as the page has it. steps: the
    numbers of the steps that type or choose it. expression: of what is computed (`demonstrations.dates`). form:
    strftime format of a date. longest: largest number of characters, 0 = not known. choices: the only texts that its
    list had, () = any. optional: it may be left empty.
    """

    name: str
    kind: Kind = "constant"
    recorded: str = ""
    label: str = ""
    steps: tuple[int, ...] = ()
    expression: str = ""
    form: str = ""
    longest: int = 0
    choices: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Act:
    """An executed action of an episode. label: the name of what it hit. element: all that is known of that, or None."""

    action: Action
    label: str
    element: Element | None

    @property
    def role(self) -> str:
        return "" if self.element is None else self.element.role

    @property
    def name(self) -> str:
        return self.label if self.element is None else self.element.name

    @property
    def native_date(self) -> bool:
        return self.element is not None and self.element.attributes.get("type") == DATE_TYPE


def acts_of(episode: Episode) -> list[Act]:
    """Return the executed actions of an episode, in the order of its demonstration's frames."""
    shown = episode.phase == "record"
    return [
        Act(
            step.executed,
            step.proposal.text if shown and step.proposal is not None else "",
            step.targets[0] if len(step.targets) == 1 else None,
        )
        for step in episode.steps
        if step.executed is not None
    ]


# ------------------------------------------------------------------------------------------ proposals


def name_from(label: str, taken: Collection[str] = (), otherwise: str = "text") -> str:
    """Return a name made of a label: its letters and digits in lower case, joined by ``_``, and not in `taken`.

    Example:
        >>> name_from("Kunde *:"), name_from("Due date", ["due_date"]), name_from("顧客"), name_from("2. Zeile")
        ('kunde', 'due_date_2', '顧客', 'text_2_zeile')
    """
    name = "_".join(re.findall(r"\w+", unicodedata.normalize("NFKC", label).lower()))[:_LONGEST_NAME].strip("_")
    if not name or name[0].isdigit():
        name = f"{otherwise}_{name}".strip("_")
    return next(new for n in range(1, len(taken) + 2) if (new := name if n == 1 else f"{name}_{n}") not in taken)


def propose(episode: Episode) -> tuple[Value, ...]:
    """Return the values of an episode as its steps show them: secrets by their names, everything else a constant.

    The same text in several steps is one value.
    """
    found: dict[str, Value] = {}
    secrets: dict[str, Value] = {}
    for value in found_in(acts_of(episode)):
        if value.kind == "secret":
            old = secrets.get(value.name, value)
            secrets[value.name] = replace(old, steps=tuple(dict.fromkeys((*old.steps, *value.steps))))
        elif same := found.get(value.recorded):
            shorter = min((one.longest for one in (same, value) if one.longest), default=0)
            found[value.recorded] = replace(
                same, steps=tuple(sorted({*same.steps, *value.steps})), form=same.form or value.form, longest=shorter,
                choices=same.choices or value.choices,
            )  # fmt: skip
        else:
            found[value.recorded] = value
    named: list[Value] = []
    for one in sorted((*found.values(), *secrets.values()), key=lambda one: one.steps):
        taken = [*secrets, *(other.name for other in named)]
        named.append(one if one.kind == "secret" else replace(one, name=name_from(one.label, taken)))
    return tuple(named)


def found_in(acts: Sequence[Act]) -> list[Value]:
    """Return each value as often as it is typed or chosen, without a name."""
    found: list[Value] = []
    index = 0
    while index < len(acts):
        act, following = acts[index], index + 1
        chosen = None
        while following < len(acts) and fills(act) and fills(acts[following]) and _same(act, acts[following]):
            following += 1
        while following > index + 1 and not _decides(acts[following - 1].action):
            following -= 1
        opens = (
            act.role != OPTION and following < len(acts) and fills(acts[following]) and acts[following].role == OPTION
        )
        if fills(act) and (opens or (chosen := _filled(acts, index, following)) is not None):
            pass
        elif isinstance(act.action, Type):
            following = index + 1
            while following < len(acts) and _goes_on(acts[following - 1], acts[following]):
                following += 1
            chosen = _typed(acts, index, following)
        elif isinstance(act.action, Click):
            chosen = _clicked(acts, index, {step for value in found for step in value.steps})
        if chosen is not None:
            typed = {step for step in chosen.steps if step <= index}  # what was typed to find it
            found = [value for value in found if value.kind == "secret" or not typed.issuperset(value.steps)]
            found.append(chosen)
        index = following
    return found


def _same(one: Act, other: Act) -> bool:
    """Whether two actions went to the same field, as far as one can tell."""
    if one.element is None or other.element is None:
        return one.label == other.label
    if one.role == other.role == OPTION:  # the focus goes from one to the next
        return one.element.near[:1] == other.element.near[:1]
    return (one.element.role, one.element.name, one.element.box) == (
        other.element.role, other.element.name, other.element.box,
    )  # fmt: skip


def fills(act: Act) -> bool:
    """Whether an action sets a native list or date field with keys: what it holds then is the value, not the keys."""
    if act.element is None or not (act.element.options or act.native_date or act.role == OPTION):
        return False
    keys = (*_CHOOSING, *(("backspace", "delete", "left", "right", "tab") if act.native_date else ("enter",)))
    return isinstance(act.action, Type) or (isinstance(act.action, Key) and act.action.keys in keys)


def _decides(action: Action) -> bool:
    return isinstance(action, Type) or (isinstance(action, Key) and action.keys in (*_CHOOSING, "enter", "backspace"))


def _filled(acts: Sequence[Act], first: int, end: int) -> Value | None:
    """Return what a native list or date field holds after the actions on it; None where the recorder does not know."""
    last, steps = acts[end - 1], tuple(range(first + 1, end + 1))
    element, action = last.element, last.action
    if element is not None and last.role == OPTION and element.name:
        taken = isinstance(action, Key) and action.keys in ("enter", "space")
        choices, label = _choices(acts, end, element.name), "".join(element.near[:1])
        return Value("", recorded=element.name, label=label, steps=steps, choices=choices) if taken else None
    if element is None or not element.value or not _decides(action):
        return None
    form, label = ISO if last.native_date else "", label_of(acts[first])
    return Value("", recorded=element.value, label=label, steps=steps, form=form, choices=element.options)


def _choices(acts: Sequence[Act], end: int, name: str) -> tuple[str, ...]:
    """Return the entries of the native list in which `name` was taken: kept with the entry, or with what opened it."""
    for act in reversed(acts[:end]):
        if act.element is not None and name in act.element.options:
            return act.element.options
        if act.role != OPTION:
            break
    return ()


def _goes_on(before: Act, after: Act) -> bool:
    """Whether an action types the rest of a text that is longer than one action may be."""
    if not isinstance(before.action, Type) or not isinstance(after.action, Type) or not _same(before, after):
        return False
    return len(before.action.text) == MAX_TEXT and not mentions(after.action.text)


def _typed(acts: Sequence[Act], first: int, end: int) -> Value | None:
    act, steps = acts[first], tuple(range(first + 1, end + 1))
    texts = [one.action.text for one in acts[first:end] if isinstance(one.action, Type)]
    secret = name_in(texts[0])
    if secret is not None:
        return Value(secret or "secret", "secret", label=label_of(act), steps=steps)
    text = "".join(texts).strip()
    if not text or mentions(text):
        return None
    told = {} if act.element is None else act.element.attributes
    longest = int(told["maxlength"]) if told.get("maxlength", "").isdigit() else 0
    if act.native_date:
        return Value("", recorded=date_typed(text) or text, label=label_of(act), steps=steps, form=ISO)
    return Value("", recorded=text, label=label_of(act), steps=steps, form=_form_of(text), longest=longest)


def _clicked(acts: Sequence[Act], index: int, taken: Collection[int]) -> Value | None:
    """Return the value that a click chooses: an option, an entry of an opened list, what a typed text found.

    taken: the steps of other values, none of which opened a list.
    """
    act = acts[index]
    name = act.name.strip()
    if not name or len(name) > MAX_TEXT or mentions(name):
        return None
    before = index - 1
    while before >= 0 and _passes(acts[before].action):
        before -= 1
    earlier = acts[before] if before >= 0 else None
    if earlier is not None and isinstance(earlier.action, Type) and _may_be_entry(act):
        typed = earlier.action.text.strip()
        if not mentions(typed) and part_of(typed, name) is not None:
            return Value("", recorded=name, label=label_of(earlier), steps=(before + 1, index + 1))
    opener = earlier if earlier is not None and before == index - 1 and isinstance(earlier.action, Click) else None
    opens = opener is not None and before + 1 not in taken and _opens(opener, act)
    if act.role in _OPTIONS or (opens and act.role != "link" and _may_be_entry(act)):
        label, choices = _of_list(act, opener if opens else None), _choices(acts, index + 1, name)
        return Value("", recorded=name, label=label, steps=(index + 1,), choices=choices)
    return None


def _may_be_entry(act: Act) -> bool:
    """Whether a click may have chosen an entry; a block on which a click does something is a button without a type."""
    sends = act.element is not None and act.element.attributes.get("type") in ("submit", "reset")
    return act.role not in _NO_ENTRY and not sends


def _passes(action: Action) -> bool:
    """Whether an action may stand between a typed text and the click on what it found."""
    return isinstance(action, (Wait, Move, Scroll)) or (isinstance(action, Key) and action.keys in _BETWEEN)


def _opens(opener: Act, entry: Act) -> bool:
    """Whether a click opened the list in which the next click chose.

    By its role; or both are plain blocks on which a click does something, with one label or in one column.
    """
    if opener.role in ("combobox", "listbox"):
        return True
    one, other = opener.element, entry.element
    if one is None or other is None or any(act.role not in _BLOCKS for act in (opener, entry)):
        return False
    if any("type" in element.attributes for element in (one, other)):  # a button, and no block
        return False
    return bool(one.near and one.near[:1] == other.near[:1]) or _in_column(one.box, other.box)


def _in_column(one: Region, other: Region) -> bool:
    """Whether the second of two boxes stands below the first, with its left and right edges at the same place."""
    wide, high = one[2] - one[0], max(one[3] - one[1], other[3] - other[1])
    below = -0.5 * high <= other[1] - one[3] <= 10 * high
    return below and abs(one[0] - other[0]) <= 0.2 * wide and abs(one[2] - other[2]) <= 0.2 * wide


def _of_list(entry: Act, opener: Act | None) -> str:
    if opener is not None and opener.role in ("combobox", "listbox"):
        return label_of(opener)
    acts = (entry, opener) if entry.role in _OPTIONS else (opener, entry)
    elements = [act.element for act in acts if act is not None and act.element is not None]
    return next((one.near[0] for one in elements if one.near), "")


def label_of(act: Act) -> str:
    """Return the label of a field; its neighbourhood or its attributes where it has none."""
    names = [act.label, act.name]
    if act.element is not None:
        told = act.element.attributes
        names += [*act.element.near[:1], told.get("placeholder", ""), told.get("name", ""), told.get("id", "")]
    return next((name for name in names if name.strip().lower() not in _TAGS), "")


def part_of(typed: str, whole: str) -> tuple[int, int] | None:
    """Return which words of a text what was typed belongs to, (first, end); None where it does not find that text.

    Case does not matter. A beginning of any word counts, of three characters on also another part.

    Example:
        >>> part_of("hop", "Grace Hopper"), part_of("grace h", "Grace Hopper"), part_of("x", "Grace Hopper")
        ((1, 2), (0, 2), None)
    """
    small, words = typed.lower(), list(re.finditer(r"\S+", whole))
    text = whole.lower()
    if not small or len(text) != len(whole):
        return None
    at = next((word.start() for word in words if text.startswith(small, word.start())), -1)
    if at < 0 and len(small) >= 3:
        at = text.find(small)
    if at < 0:
        return None
    hit = [n for n, word in enumerate(words) if word.start() < at + len(small) and at < word.end()]
    return hit[0], hit[-1] + 1


def date_typed(text: str) -> str:
    """Return as ISO the date that digits typed into a native date field mean; "" where that is not sure.

    Example:
        >>> date_typed("11302026"), date_typed("30112026"), date_typed("03042026")
        ('2026-11-30', '2026-11-30', '')
    """
    if as_date(text, ISO) is not None:
        return text
    digits = re.sub(r"\D", "", text)
    days = {day for form in _TYPED_DATES if len(digits) == 8 and (day := as_date(digits, form)) is not None}
    days = {day for day in days if 1900 <= day.year <= 2200}
    return next(iter(days)).isoformat() if len(days) == 1 else ""


def as_date(text: str, form: str) -> date | None:
    """Return the date that a text in a format is; None where it is none."""
    try:
        found = datetime.strptime(text.strip(), form).date()
    except ValueError:
        return None
    return found


def _form_of(text: str) -> str:
    """Return the format of a written date, "" where a text is none or could be two."""
    forms = [form for form in _WRITTEN_DATES if (day := as_date(text, form)) and day.strftime(form) == text]
    return forms[0] if len(forms) == 1 else ""


# ------------------------------------------------------------------------------------------ the file


def load_values(path: str | Path) -> tuple[Value, ...]:
    """Return the values of an episode in the order of their steps: those of its parameters.json, else as proposed.

    Raises:
        DemonstrationError: not an episode; parameters.json is damaged, of a newer showonce, or does not fit its steps.
    """
    folder = Path(path)
    episode = load_episode(folder)
    proposed = propose(episode)
    file = folder / VALUES
    if not file.exists():
        return proposed
    secrets = [value for value in proposed if value.kind == "secret"]
    stored = [value for value in _stored(file) if value.name not in {one.name for one in secrets}]
    check_values(stored, len(acts_of(episode)), str(file))
    return tuple(sorted((*stored, *secrets), key=lambda value: value.steps))


def _stored(file: Path) -> list[Value]:
    def unusable(text: str) -> DemonstrationError:
        return DemonstrationError(f"{file} {text}", key="values.file")

    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise unusable(f"cannot be read ({error}). Delete it: every value is a constant then.") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int) or not isinstance(data.get("values"), list):
        raise unusable("has no schema_version or no values. Delete it: every value is a constant then.")
    if version > SCHEMA_VERSION:
        raise unusable(f"was written by a newer showonce (schema {version}; this one reads up to {SCHEMA_VERSION}).")
    known = set(Value.__dataclass_fields__)
    found = []
    for one in data["values"]:
        try:
            if wrong := next((key for key in one if key not in known), None):
                raise unusable(f"has an unknown key {wrong!r}.{nearest(wrong, known)}")
            found.append(_from_json(one))
        except (KeyError, TypeError, ValueError) as error:
            raise unusable(f"holds a value that cannot be read: {error!r}.") from None
    return found


def _from_json(data: Mapping[str, Any]) -> Value:
    kind = data.get("kind", "constant")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    texts = {key: str(data.get(key, "")) for key in ("recorded", "label", "expression", "form")}
    return Value(
        str(data["name"]), kind, steps=tuple(int(step) for step in data.get("steps", ())),
        longest=int(data.get("longest", 0)), choices=tuple(str(text) for text in data.get("choices", ())),
        optional=bool(data.get("optional", False)), **texts,
    )  # fmt: skip


def check_values(values: Sequence[Value], steps: int, where: str) -> None:
    """Check that names are words and stand once, and that every value belongs to steps. steps: how many there are.

    Raises:
        DemonstrationError: they do not; the text names the value.
    """
    names: set[str] = set()
    for value in values:
        wrong = [step for step in value.steps if not 1 <= step <= steps]
        why = (
            f"{value.name!r} is not a name: letters, digits and _, and no digit first" if not is_name(value.name)
            else f"{value.name!r} is the name of two values" if value.name in names
            else f"no step uses {value.name!r}" if not value.steps
            else f"{value.name!r} belongs to step {wrong[0]}, and the episode has {steps} steps" if wrong
            else ""
        )  # fmt: skip
        if why:
            raise DemonstrationError(f"{where}: {why}.", key="values.fit")
        names.add(value.name)


def is_name(text: str) -> bool:
    """Whether a text may be the name of a value."""
    return re.fullmatch(r"[^\W\d]\w*", text) is not None and re.fullmatch(r"step\d+", text) is None


def to_json(value: Value) -> dict[str, Any]:
    """Return a value as a mapping, without the fields that have their usual value."""
    usual = asdict(Value(""))
    return {key: held for key, held in asdict(value).items() if held != usual[key] or key in ("name", "kind", "steps")}


def save_values(path: str | Path, values: Sequence[Value]) -> Path:
    """Write the values of an episode, without its secrets, and return the file: all of it or nothing.

    Raises:
        DiskError: it cannot be written.
    """
    file = Path(path) / VALUES
    held = [to_json(value) for value in values if value.kind != "secret"]
    atomic_write_json(file, KNOWN.hide_value({"schema_version": SCHEMA_VERSION, "values": held}))
    return file
