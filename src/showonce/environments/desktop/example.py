"""An example program for the desktop: an app of the embedded world in a real window of 112 x 112 pixels.

    python -m showonce.environments.desktop.example app/dev/single/0

Pillow draws it as in the embedded environment, but its input comes through the window system: clicks, right clicks,
drags and named keys. The screen is drawn from $SHOWONCE_SEED, and the file `outcome` in
$SHOWONCE_FOLDER says open, success or failure, for a verifier to read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from showonce.actions import Action, Click, Drag, Key, RightClick, from_pixel
from showonce.environments.embedded.scene import SIZE
from showonce.environments.embedded.world import EmbeddedWorld, task_for
from showonce.errors import BadInput, ShowonceError, Unavailable
from showonce.fsio import atomic_write_text

TITLE: Final = "showonce example"
DRAG_PIXELS: Final = 3
_NAMES: Final = {"Return": "enter", "Prior": "pageup", "Next": "pagedown"}


class _Unstopped:
    def check(self) -> None: ...


class Example:
    """The window.

    Raises:
        Unavailable: no display, or a Python without Tk.
    """

    def __init__(self, task_id: str, seed: int, folder: Path) -> None:
        try:
            import tkinter
        except ImportError:
            raise Unavailable("this Python has no Tk; install it (Debian: apt install python3-tk).") from None
        self._world, self._outcome = EmbeddedWorld(), folder / "outcome"
        self._world.reset(task_for(task_id), seed)
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as problem:
            raise Unavailable(f"no display to open a window on ({problem}).") from None
        self._root.title(TITLE)
        self._root.resizable(False, False)
        self._canvas = tkinter.Canvas(self._root, width=SIZE, height=SIZE, highlightthickness=0)
        self._canvas.pack()
        self._pressed = (0, 0)
        self._canvas.bind("<ButtonPress-1>", self._press)
        self._canvas.bind("<ButtonRelease-1>", self._release)
        self._canvas.bind("<Button-3>", lambda event: self._do(RightClick(*_at(event.x, event.y))))
        self._root.bind("<Key>", self._key)
        self._show()

    def run(self) -> None:
        """Show the window until it is closed."""
        self._root.mainloop()

    def _press(self, event: Any) -> None:
        self._pressed = (event.x, event.y)

    def _release(self, event: Any) -> None:
        start, end = self._pressed, (event.x, event.y)
        far = max(abs(a - b) for a, b in zip(start, end, strict=True)) >= DRAG_PIXELS
        self._do(Drag(*_at(*start), *_at(*end)) if far else Click(*_at(*start)))

    def _key(self, event: Any) -> None:
        held = "ctrl+" if event.state & 4 else ""
        try:
            self._do(Key(held + _NAMES.get(event.keysym, event.keysym.lower())))
        except BadInput:  # a modifier alone, or a key without a name
            return

    def _do(self, action: Action) -> None:
        if self._world.verify().success is None:
            self._world.execute(action, _Unstopped())
        self._show()

    def _show(self) -> None:
        """Write the outcome, then draw: whoever sees the new screen may run the verifier at once."""
        from PIL import Image, ImageTk

        outcome = self._world.verify()
        word = {None: "open", True: "success", False: "failure"}[outcome.success]
        atomic_write_text(self._outcome, f"{word}: {outcome.evidence}\n", durable=False)
        self._picture = ImageTk.PhotoImage(Image.fromarray(self._world.observe().image), master=self._root)
        self._canvas.delete("all")
        self._canvas.create_image(0, 0, anchor="nw", image=self._picture)


def _at(x: int, y: int) -> tuple[float, float]:
    return from_pixel(x, SIZE), from_pixel(y, SIZE)


def main(arguments: list[str]) -> int:
    """Run it; the argument is the id of a task of the embedded world."""
    folder = Path(os.environ.get("SHOWONCE_FOLDER") or ".")
    try:
        Example(arguments[0], int(os.environ.get("SHOWONCE_SEED") or 0), folder).run()
    except ShowonceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["app/dev/single/0"]))
