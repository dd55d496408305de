"""The parser against what models really write: nothing raises, nothing is guessed, no half answer is acted upon."""

from __future__ import annotations

import json
import math
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from showonce.actions import (
    EXAMPLES,
    VERBS,
    Action,
    Ask,
    Click,
    Done,
    DoubleClick,
    Drag,
    Key,
    Move,
    Open,
    RightClick,
    Scroll,
    TripleClick,
    Type,
    Wait,
    from_json,
    to_json,
)
from showonce.policy.dialects import UNITS, Geometry, Repair, get_dialect, parse_action
from showonce.policy.dialects.reading.aliases import ARGUMENT_ALIASES, VERB_ALIASES
from showonce.policy.dialects.reading.reader import Broken, Cut, Found, Number, read_objects
from showonce.types import Parsed, ParseFailure, ParseReason, ParseResult

HERE = Click(0.5, 0.25)
CHORD = Click(0.5, 0.25, "ctrl+shift")
CUT_AND_ALIAS = (Repair.COMPLETED, Repair.ARGUMENT_ALIAS)
ALIASES = {Repair.VERB_ALIAS, Repair.ARGUMENT_ALIAS}

MESSES: list[tuple[str, Action, float | None, set[Repair]]] = [
    # what stands around it
    ('```json\n{"action":"click","x":0.5,"y":0.25}\n```', HERE, None, {Repair.FENCE}),
    ('Sure! {"action":"click","x":0.5,"y":0.25} I hope so.', HERE, None, {Repair.PROSE}),
    ('<tool_call>\n{"action":"click","x":0.5,"y":0.25}\n</tool_call>', HERE, None, {Repair.PROSE}),
    ('I see {a box}. {"action":"click","x":0.5,"y":0.25}', HERE, None, {Repair.PROSE}),
    (r"$\frac{a}{b}$" * 100 + '{"action":"wait"}', Wait(), None, {Repair.PROSE}),
    # not quite JSON
    ("{'action': 'click', 'x': 0.5, 'y': 0.25}", HERE, None, {Repair.LENIENT}),
    ('{"action":"click","x":0.5,"y":0.25,}', HERE, None, {Repair.LENIENT}),
    ('{"action":"click","x":.5,"y":+0.25}', HERE, None, {Repair.LENIENT}),
    ("{action: click, x: 0.5, y: 0.25}", HERE, None, {Repair.LENIENT}),
    ('{"action":"click" "x":0.5 "y":0.25}', HERE, None, {Repair.LENIENT}),
    ('{"action":"click", // the button\n"x":0.5,"y":0.25}', HERE, None, {Repair.LENIENT}),
    ("{\u201caction\u201d: \u201cclick\u201d, \u201cx\u201d: 0.5, \u201cy\u201d: 0.25}", HERE, None, {Repair.LENIENT}),
    ('{"action":"type","text":"two\nlines"}', Type("two\nlines"), None, {Repair.LENIENT}),
    ('{"action":"type","text":"say "hi", then go"}', Type('say "hi", then go'), None, {Repair.LENIENT}),
    ("{'action': 'type', 'text': 'don't'}", Type("don't"), None, {Repair.LENIENT}),
    (r"{'action': 'type', 'text': 'don\'t \x41\u00e9'}", Type("don't A\u00e9"), None, {Repair.LENIENT}),
    (r'{"action":"open","target":"C:\docs\x"}', Open(r"C:\docs\x"), None, {Repair.LENIENT}),
    ("{'action': 'click', 'x': 0.5, 'y': 0.25, 'ok': True, 'why': None}", HERE, None, {Repair.LENIENT, Repair.IGNORED}),
    ("{'action': 'click', 'point': (0.5, 0.25)}", HERE, None, {Repair.LENIENT, Repair.ARGUMENT_ALIAS}),
    # numbers
    ('{"action":"click","x":"0.5","y":" 0.25 "}', HERE, None, {Repair.NUMBER_AS_TEXT}),
    ('{"action":"click","x":"50%","y":"25 %"}', HERE, None, {Repair.NUMBER_AS_TEXT, Repair.PERCENT}),
    ('{"action":"click","x":-0.02,"y":1.02}', Click(0.0, 1.0), None, {Repair.CLIPPED}),
    ('{"action":"click","x":1,"y":0}', Click(1.0, 0.0), None, set()),
    ('{"action":"click","x":5e-1,"y":0.25}', HERE, None, set()),
    ('{"action":"type","text":1.50}', Type("1.50"), None, {Repair.TEXT_AS_NUMBER}),
    ('{"action":"key","keys":7}', Key("7"), None, {Repair.TEXT_AS_NUMBER}),
    ('{"action":"wait","seconds":"2s"}', Wait(2.0), None, {Repair.NUMBER_AS_TEXT}),
    ('{"action":"scroll","x":0.5,"y":0.25,"dy":3.0}', Scroll(0.5, 0.25, 3), None, set()),
    # confidence
    ('{"action":"click","x":0.5,"y":0.25,"confidence":0.95}', HERE, 0.95, set()),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":"0.95"}', HERE, 0.95, {Repair.NUMBER_AS_TEXT}),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":95}', HERE, 0.95, {Repair.CONFIDENCE_PERCENT}),
    (
        '{"action":"click","x":0.5,"y":0.25,"confidence":"95%"}',
        *(HERE, 0.95, {Repair.CONFIDENCE_PERCENT, Repair.NUMBER_AS_TEXT}),
    ),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":1.01}', HERE, 1.0, set()),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":7}', HERE, None, {Repair.CONFIDENCE_DROPPED}),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":-1}', HERE, None, {Repair.CONFIDENCE_DROPPED}),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":"high"}', HERE, None, {Repair.CONFIDENCE_DROPPED}),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":NaN}', HERE, None, {Repair.CONFIDENCE_DROPPED}),
    ('{"action":"click","x":0.5,"y":0.25,"confidence":null}', HERE, None, set()),
    # wrapping
    ('{"action":{"type":"click","x":0.5,"y":0.25},"confidence":0.5}', HERE, 0.5, {Repair.NESTED}),
    ('{"name":"click","arguments":{"x":0.5,"y":0.25}}', HERE, None, {Repair.NESTED}),
    ('{"name":"click","arguments":"{\\"x\\":0.5,\\"y\\":0.25}"}', HERE, None, {Repair.NESTED}),
    (
        '{"name":"computer_use","arguments":{"action":"left_click","coordinate":[0.5,0.25]}}',
        *(HERE, None, {Repair.NESTED, Repair.VERB_ALIAS, Repair.ARGUMENT_ALIAS}),
    ),
    (
        '{"type":"function","function":{"name":"click","arguments":{"x":0.5,"y":0.25}}}',
        *(HERE, None, {Repair.NESTED}),
    ),
    ('{"click":{"x":0.5,"y":0.25}}', HERE, None, {Repair.NESTED}),
    ('{"answer":{"action":"click","x":0.5,"y":0.25}}', HERE, None, set()),
    ('{"thought":"{\'action\':\'wait\'}","result":[{"action":"click","x":0.5,"y":0.25}]}', HERE, None, set()),
    ('{"name":"open","arguments":{"name":"notes"}}', Open("notes"), None, {Repair.NESTED, Repair.ARGUMENT_ALIAS}),
    # names
    ('{"Action":"LeftClick","X":0.5,"Y":0.25}', HERE, None, {Repair.VERB_ALIAS}),
    ('{"action":"pyautogui.click","x":0.5,"y":0.25}', HERE, None, {Repair.VERB_ALIAS}),
    ('{"action":"click","x":0.5,"y":0.25,"button":"right"}', RightClick(0.5, 0.25), None, {Repair.VERB_ALIAS}),
    ('{"action":"click","x":0.5,"y":0.25,"clicks":2}', DoubleClick(0.5, 0.25), None, {Repair.VERB_ALIAS}),
    ('{"action":"press","x":0.5,"y":0.25}', HERE, None, {Repair.VERB_ALIAS}),
    *(
        (f'{{"action":"{name}","x":0.5,"y":0.25{count}}}', TripleClick(0.5, 0.25), None, {Repair.VERB_ALIAS})
        for name, count in (
            *(("tripleClick", ""), ("left_triple", ""), ("tripleclick", ""), ("click", ',"clicks":3')),
            *(("click", ',"num_clicks":3'), ("left_click", ',"click_count":"3"')),
        )
    ),
    ('{"action":"triple_click","x":0.5,"y":0.25,"clicks":3}', TripleClick(0.5, 0.25), None, set()),
    # modifiers
    ('{"action":"click","held":"ctrl+shift","x":0.5,"y":0.25}', Click(0.5, 0.25, "ctrl+shift"), None, set()),
    ('{"action":"click","x":0.5,"y":0.25,"held":"Shift Control"}', CHORD, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","x":0.5,"y":0.25,"modifiers":["Control","Shift"]}', CHORD, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","x":0.5,"y":0.25,"text":"Shift_L+Control_L"}', CHORD, None, {Repair.ARGUMENT_ALIAS}),
    ('{"type":"click","button":"left","x":0.5,"y":0.25,"keys":["CTRL","SHIFT"]}', CHORD, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"left_click","coordinate":[0.5,0.25],"text":"cmd"}', Click(0.5, 0.25, "meta"), None, ALIASES),
    (
        '{"action":"scroll","coordinate":[0.5,0.25],"scroll_direction":"up","scroll_amount":5,"text":"ctrl"}',
        *(Scroll(0.5, 0.25, -5, 0, "ctrl"), None, {Repair.ARGUMENT_ALIAS}),
    ),
    (
        '{"type":"drag","path":[{"x":0.1,"y":0.2},{"x":0.5,"y":0.25}],"keys":["ALT"]}',
        *(Drag(0.1, 0.2, 0.5, 0.25, "alt"), None, {Repair.ARGUMENT_ALIAS}),
    ),
    ('{"action":"click","modifier":"option","x":0.500,"y":0.250', Click(0.5, 0.25, "alt"), None, {*CUT_AND_ALIAS}),
    ('{"action":"press","key":"Enter"}', Key("enter"), None, ALIASES),
    ('{"action":"hover","position":{"x":0.5,"y":0.25}}', Move(0.5, 0.25), None, ALIASES),
    ('{"action":"click","x":[0.5,0.25]}', HERE, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","point":"(0.5, 0.25)"}', HERE, None, {Repair.ARGUMENT_ALIAS, Repair.NUMBER_AS_TEXT}),
    ('{"action":"drag","start":[0.1,0.2],"end":[0.3,0.4]}', Drag(0.1, 0.2, 0.3, 0.4), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"drag","path":[[0.1,0.2],[0.3,0.4]]}', Drag(0.1, 0.2, 0.3, 0.4), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"drag","x1":0.1,"y1":0.2,"x2":0.3,"y2":0.4}', Drag(0.1, 0.2, 0.3, 0.4), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"type","content":"a {b}"}', Type("a {b}"), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"hotkey","keys":["Ctrl","Shift","S"]}', Key("ctrl+shift+s"), None, ALIASES),
    ('{"action":"key","keys":"Control S"}', Key("ctrl+s"), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"key","keys":"Page_Down"}', Key("pagedown"), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"key","keys":"ArrowUp"}', Key("up"), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"key","keys":" "}', Key("space"), None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"goto","url":"a.b/c"}', Open("a.b/c"), None, ALIASES),
    ('{"action":"terminate","status":"success"}', Done(), None, {Repair.VERB_ALIAS}),
    ('{"action":"finished","content":"red"}', Done("red"), None, ALIASES),
    ('{"action":"call_user","message":"Which?"}', Ask("Which?"), None, ALIASES),
    (
        '{"action":"scroll","coordinate":[0.5,0.25],"direction":"up","amount":2}',
        *(Scroll(0.5, 0.25, -2), None, {Repair.ARGUMENT_ALIAS}),
    ),
    (
        '{"action":"scroll_left","x":0.5,"y":0.25}',
        *(Scroll(0.5, 0.25, 0, -3), None, {Repair.VERB_ALIAS, Repair.ARGUMENT_ALIAS, Repair.DEFAULT_AMOUNT}),
    ),
    ('{"action":"scroll","x":0.5,"y":0.25,"dx":-2}', Scroll(0.5, 0.25, 0, -2), None, {Repair.ARGUMENT_ALIAS}),
    # boxes are read as their centre
    ('{"action":"click","bbox":[0.4,0.2,0.6,0.3]}', HERE, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","bbox_2d":[[0.4,0.2],[0.6,0.3]]}', HERE, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","coordinate":[0.4,0.2,0.6,0.3]}', HERE, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","x":[0.4,0.2,0.6,0.3]}', HERE, None, {Repair.ARGUMENT_ALIAS}),
    ('{"action":"click","x1":0.4,"y1":0.2,"x2":0.6,"y2":0.3}', HERE, None, {Repair.ARGUMENT_ALIAS}),
    (
        '{"action":"click","box":{"left":0.4,"top":0.2,"right":0.6,"bottom":0.3}}',
        *(HERE, None, {Repair.ARGUMENT_ALIAS}),
    ),
    (
        '{"action":"click","start_box":"<|box_start|>(0.4, 0.2), (0.6, 0.3)<|box_end|>"}',
        *(HERE, None, {Repair.ARGUMENT_ALIAS, Repair.NUMBER_AS_TEXT}),
    ),
    (
        '{"action":"drag","start_box":[0.0,0.0,0.2,0.2],"end_box":[0.4,0.2,0.6,0.3]}',
        *(Drag(0.1, 0.1, 0.5, 0.25), None, {Repair.ARGUMENT_ALIAS}),
    ),
    ('{"action":"click","x":0.5,"y":0.25,"bbox":[0.4,0.2,0.6,0.3]}', HERE, None, {Repair.IGNORED}),
    # remarks, and arguments that say what is done anyway
    (
        '{"action":"click","x":0.5,"y":0.25,"element":"Save","description":"a","reason":"b","step":3}',
        *(HERE, None, {Repair.IGNORED}),
    ),
    ('{"action":"click","x":0.5,"y":0.25,"keys":[],"text":"","hold":false}', HERE, None, {Repair.IGNORED}),
    ('{"action":"click","x":0.5,"y":0.25,"button":"left","clicks":1}', HERE, None, set()),
    ('{"action":"double_click","x":0.5,"y":0.25,"button":"left"}', DoubleClick(0.5, 0.25), None, set()),
    ('{"action":"right_click","x":0.5,"y":0.25,"button":"right"}', RightClick(0.5, 0.25), None, set()),
    ('{"action":"type","text":"a","press_enter":false,"target":"the box"}', Type("a"), None, {Repair.IGNORED}),
    ('{"action":"key","keys":"tab","presses":1}', Key("tab"), None, {Repair.IGNORED}),
    ('{"action":"scroll","x":0.5,"y":0.25,"dy":3,"direction":"down"}', Scroll(0.5, 0.25, 3), None, {Repair.IGNORED}),
    (
        '{"action":"drag","start":[0.1,0.2],"end":[0.3,0.4],"duration":1,"button":"left"}',
        *(Drag(0.1, 0.2, 0.3, 0.4), None, {Repair.ARGUMENT_ALIAS, Repair.IGNORED}),
    ),
    # several: the first action of a plan counts
    (
        '{"action":"click","x":0.5,"y":0.25}\n{"action":"wait"}',
        *(HERE, None, {Repair.SEVERAL, Repair.PROSE}),
    ),
    ('{"actions":[{"action":"click","x":0.5,"y":0.25},{"action":"wait"}]}', HERE, None, {Repair.SEVERAL}),
    (
        'Form: {"action":"click","x":<x>,"y":<y>}. Mine: {"action":"click","x":0.5,"y":0.25}',
        *(HERE, None, {Repair.SEVERAL, Repair.PROSE}),
    ),
    # the end is missing
    ('{"action":"click","x":0.500,"y":0.250,"confidence":0.95', HERE, 0.95, {Repair.COMPLETED}),
    ('{"action":"click","x":0.500,"y":0.250,"confi', HERE, None, {Repair.COMPLETED, Repair.IGNORED}),
    ('{"action":"click","x":0.500,"y":0.250,"confidence":', HERE, None, {Repair.COMPLETED, Repair.CONFIDENCE_DROPPED}),
    ('{"action":"click","x":0.500,"y":0.250', HERE, None, {Repair.COMPLETED}),
    ('{"action":"click","x":0.5,"y":0.2', Click(0.5, 0.2), None, {Repair.COMPLETED}),
    ('{"action":"click","coordinate":[0.5,0.25]', HERE, None, {Repair.COMPLETED, Repair.ARGUMENT_ALIAS}),
    ('{"name":"click","arguments":{"x":0.5,"y":0.25}', HERE, None, {Repair.COMPLETED, Repair.NESTED}),
    ('{"action":"done","answer":"red","', Done("red"), None, {Repair.COMPLETED, Repair.IGNORED}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "action", "confidence", "repairs"), MESSES, ids=range(len(MESSES)))
def test_what_models_write(text: str, action: Action, confidence: float | None, repairs: set[Repair]) -> None:
    result = parse_action(text)
    assert isinstance(result, Parsed), result
    assert result.action == action
    assert result.confidence == pytest.approx(confidence) if confidence is not None else result.confidence is None
    assert set(result.repairs) == repairs
    assert len(set(result.repairs)) == len(result.repairs)


FAILURES: list[tuple[str, ParseReason, str]] = [
    ("", ParseReason.EMPTY, "empty"),
    (" \n\t ", ParseReason.EMPTY, "empty"),
    ("click the red button", ParseReason.NO_OBJECT, "no object"),
    ("click(0.5, 0.25)", ParseReason.NO_OBJECT, "no object"),
    ("{", ParseReason.TRUNCATED, "names no action"),
    ('{"action":"cli', ParseReason.TRUNCATED, "action's name"),
    ('{"action":"click","x":0.518', ParseReason.TRUNCATED, "'y'"),
    ('{"action":"click","x":0.518,"y":0.2', ParseReason.TRUNCATED, "inside y"),
    ('{"action":"click","x":518,"y":232', ParseReason.TRUNCATED, "inside y"),
    ('{"action":"click","coordinate":[0.518,0.2', ParseReason.TRUNCATED, "inside y"),
    ('{"action":"click","coordinate":[0.518', ParseReason.TRUNCATED, "coordinate"),
    ('{"action":"type","text":"hel', ParseReason.TRUNCATED, "inside text"),
    ('{"action":"done","answer":"re', ParseReason.TRUNCATED, "inside answer"),
    ('{"action":"done"', ParseReason.TRUNCATED, "all arguments"),
    ('{"confidence":0.9,"action":"done"', ParseReason.TRUNCATED, "all arguments"),
    ('{"action":"click","x":0.500,"y":0.250,"butt', ParseReason.TRUNCATED, "all arguments"),
    ('{"action":"click","x":0.500,"y":0.250,"button":"rig', ParseReason.TRUNCATED, "button"),
    ('{"action":"wait","seconds":1', ParseReason.TRUNCATED, "inside seconds"),
    ('{"action":"scroll","x":0.5,"y":0.5,"dy":3', ParseReason.TRUNCATED, "inside dy"),
    ('{"action":"scroll","x":0.5,"y":0.5,"direction":"up","amount":3', ParseReason.TRUNCATED, "amount"),
    ('{"action" "click"]', ParseReason.MALFORMED, "expected at character 9"),
    ('{"action":"click"; "x":0.5}', ParseReason.MALFORMED, "expected"),
    ("{'a':" + "[" * 20 + "]" * 20 + "}", ParseReason.MALFORMED, "deep"),
    ('{"x":0.5,"y":0.5}', ParseReason.NO_VERB, "no action"),
    ('{"action":null,"x":0.5}', ParseReason.NO_VERB, "no action"),
    ('{"action":3}', ParseReason.NO_VERB, "no action"),
    ("{}", ParseReason.NO_VERB, "no action"),
    ('{"action":"clikc","x":0.5,"y":0.5}', ParseReason.UNKNOWN_VERB, "'click'"),
    ('{"action":"fly"}', ParseReason.UNKNOWN_VERB, "Valid choices"),
    ('{"action":"click","x":0.5}', ParseReason.MISSING_ARGUMENT, "'y'"),
    ('{"action":"type"}', ParseReason.MISSING_ARGUMENT, "'text'"),
    ('{"action":"type","text":null}', ParseReason.MISSING_ARGUMENT, "'text'"),
    ('{"action":"scroll","direction":"down"}', ParseReason.MISSING_ARGUMENT, "'x'"),
    ('{"action":"left_click_drag","coordinate":[0.5,0.5]}', ParseReason.MISSING_ARGUMENT, "'to_x'"),
    ('{"action":"click","x":"left","y":0.5}', ParseReason.BAD_ARGUMENT, "'left'"),
    ('{"action":"click","x":true,"y":0.5}', ParseReason.BAD_ARGUMENT, "True"),
    ('{"action":"click","x":NaN,"y":0.5}', ParseReason.BAD_ARGUMENT, "finite"),
    ('{"action":"click","x":-Infinity,"y":0.5}', ParseReason.BAD_ARGUMENT, "finite"),
    ('{"action":"click","x":1e999,"y":0.5}', ParseReason.BAD_ARGUMENT, "finite"),
    ('{"action":"click","x":"2s","y":0.5}', ParseReason.BAD_ARGUMENT, "not a time"),
    ('{"action":"click","x":{"a":1},"y":[1]}', ParseReason.BAD_ARGUMENT, "an object"),
    ('{"action":"click","coordinate":[0.1,0.2,0.3]}', ParseReason.BAD_ARGUMENT, "two numbers"),
    ('{"action":"click","x":0.5,"y":0.5,"button":"middle"}', ParseReason.BAD_ARGUMENT, "'middle'"),
    ('{"action":"type","text":["a"]}', ParseReason.BAD_ARGUMENT, "a list"),
    ('{"action":"type","text":"' + "a" * 2001 + '"}', ParseReason.BAD_ARGUMENT, "2001"),
    ('{"action":"key","keys":"ctrl+entr"}', ParseReason.BAD_ARGUMENT, "'enter'"),
    ('{"action":"key","keys":"ctrl+shift"}', ParseReason.BAD_ARGUMENT, "exactly one key"),
    ('{"action":"scroll","x":0.5,"y":0.5,"dy":2.5}', ParseReason.BAD_ARGUMENT, "whole"),
    ('{"action":"scroll","x":0.5,"y":0.5,"dy":"5%"}', ParseReason.BAD_ARGUMENT, "unit"),
    ('{"action":"scroll","x":0.5,"y":0.5,"direction":"sideways"}', ParseReason.BAD_ARGUMENT, "direction"),
    ('{"action":"scroll","x":0.5,"y":0.5,"direction":"up","amount":-2}', ParseReason.BAD_ARGUMENT, "notches"),
    ('{"action":"terminate","status":"failure"}', ParseReason.BAD_ARGUMENT, "failed"),
    ('{"action":"done","success":false}', ParseReason.BAD_ARGUMENT, "failed"),
    ('{"action":"click","x":518,"y":232}', ParseReason.OUT_OF_RANGE, "x = 518"),
    ('{"action":"click","x":51.8,"y":23.2}', ParseReason.OUT_OF_RANGE, "x = 51.8"),
    ('{"action":"click","x":"518px","y":"232px"}', ParseReason.OUT_OF_RANGE, "x = 518"),
    ('{"action":"click","x":1.03,"y":0.5}', ParseReason.OUT_OF_RANGE, "1.03"),
    ('{"action":"click","x":-0.03,"y":0.5}', ParseReason.OUT_OF_RANGE, "-0.03"),
    ('{"action":"click","x":"103%","y":"5%"}', ParseReason.OUT_OF_RANGE, "1.03"),
    ('{"action":"scroll","x":0.5,"y":0.5,"dy":51}', ParseReason.OUT_OF_RANGE, "[-50, 50]"),
    ('{"action":"wait","seconds":61}', ParseReason.OUT_OF_RANGE, "[0, 60]"),
    # what would change what is done is not dropped
    ('{"action":"click","x":0.5,"y":0.5,"text":"Save"}', ParseReason.BAD_ARGUMENT, "'text' ('Save')"),
    ('{"action":"click","x":0.5,"y":0.5,"keys":["SHIFT","a"]}', ParseReason.BAD_ARGUMENT, "'keys' (a list)"),
    ('{"action":"click","x":0.5,"y":0.5,"held":"a"}', ParseReason.BAD_ARGUMENT, "unknown modifier 'a'"),
    ('{"action":"click","x":0.5,"y":0.5,"held":true}', ParseReason.BAD_ARGUMENT, "held must be text, not True"),
    ('{"action":"click","x":0.5,"y":0.5,"keys":"ctrl","text":"Save"}', ParseReason.BAD_ARGUMENT, "'text' ('Save')"),
    ('{"action":"click","x":0.5,"y":0.5,"keys":"ctrl","modifiers":["alt"]}', ParseReason.BAD_ARGUMENT, "'keys'"),
    ('{"action":"click","x":0.5,"y":0.5,"ctrlKey":true}', ParseReason.BAD_ARGUMENT, "'ctrl_key'"),
    ('{"action":"move","x":0.5,"y":0.5,"modifiers":["alt"]}', ParseReason.BAD_ARGUMENT, "'modifiers'"),
    ('{"action":"click","x":0.500,"y":0.500,"modifiers":["ctrl"', ParseReason.TRUNCATED, "all arguments"),
    ('{"action":"click","x":0.500,"y":0.500,"text":"ctrl', ParseReason.TRUNCATED, "'text' ('ctrl')"),
    ('{"action":"click","x":0.500,"y":0.500,"held":"ctrl+sh', ParseReason.TRUNCATED, "inside held"),
    ('{"action":"click","x":0.5,"y":0.5,"ctrlKey":true}', ParseReason.BAD_ARGUMENT, "'ctrl_key'"),
    ('{"name":"click","keys":["S"],"arguments":{"x":0.5,"y":0.5}}', ParseReason.BAD_ARGUMENT, "'keys'"),
    ('{"action":"click","x":0.5,"y":0.5,"duration":2}', ParseReason.BAD_ARGUMENT, "'duration'"),
    ('{"action":"click","x":0.5,"y":0.5,"clicks":4}', ParseReason.BAD_ARGUMENT, "'4' times"),
    ('{"action":"right_click","x":0.5,"y":0.5,"num_clicks":3}', ParseReason.BAD_ARGUMENT, "'right' '3' times"),
    ('{"action":"triple_click","x":0.5,"y":0.5,"clicks":2}', ParseReason.BAD_ARGUMENT, "'2' times"),
    ('{"action":"double_click","x":0.5,"y":0.5,"button":"right"}', ParseReason.BAD_ARGUMENT, "'right'"),
    ('{"action":"click","x":0.5,"y":0.5,"type":"right"}', ParseReason.BAD_ARGUMENT, "'type'"),
    ('{"action":"click","x":0.5,"y":0.5,"coordinate":[0.1,0.1]}', ParseReason.BAD_ARGUMENT, "'coordinate'"),
    ('{"action":"click","x":0.5,"y":0.5,"target":[0.1,0.1]}', ParseReason.BAD_ARGUMENT, "'target'"),
    ('{"action":"type","x":0.5,"y":0.3,"text":"hi"}', ParseReason.BAD_ARGUMENT, "'x'"),
    ('{"action":"type","text":"hi","press_enter":true}', ParseReason.BAD_ARGUMENT, "'press_enter'"),
    ('{"action":"key","key":"s","modifiers":["ctrl"]}', ParseReason.BAD_ARGUMENT, "'modifiers'"),
    ('{"action":"key","keys":"tab","presses":3}', ParseReason.BAD_ARGUMENT, "'presses'"),
    ('{"action":"scroll","x":0.5,"y":0.5,"dy":3,"direction":"up"}', ParseReason.BAD_ARGUMENT, "'direction'"),
    ('{"action":"wait","ms":500}', ParseReason.BAD_ARGUMENT, "'ms'"),
    ('{"action":"drag","path":[[0.1,0.2],[0.3,0.9],[0.3,0.4]]}', ParseReason.BAD_ARGUMENT, "path"),
    ('{"action":"click","x":0.5,"y":0.5,"keys":', ParseReason.TRUNCATED, "all arguments"),
    ('{"action":"click","x":0.5,"y":0.5,"keys":[', ParseReason.TRUNCATED, "all arguments"),
    ('{"action":"click","x":0.5,"y":0.5,"button":', ParseReason.TRUNCATED, "all arguments"),
    # boxes
    ('{"action":"click","bbox":[0.6,0.2,0.4,0.3]}', ParseReason.BAD_ARGUMENT, "[x1, y1, x2, y2]"),
    ('{"action":"click","bbox":[0.4,0.2,1.6,0.3]}', ParseReason.OUT_OF_RANGE, "1.6"),
    ('{"action":"click","bbox":["40%",0.2,0.6,0.3]}', ParseReason.BAD_ARGUMENT, "[x1, y1, x2, y2]"),
    ('{"action":"click","x":0.9,"y":0.5,"bbox":[0.4,0.2,0.6,0.9]}', ParseReason.BAD_ARGUMENT, "'bbox'"),
    ('{"action":"click","box_2d":[0.4,0.2,0.6,0.3]}', ParseReason.MISSING_ARGUMENT, "'x'"),
    ('{"action":"click","bbox":[0.4,0.2,0.6,0.3', ParseReason.TRUNCATED, "inside y"),
    # two actions, neither of them marked
    ('{"action":"wait"}\nNo, rather {"action":"done"}', ParseReason.AMBIGUOUS, "two different"),
    # an action that is out of range is the answer: nothing after it is taken instead
    ('{"action":"click","x":9,"y":9} {"action":"wait"}', ParseReason.OUT_OF_RANGE, "x = 9"),
    # the failure that came furthest is reported
    ('{"a":1} {"action":"fly"} {"action":"click","x":0.5} {', ParseReason.MISSING_ARGUMENT, "'y'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason", "detail"), FAILURES, ids=range(len(FAILURES)))
def test_why_a_text_is_no_action(text: str, reason: ParseReason, detail: str) -> None:
    result = parse_action(text)
    assert isinstance(result, ParseFailure), result
    assert result.reason is reason
    assert detail in result.detail
    assert result.text == text


def test_the_tables_hold_every_reason_and_every_repair() -> None:
    assert {reason for _, reason, _ in FAILURES} == set(ParseReason)
    assert set().union(*(repairs for *_, repairs in MESSES)) == set(Repair)


@pytest.mark.parametrize("text", ['{"action":"click","point":[500,500]}', '{"action":"click","x":"518px","y":"232px"}'])
@pytest.mark.parametrize("frame", [(0, 0), (1280, 720), (1000, 1000)])
def test_a_number_is_never_taken_for_pixels_unless_the_config_says_so(text: str, frame: tuple[int, int]) -> None:
    result = parse_action(text, geometry=Geometry("fraction", frame))
    assert isinstance(result, ParseFailure)
    assert result.reason is ParseReason.OUT_OF_RANGE
    assert "policy.unit=fraction" in result.detail


PIXEL, THOUSAND = Geometry("pixel", (2000, 1600), (1000, 800)), Geometry("thousand", (1280, 720))
COUNTED: list[tuple[Geometry, str, Action | None, set[Repair]]] = [
    (PIXEL, '{"action":"click","x":500,"y":200}', Click(0.5005, 0.250625), set()),
    (PIXEL, '{"action":"click","x":500,"y":1}', Click(0.5005, 0.001875), set()),
    (PIXEL, '{"action":"click","x":999,"y":0}', Click(0.9995, 0.000625), set()),
    (PIXEL, '{"action":"click","x":"500px","y":"1 px"}', Click(0.5005, 0.001875), {Repair.NUMBER_AS_TEXT}),
    (PIXEL, '{"action":"click","x":2,"y":200.4}', Click(0.0025, 0.250625), set()),
    (PIXEL, '{"action":"click","x":1000,"y":-5}', Click(0.9995, 0.000625), {Repair.CLIPPED}),
    (PIXEL, '{"action":"click","x":500,"y":"50%"}', Click(0.5005, 0.5), {Repair.NUMBER_AS_TEXT, Repair.PERCENT}),
    (PIXEL, '{"action":"click","x":1021,"y":200}', None, set()),
    (PIXEL, '{"action":"click","x":500,"y":817}', None, set()),
    (PIXEL, '{"action":"click","x":500,"y":0.5}', None, set()),
    (PIXEL, '{"action":"click","x":0.5,"y":0.25}', None, set()),
    (PIXEL, '{"action":"click","bbox":[400,100,600,300]}', Click(0.5005, 0.250625), {Repair.ARGUMENT_ALIAS}),
    (PIXEL, '{"action":"click","bbox":[0,0,1,1]}', Click(0.0005, 0.000625), {Repair.ARGUMENT_ALIAS}),
    (PIXEL, '{"action":"click","bbox":[400,100,1600,300]}', None, set()),
    (THOUSAND, '{"action":"click","bbox":[400,100,601,300]}', Click(0.5005, 0.2005), {Repair.ARGUMENT_ALIAS}),
    (THOUSAND, '{"action":"click","x":500,"y":0}', Click(0.5005, 0.0005), set()),
    (THOUSAND, '{"action":"click","x":1000,"y":999}', Click(0.9995, 0.9995), set()),
    (THOUSAND, '{"action":"drag","x":1,"y":2,"to_x":3,"to_y":4}', Drag(0.0015, 0.0025, 0.0035, 0.0045), set()),
    (THOUSAND, '{"action":"click","x":1280,"y":720}', None, set()),
    (THOUSAND, '{"action":"click","x":"500px","y":"1px"}', None, set()),
    (THOUSAND, '{"action":"click","x":0.5,"y":0.5}', None, set()),
]  # fmt: skip


@pytest.mark.parametrize(("geometry", "text", "action", "repairs"), COUNTED, ids=range(len(COUNTED)))
def test_counted_units(geometry: Geometry, text: str, action: Action | None, repairs: set[Repair]) -> None:
    result = parse_action(text, geometry=geometry)
    if action is None:
        assert isinstance(result, ParseFailure)
        assert result.reason is ParseReason.OUT_OF_RANGE
        assert f"policy.unit={geometry.unit}" in result.detail
    else:
        assert isinstance(result, Parsed)
        assert result.action == action
        assert set(result.repairs) == repairs


def test_fractions_stay_fractions_whatever_the_frame() -> None:
    geometry = Geometry("fraction", (1000, 800))
    assert parse_action('{"action":"click","x":0.5,"y":1}', geometry=geometry) == Parsed(Click(0.5, 1.0))


def test_half_a_surrogate_pair_never_leaves_the_parser() -> None:
    for text in ('{"action":"type","text":"a\\ud800b"}', '{"action":"type","text":"a\ud800b"}'):
        assert parse_action(text) == Parsed(Type("a\ufffdb"))
    assert parse_action('{"action":"type","text":"\\ud83d\\ude00"}') == Parsed(Type("\U0001f600"))
    lenient = parse_action("{'action':'type','text':'\\ud83d\\ude00'}")
    assert lenient == Parsed(Type("\U0001f600"), None, (Repair.LENIENT,))


def test_aliases_lead_to_verbs_and_never_shadow_one() -> None:
    assert set(VERB_ALIASES.values()) <= set(VERBS)
    assert not set(VERB_ALIASES) & set(VERBS)
    assert set(ARGUMENT_ALIASES) == {name for cls in VERBS.values() for name in cls.__match_args__}


# -- the reader --------------------------------------------------------------------------------------------------


def test_reader_keeps_numbers_as_written_and_marks_what_is_cut() -> None:
    (whole,) = read_objects('{"a":1.50,"b":[2,-3e1]}')
    assert whole == Found({"a": "1.50", "b": ["2", "-3e1"]}, 0, 23)
    assert isinstance(whole, Found)
    assert isinstance(whole.value["a"], Number)
    (cut,) = read_objects("x {'a':1.50, b:[true, 2.")
    assert cut == Found({"a": "1.50", "b": [True, "2."]}, 2, 24, whole=False, strict=False)
    assert isinstance(cut, Found)
    assert isinstance(cut.value["b"][1], Cut)
    assert not isinstance(cut.value["a"], Cut)


def test_reader_goes_on_inside_a_broken_object() -> None:
    first, second = read_objects('{no {"a":1}')
    assert first == Broken(0, 5, "':' expected at character 4")
    assert second == Found({"a": "1"}, 4, 11)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{"' * 50_000,
        '{"a":' * 20_000,
        "{a:" * 33_000,
        '{"a":[' * 17_000,
        '{"a":"' * 17_000,
        '{"a":1 ' * 14_000 + "@",
        '{"a":{"b":1},' * 8_000,
        '{"a":"x"' + " " * 100_000,
        '{"a":"' + '" ' * 50_000,
        '{"a":1' + "//" * 50_000,
        '{"text":"' + "\\" * 100_000,
        '{"a":' * 900 + "[" + "1," * 40_000 + "@",
        '{"a":' * 12 + '["x",' + '"b" ' * 22_000 + "@",
        '{"action":"x"},' * 7_000,
        '{"l":[' + '{"action":"zz"},' * 7_000 + "{}]}",
        '{"arguments":"' + '{\\"arguments\\":' * 6_000 + '"}',
        '{"action":"' + "z" * 100_000 + '"}',
        '{"action":"click","x":' + "9" * 100_000 + ',"y":0}',
        '{"action":"click","x":' + "[" * 900 + "]" * 900 + ',"y":0}',
        '{"action":"type","text":"' + '"a" ' * 25_000,
        '{"a":"x" y ' * 9_000,
        "<think>" * 15_000,
        '<think>{"a":"' * 8_000,
        '{"a":1}</think>' * 7_000,
        "Thought: {\n" * 9_000,
        'Action: {"a":1}\n' * 6_000,
        '{"action":"zz"; ' * 6_000,
        '{"action":"zz"} then ' * 5_000,
        "<think " * 15_000,
        "[ [ [" * 20_000 + "{",
    ],
    ids=lambda text: text[:16],
)
def test_time_is_bounded_on_hostile_texts(text: str) -> None:
    start = time.process_time()
    assert isinstance(parse_action(text), ParseFailure)
    assert time.process_time() - start < 4.0  # each takes well under one second; quadratic ones would take minutes


# -- nothing raises ----------------------------------------------------------------------------------------------

NATIVE = get_dialect("native")
VALID = [*(NATIVE.write(action, 0.9) for action in EXAMPLES), *(text for text, *_ in MESSES)]
PIECES = [
    *("<think>", "</think>", "[THINK]", "<|channel|>final", "\nThought: ", "\nAction: ", "\nObservation: ", "\nThen "),
    *("{", "}", "[", "]", "(", ")", '"', "'", "`", ":", ",", " ", "\n", "\\", "\\u", "\\ud800", "//", "```", "\u201c"),
    *("{", "}", ":", ",", '"', '"', '{"action":"', '","', '":', "true", "None", "NaN", "-", "0.5"),
    *("1e400", "518", "95%", "[1,2]", "9" * 30),
    *(f'"{name}"' for name in ("action", "type", "name", "arguments", "function", "x", "y", "confidence", "status")),
    *(f'"{name}"' for name in ("coordinate", "start", "end", "path", "text", "keys", "direction", "amount", "button")),
    *(f'"{verb}"' for verb in (*VERBS, "press", "left_click_drag", "scroll_up", "terminate", "hotkey")),
    *("{}", "[]", "[0.5,0.5]", '{"x":1}', '"{\\"x\\":1}"', "\x00", "\ud800", "\U0001f600", "\u0660", "down", "ctrl+"),
]
SETTINGS = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def sound(result: ParseResult, text: str) -> None:
    if isinstance(result, ParseFailure):
        assert result.text == text
        assert result.detail
        assert len(result.detail) < 400
        return
    assert isinstance(result, Parsed)
    plain = to_json(result.action)
    assert from_json(plain) == result.action
    json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
    assert result.confidence is None or (math.isfinite(result.confidence) and 0 <= result.confidence <= 1)
    assert set(result.repairs) <= set(Repair)


def mutant(rng: random.Random) -> str:
    """A valid answer with up to six characters or pieces dropped, doubled, swapped or put in."""
    text = rng.choice(VALID)
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(text) + 1), rng.choice((0, 1, 1, 2, 8, 60))
        put = rng.choice(("", "", rng.choice(PIECES), text[at : at + length] * 2, chr(rng.randrange(0x250))))
        text = text[:at] + put + text[at + length :]
    return text


def soup(rng: random.Random) -> str:
    return "".join(rng.choices(PIECES, k=rng.randint(1, 40)))


WORDS = st.sampled_from([piece.strip('"') for piece in PIECES]) | st.text(st.characters(), max_size=4)
TREES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)


def test_nothing_raises() -> None:
    counts = dict.fromkeys(("text", "mutant", "soup", "tree"), 0)

    def feed(kind: str, text: str) -> None:
        counts[kind] += 1
        geometry = Geometry(UNITS[counts[kind] % 3], (1000, 800))
        sound(parse_action(text, geometry=geometry), text)

    @settings(SETTINGS, max_examples=2_000)
    @given(st.text(st.characters(), max_size=120))
    def any_text(text: str) -> None:
        feed("text", text)

    @settings(SETTINGS, max_examples=1_000)
    @given(st.integers(0, 2**64))
    def mutants_and_soups(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(10):
            feed("mutant", mutant(rng))
            feed("soup", soup(rng))

    @settings(SETTINGS, max_examples=500)
    @given(st.dictionaries(WORDS, TREES, max_size=6))
    def trees(tree: dict[str, object]) -> None:
        feed("tree", json.dumps(tree))
        feed("tree", repr(tree))

    for part in (any_text, mutants_and_soups, trees):
        part()
    assert sum(counts.values()) >= 20_000
    assert min(counts.values()) >= 500
