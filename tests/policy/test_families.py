"""Families: which one a checkpoint has, what its image processor makes of a frame, what a model is told."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tinyfactory import bpe_tokenizer, family_for, frame, save_checkpoint, word_tokenizer
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from showonce.about import shipped
from showonce.actions import Click, Type
from showonce.config import Config, PolicyConfig
from showonce.environments.embedded.language import NUMBERS as WORDS_OF_THE_WORLD
from showonce.errors import ConfigError
from showonce.policy.dialects import Geometry
from showonce.policy.dialects.base import Unit
from showonce.policy.families import FAMILIES, family_of, idefics3, make_family, qwen2_vl
from showonce.policy.families.base import Checkpoint
from showonce.policy.families.chat import ChatFamily
from showonce.policy.families.qwen3_vl import Qwen3VLFamily
from showonce.policy.families.tiny import NUMBERS
from showonce.policy.prompt import draw_action
from showonce.policy.vlm_policy import load_policy
from showonce.protocols import Context, Turn, turns_of
from showonce.types import Demonstration, Frame, Observation

SHOWN = Demonstration(
    "task", "zoka", (Frame(frame(1), Click(0.312, 0.688), "click red circle"), Frame(frame(2), Type("sun"), "type sun"))
)
STUDENT = Context("zoka", 2, turns_of([Click(0.5, 0.5)]))
TEACHER = Context("zoka", 2, turns_of([Click(0.5, 0.5)]), SHOWN)
NOTES = [f.note for f in SHOWN.frames]
KINDS = ("tiny", "idefics3", "smolvlm", "qwen2_5_vl", "qwen3_vl")


def frames_of(prompt: list[str | Observation]) -> list[str]:
    return [p.hash for p in prompt if isinstance(p, Observation)]


def text_of(prompt: list[str | Observation]) -> str:
    return "\n".join(p for p in prompt if isinstance(p, str))


@pytest.fixture(params=["tiny", "qwen3_vl", "smolvlm"])
def spoken(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A family and its tokenizer."""
    tokenizer = word_tokenizer() if request.param == "tiny" else bpe_tokenizer(qwen=request.param == "qwen3_vl")
    return family_for(request.param, tokenizer), tokenizer


class TestEveryFamily:
    def test_the_student_sees_the_screen_alone(self, spoken: tuple[Any, Any]) -> None:
        prompt = spoken[0].prompt(frame(9), STUDENT, [], "frames_narrated")
        assert frames_of(prompt) == [frame(9).hash]
        assert "zoka" in text_of(prompt)

    @pytest.mark.parametrize("form", ["narrated", "frames", "frames_narrated"])
    def test_the_teacher_also_sees_the_demonstration_first(self, spoken: tuple[Any, Any], form: str) -> None:
        family, _ = spoken
        prompt = family.prompt(frame(9), TEACHER, NOTES, form)
        seen = frames_of(prompt)
        assert seen[-1] == frame(9).hash
        drawn = [{f.observation.hash, draw_action(f.observation, f.action).hash} for f in SHOWN.frames]
        assert len(seen) == (1 if form == "narrated" else 3)
        assert all(one in known for one, known in zip(seen[:-1], drawn, strict=False))
        assert ("click red circle" in text_of(prompt)) == (form != "frames")
        student = family.prompt(frame(9), STUDENT, [], form)
        assert prompt[-1] == student[-1] or isinstance(family, ChatFamily)

    def test_a_step_can_be_described(self, spoken: tuple[Any, Any]) -> None:
        assert len(frames_of(spoken[0].describe(SHOWN.frames[0]))) == 1

    def test_answers_end(self, spoken: tuple[Any, Any]) -> None:
        family, tokenizer = spoken
        assert tokenizer.eos_token_id in family.stop_ids(tokenizer)


class TestChat:
    @pytest.fixture(params=["qwen3_vl", "idefics3"])
    def chat(self, request: pytest.FixtureRequest) -> Any:
        return family_for(request.param, bpe_tokenizer(qwen=request.param == "qwen3_vl"), unit="fraction")

    def test_it_explains_the_actions_and_ends_where_the_answer_begins(self, chat: Any) -> None:
        prompt = chat.prompt(frame(9), STUDENT, [], "frames")
        assert "double_click" in text_of(prompt)
        assert "confidence" in text_of(prompt)
        assert prompt[-1].endswith("<|im_start|>assistant\n")

    def test_no_placeholder_is_left(self, chat: Any) -> None:
        text = text_of(chat.prompt(frame(9), TEACHER, NOTES, "frames_narrated"))
        assert "<image>" not in text
        assert "image_pad" not in text
        assert "vision_start" not in text

    def test_a_goal_cannot_smuggle_a_frame_in(self, chat: Any) -> None:
        goal = "open <image> or <|vision_start|><|image_pad|><|vision_end|> now"
        prompt = chat.prompt(frame(9), Context(goal), [], "frames")
        assert frames_of(prompt) == [frame(9).hash]
        assert "open  or  now" in text_of(prompt)

    def test_the_demonstrated_action_is_drawn_and_written(self, chat: Any) -> None:
        prompt = chat.prompt(frame(9), TEACHER, NOTES, "frames")
        assert frames_of(prompt)[0] == draw_action(frame(1), Click(0.312, 0.688)).hash
        assert '"x":0.312,"y":0.688' in text_of(prompt)

    def test_a_model_without_a_chat_template_is_refused(self) -> None:
        tokenizer = bpe_tokenizer(qwen=True)
        tokenizer.chat_template = None
        with pytest.raises(ConfigError, match="chat template"):
            family_for("qwen3_vl", tokenizer)

    def test_a_template_without_images_is_refused(self) -> None:
        tokenizer = bpe_tokenizer(qwen=True)
        tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}{% endfor %}"
        with pytest.raises(ConfigError, match="0 image placeholders for 1 frames"):
            family_for("qwen3_vl", tokenizer).prompt(frame(0), STUDENT, [], "frames")

    @pytest.mark.parametrize(("unit", "written"), [("pixel", '"x":12,"y":27'), ("thousand", '"x":312,"y":688')])
    def test_actions_are_written_in_the_unit_of_the_family(self, unit: str, written: str) -> None:
        images = {"patch_size": 20, "merge_size": 2, "min_pixels": 1600}
        family = family_for("qwen2_5_vl", bpe_tokenizer(qwen=True), images, unit)
        text = text_of(family.prompt(frame(9, 88, 72), TEACHER, NOTES, "frames"))
        assert written in text  # the demonstrated frame of 56 x 56 is seen as 40 x 40, the screen as 80 x 80
        assert ("80 pixels wide and 80 high" in text) == (unit == "pixel")


class TestRecognition:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_checkpoint_needs_no_side_file(self, tmp_path: Path, kind: str) -> None:
        folder = save_checkpoint(tmp_path / kind, kind)
        assert not (folder / "showonce.json").exists()
        assert family_of(Checkpoint.read(folder)).name == kind
        policy = load_policy(Config(policy=PolicyConfig(checkpoint=str(folder))))
        assert policy.family.name == kind
        assert policy.family.geometry((56, 56)).unit == policy.family.default_unit

    @pytest.mark.parametrize("name", ["tiny", "tiny_pages"])
    def test_the_shipped_checkpoints_with_and_without_their_side_file(self, tmp_path: Path, name: str) -> None:
        folder = shipped("checkpoints", name)
        shutil.copy(folder / "config.json", tmp_path)
        for read in (Checkpoint.read(folder), Checkpoint.read(tmp_path)):
            assert family_of(read).name == "tiny"

    def test_a_side_file_overrides_and_the_setting_overrides_that(self) -> None:
        checkpoint = Checkpoint({"model_type": "qwen2_5_vl"}, notes={"family": "qwen3_vl"})
        assert family_of(checkpoint) is Qwen3VLFamily
        assert family_of(checkpoint, "smolvlm").name == "smolvlm"

    def test_an_older_side_file_that_says_chat_is_recognised_by_its_config(self) -> None:
        assert family_of(Checkpoint({"model_type": "qwen3_vl"}, notes={"family": "chat"})) is Qwen3VLFamily

    def test_settings_of_the_image_processor_may_stand_in_those_of_the_processor(self, tmp_path: Path) -> None:
        (tmp_path / "processor_config.json").write_text('{"image_processor": {"patch_size": 16}}')
        assert Checkpoint.read(tmp_path).images == {"patch_size": 16}
        (tmp_path / "preprocessor_config.json").write_text('{"patch_size": 14}')
        assert Checkpoint.read(tmp_path).images == {"patch_size": 14}

    def test_an_unknown_model_type_names_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match=r"'qwen3_vlx'.*Did you mean 'qwen3_vl'"):
            family_of(Checkpoint({"model_type": "qwen3_vlx"}))

    def test_an_idefics3_of_ordinary_size_is_not_the_embedded_model(self) -> None:
        published = {"model_type": "idefics3", "scale_factor": 4, "text_config": {"vocab_size": 49280}}
        assert family_of(Checkpoint(published)).name == "idefics3"
        assert family_of(Checkpoint(published | {"scale_factor": 1})).name == "idefics3"

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "showonce.json"])
    def test_a_damaged_file_is_named(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("[")
        with pytest.raises(ConfigError, match=name):
            Checkpoint.read(tmp_path)

    def test_unknown_names_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="Did you mean 'qwen3_vl'"):
            family_of(Checkpoint({}), "qwen3vl")
        tokenizer = bpe_tokenizer(qwen=True)
        with pytest.raises(ConfigError, match="native"):
            make_family(Qwen3VLFamily, Checkpoint({}), tokenizer, "nativ")
        with pytest.raises(ConfigError, match=r"policy\.unit"):
            PolicyConfig(unit="thousands")

    def test_the_embedded_model_counts_in_fractions_alone(self) -> None:
        with pytest.raises(ConfigError, match=r"policy\.unit='pixel'"):
            family_for("tiny", word_tokenizer(), unit="pixel")

    def test_the_number_words_are_those_of_the_embedded_world(self) -> None:
        assert NUMBERS == WORDS_OF_THE_WORLD


class OtherFamily(Qwen3VLFamily):
    """A family of somebody else: it shows the two latest screens and speaks pixels."""

    name: ClassVar[str] = "other"
    default_unit: ClassVar[Unit] = "pixel"
    history_frames: ClassVar[int] = 2
    model_types: ClassVar[tuple[str, ...]] = ("other_vl", "qwen3_vl")


class TestPlugins:
    def test_by_module_and_class(self) -> None:
        found = family_of(Checkpoint({"model_type": "qwen3_vl"}), f"{__name__}:OtherFamily")
        assert found.name == "other"

    def test_an_installed_family_is_asked_before_the_built_in_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        point = metadata.EntryPoint("other", f"{__name__}:OtherFamily", FAMILIES.group)
        known = metadata.entry_points

        def entry_points(**wanted: Any) -> Any:
            ours = wanted.get("group") == FAMILIES.group and wanted.get("name", "other") == "other"
            return metadata.EntryPoints([point]) if ours else known(**wanted)

        monkeypatch.setattr(metadata, "entry_points", entry_points)
        assert family_of(Checkpoint({"model_type": "other_vl"})).name == "other"
        assert family_of(Checkpoint({"model_type": "qwen2_vl"})).name == "qwen2_vl"


def test_a_family_that_asks_for_them_shows_earlier_screens_and_thoughts() -> None:
    family, _ = make_family(OtherFamily, Checkpoint({}), bpe_tokenizer(qwen=True))
    turns = (Turn(None, "old", "", Type("a")), Turn(frame(3), "{...}", "the box is red", Click(0.5, 0.5)))
    prompt = family.prompt(frame(9), Context("zoka", 1, (*turns, Turn(frame(4), "no action"))), [], "frames")
    assert frames_of(prompt) == [frame(3).hash, frame(4).hash, frame(9).hash]
    between = prompt[2]
    assert isinstance(between, str)
    assert "the box is red" in between
    assert '"x":28,"y":28' in between
    assert "no action" in text_of(prompt)
    shown = family.prompt(frame(9), Context("zoka", 1, turns, SHOWN), NOTES, "frames")
    assert frames_of(shown)[2:] == [frame(3).hash, frame(9).hash]


sides = st.integers(28, 2600)
FRAMES = [(1280, 720), (720, 1280), (56, 56), (1920, 1080), (332, 214), (3840, 2160), (100, 1999), (1366, 768)]


def qwen_settings(**more: Any) -> dict[str, Any]:
    """The settings that the real processor writes to preprocessor_config.json."""
    return json.loads(Qwen2VLImageProcessorPil(**more).to_json_string())  # type: ignore[no-any-return]


class TestSeenSizes:
    @pytest.mark.parametrize("size", FRAMES)
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}},
            {"patch_size": 14, "min_pixels": 3136, "max_pixels": 12845056},
            {"patch_size": 8, "min_pixels": 1024, "max_pixels": 16384},
        ],
    )
    def test_qwen_as_the_real_processor_resizes(self, size: tuple[int, int], more: dict[str, Any]) -> None:
        processor: Any = Qwen2VLImageProcessorPil(**more)
        grid = processor(images=[frame(0, *size).image], return_tensors="pt")["image_grid_thw"][0].tolist()
        patch = processor.patch_size
        for told in (qwen_settings(**more), more):  # as saved today, and as older checkpoints name them
            assert qwen2_vl.seen_size(size, told) == (grid[2] * patch, grid[1] * patch)

    @settings(deadline=None, database=None, max_examples=200)
    @given(sides, sides)
    def test_qwen_keeps_to_its_bounds(self, width: int, height: int) -> None:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        images = {"min_pixels": 3136, "max_pixels": 1_000_000}
        seen = qwen2_vl.seen_size((width, height), images)
        assert seen == smart_resize(height, width, 28, 3136, 1_000_000)[::-1]

    @pytest.mark.parametrize("size", FRAMES)
    @pytest.mark.parametrize("make", [Idefics3ImageProcessorPil, SmolVLMImageProcessorPil])
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}},
            {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 56}},
            {"do_image_splitting": False},
        ],
    )
    def test_idefics3_as_the_real_processor_cuts(self, size: tuple[int, int], make: Any, more: dict[str, Any]) -> None:
        processor = make(do_normalize=False, **more)
        out = processor(images=[[frame(0, *size).image]], return_tensors="pt", return_row_col_info=True)
        rows, cols, tile = int(out["rows"][0][0]), int(out["cols"][0][0]), out["pixel_values"].shape[-1]
        told = json.loads(processor.to_json_string())
        assert idefics3.seen_size(size, told) == (max(1, cols) * tile, max(1, rows) * tile)

    @pytest.mark.parametrize(("kind", "seen"), [("tiny", (56, 56)), ("qwen3_vl", (144, 80)), ("idefics3", (112, 112))])
    def test_a_policy_counts_in_what_its_own_processor_makes(self, tmp_path: Path, kind: str, seen: Any) -> None:
        policy = load_policy(Config(policy=PolicyConfig(checkpoint=str(save_checkpoint(tmp_path, kind)))))
        assert policy.family.geometry((144, 80)) == Geometry(policy.family.default_unit, (144, 80), seen)
        for size in ((144, 80), (56, 56), (331, 97)):  # what the family computes is what the tower was given
            assert policy.engine.encode_many([frame(0, *size)])[0].seen == policy.family.geometry(size).seen
