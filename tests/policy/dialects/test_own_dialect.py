"""A dialect of one's own, in counted units, through the protocol and through a policy with a toy Qwen2.5-VL."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher
from tests.policy.dialects.test_native import TOKENIZER, accepts
from tests.tinyfactory import frame, save_checkpoint

from showonce.actions import Action, Click, Done
from showonce.config import Config, PolicyConfig
from showonce.policy.dialects import FRACTIONS, Dialect, Geometry, Unit, get_dialect
from showonce.policy.vlm_policy import load_policy
from showonce.protocols import Context
from showonce.types import Parsed, ParseFailure, ParseReason, ParseResult

OWN = f"{__name__}:Brackets"


class Brackets:
    """``Why. click(518,232)``: a thought, then a click; everything else is ``done()``."""

    name = "brackets"

    def write(self, action: Action, confidence: float, geometry: Geometry = FRACTIONS) -> str:
        if not isinstance(action, Click):
            return "done()"
        return f"click({geometry.count(action.x, 'x'):g},{geometry.count(action.y, 'y'):g})"

    def parse(self, text: str, geometry: Geometry = FRACTIONS) -> ParseResult:
        match = re.fullmatch(r"(.*?)(?:click\(([0-9]+),([0-9]+)\)|(done\(\)))", text, re.DOTALL)
        if match is None:
            return ParseFailure(ParseReason.NO_OBJECT, "no action", text)
        if match[4]:
            return Parsed(Done(), thought=match[1])
        x, y = int(match[2]), int(match[3])
        if x >= geometry.cells("x") or y >= geometry.cells("y"):
            return ParseFailure(ParseReason.OUT_OF_RANGE, "outside", text)
        return Parsed(Click(geometry.fraction(x, "x"), geometry.fraction(y, "y")), thought=match[1].strip())

    def describe(self, geometry: Geometry = FRACTIONS) -> str:
        return f"Say click(x,y), at most ({geometry.cells('x') - 1},{geometry.cells('y') - 1}), or done()."

    def grammar(self, geometry: Geometry = FRACTIONS) -> str:
        numbers = {axis: "|".join(map(str, range(geometry.cells(axis)))) for axis in ("x", "y")}
        terminals = f"X: /{numbers['x']}/\nY: /{numbers['y']}/\n"
        return f'start: "click(" X "," Y ")" | "done()"\n{terminals}'

    def confidence_span(self, text: str) -> None:
        return None


GEOMETRIES = [Geometry("pixel", (1280, 720), (644, 364)), Geometry("thousand", (1280, 720))]


def test_it_is_found_by_module_and_class() -> None:
    assert isinstance(get_dialect(OWN), Dialect)
    assert get_dialect(OWN).name == "brackets"


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["pixel", "thousand"])
def test_what_it_writes_is_read_back_and_accepted(geometry: Geometry) -> None:
    dialect = get_dialect(OWN)
    start = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(dialect.grammar(geometry)))

    @settings(deadline=None, database=None, max_examples=100)
    @given(st.floats(0, 1), st.floats(0, 1))
    def place(x: float, y: float) -> None:
        text = dialect.write(Click(x, y), 1.0, geometry)
        assert accepts(text, start)
        parsed = dialect.parse(f"The box is there. {text}", geometry)
        assert isinstance(parsed, Parsed)
        assert parsed.thought == "The box is there."
        assert isinstance(parsed.action, Click)
        assert abs(parsed.action.x - x) <= 0.5 / geometry.cells("x") + 1e-9
        assert abs(parsed.action.y - y) <= 0.5 / geometry.cells("y") + 1e-9

    place()


@pytest.mark.parametrize("unit", ["pixel", "thousand"])
def test_a_policy_answers_and_labels_in_it(tmp_path: Path, unit: Unit) -> None:
    folder = save_checkpoint(tmp_path, "qwen2_5_vl")
    policy = load_policy(Config(policy=PolicyConfig(checkpoint=str(folder), dialect=OWN, unit=unit)))
    screen = frame(1, 144, 80)
    geometry = policy.family.geometry((144, 80))
    assert geometry == Geometry(unit, (144, 80), (144, 80))
    for seed in range(3):
        proposal = policy.propose(frame(seed, 144, 80), Context("zoka"))
        assert re.fullmatch(r"click\([0-9]+,[0-9]+\)|done\(\)", proposal.text)
        assert proposal.action is not None  # the grammar ends where the frame does
        assert proposal.decision_T == policy.label(proposal.token_ids, frame(seed, 144, 80)).decision_T
    drawn = policy.sample([policy.parts(screen, Context("zoka"))] * 8, 1.0, np.random.default_rng(0), None)
    assert all(isinstance(policy.read(answer, screen), Parsed) for answer in drawn)
    label = policy.label_action(Click(0.5, 0.75), screen)
    assert label.text == ("click(72,60)" if unit == "pixel" else "click(500,750)")
    parsed = policy.read(label, screen)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.action, Click)
