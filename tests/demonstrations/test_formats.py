from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from showonce.actions import (
    EXAMPLES,
    Action,
    Click,
    Done,
    DoubleClick,
    Drag,
    Key,
    Open,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
    from_pixel,
)
from showonce.demonstrations import latest_demonstration, load_demonstration, save_demonstration
from showonce.demonstrations.formats import FORMATS, Imported, export_episodes, import_file
from showonce.demonstrations.formats.pyautogui import NoVerb, from_code, to_code
from showonce.errors import BadInput, DemonstrationError, Unavailable
from showonce.types import Demonstration, Frame, Lost, Observation

try:
    import pyarrow

    HAVE_ARROW = bool(pyarrow)
except ImportError:
    HAVE_ARROW = False
arrow = pytest.mark.skipif(not HAVE_ARROW, reason="pyarrow is not installed (showonce[export])")
ALL = [pytest.param(name, marks=arrow if name == "lerobot" else ()) for name in FORMATS]
WIDTH, HEIGHT = 40, 30
STEPS = len(EXAMPLES)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def episode(folder: Path, actions: tuple[Action, ...] = EXAMPLES, goal: str = "do it", source: str = "person") -> Path:
    frames = tuple(Frame(Observation(picture(i)), action, f"note {i}") for i, action in enumerate(actions))
    return save_demonstration(Demonstration(f"user/{folder.name}", goal, frames, source), folder)


def same(one: Path, other: Path) -> None:
    a, b = load_demonstration(one), load_demonstration(other)
    assert (a.task_id, a.goal, a.source) == (b.task_id, b.goal, b.source)
    assert [f.action for f in a.frames] == [f.action for f in b.frames]
    assert [f.note for f in a.frames] == [f.note for f in b.frames]
    for x, y in zip(a.frames, b.frames, strict=True):
        assert np.array_equal(x.observation.image, y.observation.image)


@pytest.mark.parametrize("form", ALL)
def test_what_is_exported_comes_back_exactly(tmp_path: Path, form: str) -> None:
    odd = (
        *(Key("+"), Key("ctrl+shift+s"), Scroll(0.1, 0.9, -2, 3), Open("https://x.y/")),
        *(Click(0.1, 0.2, "ctrl+shift"), TripleClick(0.1, 0.2, "alt"), Scroll(0.1, 0.9, 0, 3, "meta")),
        *(Drag(0.1, 0.2, 0.3, 0.4, "shift"), DoubleClick(0.1, 0.2, "ctrl"), RightClick(0.1, 0.2, "alt")),
    )
    paths = [episode(tmp_path / "a", goal="grüße 你好"), episode(tmp_path / "b", odd, source="oracle")]
    written = export_episodes(paths, form, tmp_path / "out")
    found = import_file(written, form, tmp_path / "in")
    assert not found.left_out and len(found.paths) == 2
    for path, back in zip(paths, found.paths, strict=True):
        same(path, back)
    assert latest_demonstration(tmp_path / "in", "user/a") == found.paths[0]
    assert {p.name for p in (tmp_path / "in").iterdir()} == {p.name for p in found.paths}


@pytest.mark.parametrize("form", ALL)
def test_an_incomplete_episode_stays_one(tmp_path: Path, form: str) -> None:
    frame = Frame(Observation(picture(1)), Click(0.5, 0.5))
    lost = (Lost(0, "a file dialog"), Lost(1, "a drag in ünicode"))
    path = save_demonstration(Demonstration("user/a", "do it", (frame,), lost=lost), tmp_path / "a")
    found = import_file(export_episodes([path], form, tmp_path / "out"), form, tmp_path / "in")
    assert load_demonstration(found.paths[0]).lost == lost


@pytest.mark.parametrize("form", ALL)
def test_two_imports_into_one_place_stay_apart(tmp_path: Path, form: str) -> None:
    written = export_episodes([episode(tmp_path / "a")], form, tmp_path / "out")
    names = [import_file(written, form, tmp_path / "in").paths[0].name for _ in range(2)]
    assert names == ["00000-record-user-a", "00001-record-user-a"]


@pytest.mark.parametrize("form", ALL)
def test_an_export_overwrites_nothing(tmp_path: Path, form: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DemonstrationError, match="is there already"):
        export_episodes([episode(tmp_path / "a")], form, tmp_path / "out")
    with pytest.raises(DemonstrationError, match="not an episode folder"):
        export_episodes([tmp_path], form, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Did you mean 'agentnet'"):
        import_file(tmp_path, "agent_net", tmp_path)
    with pytest.raises(DemonstrationError, match="not there"):
        import_file(tmp_path / "no.jsonl", "agentnet", tmp_path)


def test_parquet_without_pyarrow_names_the_extra(python: Any) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from showonce.demonstrations.formats import find_format\nfind_format('lerobot')"
    )
    assert "pip install 'showonce[export]'" in python("-c", code).stderr
    assert issubclass(Unavailable, Exception)


# AgentNet ------------------------------------------------------------------------------------------------------------


def agentnet(folder: Path, *codes: str, **more: Any) -> Path:
    """Write a file as the data set has it: one trajectory a code, with its scores and thoughts."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(1)).save(images / "a.png")
    lines = []
    for number, code in enumerate(codes):
        value = {"observation": "...", "thought": "...", "action": "do", "code": code, "last_step_correct": True}
        lines.append({
            "task_id": f"2024_{number}", "instruction": "sort the table", "task_completed": True, "alignment_score": 7,
            "traj": [{"index": 0, "image": "a.png", "value": value}], **more,
        })  # fmt: skip
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("pyautogui.click(x=0.1632, y=0.2711)", Click(0.1632, 0.2711)),
        ("pyautogui.click(0.1, 0.2, button='right')", RightClick(0.1, 0.2)),
        ("pyautogui.click(x=0.1, y=0.2, clicks=2)", DoubleClick(0.1, 0.2)),
        ("pyautogui.moveTo(x=0.1, y=0.2)\npyautogui.dragTo(x=0.3, y=0.4, button='left')", Drag(0.1, 0.2, 0.3, 0.4)),
        ("computer.tripleClick(x=0.1, y=0.2)", TripleClick(0.1, 0.2)),
        ("computer.triple_click(0.1, 0.2)", TripleClick(0.1, 0.2)),
        ("pyautogui.tripleClick(x=0.1, y=0.2)", TripleClick(0.1, 0.2)),
        ("pyautogui.click(x=0.1, y=0.2, clicks=3)", TripleClick(0.1, 0.2)),
        ("pyautogui.keyDown('ctrl')\npyautogui.click(0.1, 0.2)\npyautogui.keyUp('ctrl')", Click(0.1, 0.2, "ctrl")),
        (
            "pyautogui.keyDown('shift')\npyautogui.keyDown('ctrlleft')\npyautogui.moveTo(0.1, 0.2)\n"
            "pyautogui.dragTo(0.3, 0.4)\npyautogui.keyUp('ctrlleft')\npyautogui.keyUp('shift')",
            Drag(0.1, 0.2, 0.3, 0.4, "ctrl+shift"),
        ),
        ("with pyautogui.hold(['ctrl', 'alt']):\n    pyautogui.scroll(2, 0, 1)", Scroll(0, 1, -2, 0, "ctrl+alt")),
        ("with pyautogui.hold('command'):\n    pyautogui.rightClick(0.1, 0.2)", RightClick(0.1, 0.2, "meta")),
        ("pyautogui.write(message='lamp')\npyautogui.press(keys=['enter'])", Type("lamp\n")),
        ("pyautogui.scroll(-5)", Scroll(0.5, 0.5, 5)),
        ("pyautogui.moveTo(x=0.1, y=0.2)\npyautogui.hscroll(4)", Scroll(0.1, 0.2, 0, 4)),
        ("pyautogui.write(message='it\\'s \"so\"')", Type("it's \"so\"")),
        ("pyautogui.hotkey(['ctrl', 'C'])", Key("ctrl+c")),
        ("pyautogui.hotkey('command', 'shift', 'esc')", Key("shift+meta+escape")),
        ("pyautogui.press('pgdn')", Key("pagedown")),
        ("computer.wait()", Wait(1.0)),
        ("computer.terminate(status='success')", Done()),
    ],
)  # fmt: skip
def test_the_code_of_agentnet_is_read(tmp_path: Path, code: str, action: Action) -> None:
    (path,) = import_file(agentnet(tmp_path, code), "agentnet", tmp_path / "in").paths
    demonstration = load_demonstration(path)
    assert demonstration.frames[0].action == action
    assert (demonstration.task_id, demonstration.goal) == ("agentnet/2024_0", "sort the table")
    assert demonstration.frames[0].note == "do"


@settings(deadline=None)
@given(st.sampled_from(EXAMPLES), st.floats(0, 1), st.text(max_size=20))
def test_code_says_exactly_what_is_meant(action: Action, x: float, text: str) -> None:
    changed = {Click: Click(x, 1 - x), Type: Type(text), Done: Done(text)}.get(type(action), action)
    assert from_code(to_code(changed)) == changed


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"(pyautogui|computer)\.[a-zA-Z]{1,8}\([x=y0-9.,' -]{0,12}\)"))
def test_any_text_is_read_or_refused(code: str) -> None:
    try:
        assert from_code(code).verb
    except (ValueError, TypeError, NoVerb, BadInput):
        return


@pytest.mark.parametrize(
    "code", ["__import__('os').system('touch /tmp/never')", "pyautogui.write(open('/etc/passwd').read())", "1 + 1"]
)
def test_foreign_code_is_never_run(tmp_path: Path, code: str) -> None:
    with pytest.raises(DemonstrationError, match="line 1"):
        import_file(agentnet(tmp_path, code), "agentnet", tmp_path / "in")
    assert not Path("/tmp/never").exists()


def test_what_has_no_verb_is_left_out_and_told(tmp_path: Path) -> None:
    file = agentnet(
        tmp_path,
        "pyautogui.click(0.1, 0.2)",
        "pyautogui.middleClick(x=0.1, y=0.2)",
        "computer.terminate(status='failure')",
        "pyautogui.keyDown('a')\npyautogui.click(0.1, 0.2)\npyautogui.keyUp('a')",
        "pyautogui.keyDown('ctrl')\npyautogui.click(0.1, 0.2)",
        "pyautogui.keyDown('ctrl')\npyautogui.write(message='a')\npyautogui.keyUp('ctrl')",
        "pyautogui.click(0.1, 0.2, clicks=4)",
        "pyautogui.moveTo(0.1, 0.2)\npyautogui.dragTo(0.3, 0.4, button='right')",
        "pyautogui.press(keys=['ctrl', 'a'])",
    )
    found = import_file(file, "agentnet", tmp_path / "in")
    assert len(found.paths) == 1
    wheres = [left.where.rpartition("data.jsonl ")[2] for left in found.left_out]
    assert wheres == [f"line {number}, step 0" for number in range(2, 10)]
    said = [left.reason for left in found.left_out]
    assert "the key a held during another action" in said[2] and "['ctrl'] are pressed and [] let go" in said[3]
    assert "ctrl held during type" in said[4] and "4 clicks of the left button" in said[5]
    assert "the right button" in said[6] and "not one chord" in said[7]
    assert "middleClick has no verb" in found.left_out[0].reason


def _line(*steps: Any) -> str:
    return json.dumps({"task_id": "x", "instruction": "y", "traj": list(steps)})


BROKEN_LINES = {
    "not json": '{"task_id": "x", ',
    "no trajectory": '{"task_id": "x", "instruction": "y"}',
    "empty trajectory": _line(),
    "a list": "[1, 2]",
    "no picture": _line({"image": "no.png", "value": {"code": "computer.wait()"}}),
    "not code": _line({"image": "a.png", "value": {"code": "click there"}}),
    "outside": _line({"image": "a.png", "value": {"code": "pyautogui.click(3, 4)"}}),
    "no value": _line({"image": "a.png"}),
}


@pytest.mark.parametrize("broken", BROKEN_LINES)
def test_a_malformed_line_is_named_and_nothing_is_imported(tmp_path: Path, broken: str) -> None:
    file = agentnet(tmp_path, "pyautogui.click(0.1, 0.2)", "computer.wait()")
    file.write_text(file.read_text() + BROKEN_LINES[broken] + "\n")
    with pytest.raises(DemonstrationError, match=r"data\.jsonl line 3.*Nothing was imported"):
        import_file(file, "agentnet", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    file = agentnet(tmp_path, "computer.wait()")
    Image.fromarray(picture(2)[:20]).save(tmp_path / "images" / "b.png")
    line = json.loads(file.read_text())
    line["traj"].append({**line["traj"][0], "image": "b.png"})
    file.write_text(json.dumps(line))
    with pytest.raises(DemonstrationError, match=r"line 1.*several sizes"):
        import_file(file, "agentnet", tmp_path / "in")


# OpenAdapt -----------------------------------------------------------------------------------------------------------


def openadapt(folder: Path, *actions: dict[str, Any], **more: Any) -> Path:
    """Write an episode as openadapt-ml's own `Episode.to_json` does."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(1)).save(folder / "step_0.png")
    steps = [
        {"step_index": i, "observation": {"screenshot_path": "step_0.png", "a11y_tree": None}, "action": action}
        for i, action in enumerate(actions)
    ]
    data = {"schema_version": "1.0.0", "episode_id": "demo_001", "instruction": "open it", "steps": steps, **more}
    file = folder / "episode.json"
    file.write_text(json.dumps(data, indent=2))
    return file


@pytest.mark.parametrize(
    ("data", "action"),
    [
        ({"type": "click", "coordinates": {"x": 12, "y": 29}}, Click(from_pixel(12, WIDTH), from_pixel(29, HEIGHT))),
        ({"type": "click", "normalized_coordinates": [0.5, 0.375], "coordinates": {"x": 1, "y": 1}}, Click(0.5, 0.375)),
        ({"type": "drag", "normalized_start": [0, 0], "normalized_end": [1, 1]}, Drag(0, 0, 1, 1)),
        ({"type": "scroll", "scroll_direction": "up", "scroll_amount": 300}, Scroll(0.5, 0.5, -3)),
        ({"type": "type", "text": "hi"}, Type("hi")),
        ({"type": "hotkey", "key": "s", "modifiers": ["ctrl"]}, Key("ctrl+s")),
        ({"type": "goto", "url": "https://a.b"}, Open("https://a.b")),
        ({"type": "wait", "duration": 2.5}, Wait(2.5)),
        ({"type": "done"}, Done()),
    ],
)
def test_an_episode_of_openadapt_is_read(tmp_path: Path, data: dict[str, Any], action: Action) -> None:
    (path,) = import_file(openadapt(tmp_path, data), "openadapt", tmp_path / "in").paths
    assert load_demonstration(path).frames[0].action == action


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"type": "click", "coordinates": {"x": 40, "y": 1}}, "outside of its picture"),
        ({"type": "type"}, "lacks 'text'"),
        ({"type": "key", "key": "hyper"}, "unknown key"),
        ({}, "lacks 'type'"),
        ({"type": "scroll", "scroll_direction": "in"}, "'in' is not known"),
    ],
)
def test_a_malformed_step_is_named_with_its_line(tmp_path: Path, data: dict[str, Any], said: str) -> None:
    file = openadapt(tmp_path, {"type": "done"}, data)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if '"step_index": 1' in text) - 1
    with pytest.raises(DemonstrationError, match=rf"episode\.json line {line}, steps\[1\]: .*{said}"):
        import_file(file, "openadapt", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"schema_version": "2.0.0"}, "schema_version"),
        ({"steps": []}, "must not be empty"),
        ({"instruction": ""}, "empty"),
    ],
)
def test_another_schema_is_refused(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(DemonstrationError, match=said):
        import_file(openadapt(tmp_path, {"type": "done"}, **more), "openadapt", tmp_path / "in")


def test_an_action_on_an_element_is_left_out(tmp_path: Path) -> None:
    file = openadapt(tmp_path, {"type": "click", "element": {"role": "button", "name": "OK"}})
    with pytest.raises(DemonstrationError, match=r"no demonstration that can be used here.*without a place"):
        import_file(file, "openadapt", tmp_path / "in")


# LeRobot -------------------------------------------------------------------------------------------------------------


@arrow
def test_the_tables_are_those_of_the_format(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    root = export_episodes([episode(tmp_path / "a"), episode(tmp_path / "b", goal="x")], "lerobot", tmp_path / "out")
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"]) == ("v3.0", 2, 2 * STEPS)
    assert info["showonce"]["verbs"].index("triple_click") == 12  # after those of older files
    assert info["features"]["action"]["shape"] == [len(info["features"]["action"]["names"])] == [9]
    table = pq.read_table(root / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(table.schema.names) == set(info["features"])
    assert table["index"].to_pylist() == list(range(2 * STEPS))
    assert table["task_index"].to_pylist() == [0] * STEPS + [1] * STEPS
    assert [v[0] for v in table["action"].to_pylist()[:STEPS]] == [0, 1, 12, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    hub = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert hub["observation.images.screen"] == {"_type": "Image"}
    episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(e["dataset_from_index"], e["dataset_to_index"], e["length"]) for e in episodes] == [
        (0, STEPS, STEPS),
        (STEPS, 2 * STEPS, STEPS),
    ]
    assert pq.read_table(root / "meta/tasks.parquet").to_pydict() == {"task_index": [0, 1], "task": ["do it", "x"]}


def _cut(root: Path) -> None:
    file = root / "data/chunk-000/file-000.parquet"
    file.write_bytes(file.read_bytes()[:-300])


def _old(root: Path) -> None:
    file = root / "meta/info.json"
    file.write_text(file.read_text().replace("v3.0", "v2.1"))


def _robot(root: Path) -> None:
    file = root / "meta/info.json"
    file.write_text(file.read_text().replace('"action_json"', '"gripper"'))


@arrow
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_cut, "cannot be read"),
        (_old, "codebase_version v2.1"),
        (_robot, "not those of a screen"),
        (lambda root: shutil.rmtree(root / "data/chunk-000"), f"0 rows are there of {STEPS}"),
        (lambda root: (root / "meta/info.json").unlink(), "no LeRobot data set"),
    ],
)
def test_a_damaged_data_set_imports_nothing(tmp_path: Path, harm: Any, said: str) -> None:
    root = export_episodes([episode(tmp_path / "a")], "lerobot", tmp_path / "out")
    harm(root)
    with pytest.raises(DemonstrationError, match=said):
        import_file(root, "lerobot", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@arrow
def test_frames_of_several_sizes_make_no_data_set(tmp_path: Path) -> None:
    small = save_demonstration(
        Demonstration("user/s", "g", (Frame(Observation(picture(1)[:20]), Done()),)), tmp_path / "small"
    )
    with pytest.raises(DemonstrationError, match="several sizes"):
        export_episodes([episode(tmp_path / "a"), small], "lerobot", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_an_import_says(tmp_path: Path) -> None:
    found = import_file(agentnet(tmp_path, "computer.wait()"), "agentnet", tmp_path / "in")
    assert isinstance(found, Imported) and found.left_out == ()
