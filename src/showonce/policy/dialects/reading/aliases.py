"""Other names that models give to the verbs, arguments and keys. Data only; names here are in snake_case.

Names whose unit is unknown (scroll distances in pixels, delays in milliseconds) are left out on purpose.
"""

from __future__ import annotations

from typing import Final

VERB_KEYS: Final = ("action", "action_type", "action_name", "type", "name", "verb", "command", "function", "tool")
ARGUMENT_BOXES: Final = ("arguments", "args", "parameters", "params", "kwargs", "action_input", "input", "function")
CONFIDENCE_KEYS: Final = ("confidence", "conf", "certainty", "probability")

VERB_ALIASES: Final[dict[str, str]] = {
    **dict.fromkeys(("left_click", "left_single", "single_click", "tap", "click_at", "mouse_click"), "click"),
    **dict.fromkeys(("doubleclick", "dblclick", "left_double", "double_tap", "double_left_click"), "double_click"),
    **dict.fromkeys(("tripleclick", "left_triple", "triple_tap", "triple_left_click"), "triple_click"),
    **dict.fromkeys(("rightclick", "right_single", "context_click"), "right_click"),
    **dict.fromkeys(("hover", "mouse_move", "move_mouse", "move_to", "hover_at", "cursor_move"), "move"),
    **dict.fromkeys(("left_click_drag", "drag_to", "drag_and_drop", "mouse_drag", "drag_drop", "swipe"), "drag"),
    **dict.fromkeys(("scroll_at", "mouse_scroll", "wheel", "mouse_wheel"), "scroll"),
    **dict.fromkeys(("scroll_down", "scroll_up", "scroll_left", "scroll_right"), "scroll"),
    **dict.fromkeys(("type_text", "input", "input_text", "enter_text", "write", "write_text", "typing"), "type"),
    **dict.fromkeys(("hotkey", "press_key", "key_press", "keypress", "press_keys", "shortcut"), "key"),
    **dict.fromkeys(("goto", "go_to", "navigate", "navigate_to", "visit", "open_url", "open_app", "launch"), "open"),
    **dict.fromkeys(("sleep", "pause", "delay"), "wait"),
    **dict.fromkeys(("finish", "finished", "terminate", "complete", "completed", "answer", "stop"), "done"),
    **dict.fromkeys(("ask_user", "call_user", "question", "ask_question", "request_help", "clarify"), "ask"),
}

ARGUMENT_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "x": ("x1", "start_x", "from_x", "pos_x", "coordinate_x"),
    "y": ("y1", "start_y", "from_y", "pos_y", "coordinate_y"),
    "to_x": ("x2", "end_x", "target_x", "dest_x"),
    "to_y": ("y2", "end_y", "target_y", "dest_y"),
    "dy": (),
    "dx": (),
    "held": (
        *("modifiers", "modifier", "modifier_keys", "held_keys", "hold_keys", "hold_key", "hold"),
        *("keys", "key", "text"),  # Anthropic's computer use names them in the text of a click or a scroll
    ),
    "text": ("content", "value", "string", "input", "input_text", "message"),
    "keys": ("key", "hotkey", "combo", "shortcut", "key_combination", "chord", "keystrokes", "text", "value"),
    "target": ("app", "app_name", "application", "url", "address", "path", "file", "name", "text", "value"),
    "seconds": ("time", "duration", "secs", "sec", "delay", "value"),
    "answer": ("text", "content", "result", "message", "response", "final_answer", "value"),
    "question": ("text", "content", "message", "prompt", "value"),
}

# box_2d is left out: of the models that write it, some begin with x and some with y
BOX_KEYS: Final = ("bbox", "bbox_2d", "box", "bounding_box", "bounds", "rect")
POINT_KEYS: Final = (
    *("coordinate", "coordinates", "point", "position", "location", "pos", "xy", "center", "start_box", "point_2d"),
    *BOX_KEYS,
)
START_KEYS: Final = ("start", "from", "start_coordinate", "start_point", "start_position", "source", *POINT_KEYS)
END_KEYS: Final = (
    *("end", "to", "end_coordinate", "end_point", "end_position", "target", "destination", "end_box"),
    *("to_coordinate", "target_coordinate"),
)
DIRECTION_KEYS: Final = ("direction", "scroll_direction")
AMOUNT_KEYS: Final = ("amount", "scroll_amount", "notches", "clicks", "steps", "times")
DIRECTIONS: Final = {"down": ("dy", 1), "up": ("dy", -1), "right": ("dx", 1), "left": ("dx", -1)}

# -- members of an object that are no arguments: every other one that a verb does not take refuses the action ----------

THOUGHT_KEYS: Final = (
    *("thought", "thoughts", "thinking", "think", "reasoning", "reasoning_content", "rationale", "analysis"),
    *("reflection", "chain_of_thought", "cot", "inner_monologue"),
)
# what is named and not meant; an action in there is not looked at, nor is one in a thought
CONSIDERED_KEYS: Final = (
    *THOUGHT_KEYS,
    *("considered", "alternative", "alternatives", "rejected", "candidates", "options", "example", "examples"),
    *("history", "previous_action", "previous_actions", "last_action", "not"),
)
REMARK_KEYS: Final = frozenset(
    {
        *CONSIDERED_KEYS,
        *("description", "explanation", "reason", "why", "note", "notes", "comment", "comments", "summary", "title"),
        *("intent", "intention", "purpose", "goal", "next_goal", "subgoal", "task", "subtask", "instruction", "plan"),
        *("memory", "evaluation", "evaluation_previous_goal", "current_state", "observation", "critique", "caption"),
        *("expected", "expectation", "expected_result", "expected_outcome", "outcome", "ok", "status", "success"),
        *(
            "id",
            "call_id",
            "tool_call_id",
            "step",
            "step_id",
            "step_number",
            "timestamp",
            "role",
            "object",
            "screenshot",
        ),
        *("confidence", "conf", "certainty", "probability", "score", "risk", "pending_safety_checks"),
    }
)
# names of what is pointed at: remarks where they are a text
ELEMENT_KEYS: Final = frozenset(
    {
        *(
            "element",
            "element_name",
            "element_description",
            "element_type",
            "target",
            "target_element",
            "label",
            "name",
        ),
        *("object_name", "widget", "control", "field", "button_name", "button_text", "tag", "app", "window", "page"),
        *("type", "function", "tool", "command", "verb", "action_type", "action_name"),
    }
)
PACE_KEYS: Final = {
    **dict.fromkeys(("move", "drag"), ("duration", "speed", "tween", "seconds", "duration_ms")),
    "type": ("interval", "delay", "speed", "typing_speed"),
}
CLICKS_KEYS: Final = ("clicks", "click_count", "num_clicks")  # of a click: 2 and 3 make another verb of it
ONCE_KEYS: Final = ("clicks", "click_count", "num_clicks", "count", "times", "repeat", "presses")  # harmless at 1

KEY_ALIASES: Final[dict[str, str]] = {
    **{f"arrow{way}": way for way in ("up", "down", "left", "right")},
    **{f"{way}arrow": way for way in ("up", "down", "left", "right")},
    **dict.fromkeys(("pgup", "prior"), "pageup"),
    **dict.fromkeys(("pgdn", "pgdown", "next"), "pagedown"),
    **dict.fromkeys(("super", "superl", "superr", "command", "windows", "winkey"), "meta"),
    **dict.fromkeys(("ctl", "controlleft", "controlright", "ctrlleft", "ctrlright", "controll", "controlr"), "ctrl"),
    **dict.fromkeys(("spacebar", "blank"), "space"),
    **dict.fromkeys(("option", "altleft", "altright", "altl", "altr"), "alt"),
    **dict.fromkeys(("shiftleft", "shiftright", "shiftl", "shiftr"), "shift"),
    "bksp": "backspace",
    "ins": "insert",
    "kpenter": "enter",
}
