"""What is drawn on frames, and prompts as parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tinyfactory import frame, word_tokenizer

from showonce.actions import Click, Drag, Type
from showonce.inference.prefixes import prefix_length
from showonce.inference.torch.features import TorchFeatures
from showonce.policy.prompt import Tokens, draw_action, highlight
from showonce.types import Observation


def features(key: str) -> TorchFeatures:
    return TorchFeatures(key, torch.zeros(2, 4), torch.zeros(1, 2, dtype=torch.long), 2, (8, 8))


def plain(width: int = 200, height: int = 100) -> Observation:
    return Observation(np.full((height, width, 3), 200, np.uint8))


def changed(before: Observation, after: Observation) -> np.ndarray:
    return np.argwhere((before.image != after.image).any(-1))  # (row, column)


def test_a_ring_around_the_place() -> None:
    where = changed(plain(), draw_action(plain(), Click(0.25, 0.5)))
    assert np.allclose(where.mean(0), [50, 50], atol=1.5)
    assert np.abs(where - [50, 50]).max() <= 8
    assert not ((where == [50, 50]).all(1)).any()  # what was clicked stays visible


def test_an_arrow_for_a_drag() -> None:
    where = changed(plain(), draw_action(plain(), Drag(0.1, 0.5, 0.9, 0.5)))
    assert where[:, 1].min() < 20
    assert where[:, 1].max() >= 179


@pytest.mark.parametrize("draw", [draw_action, highlight])
def test_an_action_without_a_place_changes_nothing(draw: object) -> None:
    screen = plain()
    assert draw(screen, Type("x")) is screen  # type: ignore[operator]


@pytest.mark.parametrize("draw", [draw_action, highlight])
def test_the_frame_itself_stays_as_it_was(draw: object) -> None:
    screen = plain()
    digest = screen.hash
    drawn = draw(screen, Click(0.0, 1.0))  # type: ignore[operator]
    assert Observation(screen.image).hash == digest != drawn.hash
    assert drawn.image.dtype == np.uint8


def test_a_highlight_keeps_its_place_bright_and_dims_the_rest_softly() -> None:
    lit = highlight(plain(), Click(0.5, 0.5)).image[..., 0].astype(int)
    assert lit[50, 100] == 200
    assert lit[5, 5] == 110
    edge = lit[50, 115:125]
    assert (np.diff(edge) <= 0).all()
    assert len(set(edge.tolist())) >= 4


def test_parts_wrap_every_frame_and_encode_them_together() -> None:
    tokenizer = word_tokenizer()
    asked = []

    def encode_many(observations: object) -> list[TorchFeatures]:
        asked.append(observations)
        return [features(o.hash) for o in observations]  # type: ignore[attr-defined]

    tokens = Tokens(tokenizer, ([3, 4], [3]))
    parts = tokens.parts([frame(0), "<goal>zoka", frame(1), "<act>"], encode_many)
    goal, zoka, act = tokenizer.convert_tokens_to_ids(["<goal>", "zoka", "<act>"])
    kinds = [p if isinstance(p, int) else p.key for p in parts]
    assert kinds == [3, 4, frame(0).hash, 3, goal, zoka, 3, 4, frame(1).hash, 3, act]
    assert len(asked) == 1


def test_the_constant_part_ends_before_the_current_frame() -> None:
    tokens = Tokens(word_tokenizer(), ([3, 4], [3]))
    a, b, c = (frame(i) for i in range(3))

    def split(prompt: list[str | Observation], demonstrated: int) -> int:
        return prefix_length(tokens.parts(prompt, lambda seen: [features(o.hash) for o in seen], demonstrated))

    assert split(["<goal>", a, "zoka", b, "<act>"], 1) == 8  # <goal>, three tokens and features of a, zoka, two tokens
    assert split([a, b, c], 2) == 10
    assert split([a, "<goal>"], 0) == 0
    assert prefix_length([1, features("a"), 2, features("b")]) == 0


def test_frames_of_earlier_steps_are_no_part_of_the_constant_prefix() -> None:
    tokens = Tokens(word_tokenizer(), ([3, 4], [3]))
    frames = [frame(i) for i in range(4)]  # one demonstrated, two of earlier steps, the screen

    def split(demonstrated: int) -> int:
        return prefix_length(tokens.parts(frames, lambda seen: [features(o.hash) for o in seen], demonstrated))

    assert split(1) == 6
    assert split(0) == 0  # the student's view: nothing of it is the same on the next screen
