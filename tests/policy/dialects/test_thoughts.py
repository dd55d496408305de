"""Thoughts apart from answers: what is only considered is never done."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showonce.actions import EXAMPLES, Action, Click, Done, Type, to_json
from showonce.policy.dialects import get_dialect, parse_action
from showonce.types import Parsed, ParseFailure, ParseReason

A, B = '{"action":"click","x":0.1,"y":0.1}', '{"action":"click","x":0.9,"y":0.8}'
BUTTON = Click(0.9, 0.8)

APART: list[tuple[str, str]] = [
    # tags
    (f"<think>Maybe {A}, but no.</think>\n{B}", f"Maybe {A}, but no."),
    (f"<thinking>{A}</thinking>{B}", A),
    (f"<THINK >{A}</Think>{B}", A),
    (f"<reasoning>{A}</reasoning>{B}", A),
    (f"<seed:think>{A}</seed:think>{B}", A),
    (f"[THINK]{A}[/THINK]{B}", A),
    (f"\u25c1think\u25b7{A}\u25c1/think\u25b7{B}", A),
    (f"<think>```json\n{A}\n```</think>\n```json\n{B}\n```", f"```json\n{A}\n```"),
    (f'<think>{{"a": {{ "unclosed</think>{B}', '{"a": { "unclosed'),
    (f"First idea: {A} - wrong.\n</think>\n{B}", f"First idea: {A} - wrong."),
    (f"{A}</think>{A}</think>{B}", A + A),
    (f"<think>a<think>b</think>{A}</think>{B}", f"ab{A}"),
    (f"<think>{A}</think>\n<think>b</think>\n{B}", f"{A}\nb"),
    (f"<think>{A}</think>\n{B}\n<think>done?</think>\n", f"{A}\ndone?"),
    (f"<think>{A}</think><tool_call>\n{B}\n</tool_call>", A),
    # labels
    (f"Thought: not {A} yet.\nAction: {B}", f"not {A} yet."),
    (f"**Reasoning:** {A}\n\n**Final answer:** `{B}`", A),
    (f"### Thought:\n{A}\n### Action:\n```json\n{B}\n```", A),
    (f"Action: {A}\nThought: that is Cancel.\nAction: {B}", f"{A}\n that is Cancel."),
    (f"Action: {B}\nObservation: it closed.\nAction: {A}", f"it closed.\n {A}"),
    (f"{B}\nExplanation: {A} deletes.", f"{A} deletes."),
    (f"Thought: I click the button.\n{B}", ""),
    (f"Thought: I click the button. {B}", ""),
    # members
    ('{"thought":"not {\\"action\\":\\"done\\"} yet","action":"click","x":0.9,"y":0.8}', 'not {"action":"done"} yet'),
    ('{"reasoning_content":"abc","action":{"type":"click","x":0.9,"y":0.8}}', "abc"),
    ('{"reasoning":"a","answer":' + B + "}", "a"),
    ('{"thinking":{"action":"done"},"next":' + B + "}", ""),
    ('{"rejected":[' + A + '],"next":' + B + "}", ""),
    ("{\n thought: why,\n action: click,\n x: 0.9,\n y: 0.8\n}", "why"),
    (f'<think>a</think>{{"thought":"b",{B[1:]}', "a\nb"),
]


@pytest.mark.parametrize(("text", "thought"), APART, ids=range(len(APART)))
def test_only_the_answer_is_acted_on(text: str, thought: str) -> None:
    result = parse_action(text)
    assert isinstance(result, Parsed), result
    assert result.action == BUTTON
    assert result.thought == thought


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"<think>{A}", ParseReason.TRUNCATED),
        (f"{B}\n<think>but {A}", ParseReason.TRUNCATED),
        (f"<think>a<think>b</think>{A}", ParseReason.TRUNCATED),
        (f"<think>{A}</think>", ParseReason.NO_OBJECT),
        (f"{A}</think>", ParseReason.NO_OBJECT),
        (f"<think>{A}</think> I cannot do it.", ParseReason.NO_OBJECT),
        (f"{A}<think>No, this deletes.</think> I cannot do it.", ParseReason.NO_OBJECT),
        (f"Thought: an answer like {A} is too early.", ParseReason.NO_OBJECT),
        (f"Thought: {A}\nAction: click(0.9, 0.8)", ParseReason.NO_OBJECT),
        ('{"thought":{"action":"done"}}', ParseReason.NO_VERB),
        ("{'action':'type','text':'a<think>b</think>c'}", ParseReason.NO_OBJECT),
        ('{"action":"click","x":0.900,"y":0.800<think>no</think>', ParseReason.NO_OBJECT),
        (f'<think>{A}</think>{{"action":"click","x":0.9,"y":0.8,"text":"Save"}}', ParseReason.BAD_ARGUMENT),
    ],
)
def test_where_there_is_no_answer_nothing_of_the_thought_takes_its_place(text: str, reason: ParseReason) -> None:
    result = parse_action(text)
    assert isinstance(result, ParseFailure), result
    if "0.800<think>" in text:
        assert result.reason in (ParseReason.MALFORMED, reason)
    else:
        assert result.reason is reason


@pytest.mark.parametrize("typed", ["<think>", "</think>", "a <think>b</think> c", "\nThought: x\nAction: y", "[THINK]"])
def test_a_tag_or_label_that_is_typed_is_text(typed: str) -> None:
    text = get_dialect("native").write(Type(typed), 0.9)
    assert parse_action(text) == Parsed(Type(typed), 0.9)
    result = parse_action(f"<think>{A}</think>\n{text}")
    assert isinstance(result, Parsed)
    assert result.action == Type(typed)


# -- a small grammar of such answers -----------------------------------------------------------------------------

NATIVE = get_dialect("native")
DECOYS = (Click(0.111, 0.222), Type("decoy"), Done("decoy"))


def spellings(action: Action) -> list[str]:
    plain = to_json(action)
    verb, rest = plain["action"], {key: value for key, value in plain.items() if key != "action"}
    return [
        NATIVE.write(action, 0.9),
        json.dumps(plain, indent=1),
        repr(plain),
        json.dumps({"name": verb, "arguments": rest}),
        json.dumps({"action": {"type": verb, **rest}}),
    ]


decoys = st.sampled_from([text for action in DECOYS for text in spellings(action)])
words = st.sampled_from(
    ["The dialog is open.", "Hmm, I see {a box}.", "It says it's 5 < 6.", "", "$\\frac{a}{b}$", "1, 2"]
)
loose = st.sampled_from(['{"action":"cli', "{", '"', "'", "```", "}", '{"a": [', "Action:", "\nThought: no\n"])
musings = st.lists(words | decoys | loose | decoys.map("\n```json\n{}\n```\n".format), max_size=5).map(" ".join)
tags = st.sampled_from(
    ["<think>{}</think>", "<thinking>{}</thinking>", "[THINK]{}[/THINK]", "<think>a<think>{}</think></think>"]
)
tagged = st.builds(lambda tag, body: tag.replace("{}", body), tags, musings)
heads = st.one_of(
    st.just(""),
    st.lists(tagged, min_size=1, max_size=3).map("\n".join),
    musings.map("{}</think>".format),
    st.builds("<think>{0}</think> {1}".format, musings, words),
)
considered = st.builds(
    lambda form, decoy: form.replace("{}", decoy),
    st.sampled_from(
        ["", "I could {}, but no, that deletes.\n", "Maybe {}?\n", "Not {}.\n", "First idea:\n```\n{}\n```\nWrong.\n"]
    ),
    decoys,
)
labels = decoys.map("\nThought: perhaps {} first? No.\nAction: ".format)
forms = st.sampled_from(["{}", "```json\n{}\n```", "<tool_call>\n{}\n</tool_call>", "`{}`", "<answer>{}</answer>"])
tails = st.one_of(
    st.sampled_from(["", "\n", "\nI hope so.", "\n<think>Is that right?</think>"]),
    decoys.map("\nI did not choose {} because it deletes.".format),
    decoys.map("\n<think>{}</think>\n".format),
)


@settings(deadline=None, database=None, max_examples=600)
@given(st.data())
def test_the_committed_action_is_read_and_never_a_considered_one(data: st.DataObject) -> None:
    committed = data.draw(st.sampled_from(EXAMPLES))
    body = data.draw(forms).replace("{}", data.draw(st.sampled_from(spellings(committed))))
    before = data.draw(considered | labels)
    text = data.draw(heads) + "\n" + before + body + data.draw(tails)
    result = parse_action(text)
    assert isinstance(result, Parsed), (text, result)
    assert result.action == committed, text


@settings(deadline=None, database=None, max_examples=150)
@given(heads, decoys, st.sampled_from(["<think>", "<thinking>", "[THINK]"]))
def test_an_open_thought_holds_no_answer(head: str, decoy: str, tag: str) -> None:
    assert isinstance(parse_action(f"{head}\n{tag}{decoy}"), ParseFailure)
