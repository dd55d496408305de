"""A Tk program in which things appear because of the pointer, and others because of time or a click.

Argument: the title. Every label that is pressed is written to its file (the second argument), one name a line.
"""

from __future__ import annotations

import sys
import tkinter as tk
from typing import Any


def main(title: str, file: str) -> None:
    root = tk.Tk()
    root.title(title)
    root.geometry("900x500+100+100")
    root.configure(background="white")
    log = open(file, "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def label(parent: Any, name: str, x: int, y: int, width: int, height: int, **look: Any) -> tk.Label:
        made = tk.Label(parent, text=name, background="white", anchor="w", **look)
        made.place(x=x, y=y, width=width, height=height)
        made.bind("<Button-1>", lambda _: log.write(name + "\n"))
        return made

    def menu(names: str, x: int, y: int) -> tuple[tk.Frame, list[tk.Label]]:
        frame = tk.Frame(root, background="white", width=160, height=30 * len(names.split()))
        rows = [label(frame, name, 2, 2 + 30 * i, 156, 26) for i, name in enumerate(names.split())]
        for row in rows:  # a highlight under the pointer
            row.bind("<Enter>", lambda event: event.widget.configure(background="lightblue"), add=True)
            row.bind("<Leave>", lambda event: event.widget.configure(background="white"), add=True)
        frame.at = (x, y)  # type: ignore[attr-defined]
        return frame, rows

    def show(frame: Any, after: int) -> Any:
        return lambda _: root.after(after, lambda: frame.place(x=frame.at[0], y=frame.at[1]))

    first, rows = menu("new open export", 20, 50)
    second, _ = menu("png pdf", 180, 110)
    slow, _ = menu("undo redo", 220, 50)
    label(root, "file", 20, 20, 80, 30).bind("<Enter>", show(first, 0))
    rows[2].bind("<Enter>", show(second, 150), add=True)
    label(root, "edit", 220, 20, 80, 30).bind("<Enter>", show(slow, 400))

    plain = label(root, "button", 500, 20, 120, 40)
    wide = label(root, "row", 400, 100, 480, 30)
    card = label(root, "card", 400, 150, 300, 200)
    for each in (plain, wide, card):
        each.bind("<Enter>", lambda event: event.widget.configure(background="lightblue"))
        each.bind("<Leave>", lambda event: event.widget.configure(background="white"))

    dialog = tk.Frame(root, background="lightgrey", width=300, height=180)
    dialog.at = (300, 200)  # type: ignore[attr-defined]
    label(dialog, "yes", 20, 130, 80, 30)
    label(root, "ask", 650, 20, 80, 30).bind("<Button-1>", show(dialog, 500), add=True)
    late = tk.Label(root, text="loaded " * 20, background="yellow")
    late.at = (20, 420)  # type: ignore[attr-defined]
    label(root, "load", 780, 20, 80, 30).bind("<Button-1>", show(late, 2500), add=True)
    root.bind("<Escape>", lambda _: [each.place_forget() for each in (first, second, slow, dialog, late)])
    root.mainloop()


main(*sys.argv[1:])
