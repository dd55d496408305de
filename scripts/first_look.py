"""Film docs/first_look.gif: a chore shown once, its contact sheet, a run, the chore for somebody else.

    python scripts/first_look.py [--out docs/first_look.gif] [--frames FOLDER]

Everything in the picture is real: an X screen of its own (Xvfb, openbox), a terminal (xterm) in which xdotool types the
commands, the browser window that showonce opens, and the customer database of the demo site, answered by a real server.
Added are the line below the picture and the pointer, which a screenshot lacks; the contact sheet is shown as its file.
Times are those of the clock, divided by the speed of each scene; a picture that stands longer is shortened.

Needs Xvfb, openbox, xdotool, xterm, a Chromium, the extras browser and desktop, and the DejaVu fonts. It takes about
three minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont, ImageGrab

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.xscreen import Screen, until, x_screen

from showonce.environments.browser.executable import find_browser
from showonce.environments.browser.site.crm import Answer, Crm
from showonce.environments.browser.site.server import Server
from showonce.errors import ShowonceError

ROOT: Final = Path(__file__).resolve().parents[1]
SIZE: Final = (960, 760)  # of the X screen
BAND: Final = 40  # height of the caption below it
MOST_BYTES: Final = 3_000_000
COLOURS: Final = (96, 64, 48, 32, 24, 16)  # tried in this order until the file is small enough
SHORTEST: Final = 0.08  # seconds that a picture is shown at least; pictures that were there for less are left out
TOOLS: Final = ("Xvfb", "openbox", "xdotool", "xterm", "xprop")
FONT: Final = "DejaVu Sans Mono"
TASK: Final = """\
goal: Open a ticket for Grace Hopper
environment:
  name: browser
  settings: {{width: 936, height: 430, headless: false}}
start: {0}/crm/customers
success: {{kind: text, value: for Grace Hopper}}
"""
# Tells the server where the visible things of the page are on the screen.
TELL: Final = """<script>setInterval(() => {
  const x = screenX + (outerWidth - innerWidth) / 2, y = screenY + outerHeight - innerHeight, things = [];
  for (const e of document.querySelectorAll('a, button, input, .suggestions div')) {
    const r = e.getBoundingClientRect();
    if (r.width && r.bottom < innerHeight)
      things.push([e.name || e.innerText.trim(), x + r.left + r.width / 2, y + r.top + r.height / 2]);
  }
  fetch('/crm/click', {method: 'POST', body: JSON.stringify({page: PAGE, things, focus: document.hasFocus()})});
}, 150)</script>"""


# --------------------------------------------------------------------------------------------------------- the pictures


@dataclass(frozen=True)
class Scene:
    """A part of the film. speed: how many times faster than it was. longest: seconds that one picture is shown.

    hold: seconds that the last picture is shown.
    """

    caption: str
    speed: float = 1.0
    longest: float = 1.0
    hold: float = 1.5


@dataclass(frozen=True)
class Shot:
    """A picture, packed, and the second at which it was there first."""

    at: float
    scene: Scene
    size: tuple[int, int]
    pixels: bytes

    @property
    def image(self) -> Image.Image:
        return Image.frombytes("RGB", self.size, zlib.decompress(self.pixels))


def shot(at: float, scene: Scene, image: Image.Image) -> Shot:
    """Pack a picture."""
    return Shot(at, scene, image.size, zlib.compress(image.convert("RGB").tobytes(), 1))


def cut(shots: Sequence[Shot]) -> list[tuple[Shot, int]]:
    """Return the pictures to show, each with its milliseconds."""
    kept: list[tuple[Shot, float]] = []
    left = 0.0  # seconds of pictures that were there too shortly to be shown
    for number, one in enumerate(shots):
        after = shots[number + 1] if number + 1 < len(shots) else None
        if after is None or after.scene is not one.scene:
            kept.append((one, one.scene.hold))
            left = 0.0
            continue
        left += (after.at - one.at) / one.scene.speed
        if left >= SHORTEST:
            kept.append((one, min(left, one.scene.longest)))
            left = 0.0
    return [(one, max(10, round(seconds * 100) * 10)) for one, seconds in kept]  # GIF counts hundredths of a second


def captioned(image: Image.Image, caption: str) -> Image.Image:
    """Return the picture with a line of text below it."""
    whole = Image.new("RGB", (image.width, image.height + BAND), "#22303c")
    whole.paste(image)
    font = ImageFont.truetype("DejaVuSans.ttf", 17)
    ImageDraw.Draw(whole).text((14, image.height + BAND / 2), caption, "#ffffff", font, anchor="lm")
    return whole


def write_gif(frames: Sequence[tuple[Image.Image, int]], path: Path, most: int = MOST_BYTES) -> int:
    """Write pictures with their milliseconds as a GIF of at most `most` bytes; return how many colours it has.

    All of them have one palette, so that only what changed from one to the next is stored. With fewer colours a file is
    smaller: `COLOURS` are tried one after the other. Raises ValueError if the last of them is too large still.
    """
    some = [image for image, _ in frames[:: max(1, len(frames) // 24)]]
    width, height = frames[0][0].size
    sheet = Image.new("RGB", (width, height * len(some)))
    for number, image in enumerate(some):
        sheet.paste(image, (0, height * number))
    for colours in COLOURS:
        palette = sheet.quantize(colours, Image.Quantize.MEDIANCUT)
        flat = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image, _ in frames]
        flat[0].save(path, save_all=True, append_images=flat[1:], duration=[ms for _, ms in frames], loop=0, disposal=1)
        if path.stat().st_size <= most:
            return colours
    size = path.stat().st_size
    path.unlink()
    raise ValueError(f"{path}: {size} bytes with {COLOURS[-1]} colours are more than {most}.")


# ------------------------------------------------------------------------------------------------------------ the stage


@dataclass
class Camera:
    """Takes a picture of the screen whenever it has changed, in a thread of its own."""

    screen: Screen
    scene: Scene = field(default_factory=lambda: Scene(""))
    shots: list[Shot] = field(default_factory=list)
    pointer: tuple[float, float] | None = None
    on: bool = False

    def picture(self) -> Image.Image:
        image = ImageGrab.grab(xdisplay=self.screen.name).convert("RGB")
        if self.pointer is not None:
            x, y = self.pointer
            outline = [(0, 0), (0, 21), (5, 16), (9, 24), (12, 22), (9, 15), (16, 15)]
            ImageDraw.Draw(image).polygon([(x + a, y + b) for a, b in outline], "#000000", "#ffffff", 2)
        return image

    def run(self, ended: threading.Event) -> None:
        last: tuple[Scene, bytes] | None = None
        while not ended.wait(0.06 * max(1.0, self.scene.speed / 2)):
            if not self.on:
                continue
            at, scene, image = time.monotonic(), self.scene, self.picture()
            if (new := (scene, image.tobytes())) != last:
                self.shots.append(shot(at, scene, image))
                last = new

    @contextmanager
    def films(self, scene: Scene) -> Iterator[None]:
        """Film what happens meanwhile as a scene."""
        self.scene, self.on = scene, True
        yield
        self.shots.append(shot(time.monotonic(), scene, self.picture()))
        self.on = False


class Office(Crm):
    """The customer database with somebody signed in; while `watched`, its pages tell where their things are."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = False
        self.seen: dict[str, Any] = {}

    def get(self, path: str, query: dict[str, str], user: str, token: str, drift: frozenset[str]) -> Answer:
        answer = super().get(path, query, user or "clerk", token, drift)
        if not self.watched or answer.kind != "text/html" or not answer.body:
            return answer
        return Answer(answer.body + TELL, answer.status, answer.location, answer.kind, answer.user)

    def post(self, path: str, fields: dict[str, str], user: str, token: str, drift: frozenset[str]) -> Answer:
        return super().post(path, fields, user or "clerk", token, drift)

    def pressed(self, click: dict[str, Any]) -> None:
        if "things" in click:
            self.seen = click
        else:
            super().pressed(click)

    def where(self, name: str) -> tuple[float, float] | None:
        """Return the place on the screen of the first thing of this name."""
        return next(((x, y) for text, x, y in self.seen.get("things", ()) if text == name), None)


class Person:
    """Types into the terminal and uses the browser, by xdotool."""

    def __init__(self, screen: Screen, camera: Camera, office: Office, folder: Path) -> None:
        self.screen, self.camera, self.office, self.folder = screen, camera, office, folder
        self.codes = folder / "codes"  # the exit code of each command, a line each
        self.codes.touch()

    def terminal(self, title: str, rows: int, y: int, size: int) -> None:
        """Open a terminal as wide as the screen."""
        columns = {10: 118, 11: 105}[size]
        looks = [
            "-fa",
            FONT,
            "-fs",
            str(size),
            "-bg",
            "#10161c",
            "-fg",
            "#e6e9ec",
            "-cr",
            "#7fd1ae",
            "-xrm",
            "*internalBorder: 4",
        ]
        prompt = f"export PS1='\\[\\e[1;32m\\]$\\[\\e[0m\\] ' PROMPT_COMMAND='echo $? >> {self.codes}'"
        (self.folder / "rc").write_text(f"cd {self.folder / 'chores'}\n{prompt}\nhistory -c\n")
        self.screen.start(
            "xterm", "-T", title, "-geometry", f"{columns}x{rows}+0+{y}", *looks, "+sb",
            "-e", "bash", "--noprofile", "--rcfile", str(self.folder / "rc"), window=title,
        )  # fmt: skip
        self.front(title)
        time.sleep(1.0)

    def front(self, title: str) -> None:
        self.screen.xdotool("windowactivate", "--sync", self.screen.find(title))

    def ran(self) -> list[str]:
        return self.codes.read_text().split()

    def type(self, text: str, enter: bool = True) -> None:
        self.screen.xdotool("type", "--delay", "45", text)
        time.sleep(0.4)
        if enter:
            self.screen.xdotool("key", "Return")

    def command(self, text: str) -> int:
        """Type a command; return how many had ended before."""
        before = len(self.ran())
        self.type(text)
        return before

    def ended(self, before: int, seconds: float = 120) -> None:
        """Wait for the command that was typed when `before` had ended; it must have ended well."""
        until(lambda: len(self.ran()) > before, seconds, "the end of a command")
        if (code := self.ran()[-1]) != "0":
            self.camera.picture().save(failed := Path(tempfile.gettempdir()) / "first_look_failed.png")
            raise ShowonceError(f"A command of the film ended with {code}; the screen then is {failed}.")

    def click(self, name: str) -> None:
        """Move the pointer to a thing of the page and click on it."""
        until(lambda: self.office.where(name), 20, name)
        time.sleep(0.3)
        place = self.office.where(name)
        assert place is not None
        from_x, from_y = self.camera.pointer or (SIZE[0] / 2, SIZE[1] / 2)
        for part in range(1, 7):
            x, y = (old + (new - old) * part / 6 for old, new in zip((from_x, from_y), place, strict=True))
            self.screen.xdotool("mousemove", str(int(x)), str(int(y)))
            self.camera.pointer = (x, y)
            time.sleep(0.05)
        self.screen.xdotool("click", "1")
        time.sleep(0.4)


# ------------------------------------------------------------------------------------------------------------- the film

SHOW: Final = Scene("1  Show a chore once: record it in a browser, while you simply do it.", 1.6, 0.7, 0.4)
NAME: Final = Scene("2  Say what changes from one time to the next: here the customer.", 2.0, 0.8, 1.5)
SHEET: Final = Scene("3  The contact sheet: what was recorded, step by step.", hold=2.2)
RUN: Final = Scene("4  Another way: a model learns a task from one demonstration (sped up).", 12.0, 0.4, 2.2)
DO: Final = Scene("5  Do the chore for another customer: once, checked, and never sent twice.", 1.3, 0.7, 3.5)


def film(folder: Path) -> list[Shot]:
    """Play all scenes on a screen; return their pictures."""
    chores, tools = folder / "chores", folder / "bin"
    chores.mkdir()
    tools.mkdir()
    shutil.copytree(ROOT / "configs", chores / "configs")
    (tools / "showonce").write_text(f'#!/bin/sh\nexec {sys.executable} -m showonce "$@"\n')
    (tools / "showonce").chmod(0o755)
    office = Office()
    server = Server(crm=office)
    (chores / "ticket.yaml").write_text(TASK.format(server.address))
    ended = threading.Event()
    with x_screen(f"{SIZE[0]}x{SIZE[1]}") as screen:
        path = f"{tools}:{screen.environ['PATH']}"
        screen.environ |= {
            "PATH": path,
            "PYTHONPATH": str(ROOT / "src"),
            "TERM": "xterm-256color",
            "HF_HUB_OFFLINE": "1",
        }
        _colour_root(screen)
        screen.xdotool("mousemove", str(SIZE[0] - 1), str(SIZE[1] - 1))
        camera = Camera(screen)
        person = Person(screen, camera, office, folder)
        thread = threading.Thread(target=camera.run, args=(ended,), daemon=True)
        thread.start()
        try:
            person.terminal("chores", 10, 540, 11)
            _record(camera, person, office)
            sheet = next(chores.glob("logs/*/episodes/*/contact_sheet.png"))
            camera.shots.append(shot(time.monotonic(), SHEET, fitted(Image.open(sheet).convert("RGB"))))
            _run(camera, person)
            _do(camera, person, office)
        finally:
            ended.set()
            thread.join(10)
            server.shutdown()
            server.server_close()
    return camera.shots


def _colour_root(screen: Screen) -> None:
    from Xlib.display import Display

    display = Display(screen.name)
    root = display.screen().root
    root.change_attributes(background_pixel=0x5B6F80)
    root.clear_area()
    display.sync()
    display.close()


def fitted(image: Image.Image) -> Image.Image:
    """Return a picture of the screen's size with this one in its middle, made smaller where it has to be."""
    image.thumbnail(SIZE, Image.Resampling.LANCZOS)
    whole = Image.new("RGB", SIZE, "#ffffff")
    whole.paste(image, ((SIZE[0] - image.width) // 2, (SIZE[1] - image.height) // 2))
    return whole


def _record(camera: Camera, person: Person, office: Office) -> None:
    office.watched = True
    with camera.films(SHOW):
        person.type("cat ticket.yaml")
        time.sleep(1.5)
        before = person.command("showonce record task=ticket.yaml")
        until(lambda: office.seen.get("focus"), 60, "the window of the recorder")
        time.sleep(1.5)
        camera.pointer = (SIZE[0] / 2, 400.0)
        person.click("q")
        person.type("Grace Hopper", enter=False)
        person.click("Grace Hopper")
        person.click("Search")
        until(lambda: office.seen["page"] == "results", 20, "what was found")
        person.click("Grace Hopper")
        person.click("New ticket")
        person.click("subject")
        person.type("Yearly visit", enter=False)
        person.click("Create ticket")
        until(lambda: office.seen["page"].startswith("ticket"), 20, "the ticket")
        time.sleep(1.0)
        person.screen.xdotool("key", "ctrl+F10")
        camera.pointer = None
        time.sleep(2.0)
    office.watched = False
    with camera.films(NAME):
        person.front("chores")
        time.sleep(1.0)
        person.type("y")
        time.sleep(1.5)
        person.type("find_a_customer=parameter find_a_customer:customer")
        person.ended(before)
        time.sleep(1.0)


def _run(camera: Camera, person: Person) -> None:
    person.terminal("demo", 43, 0, 10)
    with camera.films(RUN):
        before = person.command("showonce run --config configs/demo.yaml")
        person.ended(before, 400)
        time.sleep(1.0)
    person.type("exit")
    until(lambda: not person.screen.find("demo"), 10, "the end of the terminal")


def _do(camera: Camera, person: Person, office: Office) -> None:
    person.front("chores")
    person.type("clear")
    time.sleep(1.0)
    with camera.films(DO):
        before = person.command('showonce do ticket.yaml customer="Alan Turing"')
        person.ended(before)
        time.sleep(1.0)
    if [ticket["customer"] for ticket in office.tickets] != ["1003", "1005"]:
        raise ShowonceError(f"Not one ticket for each of the two customers: {json.dumps(office.tickets)}")


def lacking() -> list[str]:
    """Return the tools that are not here."""
    return [name for name in TOOLS if shutil.which(name) is None]


def main() -> int:
    """Film it; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "first_look.gif")
    parser.add_argument("--frames", type=Path, help="a folder for every picture as PNG, too")
    given = parser.parse_args()
    if missing := lacking():
        print(
            f"No {', '.join(missing)} here. On Debian: apt-get install xvfb openbox xdotool xterm x11-utils",
            file=sys.stderr,
        )
        return 3
    try:
        find_browser(headless=False)
        with tempfile.TemporaryDirectory() as folder:
            shots = film(Path(folder))
    except ShowonceError as error:
        print(error, file=sys.stderr)
        return 3
    frames = [(captioned(one.image, one.scene.caption), ms) for one, ms in cut(shots)]
    if given.frames:
        given.frames.mkdir(parents=True, exist_ok=True)
        for number, (image, _) in enumerate(frames):
            image.save(given.frames / f"{number:04d}.png")
    colours = write_gif(frames, given.out)
    seconds = sum(ms for _, ms in frames) / 1000
    print(f"{given.out}: {len(frames)} pictures, {seconds:.0f} s, {given.out.stat().st_size} bytes, {colours} colours")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
