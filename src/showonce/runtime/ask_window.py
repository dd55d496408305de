"""Asking in a window: the frame with the proposed action drawn on it; a person agrees or does the right thing."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import Final, Literal

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw

from showonce.actions import Action, Drag, points, to_json, to_pixel
from showonce.environments.embedded.window import SCALE, ScreenWindow
from showonce.errors import Stopped
from showonce.protocols import ApprovalRequest
from showonce.runtime.stop import Stop
from showonce.types import Observation

Button = Literal["yes", "no", "quit"]
LARGEST: Final = 900  # pixels of the longer side of a frame that is still enlarged
MARK: Final = (255, 0, 128)
HALO: Final = (255, 255, 255)


class WindowApprover:
    """Asks in a window: yes, no and quit are buttons; a gesture or typed text on the picture is the right action.

    stop: pressed by quit and by closing the window. Pressed elsewhere, it ends the question.

    Raises:
        Unavailable: no display, or a Python without Tk.
        Stopped: on quit, when the window is closed, and when stop is pressed.
    """

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop or Stop()
        self._window = AskWindow()
        self._seen = Observation(np.zeros((112, 112, 3), np.uint8))

    def ask(self, request: ApprovalRequest) -> tuple[Action | None, str]:
        self._seen = request.observation
        why = f" ({request.reason})" if request.reason else ""
        shown = "nothing" if request.action is None else f"{to_json(request.action)}"
        self._window.covers = bool(request.secret)  # what is typed is shown as dots
        answer = self._answer(drawn(self._seen, request.action), f"{request.task.goal}: do {shown}?{why}")
        if answer == "yes":
            return request.action, "approved in the window"
        if isinstance(answer, str):
            return None, "denied in the window"
        return answer, "corrected in the window"

    def confirm(self, question: str) -> bool | None:
        while True:
            answer = self._answer(self._seen, f"{question} yes or no")
            if isinstance(answer, str):
                return answer == "yes"

    def close(self) -> None:
        """Close the window."""
        self._window.close()

    def _answer(self, observation: Observation, question: str) -> Action | str:
        answer = self._window.answer(observation, question, self._stop)
        if answer == "quit":
            self._stop.press("quit in the window")
            raise Stopped("stopped: quit in the window.")
        return answer


class AskWindow(ScreenWindow):
    """The window of a person who acts, with buttons for yes, no and quit."""

    def __init__(self) -> None:
        super().__init__("showonce asks", "set safety.ask=console")
        import tkinter

        self._said: deque[Button] = deque()
        row = tkinter.Frame(self._root)
        row.pack(fill="x")
        names: tuple[Button, ...] = ("yes", "no", "quit")
        for name in names:
            self._buttons[name] = tkinter.Button(row, text=name, command=partial(self._said.append, name))
            self._buttons[name].pack(side="left")

    def answer(self, observation: Observation, question: str, stop: Stop) -> Action | Button:
        """Show a screen and a question, and wait for a button or for the right action.

        Raises:
            Stopped: stop is pressed meanwhile.
        """
        self._scale = max(1, min(SCALE, LARGEST // max(observation.width, observation.height)))
        self._said.clear()
        self._actions.clear()
        self._line.configure(wraplength=observation.width * self._scale, justify="left")
        self._say(question)
        self.show(observation)
        while not (self._finished or self._said or self._actions):
            stop.check()
            self._root.update()
            time.sleep(0.005)
        if self._said:
            return self._said.popleft()
        return self._actions.popleft() if self._actions else "quit"


def drawn(observation: Observation, action: Action | None) -> Observation:
    """Return the frame with a ring and a dot where the action points, and a line for a drag."""
    places = points(action) if action is not None else ()
    if not places:
        return observation
    picture = PilImage.fromarray(np.asarray(observation.image))
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    radius = max(3, max(width, height) // 40)
    pixels = [(to_pixel(x, width), to_pixel(y, height)) for x, y in places]
    if isinstance(action, Drag):
        draw.line(pixels, fill=MARK, width=max(1, radius // 3))
    x, y = pixels[-1]
    for size, colour in ((radius + 1, HALO), (radius, MARK)):
        draw.ellipse((x - size, y - size, x + size, y + size), outline=colour)
    draw.point((x, y), fill=MARK)
    return Observation(np.asarray(picture), observation.scale, observation.text)
