"""The native dialect: one spelling, read back as written, and a grammar that accepts that spelling alone."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from showonce.actions import (
    EXAMPLES,
    MODIFIERS,
    NAMED_KEYS,
    VERBS,
    Action,
    Click,
    Done,
    Key,
    Scroll,
    TripleClick,
    Type,
    Wait,
    fields_of,
)
from showonce.errors import BadInput
from showonce.policy.dialects import DIALECTS, FRACTIONS, UNITS, Dialect, Geometry, Unit, get_dialect, parse_action
from showonce.policy.dialects.base import MAX_GENERATED_TEXT
from showonce.types import Parsed, ParseFailure, ParseReason

NATIVE = get_dialect("native")
SETTINGS = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

WRITTEN = [
    (Click(0.518, 0.232), 0.95, '{"action":"click","x":0.518,"y":0.232,"confidence":0.95}'),
    (Click(1, -0.0), 1, '{"action":"click","x":1.000,"y":0.000,"confidence":1.00}'),
    (Click(0.9996, 0.0004), 0.004, '{"action":"click","x":1.000,"y":0.000,"confidence":0.00}'),
    (Scroll(0.482, 0.482, 3), 0.9, '{"action":"scroll","x":0.482,"y":0.482,"dy":3,"confidence":0.90}'),
    (Scroll(0.482, 0.482, 0, -2), 0.9, '{"action":"scroll","x":0.482,"y":0.482,"dy":0,"dx":-2,"confidence":0.90}'),
    (
        Click(0.518, 0.232, "shift+Ctrl"),
        0.9,
        '{"action":"click","held":"ctrl+shift","x":0.518,"y":0.232,"confidence":0.90}',
    ),
    (TripleClick(0.5, 0.25), 0.9, '{"action":"triple_click","x":0.500,"y":0.250,"confidence":0.90}'),
    (
        Scroll(0.482, 0.482, 0, -2, "shift"),
        0.9,
        '{"action":"scroll","held":"shift","x":0.482,"y":0.482,"dy":0,"dx":-2,"confidence":0.90}',
    ),
    (Type('a "b"\\\n\x01é😀'), 0.5, '{"action":"type","text":"a \\"b\\"\\\\\\n\\u0001é😀","confidence":0.50}'),
    (Type("\ud800"), 0.5, '{"action":"type","text":"\ufffd","confidence":0.50}'),
    (Key("S+Control"), 0.5, '{"action":"key","keys":"ctrl+s","confidence":0.50}'),
    (Wait(1), 0.05, '{"action":"wait","seconds":1,"confidence":0.05}'),
    (Wait(0), 0.05, '{"action":"wait","seconds":0,"confidence":0.05}'),
    (Wait(20), 0.05, '{"action":"wait","seconds":20,"confidence":0.05}'),
    (Wait(0.5), 0.05, '{"action":"wait","seconds":0.5,"confidence":0.05}'),
    (Wait(12.346), 0.05, '{"action":"wait","seconds":12.35,"confidence":0.05}'),
    (Done(), 0.05, '{"action":"done","answer":"","confidence":0.05}'),
]

unit_interval = st.floats(0, 1)
single_keys = st.sampled_from([*(c for c in map(chr, range(33, 127)) if c != "+" and c == c.lower()), "é", "ß", "ж"])
key_names = single_keys | st.sampled_from(NAMED_KEYS)
chords = st.builds(lambda mods, key: "+".join([*mods, key]), st.sets(st.sampled_from(MODIFIERS)), key_names)
VALUES: dict[str, Any] = {
    "coordinate": lambda spec: unit_interval,
    "integer": lambda spec: st.integers(int(spec.low), int(spec.high)),
    "seconds": lambda spec: st.floats(spec.low, spec.high),
    "text": lambda spec: st.text(max_size=MAX_GENERATED_TEXT),
    "keys": lambda spec: chords | st.just("+"),
    "modifiers": lambda spec: st.sets(st.sampled_from(MODIFIERS)).map("+".join),
}


def actions_of(cls: type[Any]) -> st.SearchStrategy[Action]:
    return st.builds(cls, **{name: VALUES[spec.kind](spec) for name, (spec, _) in fields_of(cls).items()})


actions = st.sampled_from(sorted(VERBS)).flatmap(lambda verb: actions_of(VERBS[verb]))


def as_written(action: Action) -> Action:
    """The action to the precision in which it is written."""
    decimals = {"coordinate": 3, "seconds": 2}
    values = {name: getattr(action, name) for name in fields_of(type(action))}
    for name, (spec, _) in fields_of(type(action)).items():
        if spec.kind in decimals:
            values[name] = float(f"{values[name]:.{decimals[spec.kind]}f}")
    return type(action)(**values)


@pytest.mark.parametrize(("action", "confidence", "text"), WRITTEN)
def test_spelling(action: Action, confidence: float, text: str) -> None:
    assert NATIVE.write(action, confidence) == text


@pytest.mark.parametrize("confidence", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_confidence_out_of_range_is_not_written(confidence: float) -> None:
    with pytest.raises(BadInput, match=r"confidence must lie in \[0, 1\]"):
        NATIVE.write(Wait(), confidence)


@settings(SETTINGS, max_examples=400)
@given(actions, unit_interval)
def test_what_is_written_is_read_back(action: Action, confidence: float) -> None:
    text = NATIVE.write(action, confidence)
    assert json.loads(text)["action"] == action.verb
    parsed = NATIVE.parse(text)
    assert parsed == Parsed(as_written(action), float(f"{confidence:.2f}"), ())
    assert NATIVE.parse(text, Geometry("fraction", (64, 48))) == parsed


@settings(SETTINGS, max_examples=60)
@given(actions, unit_interval)
def test_a_text_that_ends_early_is_never_another_action(action: Action, confidence: float) -> None:
    text = NATIVE.write(action, confidence)
    whole = as_written(action)
    for end in range(len(text)):
        result = NATIVE.parse(text[:end])
        if isinstance(result, ParseFailure):
            assert result.reason is (ParseReason.TRUNCATED if end else ParseReason.EMPTY)
        else:
            assert result.action == whole
            assert result.confidence is None or result.confidence <= float(f"{confidence:.2f}")
    assert isinstance(NATIVE.parse(text[:-1]), Parsed)


def examples(geometry: Geometry = FRACTIONS) -> list[str]:
    return [NATIVE.write(action, 0.9, geometry) for action in EXAMPLES]


def test_every_example_parses_back_and_every_verb_has_one() -> None:
    assert [getattr(NATIVE.parse(text), "action", None) for text in examples()] == list(EXAMPLES)
    assert {type(action) for action in EXAMPLES} == set(VERBS.values())


def test_the_description_names_every_verb_and_argument_and_shows_every_example() -> None:
    text = NATIVE.describe()
    for cls in VERBS.values():
        assert f"\n{cls.verb}: {cls.__doc__}" in text
        assert all(f"  {name}: {spec.help}" in text for name, (spec, _) in fields_of(cls).items())
    shown = re.findall(r"example: (.*)", text)
    assert shown == examples()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"action":"wait","seconds":1,"confidence":0.95}', "0.95"),
        ('{"action":"wait","seconds":1,"confidence":1.00}', "1.00"),
        ("{'action': 'wait', 'confidence': '0.5'}", "0.5"),
        ('{"action":"type","text":"\\"confidence\\":0.11","confidence":0.22}', "0.22"),
        ('{"action":"wait","seconds":1,"confidence":0.9', "0.9"),
        ('{"action":"wait","seconds":1}', None),
        ('{"action":"type","text":"\\"confidence\\":0.11"}', None),
        ("", None),
    ],
)
def test_confidence_span(text: str, number: str | None) -> None:
    span = NATIVE.confidence_span(text)
    assert (text[slice(*span)] if span else None) == number


def test_dialects_are_found_by_name() -> None:
    for name in DIALECTS.built_in:
        assert isinstance(get_dialect(name), Dialect)
        assert get_dialect(name).name == name
    with pytest.raises(BadInput, match=r"no known dialect\. Did you mean 'native'"):
        get_dialect("nativ")
    with pytest.raises(BadInput, match="no known dialect"):
        parse_action("{}", dialect="no such thing")
    assert parse_action('{"action":"wait"}') == parse_action('{"action":"wait"}', "native") == Parsed(Wait(1.0))


# -- the grammar -------------------------------------------------------------------------------------------------


class Vocabulary:
    """A small longest-match tokenizer: whole pieces of answers where there are some, single bytes elsewhere."""

    eos_token_id = 0
    bos_token_id = None

    def __init__(self, pieces: list[str]) -> None:
        single = [bytes([i]) for i in range(256)]
        self.tokens = [b"<eos>", *dict.fromkeys([*(piece.encode() for piece in pieces), *single])]
        self.special_token_ids = [0]
        self._ids = {token: i for i, token in enumerate(self.tokens) if i}
        self._longest = max(map(len, self.tokens))

    def __call__(self, text: str | bytes) -> list[int]:
        data, ids = text.encode() if isinstance(text, str) else text, []
        while data:
            length = next(n for n in range(min(self._longest, len(data)), 0, -1) if data[:n] in self._ids)
            ids.append(self._ids[data[:length]])
            data = data[length:]
        return ids


PIECES = [
    *('{"action":"', '","x":', ',"y":', ',"to_x":', ',"to_y":', ',"dy":', ',"confidence":', '","confidence":', '"'),
    *('","text":"', '","keys":"', '","seconds":', '","answer":"', '","target":"', '","question":"'),
    *VERBS,
    *("0.518", "0.232", "0.482", "0.125", "0.339", "0.732", "0.839", "0.95}", "3", "1", "sun", "red", "ctrl+s", "ab"),
]
VOCABULARY = Vocabulary(PIECES)
TOKENIZER = LLTokenizer(TokenizerWrapper(VOCABULARY), n_vocab=len(VOCABULARY.tokens))
START = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(NATIVE.grammar()))
SIZES = (1280, 720), (644, 364)  # frame and seen image
COUNTED = {
    unit: (geometry, LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(NATIVE.grammar(geometry))))
    for unit in UNITS
    if (geometry := Geometry(unit, *SIZES))
}


def accepts(text: str, start: LLMatcher = START) -> bool:
    matcher = start.deep_copy()
    return bool(matcher.try_consume_tokens(ids := VOCABULARY(text)) == len(ids) and matcher.is_accepting())


def spelling_of(text: str) -> str | None:
    """The canonical text of what `text` says; None where that is nothing, without confidence or too long."""
    parsed = NATIVE.parse(text)
    if isinstance(parsed, ParseFailure) or parsed.confidence is None:
        return None
    if any(len(value) > MAX_GENERATED_TEXT for value in vars(parsed.action).values() if isinstance(value, str)):
        return None
    return NATIVE.write(parsed.action, parsed.confidence)


def test_the_grammar_is_valid_without_warnings() -> None:
    assert LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_lark(NATIVE.grammar())) == (False, [])
    assert not START.is_error()


@settings(SETTINGS, max_examples=400)
@given(actions, unit_interval)
def test_the_grammar_accepts_what_is_written(action: Action, confidence: float) -> None:
    assert accepts(NATIVE.write(action, confidence))


@pytest.mark.parametrize("unit", UNITS)
def test_the_grammar_of_a_unit_is_valid_and_accepts_what_is_written_in_it(unit: Unit) -> None:
    geometry, start = COUNTED[unit]
    lark = LLMatcher.grammar_from_lark(NATIVE.grammar(geometry))
    assert LLMatcher.validate_grammar_with_warnings(lark) == (False, [])

    @settings(SETTINGS, max_examples=200)
    @given(actions, unit_interval)
    def written(action: Action, confidence: float) -> None:
        assert accepts(NATIVE.write(action, confidence, geometry), start)

    written()


@pytest.mark.parametrize(
    ("unit", "x", "y", "accepted"),
    [
        ("pixel", "0", "363", True),
        ("pixel", "643", "0", True),
        ("pixel", "644", "0", False),
        ("pixel", "0", "364", False),
        ("pixel", "05", "3", False),
        ("pixel", "0.5", "0.250", False),
        ("thousand", "999", "999", True),
        ("thousand", "1000", "0", False),
        ("thousand", "0.518", "0.232", False),
        ("fraction", "0.518", "0.232", True),
        ("fraction", "518", "232", False),
    ],
)
def test_the_grammar_of_a_unit_ends_where_the_frame_does(unit: Unit, x: str, y: str, accepted: bool) -> None:
    text = f'{{"action":"click","x":{x},"y":{y},"confidence":0.90}}'
    assert accepts(text, COUNTED[unit][1]) == accepted


@pytest.mark.parametrize(
    ("unit", "stated"),
    [("fraction", "fractions of the screenshot"), ("thousand", "from 0 to 999"), ("pixel", "644 pixels wide and 364")],
)
def test_the_description_names_the_unit(unit: Unit, stated: str) -> None:
    text = NATIVE.describe(COUNTED[unit][0])
    assert stated in text
    assert ("1 = right edge" in text) == (unit == "fraction")
    assert re.findall(r"example: (.*)", text) == examples(COUNTED[unit][0])


@pytest.mark.parametrize("low_or_high", [-1, 1])
def test_the_grammar_accepts_the_ends_of_every_range(low_or_high: int) -> None:
    for cls in VERBS.values():
        ends = {n: (s.low if low_or_high < 0 else s.high) for n, (s, _) in fields_of(cls).items()}
        other = {"text": "a" * (MAX_GENERATED_TEXT if low_or_high > 0 else 0), "keys": "a"}
        other["modifiers"] = "+".join(MODIFIERS) if low_or_high > 0 else ""
        values = {n: other.get(s.kind, ends[n]) for n, (s, _) in fields_of(cls).items()}
        assert accepts(NATIVE.write(cls(**values), max(0, low_or_high)))


@pytest.mark.parametrize(
    "text",
    [
        '{"action":"click","x":0.5,"y":0.232,"confidence":0.95}',
        '{"action":"click","x":0.5180,"y":0.232,"confidence":0.95}',
        '{"action":"click","x":1.001,"y":0.232,"confidence":0.95}',
        '{"action":"click","x":-0.100,"y":0.232,"confidence":0.95}',
        '{"action":"click","y":0.232,"x":0.518,"confidence":0.95}',
        '{"action":"click","x":0.518,"y":0.232}',
        '{"action":"click","x":0.518,"y":0.232,"confidence":0.9}',
        '{"action":"click","x":0.518,"y":0.232,"confidence":1.01}',
        '{"action":"click","x":0.518,"y":0.232,"confidence":0.95} ',
        '{"action": "click","x":0.518,"y":0.232,"confidence":0.95}',
        '{"action":"fly","x":0.518,"y":0.232,"confidence":0.95}',
        '{"action":"scroll","x":0.482,"y":0.482,"dy":51,"confidence":0.90}',
        '{"action":"scroll","x":0.482,"y":0.482,"dy":-0,"confidence":0.90}',
        '{"action":"scroll","x":0.482,"y":0.482,"dy":03,"confidence":0.90}',
        '{"action":"scroll","x":0.482,"y":0.482,"dy":3,"dx":0,"confidence":0.90}',
        '{"action":"scroll","x":0.482,"y":0.482,"dx":1,"dy":3,"confidence":0.90}',
        '{"action":"click","held":"","x":0.518,"y":0.232,"confidence":0.90}',
        '{"action":"click","held":"shift+ctrl","x":0.518,"y":0.232,"confidence":0.90}',
        '{"action":"click","held":"ctrl+ctrl","x":0.518,"y":0.232,"confidence":0.90}',
        '{"action":"click","x":0.518,"y":0.232,"held":"ctrl","confidence":0.90}',
        '{"action":"move","held":"ctrl","x":0.518,"y":0.232,"confidence":0.90}',
        '{"action":"wait","seconds":1.0,"confidence":0.90}',
        '{"action":"wait","seconds":60.5,"confidence":0.90}',
        '{"action":"wait","seconds":1.125,"confidence":0.90}',
        '{"action":"key","keys":"shift+ctrl+s","confidence":0.90}',
        '{"action":"key","keys":"S","confidence":0.90}',
        '{"action":"key","keys":"ctrl","confidence":0.90}',
        '{"action":"key","keys":"","confidence":0.90}',
        '{"action":"type","text":"a\nb","confidence":0.90}',
        '{"action":"type","text":"\\u0041","confidence":0.90}',
        '{"action":"type","text":"\\/","confidence":0.90}',
        '{"action":"type","text":"\\u000a","confidence":0.90}',
        '{"action":"type","text":"' + "a" * (MAX_GENERATED_TEXT + 1) + '","confidence":0.90}',
    ],
)
def test_the_grammar_refuses_other_spellings(text: str) -> None:
    assert not accepts(text)


@settings(SETTINGS, max_examples=300)
@given(actions, unit_interval, st.integers(0, 2**32))
def test_the_grammar_refuses_mutants(action: Action, confidence: float, seed: int) -> None:
    """A changed text is accepted exactly when it is the canonical text of what it now says."""
    rng, text = random.Random(seed), NATIVE.write(action, confidence)
    for _ in range(5):
        at = rng.randrange(len(text))
        put = rng.choice(("", rng.choice('0123456789.-"\\,:{}+ axyz'), text[at] * 2, text[at:][:8]))
        mutant = text[:at] + put + text[at + 1 :]
        assert accepts(mutant) == (spelling_of(mutant) == mutant), mutant


def pieces(ids: list[int]) -> list[str]:
    return [VOCABULARY.tokens[i].decode() for i in ids]


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ('{"action":"click","x":0.518,"y":0.232,"confidence":0.95}', ["click", '","x":', "0.518", "0.232", "0.95}"]),
        ('{"action":"move","x":0.518,"y":0.232,"confidence":0.95}', ["move", "0.518", "0.232", "0.95}"]),
        (
            '{"action":"double_click","x":0.518,"y":0.232,"confidence":0.95}',
            ["double_click", '","x":', "0.518", "0.232", "0.95}"],
        ),
        (
            '{"action":"drag","x":0.125,"y":0.339,"to_x":0.732,"to_y":0.839,"confidence":0.95}',
            ["drag", '","x":', "0.125", "0.339", "0.732", "0.839", "0.95}"],
        ),
        (
            '{"action":"scroll","x":0.482,"y":0.482,"dy":3,"confidence":0.95}',
            ["scroll", '","x":', "0.482", "0.482", "3", ',"confidence":', "0.95}"],
        ),
        ('{"action":"type","text":"sun","confidence":0.95}', ["type", "sun", '","confidence":', "0.95}"]),
        ('{"action":"open","target":"sun","confidence":0.95}', ["open", "sun", '","confidence":', "0.95}"]),
        ('{"action":"ask","question":"sun","confidence":0.95}', ["ask", "sun", '","confidence":', "0.95}"]),
        ('{"action":"done","answer":"","confidence":0.95}', ["done", '","confidence":', "0.95}"]),
        ('{"action":"key","keys":"ctrl+s","confidence":0.95}', ["key", "ctrl+s", '","confidence":', "0.95}"]),
        ('{"action":"key","keys":"tab","confidence":0.95}', ["key", "t", "ab", "0.95}"]),
        ('{"action":"wait","seconds":1,"confidence":0.95}', ["wait", "1", ',"confidence":', "0.95}"]),
    ],
)
def test_everything_between_the_values_is_forced(text: str, free: list[str]) -> None:
    """`compute_ff_tokens` gives the whole skeleton in the tokenizer's own pieces; only values are chosen."""
    matcher, ids, chosen = START.deep_copy(), VOCABULARY(text), []
    at = 0
    while at < len(ids):
        forced = matcher.compute_ff_tokens()
        assert pieces(forced) == pieces(ids[at : at + len(forced)])
        if forced:
            assert matcher.consume_tokens(forced)
            at += len(forced)
        else:
            assert matcher.consume_token(ids[at])
            chosen.append(ids[at])
            at += 1
    assert matcher.is_accepting()
    assert matcher.is_stopped()
    assert pieces(chosen) == free
