"""What came of the browser's last action is taken back, and nothing else. Real Chromium."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import BUTTON, GO, LOG, Seat, needs_browser

from showonce.actions import Key, Move, Open, Wait
from showonce.environments.contract import Presses
from showonce.errors import BadInput, Stopped
from showonce.protocols import Undoable

pytestmark = needs_browser
OTHER_SITE = "http://site.showonce/index.html"


def taken_back(seat: Seat) -> str:
    """Look, as the loop does before it recovers, and undo."""
    seat.environment.observe()
    return seat.environment.undo(GO)


def test_before_anything_was_done_there_is_nothing_to_take_back(seat: Seat) -> None:
    seat.show("<p>still")
    assert isinstance(seat.environment, Undoable)
    assert seat.environment.undo(GO) == ""
    seat.click(5, 5)
    assert taken_back(seat) == "" and "still" in seat.text


def test_a_dialog_is_dismissed(seat: Seat) -> None:
    seat.show(BUTTON.format("say('said ' + confirm('sure?'))") + LOG)
    seat.click(30, 30)
    assert taken_back(seat) == "dismissed the dialog 'sure?'"
    assert "said false" in seat.text
    assert seat.environment.undo(GO) == ""


def test_the_stop_is_asked_before_anything_is_taken_back(seat: Seat) -> None:
    seat.show(BUTTON.format("say('said ' + confirm('sure?'))") + LOG)
    seat.click(30, 30)
    with pytest.raises(Stopped):
        seat.environment.undo(Presses(after=0))
    assert "sure?" in seat.text
    seat.environment.undo(GO)


def test_the_windows_that_the_last_action_opened_are_closed(seat: Seat) -> None:
    (seat.folder / "other.html").write_text("<title>o</title><p>the other page")
    seat.show(BUTTON.format("window.open('other.html'); window.open('other.html')") + "<p>first page")
    seat.click(30, 30)
    assert "the other page" in seat.text
    seat.do(Wait(0.0))  # touches nothing
    told = taken_back(seat)
    assert told.startswith("closed the tabs ") and told.count("other.html") == 2
    assert "first page" in seat.text
    assert taken_back(seat) == ""


def test_a_window_of_an_earlier_action_stays(seat: Seat) -> None:
    (seat.folder / "other.html").write_text("<p>the other page")
    seat.show(BUTTON.format("window.open('other.html')") + "<p>first page")
    seat.click(30, 30)
    seat.environment.observe()
    seat.do(Move(0.5, 0.5))
    assert taken_back(seat) == "" and "the other page" in seat.text
    seat.do(Key("ctrl+w"))
    assert "first page" in seat.text


def test_a_refused_action_does_not_hide_what_the_one_before_it_did(seat: Seat) -> None:
    (seat.folder / "other.html").write_text("<p>the other page")
    seat.show(BUTTON.format("window.open('other.html')") + "<p>first page")
    seat.click(30, 30)
    seat.environment.observe()
    with pytest.raises(BadInput):
        seat.do(Open("site:lgin"))
    assert "closed the tab" in taken_back(seat) and "first page" in seat.text


def test_a_download_that_was_just_made_is_deleted_and_an_earlier_one_stays(seat: Seat) -> None:
    link = "<a download=got.txt href='data:text/plain,hi' style='position:absolute;left:0;top:0;font-size:40px'>get</a>"
    down = seat.folder / "down"
    seat.show(link, downloads=str(down))
    for _ in range(2):
        seat.click(20, 20)
        seat.environment.observe()
    assert sorted(p.name for p in down.iterdir()) == ["got (1).txt", "got.txt"]
    assert taken_back(seat) == "deleted the download 'got (1).txt'"
    assert [p.name for p in down.iterdir()] == ["got.txt"]
    assert taken_back(seat) == ""


class _Slow(http.server.BaseHTTPRequestHandler):
    """Serves a file that never ends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
        self.wfile.flush()
        self.server.ended.wait(20)  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def slow() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        server.ended = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/big.bin"
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()


def test_a_half_written_download_is_cancelled(seat: Seat, slow: str) -> None:
    down = seat.folder / "down"
    link = f"<a href='{slow}' style='position:absolute;left:0;top:0;font-size:40px'>get</a>"
    seat.show(link, downloads=str(down), settle=0.3)
    seat.click(20, 20)
    assert taken_back(seat) == "deleted the download 'big.bin'"
    assert not _files(down)
    seat.click(20, 20)
    assert taken_back(seat) == "deleted the download 'big.bin'", "its name is free again"


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_another_site_is_left_and_another_page_is_not(seat: Seat) -> None:
    (seat.folder / "next.html").write_text(
        f"<p>second page<a href='{OTHER_SITE}' style='position:absolute;left:0;top:60px;font-size:40px'>away</a>"
    )
    seat.show("<a href=next.html style='position:absolute;left:0;top:0;font-size:40px'>go</a>")
    seat.click(20, 20)
    assert taken_back(seat) == "" and "second page" in seat.text
    seat.click(20, 80)
    assert seat.environment.observe() and seat.environment.url == OTHER_SITE
    assert taken_back(seat) == "went back from http://site.showonce"
    assert "second page" in seat.text
