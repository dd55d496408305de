"""Actions as calls of PyAutoGUI with coordinates in [0, 1], as OpenCUA writes them. Read with `ast`, never executed.

Action space: OpenCUA (arXiv 2508.09123, table of PyAutoGUI actions), its `data/data-process/src/schema/action.py` and
the AgentNet data card. `open` and `ask` have no such call; they are written as `computer.open(target=...)` and
`computer.ask(question=...)`. Held modifiers are `keyDown` and `keyUp` around the calls; `with pyautogui.hold(keys):` is
read as the same.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final

from showonce import actions as act
from showonce.actions import MAX_NOTCHES, MAX_WAIT_S, MODIFIERS, Action, chord_parts, held_in

Place = tuple[float, float]
CENTRE: Final[Place] = (0.5, 0.5)
WAIT_SECONDS: Final = 1.0  # computer.wait() says no number
_KEYS: Final = {
    "return": "enter", "esc": "escape", "del": "delete", "pgup": "pageup", "pgdn": "pagedown", "spacebar": "space",
    "command": "meta", "cmd": "meta", "win": "meta", "winleft": "meta", "winright": "meta", "super": "meta",
    "option": "alt", "altleft": "alt", "altright": "alt", "ctrlleft": "ctrl", "ctrlright": "ctrl", "control": "ctrl",
    "shiftleft": "shift", "shiftright": "shift", "ctrll": "ctrl", "ctrlr": "ctrl", "altl": "alt", "altr": "alt",
    "altgr": "alt", "shiftl": "shift", "shiftr": "shift", "cmdl": "meta", "cmdr": "meta", "superl": "meta",
    "superr": "meta", "controll": "ctrl", "controlr": "ctrl", "prior": "pageup", "next": "pagedown",
    "arrowup": "up", "arrowdown": "down", "arrowleft": "left",
    "arrowright": "right",
}  # fmt: skip
_POINTED: Final = {
    "click": act.Click, "doubleClick": act.DoubleClick, "tripleClick": act.TripleClick, "rightClick": act.RightClick,
    "moveTo": act.Move,
}  # fmt: skip
_OPTIONS: Final = {  # of each call, by keyword
    **dict.fromkeys(("click", "doubleClick", "tripleClick", "rightClick", "moveTo", "dragTo"), ("button", "clicks")),
    "press": ("presses",),
}
_PACE: Final = ("duration", "tween", "interval", "logScreenshot", "_pause")  # change how fast it is done
_CLICKS: Final = {1: act.Click, 2: act.DoubleClick, 3: act.TripleClick}
_SPELT: Final = {"triple_click": "tripleClick"}  # in OpenCUA's prompts
_TYPED: Final = {"enter": "\n", "tab": "\t", "space": " "}  # keys among text in one step
_NAMES: Final = {  # positional arguments, in their order
    "click": ("x", "y", "clicks", "interval", "button"),
    **dict.fromkeys(("doubleClick", "rightClick", "middleClick", "tripleClick"), ("x", "y")),
    **dict.fromkeys(("moveTo", "dragTo"), ("x", "y")),
    "scroll": ("clicks", "x", "y"), "hscroll": ("clicks", "x", "y"), "vscroll": ("clicks", "x", "y"),
    "write": ("message",), "typewrite": ("message",), "press": ("keys",), "wait": ("seconds",),
    "keyDown": ("key",), "keyUp": ("key",),
    "terminate": ("status", "answer"), "open": ("target",), "ask": ("question",),
}  # fmt: skip


class NoVerb(Exception):
    """The code is well-formed and does something that has no verb here."""


def to_code(action: Action) -> str:
    """Return the code of an action; places are exact."""
    down, up = ([f"pyautogui.key{way}({name!r})" for name in held_in(action)] for way in ("Down", "Up"))
    return "\n".join([*down, _calls(action), *reversed(up)])


def _calls(action: Action) -> str:
    match action:
        case act.Scroll():
            calls = [f"pyautogui.moveTo(x={action.x!r}, y={action.y!r})"]
            calls += [f"pyautogui.scroll({-action.dy})"] if action.dy or not action.dx else []
            return "\n".join([*calls, *([f"pyautogui.hscroll({action.dx})"] if action.dx else [])])
        case act.Drag():
            end = f"pyautogui.dragTo(x={action.to_x!r}, y={action.to_y!r}, button='left')"
            return f"pyautogui.moveTo(x={action.x!r}, y={action.y!r})\n{end}"
        case act.Click() | act.DoubleClick() | act.TripleClick() | act.RightClick() | act.Move():
            name = next(name for name, cls in _POINTED.items() if isinstance(action, cls))
            module = "computer" if name == "tripleClick" else "pyautogui"  # as in AgentNet
            return f"{module}.{name}(x={action.x!r}, y={action.y!r})"
        case act.Type():
            return f"pyautogui.write(message={action.text!r})"
        case act.Key():
            keys = chord_parts(action.keys)
            return (
                f"pyautogui.press({keys[0]!r})" if len(keys) == 1 else f"pyautogui.hotkey({', '.join(map(repr, keys))})"
            )
        case act.Wait():
            return f"computer.wait(seconds={action.seconds!r})"
        case act.Done():
            return f"computer.terminate(status='success'{f', answer={action.answer!r}' if action.answer else ''})"
        case act.Open():
            return f"computer.open(target={action.target!r})"
        case act.Ask():
            return f"computer.ask(question={action.question!r})"
    raise AssertionError(action)


def from_code(
    code: str, pointer: Place | None = None, counted: Callable[[float, float], Place] | None = None
) -> Action:
    """Return the one action of a step's code.

    Args:
        pointer: where the pointer was left by the step before.
        counted: makes fractions of places in pixels; None: the places are fractions.

    Raises:
        NoVerb: no verb here does that. ValueError, BadInput: it is not such code, or a number is out of its range.
    """
    try:
        lines = ast.parse(code.strip()).body
    except SyntaxError as error:
        raise ValueError(f"the code {code!r} is not Python: {error.msg}") from None
    calls, held = _held_around([_call(line, code) for line in _unheld(lines)])
    for _, given in calls if counted else []:
        if counted and given.get("x") is not None and given.get("y") is not None:
            given["x"], given["y"] = counted(given["x"], given["y"])
    if not calls:
        raise ValueError("the code is empty")
    action: Any = _one(calls, pointer)
    if held and not hasattr(action, "held"):
        raise NoVerb(f"{'+'.join(held)} held during {action.verb} has no verb here")
    made: Action = replace(action, held="+".join(held)) if held else action
    return made


def _unheld(lines: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements, those of a ``with pyautogui.hold(keys):`` between key-downs and key-ups."""
    for line in lines:
        if not isinstance(line, ast.With):
            yield line
            continue
        for item in line.items:
            if not (
                isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func) == "pyautogui.hold"
            ):
                raise ValueError(f"the code {ast.unparse(line)!r} is not a call of pyautogui or computer")
        keys = [key for item in line.items for key in item.context_expr.args]  # type: ignore[attr-defined]
        names = [name for key in keys for name in (key.elts if isinstance(key, (ast.List, ast.Tuple)) else [key])]
        for way, body in (("Down", line.body), ("Up", [])):
            yield from ast.parse("\n".join(f"pyautogui.key{way}({ast.unparse(name)})" for name in names)).body
            yield from _unheld(body)


Calls = list[tuple[str, dict[str, Any]]]


def _held_around(calls: Calls) -> tuple[Calls, list[str]]:
    """Return the calls without the key-downs before and the key-ups after them, and the modifiers that these hold."""
    down = list(takewhile(lambda call: call[0] == "keyDown", calls))
    up = list(takewhile(lambda call: call[0] == "keyUp", reversed(calls)))
    keys, let_go = (key_names([given.get("key") for _, given in side]) for side in (down, up))
    if sorted(keys) != sorted(let_go):
        raise NoVerb(f"the keys {keys} are pressed and {let_go} let go")
    if others := [key for key in keys if key not in MODIFIERS]:
        raise NoVerb(f"the key {others[0]} held during another action has no verb here")
    return calls[len(down) : len(calls) - len(up)], [name for name in MODIFIERS if name in keys]


def _one(calls: Calls, pointer: Place | None) -> Action:
    if len(calls) > 1 and calls[0][0] == "moveTo":
        pointer = _place(calls[0][1], None)
        calls = calls[1:]
    names = [name for name, _ in calls]
    if set(names) <= {"scroll", "vscroll", "hscroll"}:
        return _scroll(calls, pointer)
    if len(calls) > 1 and set(names) <= {"write", "typewrite", "press"}:
        texts = [_as_text(_single(*call, pointer)) for call in calls]
        if None not in texts:
            return act.Type("".join(map(str, texts)))
    if len(calls) > 1:
        raise NoVerb(f"several actions in one step ({', '.join(names)})")
    return _single(*calls[0], pointer)


def _call(line: ast.stmt, code: str) -> tuple[str, dict[str, Any]]:
    call = line.value if isinstance(line, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    if not (
        isinstance(call, ast.Call) and isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
        and function.value.id in ("pyautogui", "computer")
    ):  # fmt: skip
        raise ValueError(f"the code {code!r} is not a call of pyautogui or computer")
    name = _SPELT.get(function.attr, function.attr)
    values = [_literal(value, code) for value in call.args]
    if name == "hotkey":
        flat = values[0] if len(values) == 1 and isinstance(values[0], (list, tuple)) else values
        keys = next((_literal(k.value, code) for k in call.keywords if k.arg == "keys"), flat)
        return name, {"keys": [str(key) for key in keys]}
    if name not in _NAMES:
        raise NoVerb(f"{name} has no verb here")
    if len(values) > len(_NAMES[name]):
        raise ValueError(f"{name} has too many arguments in {code!r}")
    given = dict(zip(_NAMES[name], values, strict=False))
    given |= {str(k.arg): _literal(k.value, code) for k in call.keywords}
    for option in given:
        if option not in (*_NAMES[name], *_OPTIONS.get(name, ()), *_PACE):
            raise NoVerb(f"{name} with {option}={given[option]!r} is not known here")
    return name, given


def _literal(node: ast.expr, code: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"an argument in {code!r} is not a plain value") from None


def _single(name: str, given: dict[str, Any], pointer: Place | None) -> Action:
    if name in _POINTED:
        button, clicks = given.get("button", "left"), given.get("clicks", 1)
        cls: Any = _CLICKS.get(clicks) if name == "click" else _POINTED[name] if clicks == 1 else None
        if button == "right" and name != "moveTo":
            cls = act.RightClick if cls in (act.Click, act.RightClick) else None
        if cls is None or button not in ("left", "right", "primary"):
            raise NoVerb(f"{name} with {clicks} clicks of the {button} button has no verb here")
        made: Action = cls(*_place(given, pointer))
        return made
    if name == "dragTo":
        if pointer is None:
            raise NoVerb("dragTo without a moveTo before it says not where it begins")
        if given.get("button", "left") not in ("left", "primary"):
            raise NoVerb(f"dragTo with the {given['button']} button has no verb here")
        return act.Drag(*pointer, *_place(given, None))
    if name in ("write", "typewrite"):
        text = given.get("message")
        return act.Type(text if isinstance(text, str) else "".join(map(str, text or ())))
    if name in ("press", "hotkey"):
        named = key_names(given.get("keys"))
        if (
            given.get("presses", 1) != 1
            or (name == "press" and len(named) > 1)
            or sum(key not in MODIFIERS for key in named) != 1
        ):
            raise NoVerb(f"the keys {named} are not one chord")
        return act.Key("+".join(named))
    if name == "wait":
        return act.Wait(min(float(given.get("seconds", WAIT_SECONDS)), MAX_WAIT_S))
    if name == "terminate":
        if given.get("status") not in ("success", None):
            raise NoVerb(f"it ends with status {given.get('status')!r}")
        return act.Done(str(given.get("answer", "")))
    if name == "open":
        return act.Open(str(given.get("target", "")))
    if name == "ask":
        return act.Ask(str(given.get("question", "")))
    raise NoVerb(f"{name} has no verb here")


def _as_text(action: Action) -> str | None:
    return action.text if isinstance(action, act.Type) else _TYPED.get(getattr(action, "keys", ""))


def key_names(given: Any) -> list[str]:
    """Return our names of keys as PyAutoGUI, pynput (page_down, ctrl_l) and X11 (Page_Down, Control_L) name them."""
    keys = [given] if isinstance(given, str) else [str(key) for key in given or ()]
    plain = [key if len(key) == 1 else key.lower().replace("_", "").replace(" ", "") for key in keys]
    return [_KEYS.get(key, key) for key in plain]


def _scroll(calls: list[tuple[str, dict[str, Any]]], pointer: Place | None) -> Action:
    dx = dy = 0
    for name, given in calls:
        notches = int(given.get("clicks", 0))
        dx, dy = (dx + notches, dy) if name == "hscroll" else (dx, dy - notches)
        pointer = _place(given, pointer or CENTRE)
    if max(abs(dx), abs(dy)) > MAX_NOTCHES:
        raise NoVerb(f"a scroll of more than {MAX_NOTCHES} notches")
    return act.Scroll(*(pointer or CENTRE), dy, dx)


def _place(given: dict[str, Any], pointer: Place | None) -> Place:
    if given.get("x") is None or given.get("y") is None:
        if pointer is None:
            raise NoVerb("a click without a place")
        return pointer
    return given["x"], given["y"]
