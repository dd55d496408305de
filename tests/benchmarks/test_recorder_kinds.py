"""A flow of all kinds of acts, recorded and replayed by the real commands in a window of their own browser."""

from __future__ import annotations

import http.server
import json
import queue
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import needs_browser
from tests.xscreen import Screen, until, x_screen

from benchmarks.recorder_kinds import COLUMNS, KINDS, ROWS, Cell, XHand, page_of

FLOW = (
    "triple click on a line then typing", "double click on a word then typing", "ctrl+click on list entries",
    "menu that a script opens", "menu in a menu", "paste of lines", "backspace over a word", "drag and drop",
    "ctrl+wheel", "frame without scripts", "document written anew", "closed shadow root",
)  # fmt: skip

BRIDGE = """<script>
(async () => {
  for (;;) {
    const question = await (await fetch('/ask')).text();
    let answer = null;
    try { answer = (0, eval)(question); } catch (e) {}
    await fetch('/answer', {method: 'POST', body: JSON.stringify(answer === undefined ? null : answer)});
  }
})();
setInterval(() => fetch('/state', {method: 'POST', body: JSON.stringify(told())}), 150);
</script>"""


class Server(http.server.ThreadingHTTPServer):
    """Serves one page, evaluates JavaScript expressions in it, and keeps the states that it reports."""

    daemon_threads = True

    def __init__(self, page: str) -> None:
        self.page, self.states = page, list[Any]()
        self.questions: queue.Queue[str] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def ask(self, expression: str) -> Any:
        self.questions.put(expression)
        return self.answers.get(timeout=20)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path == "/ask":
            self._say("text/plain", self.server.questions.get())
        else:
            self._say("text/html; charset=utf-8", self.server.page)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/answer":
            self.server.answers.put(body)
        else:
            self.server.states.append(body)
        self._say("text/plain", "")

    def _say(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def screen() -> Iterator[Screen]:
    with x_screen("1400x900") as found:
        yield found


@needs_browser
def test_a_flow_of_twenty_steps_ends_in_the_same_state(tmp_path: Path, screen: Screen) -> None:
    kinds = [kind for kind in KINDS if kind.name in FLOW]
    assert len(kinds) == len(FLOW) == COLUMNS * ROWS
    rng = random.Random(7)
    server = Server(page_of(kinds, rng) + BRIDGE)
    task = tmp_path / "flow.yaml"
    task.write_text(
        f"goal: do it\nenvironment: {{name: browser, settings: {{headless: false}}}}\n"
        f"start: http://127.0.0.1:{server.server_port}/\nsuccess: none\nlimits: {{max_steps: 100}}\n"
    )
    command = [sys.executable, "-m", "showonce", "record", "--yes", f"task={task}", f"output.logs={tmp_path / 'logs'}"]
    recorder = subprocess.Popen(
        command, env=screen.environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []

    def listen() -> None:
        assert recorder.stdout is not None
        lines.extend(line.rstrip() for line in recorder.stdout)  # one at a time, as they come

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        until(lambda: any("Recording." in line for line in lines) or recorder.poll() is not None, 60, "the recorder")
        assert recorder.poll() is None, lines
        hand = XHand(screen, server)
        told: dict[str, list[str]] = {}
        for kind in kinds:
            before = len(lines)
            kind.act(Cell(hand, kind.name), rng)
            time.sleep(0.8)
            told[kind.name] = [line for line in lines[before:] if line.strip() and not re.match(r"\s*\d+\. ", line)]
        shown = server.ask("told()")
        hand.key("ctrl+f10")
        assert recorder.wait(40) == 0, lines
    finally:
        recorder.kill()
        listener.join(10)
        recorder.wait()
        assert recorder.stdout is not None
        recorder.stdout.close()
    assert any(re.match(r"\s*20\. ", line) for line in lines), lines
    [episode] = [path.parent for path in tmp_path.glob("logs/*/episodes/*/meta.json")]
    server.states.clear()
    # by coordinates: whether the recording holds what was done, not whether fields without a name are told apart
    replay = [
        sys.executable, "-m", "showonce", "replay", "--mode", "coordinates", str(episode), f"task={task}",
        f"output.logs={tmp_path / 'r'}",
    ]  # fmt: skip
    done = subprocess.run(replay, env=screen.environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    again = server.states[-1]
    server.shutdown()
    server.server_close()
    changed = [name for name in shown if shown[name] != again[name] and not told[name]]
    assert changed == [], {name: (shown[name], again[name]) for name in changed} | {"said": done.stdout + done.stderr}
