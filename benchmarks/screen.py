"""Starts an X screen for a benchmark: Xvfb with openbox and a Tk program, on a free display number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PANEL = """
import tkinter as tk
root = tk.Tk(); root.title("panel"); root.geometry("1280x700+0+0")
entry = tk.Entry(root, font=("DejaVu Sans", 14)); entry.pack(fill="x")
canvas = tk.Canvas(root, background="white"); canvas.pack(fill="both", expand=True)
def press(event):
    if len(canvas.find_all()) > 200: canvas.delete("all")
    canvas.create_oval(event.x - 15, event.y - 15, event.x + 15, event.y + 15, fill="red")
    if len(entry.get()) > 500: entry.delete(0, "end")
canvas.bind("<ButtonPress>", press)
entry.focus_force()
root.mainloop()
"""


@contextmanager
def screen(size: str = "1280x720") -> Iterator[str]:
    """Start a screen with a Tk program that fills it; yield the display's name; end both."""
    reading, writing = os.pipe()
    running = [
        subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"],
            pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    ]  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as pipe:
        name = f":{pipe.readline().strip()}"
    environ = {**os.environ, "DISPLAY": name, "LC_ALL": "C.UTF-8"}
    try:
        for command in (["openbox"], [sys.executable, "-c", PANEL]):
            running.append(subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        subprocess.run(["xdotool", "search", "--sync", "--onlyvisible", "--name", "^panel$"], env=environ, timeout=30,
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        yield name
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(10)
