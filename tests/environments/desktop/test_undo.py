"""What came of the desktop's last action is taken back, and nothing else. Real windows in Xvfb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.environments.desktop.conftest import Program
from tests.xscreen import Screen, until, x_screen

from showonce.actions import Click, Open, Wait, from_pixel
from showonce.environments.contract import Presses
from showonce.environments.desktop.environment import Desktop
from showonce.environments.desktop.example import TITLE
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.desktop.windows_x11 import X11Windows
from showonce.errors import BadInput, Stopped
from showonce.protocols import Undoable
from showonce.runtime.stop import Stop
from showonce.types import Task

Desk = Callable[..., Desktop]
TASK = Task("desktop/undo", "do it", "desktop")
EXAMPLE = Task("desktop/example", "do it", "desktop", start="python -m showonce.environments.desktop.example")
# A click opens another window of the program and leaves a file half written, and so does every further click.
MAKER = """
import os, pathlib, tkinter
root = tkinter.Tk()
root.title("maker")
root.geometry("300x200+100+100")
folder, made = pathlib.Path(os.environ["SHOWONCE_FOLDER"]), []
(folder / "own.txt").write_text("from the start")
def click(event):
    if event.widget is not root:
        return
    made.append(tkinter.Toplevel(root))
    made[-1].title(f"stray {len(made)}")
    made[-1].geometry("200x100+600+400")
    (folder / f"half {len(made)}.txt").write_text("ha")
root.bind("<Button-1>", click)
root.mainloop()
"""


@pytest.fixture
def maker(desk: Desk, tmp_path: Path) -> Iterator[Desktop]:
    script = tmp_path / "maker.py"
    script.write_text(MAKER)
    desktop = desk()
    desktop.reset(Task("desktop/maker", "click", "desktop", start=f"python {script}"))
    yield desktop


def click(desktop: Desktop, screen: Screen, n: int) -> None:
    """Click on the maker, and wait for what comes of it."""
    desktop.execute(Click(from_pixel(200, 1280), from_pixel(200, 720)), Stop())
    until(lambda: screen.find(f"stray {n}"))


def folder_of(desktop: Desktop) -> Path:
    return Path(desktop._environ()["SHOWONCE_FOLDER"])


def test_before_anything_was_done_there_is_nothing_to_take_back(desk: Desk, program: Program, screen: Screen) -> None:
    desktop = desk()
    desktop.reset(TASK)
    assert isinstance(desktop, Undoable)
    assert desktop.undo(Stop()) == ""
    desktop.execute(Click(0.25, 0.5), Stop())
    assert desktop.undo(Stop()) == "" and screen.find("panel")


def test_first_the_window_then_the_file_that_the_last_action_made(maker: Desktop, screen: Screen) -> None:
    click(maker, screen, 1)
    folder = folder_of(maker)
    maker.execute(Wait(0.0), Stop())
    assert maker.undo(Stop()) == "closed the window 'stray 1'"
    assert not screen.find("stray 1") and screen.find("maker")
    assert maker.undo(Stop()) == "deleted the file 'half 1.txt'"
    assert [path.name for path in folder.iterdir()] == ["own.txt"]
    assert maker.undo(Stop()) == ""


def test_what_an_earlier_action_made_stays(maker: Desktop, screen: Screen) -> None:
    click(maker, screen, 1)
    click(maker, screen, 2)
    assert maker.undo(Stop()) == "closed the window 'stray 2'"
    assert maker.undo(Stop()) == "deleted the file 'half 2.txt'"
    assert maker.undo(Stop()) == "" and screen.find("stray 1")
    assert sorted(path.name for path in folder_of(maker).iterdir()) == ["half 1.txt", "own.txt"]


def test_a_program_that_was_opened_is_closed_and_the_task_stays(desk: Desk, screen: Screen) -> None:
    desktop = desk(window=TITLE)
    desktop.reset(EXAMPLE)
    outcome = (folder_of(desktop) / "outcome").read_text()
    assert "shows a window" in desktop.execute(Open("xterm"), Stop()).detail
    with pytest.raises(BadInput):  # nothing was done, so what the action before it did can still be taken back
        desktop.execute(Open("no-such-thing"), Stop())
    assert desktop.undo(Stop()).startswith("closed the window ")
    assert screen.find(TITLE) and (folder_of(desktop) / "outcome").read_text() == outcome


def test_the_stop_is_asked_and_windows_of_our_own_stay(maker: Desktop, screen: Screen) -> None:
    click(maker, screen, 1)
    with pytest.raises(Stopped):
        maker.undo(Presses(after=0))
    assert screen.find("stray 1")
    windows = X11Windows(screen.name)
    maker.exclude(windows.find("stray 1")[0])
    windows.close()
    assert maker.undo(Stop()) == "deleted the file 'half 1.txt'" and screen.find("stray 1")


def test_without_a_window_manager_the_window_itself_is_asked(tmp_path: Path) -> None:
    with x_screen(manager=False) as bare:
        desktop = Desktop(DesktopSettings(display=bare.name, first=0.1))
        try:
            script = tmp_path / "maker.py"
            script.write_text(MAKER)
            desktop.reset(Task("desktop/maker", "click", "desktop", start=f"python {script}"))
            click(desktop, bare, 1)
            assert desktop.undo(Stop()) == "closed the window 'stray 1'"
            assert not bare.find("stray 1") and bare.find("maker")
        finally:
            desktop.close()
