"""Files that other projects' own code wrote (tests/data/foreign/README.md), imported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.demonstrations.test_formats import agentnet, arrow, episode, openadapt

from showonce.actions import Action, Click, Done, DoubleClick, Drag, Key, Move, RightClick, Scroll, TripleClick, Type
from showonce.demonstrations import load_demonstration
from showonce.demonstrations.formats import export_episodes, import_file
from showonce.errors import DemonstrationError

FOREIGN = Path(__file__).parents[1] / "data" / "foreign"


@pytest.mark.parametrize(
    ("form", "file", "episodes", "ignored"),
    [
        (
            *("agentnet", "agentnet/example.jsonl"),
            [[Click(0.3, 0.5), DoubleClick(0.3, 0.5), TripleClick(0.3, 0.5), RightClick(0.75, 0.2), Type("lamp\n"),
              Key("ctrl+c"), Type("A"), Key("enter"), Drag(0.1, 0.1, 0.75, 0.7), Scroll(0.1, 0.2, 3, 1), Done()]],
            (),
        ),
        (
            *("openadapt", "openadapt/capture.json"),
            [[Click(0.5, 0.5), DoubleClick(0.25, 0.2), Drag(0.1, 0.1, 0.75, 0.7), Scroll(0.5, 0.5, -12),
              Key("ctrl+s"), Key("pagedown"), Type("a"), Click(0.9, 0.9, "ctrl"), Done()]],
            ("action.raw.dy", "created_at", "metadata", "steps.timestamp"),
        ),
        (
            *("openadapt", "openadapt/waa.json"),
            [[Click(20.5 / 40, 15.5 / 30), Move(4.5 / 40, 3.5 / 30), Drag(4.5 / 40, 3.5 / 30, 30.5 / 40, 21.5 / 30),
              Scroll(30.5 / 40, 21.5 / 30, 10), Type("lamp"), Key("ctrl+s"), Key("pagedown"), Done()]],
            ("created_at", "metadata"),
        ),
        ("openadapt", "openadapt/retina.json", [[Click(0.5, 0.5, "ctrl")]],
         ("created_at", "steps.duration_ms", "steps.reward")),
        pytest.param(
            "lerobot", "lerobot", [[Click(0.25, 0.5, "ctrl"), Done()], [TripleClick(0.5, 0.5), Done()]],
            ("features.action", "features.observation.state", "features.timestamp"), marks=arrow,
        ),
    ],
)  # fmt: skip
def test_what_their_own_code_wrote_is_what_was_done(
    tmp_path: Path, form: str, file: str, episodes: list[list[Action]], ignored: tuple[str, ...]
) -> None:
    found = import_file(FOREIGN / file, form, tmp_path)
    assert [[frame.action for frame in load_demonstration(path).frames] for path in found.paths] == episodes
    assert found.left_out == ()
    assert tuple(name.partition(" ")[0] for name in found.ignored) == ignored


# -- what may change the action and has no place here leaves the episode out, by name ----------------------------------

AT: dict[str, Any] = {"type": "click", "normalized_coordinates": [0.5, 0.25]}
BOX = {"x": 10, "y": 6, "width": 8, "height": 2}


@pytest.mark.parametrize(
    ("steps", "actions"),
    [
        ([{**AT, "modifiers": ["shift", "ctrl"]}], [Click(0.5, 0.25, "ctrl+shift")]),
        ([{**AT, "raw": {"button": "right"}}], [RightClick(0.5, 0.25)]),
        ([{"type": "click", "element": {"role": "button", "bounds": BOX}}], [Click(14.5 / 40, 7.5 / 30)]),
        ([{"type": "hover", "normalized_coordinates": [0, 0]}, {"type": "drag", "normalized_end": [1, 1]}],
         [Move(0, 0), Drag(0, 0, 1, 1)]),
        ([{"type": "scroll", "scroll_direction": "left", "scroll_amount": 250}], [Scroll(0.5, 0.5, 0, -3)]),
        ([{"type": "scroll", "scroll_direction": "up", "raw": {"dx": 2.0, "dy": -1.0}}], [Scroll(0.5, 0.5, -1, 2)]),
        ([{"type": "type", "text": "", "raw": {"keys": ["shift", "tab"]}}], [Key("shift+tab")]),
        ([{"type": "type", "text": "Ab", "raw": {"keys": ["shift", "a", "b"]}}], [Type("Ab")]),
        ([{**AT, "raw": {"original": "pyautogui.click(20, 6, button='right')"}}], [RightClick(20.5 / 40, 6.5 / 30)]),
        ([{**AT, "raw": {"original": "pyautogui.click(x, y)"}}], [Click(0.5, 0.25)]),
        ([{"type": "type", "text": "", "raw": {"keys": ["ctrl", "shift_r"]}}, AT, AT, {"type": "type", "text": ""}],
         [Click(0.5, 0.25, "ctrl+shift")] * 2),
    ],
)  # fmt: skip
def test_what_openadapt_says_in_its_own_way(tmp_path: Path, steps: list[Any], actions: list[Action]) -> None:
    (path,) = import_file(openadapt(tmp_path, *steps), "openadapt", tmp_path / "in").paths
    assert [frame.action for frame in load_demonstration(path).frames] == actions


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{**AT, "raw": {"button": "middle"}}], "the middle button"),
        ([{**AT, "raw": {"click_count": 3}}], "raw.click_count=3"),
        ([{**AT, "pressure": 0.5}], "pressure=0.5 of a click"),
        ([{**AT, "text": "hi"}], "text='hi' of a click"),
        ([{"type": "hover", "normalized_coordinates": [0, 0], "modifiers": ["alt"]}], "modifiers .'alt'. held"),
        ([{**AT, "raw": {"original": "pyautogui.click(20, 6, clicks=4)"}}], "4 clicks"),
        ([{"type": "scroll", "scroll_direction": "down", "scroll_amount": 9000}], "more than 50 notches"),
        ([{"type": "drag", "normalized_start": [0, 0], "normalized_end": [1, 1], "raw": {"button": "right"}}], "right"),
        ([{"type": "drag", "normalized_end": [1, 1]}], "without both ends"),
        ([{"type": "type", "text": "ab", "raw": {"keys": ["a", "backspace", "b"]}}], "'backspace'.*within the text"),
        ([{"type": "type", "text": "", "raw": {"keys": ["up", "down"]}}], "not one chord"),
        ([{"type": "type", "text": "", "raw": {"keys": ["ctrl"]}}, {"type": "done"}], "ctrl is held during done"),
        ([{"type": "type", "text": "", "raw": {"keys": ["ctrl"]}}, AT], "ctrl is pressed and not let go"),
        ([{"type": "click_and_type", "text": "a"}], "click_and_type has no verb"),
        ([{"type": "fail"}], "fail has no verb"),
    ],
)  # fmt: skip
def test_openadapt_episodes_that_do_what_no_verb_does(tmp_path: Path, steps: list[Any], said: str) -> None:
    with pytest.raises(DemonstrationError, match=said):
        import_file(openadapt(tmp_path, *steps), "openadapt", tmp_path / "in")


def test_an_episode_that_failed_is_no_demonstration(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="its success is false"):
        import_file(openadapt(tmp_path, AT, success=False), "openadapt", tmp_path / "in")


def test_what_agentnet_says_beside_the_code(tmp_path: Path) -> None:
    file = agentnet(tmp_path, "computer.wait()")
    found = import_file(file, "agentnet", tmp_path / "in")
    assert found.ignored == (
        *("alignment_score", "task_completed", "value.last_step_correct", "value.observation", "value.thought"),
    )
    line = json.loads(file.read_text())
    line["traj"][0]["value"]["held_keys"] = ["ctrl"]
    file.write_text(json.dumps(line))
    with pytest.raises(DemonstrationError, match=r"held_keys=\['ctrl'\] is not known here"):
        import_file(file, "agentnet", tmp_path / "in2")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pyautogui.click(0.1, 0.2, modifiers=['ctrl'])", "modifiers"),
        ("pyautogui.moveTo(0.1, 0.2)\npyautogui.dragTo(0.3, 0.4, mouseDownUp=False)", "mouseDownUp=False"),
        ("pyautogui.click(0.1, 0.2)\npyautogui.press('enter')", r"several actions in one step \(click, press\)"),
    ],
)
def test_code_that_says_more_than_a_verb_can_is_left_out(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(DemonstrationError, match=said):
        import_file(agentnet(tmp_path, code), "agentnet", tmp_path / "in")


@arrow
@pytest.mark.parametrize(
    ("name", "feature", "said"),
    [
        ("observation.images.screen", {"dtype": "video"}, "is stored as video"),
        ("action.held", {"dtype": "string"}, "the feature action.held is not known here and may change"),
    ],
)
def test_lerobot_features_that_are_not_read(tmp_path: Path, name: str, feature: dict[str, Any], said: str) -> None:
    root = shutil.copytree(FOREIGN / "lerobot", tmp_path / "data")
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][name] = feature
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DemonstrationError, match=said):
        import_file(root, "lerobot", tmp_path / "in")


@arrow
def test_a_lerobot_episode_of_several_tasks_is_left_out(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = export_episodes([episode(tmp_path / "a"), episode(tmp_path / "b", goal="x")], "lerobot", tmp_path / "out")
    file = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    tasks = [1, *table["task_index"].to_pylist()[1:]]
    at = table.schema.get_field_index("task_index")
    pq.write_table(table.set_column(at, "task_index", pa.array(tasks, pa.int64())), file)
    found = import_file(root, "lerobot", tmp_path / "in")
    assert len(found.paths) == 1 and "its steps are of 2 tasks" in found.left_out[0].reason
