"""The embedded world in a window, for a person: mouse and keyboard become actions, one at a time.

Left click, double click, right click, drag, wheel and hover (middle button) act on the screen. Typed characters are
gathered and become one `type` action at Enter; a chord (Ctrl+S) or a named key with nothing typed is a `key` action.
What has no gesture (open, wait, done, ask) has a button that takes its text from the box beside it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from PIL import Image as PilImage

from showonce import actions as act
from showonce.actions import COORDINATE_DECIMALS, MODIFIERS, NAMED_KEYS, Action, from_pixel
from showonce.errors import BadInput, Unavailable
from showonce.types import Observation

SCALE: Final = 5
DRAG_PIXELS: Final = 3  # of the screen, not of the window
DOUBLE_MS: Final = 250
_STATE: Final = {0x4: "ctrl", 0x8: "alt", 0x1: "shift", 0x40: "meta"}
_NAMES: Final = {"Return": "enter", "Prior": "pageup", "Next": "pagedown", "BackSpace": "backspace"}
_BUTTONS: Final[dict[str, Callable[[str], Action]]] = {
    "open": act.Open, "wait": lambda _: act.Wait(2.0), "ask": act.Ask, "done": act.Done,
}  # fmt: skip


class ScreenWindow:
    """A Tk window that shows a screen and waits for a person's next action. otherwise: what helps without a display.

    Raises:
        Unavailable: no display, or a Python without Tk.
    """

    def __init__(self, title: str = "showonce", otherwise: str = "use --oracle") -> None:
        try:
            import tkinter
        except ImportError as error:
            raise Unavailable("this Python has no Tk; install it (Debian: apt install python3-tk).") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise Unavailable(f"no display to open a window on ({error}); {otherwise}, or set DISPLAY.") from error
        self._scale = SCALE
        self._actions: deque[Action] = deque()  # done by the person, not returned yet
        self._finished = False
        self.covers = False  # what is typed goes into a secret field: dots are shown for it
        self._size = (1, 1)
        self._typed = ""
        self._pressed: tuple[int, int] | None = None
        self._pending: str | None = None
        self._picture: Any = None
        self._root.title(title)
        self._canvas = tkinter.Canvas(self._root, highlightthickness=0)
        self._canvas.pack()
        row = tkinter.Frame(self._root)
        row.pack(fill="x")
        self._entry = tkinter.Entry(row, width=14)
        self._entry.pack(side="left")
        commands: dict[str, Callable[[], None]] = {n: partial(self._from_box, make) for n, make in _BUTTONS.items()}
        self._buttons = {
            name: tkinter.Button(row, text=name, command=command)
            for name, command in (*commands.items(), ("finish", self._finish))
        }
        for button in self._buttons.values():
            button.pack(side="left")
        self._line = tkinter.Label(self._root, anchor="w", text="act on the screen; Enter ends typed text")
        self._line.pack(fill="x")
        self._bind()

    def next_action(self, observation: Observation) -> Action | None:
        """Show a screen, wait for the person's next action and return it; None when the person is finished."""
        self.show(observation)
        while not (self._finished or self._actions):
            self._root.update()
            time.sleep(0.005)
        if not self._actions:
            return None
        action = self._actions.popleft()
        self._say(f"understood: {act.to_json(action)}")
        return action

    def close(self) -> None:
        """Close the window."""
        if not self._finished:
            self._finish()
        self._root.destroy()

    def show(self, observation: Observation) -> None:
        """Draw a screen without waiting."""
        from PIL import ImageTk

        self._size = (observation.width, observation.height)
        size = (observation.width * self._scale, observation.height * self._scale)
        big = PilImage.fromarray(np.asarray(observation.image)).resize(size, PilImage.Resampling.NEAREST)
        self._picture = ImageTk.PhotoImage(big, master=self._root)
        self._canvas.configure(width=size[0], height=size[1])
        self._canvas.delete("all")
        self._canvas.create_image(0, 0, anchor="nw", image=self._picture)
        self._canvas.focus_force()
        self._root.update()

    def canvas_origin(self) -> tuple[int, int]:
        """Return the display pixel of the screen's top left corner."""
        self._root.update()
        return self._canvas.winfo_rootx(), self._canvas.winfo_rooty()

    def write(self, text: str) -> None:
        """Put text into the box beside the buttons."""
        self._entry.delete(0, "end")
        self._entry.insert(0, text)

    def press(self, name: str) -> None:
        """Press one of the buttons: open, wait, ask, done or finish; the next `next_action` returns what it means.

        Raises:
            KeyError: no such button.
        """
        self._root.after(1, self._buttons[name].invoke)

    def _bind(self) -> None:
        c = self._canvas
        c.bind("<ButtonPress-1>", self._press)
        c.bind("<ButtonRelease-1>", self._release)
        c.bind("<Double-Button-1>", lambda e: self._several(e, act.DoubleClick))
        c.bind("<Triple-Button-1>", lambda e: self._several(e, act.TripleClick))
        c.bind("<Button-2>", lambda e: self._take(act.Move(*self._at(e.x, e.y))))
        c.bind("<Button-3>", lambda e: self._take(act.RightClick(*self._at(e.x, e.y), _held(e))))
        c.bind("<Button-4>", lambda e: self._take(act.Scroll(*self._at(e.x, e.y), -3, 0, _held(e))))
        c.bind("<Button-5>", lambda e: self._take(act.Scroll(*self._at(e.x, e.y), 3, 0, _held(e))))
        c.bind(
            "<MouseWheel>", lambda e: self._take(act.Scroll(*self._at(e.x, e.y), -3 if e.delta > 0 else 3, 0, _held(e)))
        )
        c.bind("<Key>", self._key)
        self._root.protocol("WM_DELETE_WINDOW", self._finish)

    def _at(self, x: int, y: int) -> tuple[float, float]:
        """Return window pixels as a coordinate: the centre of the screen pixel under the pointer."""
        place = (min(max(v // self._scale, 0), n - 1) for v, n in zip((x, y), self._size, strict=True))
        values = [from_pixel(p, n) for p, n in zip(place, self._size, strict=True)]
        return round(values[0], COORDINATE_DECIMALS), round(values[1], COORDINATE_DECIMALS)

    def _press(self, event: Any) -> None:
        self._canvas.focus_set()
        self._pressed = (event.x, event.y)

    def _release(self, event: Any) -> None:
        if self._pressed is None:
            return
        (x, y), self._pressed = self._pressed, None
        if max(abs(event.x - x), abs(event.y - y)) >= DRAG_PIXELS * self._scale:
            self._take(act.Drag(*self._at(x, y), *self._at(event.x, event.y), _held(event)))
            return
        self._take_later(act.Click(*self._at(x, y), _held(event)))

    def _several(self, event: Any, verb: type[act.DoubleClick] | type[act.TripleClick]) -> None:
        self._pressed = None
        self._take_later(verb(*self._at(event.x, event.y), _held(event)))

    def _take_later(self, click: Action) -> None:
        """Take a click unless another press makes more of it within `DOUBLE_MS`."""
        if self._pending is not None:
            self._root.after_cancel(self._pending)
        self._pending = self._root.after(DOUBLE_MS, lambda: self._take(click))

    def _key(self, event: Any) -> None:
        held = [name for bit, name in _STATE.items() if event.state & bit and name != "shift"]
        name = _NAMES.get(event.keysym, event.keysym.lower())
        if name.removesuffix("_l").removesuffix("_r") in (*MODIFIERS, "control", "super"):
            return
        if held and (len(event.keysym) == 1 or name in NAMED_KEYS):
            self._take(act.Key("+".join([*held, event.keysym.lower() if len(event.keysym) == 1 else name])))
        elif name == "enter" and self._typed:
            text, self._typed = self._typed, ""
            self._take(act.Type(text))
        elif name == "backspace" and self._typed:
            self._typed = self._typed[:-1]
            self._say(f"typing: {self._shown()}")
        elif name in NAMED_KEYS and name != "space":
            self._take(act.Key(name))
        elif event.char and event.char.isprintable():
            self._typed += event.char
            self._say(f"typing: {self._shown()}  (Enter to end)")

    def _shown(self) -> str:
        return "•" * len(self._typed) if self.covers else self._typed

    def _from_box(self, make: Callable[[str], Action]) -> None:
        try:
            self._take(make(self._entry.get().strip()))
        except BadInput as error:
            self._say(str(error))

    def _take(self, action: Action) -> None:
        self._pending = None
        if self._typed and not isinstance(action, act.Type):
            self._say("end the typed text with Enter first")
            return
        self._actions.append(action)

    def _finish(self) -> None:
        self._finished = True

    def _say(self, text: str) -> None:
        self._line.configure(text=text)


def _held(event: Any) -> str:
    return "+".join(name for bit, name in _STATE.items() if event.state & bit)
