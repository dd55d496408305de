"""A Tk program that writes down all that it is told: one JSON line an event, to the file that is its first argument.

An entry on top, a canvas below. Arguments: file, title, geometry.
"""

from __future__ import annotations

import json
import sys
import tkinter as tk
from typing import Any


def main(file: str, title: str, geometry: str) -> None:
    root = tk.Tk()
    root.title(title)
    root.geometry(geometry)
    log = open(file, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
    text = tk.StringVar()
    entry = tk.Entry(root, textvariable=text, font=("DejaVu Sans", 14))
    entry.pack(fill="x")
    canvas = tk.Canvas(root, background="white", highlightthickness=0)
    canvas.pack(fill="both", expand=True)

    def say(kind: str, **more: Any) -> None:
        log.write(json.dumps({"kind": kind, **more}) + "\n")

    def pointer(kind: str) -> Any:
        def on(event: Any) -> None:
            say(kind, x=event.x_root, y=event.y_root, button=event.num, state=event.state)
            if kind == "press":
                canvas.create_oval(event.x - 20, event.y - 20, event.x + 20, event.y + 20, fill="red")

        return on

    text.trace_add("write", lambda *_: say("text", text=text.get()))
    for sequence, kind in (("<ButtonPress>", "press"), ("<ButtonRelease>", "release"), ("<Double-Button-1>", "double")):
        canvas.bind(sequence, pointer(kind))
    canvas.bind("<Triple-Button-1>", pointer("triple"))
    canvas.bind("<B1-Motion>", lambda event: say("drag", x=event.x_root, y=event.y_root))
    root.bind("<Key>", lambda event: say("key", key=event.keysym, state=event.state))
    entry.focus_force()
    root.after(1, lambda: say("ready"))
    root.mainloop()


main(*sys.argv[1:])
