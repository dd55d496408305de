"""Actions as calls of PyAutoGUI with coordinates in [0, 1], as OpenCUA writes them. Read with `ast`, never executed.

Action space: OpenCUA (arXiv 2508.09123, table of PyAutoGUI actions) and the AgentNet data card. `open` and `ask` have
no such call; they are written as `computer.open(target=...)` and `computer.ask(question=...)`.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from showonce import actions as act
from showonce.actions import MAX_NOTCHES, MAX_WAIT_S, MODIFIERS, Action, chord_parts

Place = tuple[float, float]
CENTRE: Final[Place] = (0.5, 0.5)
WAIT_SECONDS: Final = 1.0  # computer.wait() says no number
_KEYS: Final = {
    "return": "enter", "esc": "escape", "del": "delete", "pgup": "pageup", "pgdn": "pagedown", "spacebar": "space",
    "command": "meta", "cmd": "meta", "win": "meta", "winleft": "meta", "winright": "meta", "super": "meta",
    "option": "alt", "altleft": "alt", "altright": "alt", "ctrlleft": "ctrl", "ctrlright": "ctrl", "control": "ctrl",
    "shiftleft": "shift", "shiftright": "shift", "arrowup": "up", "arrowdown": "down", "arrowleft": "left",
    "arrowright": "right",
}  # fmt: skip
_POINTED: Final = {"click": act.Click, "doubleClick": act.DoubleClick, "rightClick": act.RightClick, "moveTo": act.Move}
_NAMES: Final = {  # positional arguments, in their order
    **dict.fromkeys(("click", "doubleClick", "rightClick", "middleClick", "tripleClick"), ("x", "y")),
    **dict.fromkeys(("moveTo", "dragTo"), ("x", "y")),
    "scroll": ("clicks", "x", "y"), "hscroll": ("clicks", "x", "y"), "vscroll": ("clicks", "x", "y"),
    "write": ("message",), "typewrite": ("message",), "press": ("keys",), "wait": ("seconds",),
    "terminate": ("status", "answer"), "open": ("target",), "ask": ("question",),
}  # fmt: skip


class NoVerb(Exception):
    """The code is well-formed and does something that has no verb here."""


def to_code(action: Action) -> str:
    """Return the code of an action; places are exact."""
    match action:
        case act.Scroll():
            calls = [f"pyautogui.moveTo(x={action.x!r}, y={action.y!r})"]
            calls += [f"pyautogui.scroll({-action.dy})"] if action.dy or not action.dx else []
            return "\n".join([*calls, *([f"pyautogui.hscroll({action.dx})"] if action.dx else [])])
        case act.Drag():
            end = f"pyautogui.dragTo(x={action.to_x!r}, y={action.to_y!r}, button='left')"
            return f"pyautogui.moveTo(x={action.x!r}, y={action.y!r})\n{end}"
        case act.Click() | act.DoubleClick() | act.RightClick() | act.Move():
            name = next(name for name, cls in _POINTED.items() if isinstance(action, cls))
            return f"pyautogui.{name}(x={action.x!r}, y={action.y!r})"
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


def from_code(code: str, pointer: Place | None = None) -> Action:
    """Return the one action of a step's code. pointer: where the pointer was left by the step before.

    Raises:
        NoVerb: no verb here does that. ValueError, BadInput: it is not such code, or a number is out of its range.
    """
    try:
        lines = ast.parse(code.strip()).body
    except SyntaxError as error:
        raise ValueError(f"the code {code!r} is not Python: {error.msg}") from None
    calls = [_call(line, code) for line in lines]
    if not calls:
        raise ValueError("the code is empty")
    if len(calls) > 1 and calls[0][0] == "moveTo":
        pointer = _place(calls[0][1], None)
        calls = calls[1:]
    names = [name for name, _ in calls]
    if set(names) <= {"scroll", "vscroll", "hscroll"}:
        return _scroll(calls, pointer)
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
    name = function.attr
    values = [_literal(value, code) for value in call.args]
    if name == "hotkey":
        flat = values[0] if len(values) == 1 and isinstance(values[0], (list, tuple)) else values
        return name, {"keys": [str(key) for key in flat]}
    if name not in _NAMES:
        raise NoVerb(f"{name} has no verb here")
    if len(values) > len(_NAMES[name]):
        raise ValueError(f"{name} has too many arguments in {code!r}")
    given = dict(zip(_NAMES[name], values, strict=False))
    return name, given | {str(k.arg): _literal(k.value, code) for k in call.keywords}


def _literal(node: ast.expr, code: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"an argument in {code!r} is not a plain value") from None


def _single(name: str, given: dict[str, Any], pointer: Place | None) -> Action:
    if name in _POINTED:
        button = given.get("button", "left")
        cls: Any = _POINTED[name]
        if given.get("clicks", 1) == 2 and name == "click":
            cls = act.DoubleClick
        elif given.get("clicks", 1) != 1 or button == "middle":
            raise NoVerb(f"{name} with {given.get('clicks', 1)} clicks of the {button} button has no verb here")
        if button == "right":
            cls = act.RightClick
        made: Action = cls(*_place(given, pointer))
        return made
    if name == "dragTo":
        if pointer is None:
            raise NoVerb("dragTo without a moveTo before it says not where it begins")
        return act.Drag(*pointer, *_place(given, None))
    if name in ("write", "typewrite"):
        text = given.get("message")
        return act.Type(text if isinstance(text, str) else "".join(map(str, text or ())))
    if name in ("press", "hotkey"):
        named = _keys(given.get("keys"))
        if given.get("presses", 1) != 1 or sum(key not in MODIFIERS for key in named) != 1:
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


def _keys(given: Any) -> list[str]:
    """Return our names of PyAutoGUI's keys."""
    keys = [given] if isinstance(given, str) else [str(key) for key in given or ()]
    return [_KEYS.get(key.lower(), key.lower() if len(key) > 1 else key) for key in keys]


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
