"""The desktop as an environment: screenshots by `capture`, input by `hands`, the stop chord by `watcher`."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from showonce.actions import Action, Ask, Done, Open, Wait, points, to_pixel
from showonce.environments.desktop.backends import open_hands
from showonce.environments.desktop.capture import Camera, Pixels, Shot, within
from showonce.environments.desktop.facts import facts_of, front_of
from showonce.environments.desktop.hands import Hands, Point, checked, perform
from showonce.environments.desktop.launch import Program, command_for
from showonce.environments.desktop.record import DesktopSource
from showonce.environments.desktop.settings import DesktopSettings
from showonce.environments.desktop.settle import Patience, Settled, settle
from showonce.environments.desktop.system import System, detect
from showonce.environments.desktop.undo import DesktopBefore, close_windows, delete_files
from showonce.environments.desktop.watcher import Latch, Watcher
from showonce.environments.desktop.windows_x11 import Place, X11Windows
from showonce.environments.settings import EnvironmentSettings
from showonce.errors import BadInput, ConfigError, EnvironmentBroken, ShowonceError
from showonce.protocols import Capabilities, Interrupt
from showonce.secrets import NOWHERE, Places
from showonce.types import Executed, Field, Observation, Outcome, Region, ScreenFacts, Task

SEED: Final = "SHOWONCE_SEED"  # environment variables that programs and the verifier get
FOLDER: Final = "SHOWONCE_FOLDER"
LOST: Final = 10  # exit code of a verifier: the task cannot succeed any more
VERIFY_SECONDS: Final = 10.0
HELD_SECONDS: Final = 0.5  # how long to wait until a person lets go of a modifier
NAP: Final = 0.02  # seconds between two checks of the stop while waiting


class Desktop:
    """The screen of this machine, or an X display of its own.

    A task's `start` is an application, a file, or a program with arguments. Every reset starts it (except with
    ``reset: none``), the next one ends it. Programs and the verifier get two environment variables: SHOWONCE_SEED, the
    episode's seed, and SHOWONCE_FOLDER, a folder that each reset empties.

    Raises:
        ConfigError, BadInput: a setting out of its range, see `DesktopSettings`.
    """

    Settings: ClassVar[type[EnvironmentSettings]] = DesktopSettings
    name = "desktop"

    def __init__(self, settings: DesktopSettings | None = None) -> None:
        self.settings = own = settings or DesktopSettings()
        self.capabilities = Capabilities(True, False, verifiable=bool(own.verifier), side_effects=True, parallel=False)
        self.display, self._patience = own.display, Patience(own.quiet, own.first, own.cap)
        self.watcher = Watcher(own.stop_chord, own.display)
        self._system: System | None = None
        self._hands: Hands | None = None
        self._windows: X11Windows | None = None
        self._camera: Camera | None = None
        self._programs: list[Program] = []
        self._excluded: list[int | Place] = []
        self._latch: Interrupt | None = None
        self._seen: tuple[int, int, float] = (0, 0, 1.0)  # width, height in pixels and scale of the last observation
        self._seed: int | None = None
        self._before: DesktopBefore | None = None  # windows and files when the last action began
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._closed = False

    # ---- the protocol

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        """End what the last episode started, start the task's program, wait for its window.

        Raises:
            Stopped: a person has pressed stop. Unavailable: no display, Wayland, a missing package or permission.
            BadInput: the window, monitor, region or the program of `start` is not there.
            EnvironmentBroken: it was closed, or the program showed no window.
        """
        if self._closed:
            raise EnvironmentBroken("the desktop environment was closed; make a new one.")
        self._begin()
        self.watcher.check()
        if task.reset == "none" and self._camera is not None:
            return self.observe()
        self._end_programs()
        self._close_camera()
        self._seed, self._before = seed, None
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="showonce-")
        for left in self._own_folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if task.start.strip():
            self._start(task.start)
        self._camera = self._new_camera(self._windows)
        if self._camera.window and self._windows is not None:
            self._windows.activate(self._camera.window)
        settle(lambda: self._shoot().pixels, self._shoot().pixels, self._patience, self._pause(None))
        return self.observe()

    def observe(self) -> Observation:
        """Return the screen as it is. Raises EnvironmentBroken when it, or the window, is gone or has another size."""
        shot = self._shoot()
        height, width = shot.pixels.shape
        self._seen = (width, height, shot.scale)
        return Observation(shot.image(), scale=shot.scale)

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        """Do one action and wait until the screen rests. Returns it with the pixels of the frame that it hit.

        Raises:
            Stopped: by `interrupt` or by the stop chord; everything that was pressed is released.
            BadInput: the stop chord, a character that cannot be typed, a place under a window of our own, a window
                that changed its size since it was looked at, nothing to open. Nothing was done.
            EnvironmentBroken: the window is closed, or the display or the listener failed.
        """
        camera = self._opened()
        if interrupt is not self._latch:
            self._latch = interrupt
            if isinstance(interrupt, Latch):
                interrupt.watch(self.watcher)
        self._check(interrupt)
        self.watcher.refuse(action)
        if isinstance(action, (Done, Ask)):
            return Executed(action, "nothing to do on the screen")
        if isinstance(action, Wait):
            self._wait(action.seconds, interrupt)
            return Executed(action, "waited")
        place, covered = camera.place(), self.covered()

        def look() -> Pixels:
            return camera.shoot(covered, place).pixels

        before, made = look(), DesktopBefore.of(self._windows, self._own_folder)
        pixels: tuple[Point, ...] = ()
        detail = ""
        if isinstance(action, Open):
            detail = f"{self._launch(command_for(action.target, self._environ()), interrupt)}; "
        else:
            pixels = self._touch(action, place, covered, interrupt)
        self._before = made
        settled = settle(look, before, self._patience, self._pause(interrupt))
        return Executed(action, detail + _say(settled), pixels)

    def undo(self, interrupt: Interrupt) -> str:
        """Close the windows that the last action opened; else delete the files that it made in the episode's folder.

        All that appeared since the action began counts as its doing, except windows of showonce. Returns what was
        closed or deleted, "" for nothing. Raises as `execute` does.
        """
        camera = self._opened()
        self._check(interrupt)
        if self._before is None:
            return ""
        place, covered = camera.place(), self.covered()
        screen, told = camera.shoot(covered, place).pixels, ""
        if self._windows is not None:
            told = close_windows(self._before, self._windows, self._own_windows(), self._pause(interrupt))
        told = told or delete_files(self._before, self._own_folder)
        if told:
            settle(lambda: camera.shoot(covered, place).pixels, screen, self._patience, self._pause(interrupt))
        return told

    def verify(self) -> Outcome:
        """Run the verifier command. Raises EnvironmentBroken when it cannot be run."""
        self._opened()
        if not self.settings.verifier:
            return Outcome(None, "world", "this desktop has no verifier")
        try:
            done = subprocess.run(
                self.settings.verifier, shell=True, env=self._environ(), stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=VERIFY_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise EnvironmentBroken(
                f"the verifier {self.settings.verifier!r} did not end within {VERIFY_SECONDS:g} s."
            ) from None
        said = (done.stdout.strip() or done.stderr.strip()).rpartition("\n")[2]
        if done.returncode in (126, 127):  # exit codes of a shell that cannot run or find the command
            raise EnvironmentBroken(f"the verifier {self.settings.verifier!r} cannot be run: {said}")
        evidence = said or f"the verifier ended with {done.returncode}"
        lost = done.returncode == LOST
        return Outcome(True if done.returncode == 0 else False if lost else None, "world", evidence, hopeless=lost)

    def close(self) -> None:
        """Release all keys, end the programs that were started, close the connections; twice is fine."""
        self._closed = True
        self.watcher.close()
        if not self.settings.keep_open:
            self._end_programs()
        self._close_camera()
        if self._folder is not None:
            self._folder.cleanup()
        self._part()

    def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
        """Return title and application of the window that an action goes to, for the safety rules; X11 only."""
        place = self._opened().place()
        if self._windows is None:
            return ScreenFacts()
        width, height, scale = self._seen
        pixels = [(to_pixel(x, width), to_pixel(y, height)) for x, y in at]
        there = [(place[0] + int((x + 0.5) / scale), place[1] + int((y + 0.5) / scale)) for x, y in pixels]
        return facts_of(self._windows, there, place)

    def focused_field(self, secrets: Places = NOWHERE) -> Field:
        """Return whose the window with the keyboard is; which of its fields has the focus is not known."""
        self._opened()
        return Field("", front_of(self._windows), None)

    def secret_regions(self, secrets: Places = NOWHERE) -> list[Region]:
        """Return the regions that were marked; others are not known."""
        self._opened()
        return list(secrets.regions)

    # ---- windows of our own

    def exclude(self, *places: int | Place) -> None:
        """Paint these over in all later frames and refuse actions on them; replaces what was excluded before.

        places: X window ids, or (left, top, width, height) in units of the pointer. Windows of this process are always
        excluded.
        """
        self._excluded = [*places]

    def covered(self) -> list[Place]:
        """Return the places that are painted over, in units of the pointer."""
        covered = [place for place in self._excluded if not isinstance(place, int)]
        for window in self._own_windows():
            place = self._windows.place(window) if self._windows is not None else None
            if place is not None:
                covered.append(place)
        return covered

    def _own_windows(self) -> set[int]:
        mine = [] if self._windows is None else self._windows.of_process(os.getpid())
        return {*mine, *(each for each in self._excluded if isinstance(each, int))}

    # ---- parts

    def _begin(self) -> None:
        """Connect to the display, unless there is a connection that still works."""
        if self._hands is not None:
            try:
                self._hands.held()
                if self._windows is not None:
                    self._windows.size()
                return
            except EnvironmentBroken:
                self._part()
        self._system = detect(self.display)
        self.watcher.start()
        if self._system == "x11":
            self._windows = X11Windows(self.display)
        self._hands = open_hands(self._system, self.display)

    def _part(self) -> None:
        """Close the connections, also broken ones."""
        for part in (self._hands, self._windows):
            if part is not None:
                with contextlib.suppress(EnvironmentBroken):
                    part.close()
        self._hands = self._windows = None

    def watch(self, own: Sequence[str] = (), secrets: Places = NOWHERE) -> DesktopSource:
        """Watch a person on the screen. own: chords of the recorder; programs receive them all the same.

        secrets: regions only, see `DesktopSource`.
        """
        self._opened()
        if secrets.selectors:
            raise ConfigError(f"record.secrets: css:{secrets.selectors[0]} needs a page; a desktop takes region:.")
        return DesktopSource(self, own, secrets.regions)

    def second_camera(self) -> tuple[Camera, X11Windows | None]:
        """Open a camera on the same place, and a connection of its own, for another thread; the caller closes both."""
        windows = None if self._windows is None else X11Windows(self.display)
        try:
            return self._new_camera(windows), windows
        except ShowonceError:
            if windows is not None:
                windows.close()
            raise

    def _new_camera(self, windows: X11Windows | None) -> Camera:
        assert self._system is not None
        return Camera(
            self._system,
            self.display,
            self.settings.monitor,
            self.settings.window,
            self.settings.region or None,
            windows,
        )

    def _opened(self) -> Camera:
        if self._closed:
            raise EnvironmentBroken("the desktop environment was closed; make a new one.")
        if self._camera is None:
            raise EnvironmentBroken("the desktop environment has no task yet; call reset(task, seed) first.")
        return self._camera

    @property
    def _own_folder(self) -> Path:
        assert self._folder is not None, "a reset makes it"
        return Path(self._folder.name)

    def _shoot(self) -> Shot:
        return self._opened().shoot(self.covered())

    def _check(self, interrupt: Interrupt | None) -> None:
        if interrupt is not None:
            interrupt.check()
        self.watcher.check()

    def _pause(self, interrupt: Interrupt | None) -> Callable[[float], None]:
        def pause(seconds: float) -> None:
            self._check(interrupt)
            time.sleep(seconds)

        return pause

    def _wait(self, seconds: float, interrupt: Interrupt | None) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check(interrupt)
            time.sleep(min(left, NAP))

    # ---- acting

    def _touch(self, action: Action, place: Place, covered: Sequence[Place], interrupt: Interrupt) -> tuple[Point, ...]:
        """Send the input of an action; return the pixels of the frame that it hit."""
        assert self._hands is not None
        pixels, at = self._aim(action, place, covered)
        self._wait_for_free_hands(interrupt)
        step = _Step(self._hands, self.watcher, lambda: self._check(interrupt))
        with checked(self._hands, step) as hands:
            perform(hands, action, at, self._pause(interrupt))
        step()
        return pixels

    def _aim(
        self, action: Action, place: Place, covered: Sequence[Place]
    ) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
        """Return an action's places in pixels of the last observation, and in units of the pointer."""
        assert self._camera is not None
        width, height, scale = self._seen
        if max(abs(place[2] * scale - width), abs(place[3] * scale - height)) >= 1:
            now = f"{place[2] * scale:.0f}x{place[3] * scale:.0f}"
            raise BadInput(f"the window is {now} now, the frame was {width}x{height}: look again first.")
        pixels, at = [], []
        for x, y in points(action):
            column, row = to_pixel(x, width), to_pixel(y, height)
            point = (place[0] + int((column + 0.5) / scale), place[1] + int((row + 0.5) / scale))
            if not within(point, self._camera.whole):
                raise BadInput(f"the place {x:.3f}, {y:.3f} of the window lies outside of the screen.")
            if any(within(point, each) for each in covered):
                raise BadInput(f"the place {x:.3f}, {y:.3f} is under a window of showonce's own.")
            pixels.append((column, row))
            at.append(point)
        return tuple(pixels), tuple(at)

    def _wait_for_free_hands(self, interrupt: Interrupt) -> None:
        """Wait until a person lets go of the modifiers: with one held, our input would mean something else."""
        assert self._hands is not None
        end = time.monotonic() + HELD_SECONDS
        while held := self._hands.held():
            if time.monotonic() >= end:
                raise BadInput(f"{' and '.join(held)} is held down at the keyboard; let go of it first.")
            self._check(interrupt)
            time.sleep(NAP)

    def _environ(self) -> dict[str, str]:
        seed = {} if self._seed is None else {SEED: str(self._seed)}
        folder = {} if self._folder is None else {FOLDER: self._folder.name}
        return {**os.environ, **({"DISPLAY": self.display} if self.display else {}), **seed, **folder}

    def _start(self, start: str) -> None:
        """Start the task's program. Raises BadInput: there is none. EnvironmentBroken: it shows no window."""
        command = command_for(start, self._environ(), arguments=True)
        try:
            said = self._launch(command, None)
        except BadInput as problem:
            raise EnvironmentBroken(f"start={start!r}: {problem}") from None
        if self.settings.window and self._windows is not None and not self._windows.find(self.settings.window):
            raise EnvironmentBroken(f"start={start!r}: {said}, and no window called {self.settings.window!r}.")

    def _launch(self, command: list[str], interrupt: Interrupt | None) -> str:
        """Start a program and wait for its first window; return a sentence about the outcome."""
        known = set() if self._windows is None else set(self._windows.all())
        program = Program(command, self._environ())
        self._programs.append(program)
        end = time.monotonic() + self.settings.open_seconds
        while time.monotonic() < end:
            if self._windows is not None and self._shown(known):
                return f"{program.name} shows a window"
            if program.ended not in (None, 0):
                raise BadInput(f"{program.name} ended with {program.ended}: {program.said() or 'no word'}")
            if self._windows is None:
                return f"{program.name} was started"
            self._check(interrupt)
            time.sleep(NAP)
        return f"{program.name} was started and showed no window within {self.settings.open_seconds:g} s"

    def _shown(self, known: set[int]) -> bool:
        assert self._windows is not None
        new = [window for window in self._windows.all() if window not in known and self._windows.place(window)]
        if not self.settings.window or self._camera is not None:
            return bool(new)
        return bool({*new} & {*self._windows.find(self.settings.window)})

    def _end_programs(self) -> None:
        for program in self._programs:
            program.end()
        self._programs.clear()

    def _close_camera(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None


class _Step:
    """Called before every primitive input: waits until the listener has seen the one before it, then checks the stop.

    The listener gets events in the order in which they happened. So a stop chord that was pressed before our last
    primitive is known now, however busy the machine is: at most one primitive follows a press.
    """

    def __init__(self, hands: Hands, watcher: Watcher, check: Callable[[], None]) -> None:
        self._hands, self._watcher, self._check = hands, watcher, check
        self._seen, self._sent, self._others = watcher.seen, hands.sent, hands.others

    def __call__(self) -> None:
        if self._hands.sent > self._sent:
            self._watcher.heard(self._seen)
        elif self._hands.others > self._others:
            self._watcher.caught_up(self._seen)
        self._check()
        self._seen, self._sent, self._others = self._watcher.seen, self._hands.sent, self._hands.others


def _say(settled: Settled) -> str:
    if not settled.quiet:
        return f"still changing after {settled.seconds:.1f} s"
    return f"settled after {settled.seconds * 1000:.0f} ms" if settled.changed else "nothing changed"
