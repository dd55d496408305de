"""Events and view values as sentences that a person understands; used by the live screen's log and by plain lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from showonce.dashboard.state import LastGate, RunView
from showonce.events import GIVE_UP, RecoveryTried, from_json

Event = Mapping[str, Any]

# Phases of many episodes: their results, probes and updates are told, not each episode.
CROWDED_PHASES: Final = frozenset(
    {"before", "teacher", "learn", "practice", "after", "retention", "baseline", "eval", "probe", "shadow"}
)


MEASURES: Final = {
    "reobserve": "looked again", "retry": "tried again", "undo": "took something back", "ask": "asked a person",
    "give_up": "gave up",
}  # fmt: skip


def clean(text: str, limit: int = 400) -> str:
    """Return text that is safe on a terminal: one line, no control or escape characters, at most `limit` long.

    Goals, answers and messages come from models and pages; what they contain must never steer the terminal.
    """
    head = text[: limit + 1]
    safe = "".join(c if c.isprintable() else " " for c in head)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def duration(seconds: float) -> str:
    """Return 41 s as ``0:41``, an hour as ``1:00:00``."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def number(value: Any, digits: int = 2) -> str:
    """Return a number with `digits` decimals, or ``-`` where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "-"
    return f"{value:.{digits}f}"


def end_words(view: RunView) -> tuple[str, str]:
    """Return how a run ended in a word or two, and the message of the error that ended it (or nothing)."""
    if view.finished is None:
        return "not finished", ""
    if re.fullmatch(r"\w+", view.finished):
        return f"finished: {clean(view.finished.replace('_', ' '))}", ""
    return "finished: failed", clean(view.finished, 2000)


def action_words(action: Mapping[str, Any] | None) -> str:
    """Return an action's JSON form as words: ``click (0.52, 0.23)``, ``type "sun"``, ``drag (..) to (..)``."""
    if not action:
        return "nothing"
    verb = clean(str(action.get("action", "?")), 20)
    rest = {k: v for k, v in action.items() if k != "action"}
    words = [verb]
    if "x" in rest and "y" in rest:
        words.append(f"({number(rest.pop('x'))}, {number(rest.pop('y'))})")
    if "to_x" in rest and "to_y" in rest:
        words.append(f"to ({number(rest.pop('to_x'))}, {number(rest.pop('to_y'))})")
    for key, value in rest.items():
        if isinstance(value, str):
            if value:
                words.append(f'"{clean(value, 40)}"')
        elif not (key == "dx" and value == 0):
            words.append(f"{clean(key, 12)} {value:g}" if isinstance(value, (int, float)) else clean(str(value), 20))
    return " ".join(words)


def gate_words(gate: LastGate) -> str:
    """Return a gate decision: ``accepted (shown: ...)`` or ``refused (confidence 0.31 under 0.50)``."""
    reason = clean(gate.reason.replace("_", " ") if " " not in gate.reason else gate.reason)
    numbers = ", ".join(
        f"{clean(str(k).replace('_', ' '), 30)} {value:.3g}"
        for k, value in gate.numbers.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    inside = reason if any(c.isdigit() for c in reason) or not numbers else f"{reason}: {numbers}"
    if gate.accepted:
        return f"accepted ({gate.route or 'no route'}{': ' + inside if inside else ''})"
    return f"refused ({inside})" if inside else "refused"


def gate_line(view: RunView) -> str:
    """Return ``learning on: update 12 of 60; last decision: ...``."""
    if view.learning is False:
        return "learning off: this run acts and measures, nothing is updated"
    if view.learning is None and view.gate is None and view.updates == 0:
        return "learning: nothing known yet"
    budget = f" of {view.budget_run}" if view.budget_run is not None else ""
    last = gate_words(view.gate) if view.gate else "none yet"
    return f"learning on: update {view.updates_used}{budget}; last decision: {last}"


def rollback_words(episode: str, old: str, new: str, statistic: Any, reason: str) -> str:
    """Return one sentence on a rollback."""
    measured = f" (statistic {number(statistic)})" if number(statistic) != "-" else ""
    why = f": {clean(reason)}" if reason else ""
    at = f" at episode {clean(episode, 40)}" if episode else ""
    return f"rolled back{at}: {clean(old, 40)} to {clean(new, 40)}{measured}{why}"


def interval_words(event: Event) -> str:
    """Return ``0.96 [0.90, 0.98], n=100`` of a phase result."""
    n = event.get("n")
    between = f" [{number(event.get('low'))}, {number(event.get('high'))}]" if event.get("low") is not None else ""
    return f"{number(event.get('success'))}{between}, n={n if isinstance(n, int) else '-'}"


def describe(view: RunView, event: Event) -> str | None:
    """Return a sentence when a person should hear of this event, else None. `view` is the state *before* it."""
    writer = _WRITERS.get(str(event.get("kind")))
    return writer(view, event) if writer else None


def _text(event: Event, key: str, limit: int = 400) -> str:
    value = event.get(key)
    return "" if value is None else clean(str(value), limit)


def _run_started(view: RunView, event: Event) -> str:
    verb = "goes on" if view.started_at is not None else "starts"
    learner = f", learner {_text(event, 'learner')}" if event.get("learner") else ""
    budget = f", at most {event['budget_run']} updates" if isinstance(event.get("budget_run"), int) else ""
    learning = f"learning on{learner}{budget}" if event.get("learning") else "learning off"
    what = f'task {_text(event, "task")}, goal "{_text(event, "goal")}"'
    return f"run {_text(event, 'name')} {verb}: {what}; {learning}"


def _phase(view: RunView, event: Event) -> str:
    total = event.get("total")
    return f"phase {_text(event, 'name')}" + (f": {total} episodes" if isinstance(total, int) and total else "")


def _episode_finished(view: RunView, event: Event) -> str | None:
    if CROWDED_PHASES & {str(event.get("phase")).split(":")[0], view.phase.split(":")[0]}:
        return None
    success = event.get("success")
    result = "succeeded" if success is True else "failed" if success is False else "ended, not verified"
    reason = _text(event, "stop_reason").replace("_", " ")
    return f"episode {_text(event, 'episode', 60)} {result} ({reason}, {_text(event, 'steps', 12)} steps)"


def _gate(view: RunView, event: Event) -> str | None:
    if event.get("accepted"):
        return None  # the update says it
    reason = str(event.get("reason") or "")
    if view.gate is not None and not view.gate.accepted and view.gate.reason == reason:
        return None  # said already
    numbers = event.get("numbers")
    gate = LastGate(False, _text(event, "route"), reason, numbers if isinstance(numbers, Mapping) else {})
    return f"update {gate_words(gate)}"


def _update(view: RunView, event: Event) -> str:
    budget = f" of {view.budget_run}" if view.budget_run is not None else ""
    measures = f"loss {number(event.get('loss'), 3)}, KL {number(event.get('kl'), 3)}"
    return f"update {view.updates + 1}{budget} ({_text(event, 'route') or 'no route'}): {measures}"


def _probe(view: RunView, event: Event) -> str:
    success = event.get("success")
    result = "right" if success in (True, 1) else "wrong" if success in (False, 0) else number(success)
    test = f", drop test {number(event.get('statistic'))}" if event.get("statistic") is not None else ""
    limit = f" of {number(event.get('threshold'))}" if test and event.get("threshold") is not None else ""
    return f"probe at episode {_text(event, 'episode', 60)}: {result}{test}{limit}"


def _promotion(view: RunView, event: Event) -> str:
    old, new, reason = _text(event, "old", 40), _text(event, "new", 40), _text(event, "reason")
    why = f": {reason}" if reason else ""
    if event.get("accepted"):
        return f"promoted: {new} takes over from {old}{why}"
    return f"not promoted: {new} is held back, {old} stays{why}"


def _rollback(view: RunView, event: Event) -> str:
    old, new = _text(event, "old"), _text(event, "new")
    return rollback_words(_text(event, "episode"), old, new, event.get("statistic"), _text(event, "reason"))


def _checkpoint(view: RunView, event: Event) -> str:
    return f"checkpoint {_text(event, 'version', 60)} saved"


def _quarantine(view: RunView, event: Event) -> str:
    versions = event.get("versions")
    named = ", ".join(clean(str(v), 40) for v in versions) if isinstance(versions, list) else _text(event, "versions")
    return f"quarantined until a person re-admits it: {named}"


def _readmit(view: RunView, event: Event) -> str:
    names = event.get("names")
    named = ", ".join(clean(str(v), 40) for v in names) if isinstance(names, list) else _text(event, "names")
    return f"re-admitted {_text(event, 'reason')}: {named}"


def _error(view: RunView, event: Event) -> str:
    return f"{_text(event, 'where', 20)} error: {_text(event, 'message')}"


def _guard(view: RunView, event: Event) -> str:
    name = _text(event, "name", 40).replace("_", " ")
    return f"guard {name} at episode {_text(event, 'episode', 60)}, {_step(event)}: {_text(event, 'detail')}"


def _step(event: Event) -> str:
    return f"step {_text(event, 'step', 12)}"


def _recovery(view: RunView, event: Event) -> str:
    trouble, detail = _text(event, "trouble", 40).replace("_", " "), _text(event, "detail")
    what = measure_words(_text(event, "measure", 40))
    tried = from_json(event)
    if isinstance(tried, RecoveryTried) and not (tried.useful or tried.measure == GIVE_UP):
        what, detail = f"tried in vain: {what.replace('took something back', 'there was nothing to take back')}", ""
    detail = "" if detail == what else detail
    return f"after {trouble} at {_step(event)}: {what}" + (f" ({detail})" if detail else "")


def measure_words(measure: str) -> str:
    """Return what was tried after a guard fired or an action was refused."""
    return MEASURES.get(measure, clean(measure, 40).replace("_", " "))


def _pause(view: RunView, event: Event) -> str:
    reason = _text(event, "reason")
    why = f" ({reason})" if reason else ""
    if event.get("paused"):
        return f"paused: nothing is executed until a person resumes it{why}"
    began, ends = view.paused_at, event.get("t")
    took = f" after {duration(ends - began)}" if began is not None and isinstance(ends, (int, float)) else ""
    return f"resumed{took}{why}"


def _stop(view: RunView, event: Event) -> str:
    return f"stopped: {_text(event, 'reason')}; nothing more is executed"


def _canaries(view: RunView, event: Event) -> str:
    skills = event.get("skills")
    if skills:
        return f"{skills} screens of what the model can do already are watched"
    return f"no screens of old skills are watched: {_text(event, 'reason')}"


def _fault(view: RunView, event: Event) -> str:
    return f"fault injected on purpose: {_text(event, 'name', 60)} {_text(event, 'detail')}".rstrip()


def _lock(view: RunView, event: Event) -> str:
    return f"lock of a dead owner ({_text(event, 'owner', 60)}) taken over: {_text(event, 'path')}"


def _phase_result(view: RunView, event: Event) -> str:
    return f"result {_text(event, 'name', 60)}: {interval_words(event)}"


def _run_finished(view: RunView, event: Event) -> str:
    seconds = event.get("seconds")
    took = f" after {duration(seconds)}" if isinstance(seconds, (int, float)) else ""
    return f"run finished{took}: {_text(event, 'reason').replace('_', ' ')}"


_WRITERS: Final[dict[str, Callable[[RunView, Event], str | None]]] = {
    "run_started": _run_started,
    "phase": _phase,
    "episode_finished": _episode_finished,
    "gate": _gate,
    "update": _update,
    "probe": _probe,
    "promotion": _promotion,
    "rollback": _rollback,
    "checkpoint": _checkpoint,
    "quarantine": _quarantine,
    "error": _error,
    "guard": _guard,
    "recovery": _recovery,
    "pause": _pause,
    "stop": _stop,
    "canaries": _canaries,
    "fault": _fault,
    "readmit": _readmit,
    "lock_taken_over": _lock,
    "phase_result": _phase_result,
    "run_finished": _run_finished,
}
