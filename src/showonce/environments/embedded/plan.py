"""Plans: a goal as a list of subgoals, and the event that an action on a scene amounts to.

`expected` returns the next subgoal on the present scene (first a dialog in the way, a target below the fold or one that
has not appeared yet), `oracle_action` the action that does it, `event` what an action did. An action is right when its
event equals the expected subgoal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from showonce import actions as act
from showonce.actions import Action, from_pixel, to_pixel
from showonce.environments.embedded.language import POINTING, SLIDER_MAX, Phrase
from showonce.environments.embedded.scene import (
    GRID,
    SIZE,
    TOP,
    Rect,
    Scene,
    inside,
    knob,
    open_list,
    title_rect,
)

_POINT: dict[str, Callable[[float, float], Action]] = {
    "click": act.Click,
    "double_click": act.DoubleClick,
    "right_click": act.RightClick,
    "move": act.Move,
}
PRECONDITIONS = ("dismiss", "scroll", "wait")


@dataclass(frozen=True)
class Sub:
    """One subgoal or event: kind, words of the widget or popup row, value."""

    kind: str
    key: Phrase = ()
    value: str = ""


def phrase_sub(phrase: Phrase) -> Sub:
    """Return the subgoal of a one-step phrase of an app's program."""
    verb = phrase[0]
    if verb in POINTING:
        return Sub(verb, phrase[1:])
    return Sub(verb, (), phrase[1])  # type sun, press ctrl+s


def expected(scene: Scene, plan: tuple[Sub, ...], index: int) -> Sub | None:
    """Return the next subgoal: a precondition or plan[index]; None when the plan is done."""
    if index >= len(plan):
        return None
    sub = plan[index]
    if scene.popup is not None and scene.popup.kind == "dialog":
        return Sub("dismiss", tuple(scene.popup.rows))
    if sub.key and sub.kind not in ("entry", "title", "focus"):
        widget = scene.widgets[scene.find(sub.key)]
        if widget.late and scene.loading:
            return Sub("wait")
        if widget.page != scene.page:
            return Sub("scroll")
    return sub


def _centre(rect: Rect) -> tuple[float, float]:
    """Return the middle of a rectangle as fractions of the screen, moved to the centre of a grid cell."""
    x = (rect[0] + rect[2] // 2 - 1) // GRID * GRID + GRID / 2 - 0.5
    y = (rect[1] + rect[3] // 2 - 1) // GRID * GRID + GRID / 2 - 0.5
    return _coordinate(x), _coordinate(y)


def _coordinate(pixel: float) -> float:
    return round(from_pixel(pixel, SIZE), act.COORDINATE_DECIMALS)


def oracle_action(scene: Scene, sub: Sub) -> Action:
    """Return the action that does a subgoal on the scene as it is."""
    if sub.kind in POINTING:
        return _POINT[sub.kind](*_centre(scene.widgets[scene.find(sub.key)].rect))
    if sub.kind in ("dismiss", "entry"):
        assert scene.popup is not None
        return act.Click(*_centre(scene.popup.rows[sub.key[0]]))
    if sub.kind == "title":
        return act.Click(*_centre(title_rect(scene, sub.key[0])))
    if sub.kind == "focus":
        x, y, w, h = scene.widgets[scene.find_field(sub.key[0])].rect
        return act.Click(*_centre((x + 36, y, w - 36, h)))
    if sub.kind == "drag":
        a, b = (scene.widgets[scene.find(k)].rect for k in (sub.key, tuple(sub.value.split())))
        return act.Drag(*_centre(a), *_centre(b))
    if sub.kind == "slide":
        slider = next(w for w in scene.widgets if w.kind == "slider")
        (x0, y0), (x1, y1) = knob(slider, slider.value), knob(slider, int(sub.value))
        return act.Drag(*_centre((x0 - 4, y0 - 4, 8, 8)), *_centre((x1 - 4, y1 - 4, 8, 8)))
    if sub.kind == "scroll":
        return act.Scroll(*_centre((SIZE // 2 - 4, SIZE // 2 - 4, 8, 8)), 3)
    simple: dict[str, Callable[[str], Action]] = {
        "type": act.Type, "press": act.Key, "open": act.Open, "ask": act.Ask, "answer": act.Done,
    }  # fmt: skip
    return act.Wait(2.0) if sub.kind == "wait" else simple[sub.kind](sub.value)


def slip(scene: Scene, sub: Sub) -> Action:
    """Return a click on something that a subgoal is not about: the first other thing on the screen."""
    other = next(w for w in scene.widgets if scene.visible(w) and w.key != sub.key)
    return act.Click(*_centre(other.rect))


def event(scene: Scene, action: Action) -> Sub:
    """Return what an action does on the scene as it is; ``Sub("nothing")`` when it hits nothing.

    No program wants a triple click or held modifiers: these are events of their own, and ``ctrl+click`` is no click.
    """
    did, held = _event(scene, action), getattr(action, "held", "")
    return replace(did, kind=f"{held}+{did.kind}") if held and did.kind != "nothing" else did


def _event(scene: Scene, action: Action) -> Sub:
    if isinstance(action, act.Drag):
        return _drag_event(scene, action)
    if isinstance(action, act.Scroll):
        return Sub("scroll" if action.dy > 0 else "scroll_up")
    if isinstance(action, (act.Click, act.DoubleClick, act.TripleClick, act.RightClick, act.Move)):
        return _point_event(scene, action.verb, to_pixel(action.x, SIZE), to_pixel(action.y, SIZE))
    if isinstance(action, act.Wait):
        return Sub("wait")
    values = {act.Type: "text", act.Key: "keys", act.Open: "target", act.Ask: "question", act.Done: "answer"}
    kinds = {act.Type: "type", act.Key: "press", act.Open: "open", act.Ask: "ask", act.Done: "answer"}
    return Sub(kinds[type(action)], (), str(getattr(action, values[type(action)])))


def _point_event(scene: Scene, verb: str, x: int, y: int) -> Sub:
    if scene.popup is not None:
        for label, rect in scene.popup.rows.items():
            if inside(rect, x, y) and verb == "click":
                return Sub("dismiss" if scene.popup.kind == "dialog" else "entry", (label,))
        if scene.popup.kind == "dialog" or inside(scene.popup.rect, x, y):
            return Sub("nothing")
    if y < TOP and verb == "click":
        for title in scene.titles:
            if inside(title_rect(scene, title), x, y):
                return Sub("title", (title,))
    index = scene.at(x, y)
    if index < 0:
        return Sub("nothing")
    widget = scene.widgets[index]
    if widget.kind == "field":
        return Sub("focus" if verb == "click" else verb, widget.key)
    return Sub(verb, widget.key)


def _drag_event(scene: Scene, action: act.Drag) -> Sub:
    x0, y0 = to_pixel(action.x, SIZE), to_pixel(action.y, SIZE)
    x1, y1 = to_pixel(action.to_x, SIZE), to_pixel(action.to_y, SIZE)
    start = scene.at(x0, y0)
    if start < 0 or (scene.popup is not None and scene.popup.kind == "dialog"):
        return Sub("nothing")
    widget = scene.widgets[start]
    if widget.kind == "slider":
        kx, ky = knob(widget, widget.value)
        value = round((x1 - widget.rect[0] - 8) / 8)
        if abs(x0 - kx) <= 6 and abs(y0 - ky) <= 8 and abs(y1 - ky) <= 12 and 0 <= value <= SLIDER_MAX:
            return Sub("slide", (), str(value))
        return Sub("nothing")
    end = scene.at(x1, y1)
    return Sub("drag", widget.key, " ".join(scene.widgets[end].key)) if end >= 0 else Sub("nothing")


def apply(scene: Scene, sub: Sub, menus: dict[str, list[str]]) -> None:
    """Change the scene as a right event does. `menus`: rows of context menus and drop-downs by what opens them."""
    if sub.kind in ("dismiss", "entry"):
        scene.popup = None
    elif sub.kind == "scroll":
        scene.page = min(scene.page + 1, scene.pages - 1)
    elif sub.kind == "wait":
        scene.loading = False
    elif sub.kind == "focus":
        scene.focus = scene.find_field(sub.key[0])
    elif sub.kind == "type":
        if scene.focus >= 0:
            scene.widgets[scene.focus].text = sub.value
        else:
            scene.typed = sub.value
    elif sub.kind == "slide":
        next(w for w in scene.widgets if w.kind == "slider").value = int(sub.value)
    elif sub.kind == "click":
        widget = scene.widgets[scene.find(sub.key)]
        if widget.kind == "check":
            widget.checked = not widget.checked
    elif sub.kind in ("right_click", "title") and " ".join(sub.key) in menus:
        if sub.kind == "title":
            x, y = title_rect(scene, sub.key[0])[0], TOP
        else:
            x, y, w, h = scene.widgets[scene.find(sub.key)].rect
            x, y = x + w // 2, y + h // 2
        open_list(scene, "dropdown" if sub.kind == "title" else "context", x, y, menus[" ".join(sub.key)])
    elif sub.kind == "drag":
        scene.widgets.pop(scene.find(sub.key))
