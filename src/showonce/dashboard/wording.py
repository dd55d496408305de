"""Events and view values as sentences that a person understands; used by the live screen's log and by plain lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from showonce import events as ev
from showonce.dashboard.state import RunView
from showonce.runs.metrics import SCORED

# Phases of many episodes: their results, probes and updates become lines, not each episode.
PHASES: Final = {  # what is done in a phase, by its name in events.jsonl
    "before": "the model as it is, without the demonstration",
    "teacher": "the model with the demonstration in view: what can be learned",
    "retention:before": "the built-in skills, before the lesson",
    "learn": "practice, gated updates, and probes without the demonstration",
    "after": "the adapter alone, in a new process",
    "after:off": "once more with the adapter off: it must be as before",
    "retention:after": "the built-in skills again: nothing else may be lost",
    "tasks": "attempts at the task",
}
CROWDED_PHASES: Final = frozenset({*SCORED, "learn", "practice", "probe", "shadow"})
MEASURES: Final = {
    "reobserve": "looked again", "retry": "tried again", "undo": "took something back", "ask": "asked a person",
    ev.GIVE_UP: "gave up",
}  # fmt: skip


def phase_words(name: str) -> str:
    """Return what is done in a phase; "" for one that is not known."""
    kind, _, of = name.partition(":")
    return f"the baseline {clean(of, 30)}" if kind == "baseline" else PHASES.get(name, "")


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


def gate_words(gate: ev.GateDecided) -> str:
    """Return a gate decision: ``accepted (shown: alignment 0.96, ...)`` or ``refused (headroom: probe success 1)``."""
    numbers = ", ".join(
        f"{clean(str(k).replace('_', ' '), 30)} {value:.3g}"
        for k, value in gate.numbers.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    reason = _spaced(gate.reason) if gate.reason != gate.route else ""
    route = clean(gate.route or "no route") if gate.accepted else ""
    inside = ": ".join(filter(None, (route, reason, numbers)))
    verdict = "accepted" if gate.accepted else "refused"
    return f"{verdict} ({inside})" if inside else verdict


def gate_line(view: RunView) -> str:
    """Return ``learning on: update 12 of 60; last decision: ...``."""
    if view.run.learning is False:
        return "learning off: this run acts and measures, nothing is updated"
    if view.run.learning is None and view.gate is None and view.updates == 0:
        return "learning: nothing known yet"
    last = gate_words(view.gate) if view.gate else "none yet"
    if view.gate is not None and not view.gate.accepted and view.gate.reason == "headroom":
        last = "refused (headroom: probes succeed, so nothing is left to learn)"
    return f"learning on: update {view.updates_used}{_of_budget(view)}; last decision: {last}"


def rollback_words(event: ev.RolledBack) -> str:
    """Return one sentence on a rollback."""
    measured = f" (statistic {number(event.statistic)})" if event.statistic is not None else ""
    at = f" at episode {clean(event.episode, 40)}" if event.episode else ""
    return f"rolled back{at}: {clean(event.old, 40)} to {clean(event.new, 40)}{measured}{_why(event.reason)}"


def interval_words(result: ev.PhaseMeasured) -> str:
    """Return ``0.96 [0.90, 0.98], n=100`` of a phase result."""
    between = f" [{number(result.low)}, {number(result.high)}]" if result.low is not None else ""
    return f"{number(result.success)}{between}, n={result.n if result.n is not None else '-'}"


def measure_words(measure: str) -> str:
    """Return the words for a measure of `RecoveryTried`; an unknown one is its own name."""
    return MEASURES.get(measure, _spaced(measure, 40))


def _spaced(word: str, limit: int = 400) -> str:
    """Return a name such as ``student_unsure`` with spaces."""
    return clean(word, limit).replace("_", " ")


def _of_budget(view: RunView) -> str:
    return f" of {view.run.budget_run}" if view.run.budget_run is not None else ""


def _why(reason: str) -> str:
    return f": {clean(reason)}" if reason else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(clean(name, 40) for name in names)


def describe(view: RunView, event: ev.Event) -> str | None:
    """Return a sentence if the event is worth a line in the log, else None. `view` is the state *before* it."""
    match event:
        case ev.RunStarted():
            verb = "goes on" if view.started_at is not None else "starts"
            learner = f", learner {clean(event.learner)}" if event.learner else ""
            budget = f", at most {event.budget_run} updates" if event.budget_run is not None else ""
            learning = f"learning on{learner}{budget}" if event.learning else "learning off"
            return f'run {clean(event.name)} {verb}: task {clean(event.task)}, goal "{clean(event.goal)}"; {learning}'
        case ev.PhaseStarted():
            return f"phase {clean(event.name)}" + (f": {event.total} episodes" if event.total else "")
        case ev.PhaseMeasured():
            return f"result {clean(event.name, 60)}: {interval_words(event)}"
        case ev.EpisodeFinished():
            if CROWDED_PHASES & {event.phase.split(":")[0], view.phase.split(":")[0]}:
                return None
            result = {True: "succeeded", False: "failed", None: "ended, not verified"}[event.success]
            steps = "" if event.steps is None else f", {event.steps} steps"
            return f"episode {clean(event.episode, 60)} {result} ({_spaced(event.stop_reason)}{steps})"
        case ev.ErrorRaised():
            return f"{clean(event.where, 20)} error: {clean(event.message)}"
        case ev.GuardFired():
            where = f"episode {clean(event.episode, 60)}, step {event.step}"
            return f"guard {_spaced(event.name, 40)} at {where}: {clean(event.detail)}"
        case ev.RecoveryTried():
            what, detail = measure_words(event.measure), clean(event.detail)
            if not event.useful and event.measure != ev.GIVE_UP:
                nothing = "there was nothing to take back" if event.measure == "undo" else what
                what, detail = f"tried in vain: {nothing}", ""
            more = f" ({detail})" if detail not in ("", what) else ""
            return f"after {_spaced(event.trouble, 40)} at step {event.step}: {what}{more}"
        case ev.PauseChanged():
            why = f" ({clean(event.reason)})" if event.reason else ""
            if event.paused:
                return f"paused: nothing is executed until a person resumes it{why}"
            began, ends = view.paused_at, event.t
            took = f" after {duration(ends - began)}" if began is not None and ends is not None else ""
            return f"resumed{took}{why}"
        case ev.RunStopped():
            return f"stopped: {clean(event.reason)}; nothing more is executed"
        case ev.RunFinished():
            took = f" after {duration(event.seconds)}" if event.seconds is not None else ""
            return f"run finished{took}: {_spaced(event.reason)}"
    return _describe_learning(view, event)


def _describe_learning(view: RunView, event: ev.Event) -> str | None:
    match event:
        case ev.GateDecided(accepted=False):
            last = view.gate
            again = last is not None and not last.accepted and last.reason == event.reason
            return None if again else f"update {gate_words(event)}"
        case ev.UpdateMade():  # an accepted gate decision has no line of its own
            measures = f"loss {number(event.loss, 3)}, KL {number(event.kl, 3)}"
            return f"update {view.updates + 1}{_of_budget(view)} ({clean(event.route or 'no route')}): {measures}"
        case ev.ProbePlayed():
            result = {True: "right", False: "wrong", None: "-"}[event.success]
            test = f", drop test {number(event.statistic)}" if event.statistic is not None else ""
            limit = f" of {number(event.threshold)}" if test and event.threshold is not None else ""
            return f"probe at episode {clean(event.episode, 60)}: {result}{test}{limit}"
        case ev.PromotionDecided():
            old, new, why = clean(event.old or "", 40), clean(event.new, 40), _why(event.reason)
            if event.accepted:
                return f"promoted: {new} takes over from {old}{why}"
            return f"not promoted: {new} is held back, {old} stays{why}"
        case ev.RolledBack():
            return rollback_words(event)
        case ev.CheckpointSaved():
            return f"checkpoint {clean(event.version, 60)} saved"
        case ev.Quarantined():
            return f"quarantined until a person re-admits it: {_listed(event.versions)}"
        case ev.Readmitted():
            return f"re-admitted {clean(event.reason)}: {_listed(event.names)}"
        case ev.CanariesGathered():
            if event.skills:
                return f"{event.skills} screens of what the model can do already are watched"
            return f"no screens of old skills are watched: {clean(event.reason)}"
        case ev.FaultInjected():
            return f"fault injected on purpose: {clean(event.name, 60)} {clean(event.detail)}".rstrip()
        case ev.LockTakenOver():
            return f"lock of a dead owner ({clean(event.owner, 60)}) taken over: {clean(event.path)}"
    return None
