"""Write small files of other projects with those projects' own code; the tests import them.

    python scripts/foreign_files.py openadapt tests/data/foreign       # openadapt-ml, openadapt-capture
    python scripts/foreign_files.py lerobot tests/data/foreign         # lerobot
    python scripts/foreign_files.py agentnet tests/data/foreign DIR    # DIR: data/data-process of xlang-ai/OpenCUA

Run it in an environment of its own that has the packages; none of them is needed here. tests/data/foreign/README.md
says which versions wrote what is there.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 40, 30


def picture(number: int, scale: int = 1) -> Image.Image:
    """Return a drawn screen: a red box that moves from one number to the next."""
    image = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), (240, 240, 240))
    ImageDraw.Draw(image).rectangle(
        [number % 8 * 4 * scale, 8 * scale, (number % 8 * 4 + 6) * scale, 14 * scale], "red"
    )
    return image


def agentnet(folder: Path, process: Path) -> None:
    """Raw events -> code by `build_actions` of raw_to_standardized.py, in the layout of OpenCUA's raw_example.jsonl."""
    sys.path.insert(0, str(process))
    build_actions = importlib.import_module("src.raw_to_standardized").build_actions

    wheel = [{"x": 4, "y": 6, "dx": 0, "dy": -1}, {"x": 4, "y": 6, "dx": 1, "dy": -2}]
    events = [
        *("Single left click at (12, 15)", "Double left click at (12, 15)", "Triple left click at (12, 15)"),
        *("Single right click at (30, 6)", "Type: lamp$enter$", "Press: $ctrl$ + c", "Press: $shift$ + a"),
        *("Press: $enter$", "Drag from (4, 3) to (30, 21)", "Scroll", "terminate"),
    ]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    steps = []
    for number, event in enumerate(events):
        actions = build_actions("episode", number, event, [WIDTH, HEIGHT], wheel if event == "Scroll" else None)
        code = "\n".join(action.to_command() for action in actions)
        picture(number).save(folder / "images" / f"{number}.png", optimize=True)
        steps.append({"index": number, "image": f"{number}.png", "value": {"code": code}})
    line = {"task_id": "task_example_0", "instruction": "tidy the board", "traj": steps}
    (folder / "example.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", "utf-8")


class _Hand:
    """Writes what a person does into the tables of a capture, as openadapt-capture's recorder stores it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.time = 1000.0

    def __call__(self, name: str, wait: float = 0.05, **more: Any) -> None:
        self.time += wait
        self.rows.append({"name": name, "timestamp": self.time, "recording_timestamp": 1000.0, **more})

    def click(self, x: float, y: float, wait: float = 1.0) -> None:
        for pressed in (True, False):
            self("click", wait, mouse_x=x, mouse_y=y, mouse_button_name="left", mouse_pressed=pressed)
            wait = 0.05

    def key(self, name: str, down: bool, wait: float = 0.05) -> None:
        kind = "char" if len(name) == 1 else "name"
        self("press" if down else "release", wait, **{f"key_{kind}": name, f"canonical_key_{kind}": name})

    def tap(self, *names: str) -> None:
        self.time += 1.0
        for name in names:
            self.key(name, True)
        for name in reversed(names):
            self.key(name, False)


def _person() -> list[dict[str, Any]]:
    do = _Hand()
    do.click(20, 15)
    do.click(10, 6)
    do.click(10, 6, wait=0.1)  # a double click
    do("click", 1.0, mouse_x=4, mouse_y=3, mouse_button_name="left", mouse_pressed=True)
    for x, y in ((10, 9), (20, 15), (30, 21)):
        do("move", mouse_x=x, mouse_y=y)
    do("click", mouse_x=30, mouse_y=21, mouse_button_name="left", mouse_pressed=False)
    for _ in range(12):
        do("scroll", mouse_x=20, mouse_y=15, mouse_dx=0, mouse_dy=-1)  # -1: towards the person, as button 5 of X11
    do.tap("ctrl", "s")
    do.tap("page_down")
    do.tap("a")
    do.time += 1.0
    do.key("ctrl_l", True)
    do.click(36, 27)
    do.key("ctrl_l", False)
    return do.rows


def openadapt(folder: Path) -> None:
    """capture.json: `capture_to_episode` on a capture that holds a person's events; waa.json: a converter's."""
    from openadapt_capture.capture import CaptureSession  # type: ignore[import-not-found]
    from openadapt_capture.db import create_db  # type: ignore[import-not-found]
    from openadapt_capture.db.models import ActionEvent, Recording  # type: ignore[import-not-found]
    from openadapt_ml.ingest.capture import capture_to_episode  # type: ignore[import-not-found]
    from openadapt_ml.schema import Action, Episode, Observation, Step, save_episode  # type: ignore[import-not-found]
    from openadapt_ml.schema.converters import from_waa_trajectory  # type: ignore[import-not-found]

    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as made:
        _, session = create_db(str(Path(made) / "recording.db"))
        session = session()
        recording = Recording(
            timestamp=1000.0, monitor_width=WIDTH, monitor_height=HEIGHT, task_description="tidy the board",
            platform="linux", double_click_interval_seconds=0.5, double_click_distance_pixels=5,
        )  # fmt: skip
        session.add(recording)
        session.commit()
        for ordinal, row in enumerate(_person(), 1):
            session.add(ActionEvent(recording_id=recording.id, source_ordinal=ordinal, **row))
        session.commit()
        session.close()
        CaptureSession.get_frame_at = lambda self, time, tolerance=0.5: picture(int(time))  # instead of a video
        episode = capture_to_episode(made, folder / "screenshots", episode_id="capture")
    for step in episode.steps:  # its paths are those of this machine
        step.observation.screenshot_path = f"screenshots/{Path(step.observation.screenshot_path).name}"
    save_episode(episode, folder / "capture.json")
    acts = ["pyautogui.click(20, 15)", "pyautogui.moveTo(4, 3)", "pyautogui.dragTo(30, 21)", "pyautogui.scroll(-10)"]
    acts += ["pyautogui.write('lamp')", "pyautogui.hotkey('ctrl', 's')", "pyautogui.press('pgdn')", "DONE"]
    trajectory = [{"screenshot_path": "screenshots/capture_step_0.png", "action": text} for text in acts]
    save_episode(from_waa_trajectory(trajectory, {"id": "t1", "instruction": "tidy the board"}), folder / "waa.json")
    picture(0, 2).save(folder / "screenshots" / "retina.png", optimize=True)
    seen = Observation(screenshot_path="screenshots/retina.png", screen_size=(WIDTH, HEIGHT))
    places = Action(type="click", coordinates={"x": 20, "y": 15}, modifiers=["ctrl"])
    steps = [Step(step_index=0, observation=seen, action=places, reward=1.0, duration_ms=80)]
    save_episode(Episode(episode_id="retina", instruction="tidy the board", steps=steps), folder / "retina.json")


def lerobot(folder: Path) -> None:
    """A data set that `LeRobotDataset` wrote, in the features of our export and two of others."""
    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset  # type: ignore[import-not-found]

    text = {"dtype": "string", "shape": (1,), "names": None}
    shape = {"shape": (HEIGHT, WIDTH, 3), "names": ["height", "width", "channels"]}
    features = {
        "observation.images.screen": {"dtype": "image", **shape},
        "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action_json": text, "note": text,
    }  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    made = LeRobotDataset.create("local/screens", fps=1, features=features, root=folder, use_videos=False)
    done = {"action": "done", "answer": ""}
    episodes: list[tuple[str, list[dict[str, Any]]]] = [
        ("tidy the board", [{"action": "click", "x": 0.25, "y": 0.5, "held": "ctrl"}, done]),
        ("select the line", [{"action": "triple_click", "x": 0.5, "y": 0.5}, done]),
    ]
    for number, (task, acts) in enumerate(episodes):
        for at, action in enumerate(acts):
            place = np.array([action.get("x", 0), action.get("y", 0)], np.float32)
            made.add_frame({
                "observation.images.screen": np.asarray(picture(number * 2 + at)), "action": place,
                "observation.state": place, "action_json": json.dumps(action), "note": f"note {at}", "task": task,
            })  # fmt: skip
        made.save_episode()
    made.finalize()
    shutil.rmtree(folder / "images", ignore_errors=True)


if __name__ == "__main__":
    kind, root = sys.argv[1], Path(sys.argv[2])
    make: dict[str, Callable[..., None]] = {"agentnet": agentnet, "openadapt": openadapt, "lerobot": lerobot}
    make[kind](root / kind, *map(Path, sys.argv[3:]))
