"""A proof as a page in Markdown, as a picture of bars with 95 % intervals, and as lines for a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

from showonce.evaluation.controls import BY, Control
from showonce.evaluation.proof import Proof
from showonce.runs.learning_curve import FAINT, GREEN, INK, ORANGE, RED, SKY

PHASES: Final = {
    "before": "before: nothing shown, nothing learned",
    "teacher": "teacher: demonstration in context",
    "after": "after: no demonstration, new process",
}
COLOURS: Final = {"before": FAINT, "teacher": ORANGE, "after": GREEN}
RATES: Final = {  # controls that are success rates, as bars
    "no_demonstration": "nothing shown, same updates",
    "practice_alone": "practice alone, own successes",
    "swapped": "swapped: the new meaning",
    "copied_coordinates": "copied coordinates",
    "template_replay": "template replay",
    "sft_demonstration": "fine-tuned on the demonstration",
    "sft_teacher": "fine-tuned on the teacher's answers",
}


MEASURED: Final = {  # the meaning of a control's figure, where it is not a success rate
    "adapter_off": "share of equal answers",
    "specificity": "change of the share that goes to the target",
    "other_demonstrations": "change of success",
}


def measured(control: str) -> str:
    """Return the meaning of a control's figure."""
    return MEASURED.get(control, "success")


def text(proof: Proof, picture_name: str) -> str:
    """Return the page as Markdown."""
    rows = [_row(words, proof.phases[name]) for name, words in PHASES.items()]
    controls = [_control(control) for control in proof.controls]
    for control, why in proof.not_run.items():
        controls.append(f"| {control.replace('_', ' ')} | - | - | - | - | not run: {why} |")
    process = proof.process
    lines = [
        f"# {proof.run}: was it learned from the demonstration?",
        "",
        f"**{proof.verdict}**",
        "",
        f'Task `{proof.task}`, goal "{proof.goal}", seed {proof.seed}: {proof.updates} updates over '
        f"{proof.practice_episodes} practice episodes.",
        "",
        "| | success | 95 % interval | n |",
        "|---|---|---|---|",
        *rows,
        "",
        f"`after` was measured by process {process.get('process')}, which loaded `{process.get('adapter')}` "
        f"(content {str(process.get('adapter_hash', ''))[:12]}) and had {process.get('demonstrations')} demonstrations "
        f"in its prompts and {process.get('cached_prefixes')} kept.",
        "",
        "| control | what is measured | found | 95 % interval | n | goal |",
        "|---|---|---|---|---|---|",
        *controls,
        "",
        f"![bars with intervals]({picture_name})",
        "",
        *[f"- {control.name.replace('_', ' ')}: {control.question}{_numbers(control)}" for control in proof.controls],
    ]
    return "\n".join(lines) + "\n"


def _row(words: str, phase: Mapping[str, Any]) -> str:
    return f"| {words} | {phase['success']:.3f} | {phase['low']:.3f} to {phase['high']:.3f} | {phase['n']} |"


def _control(control: Control) -> str:
    mark = "" if control.holds is None else ": holds" if control.holds else ": **missed**"
    interval = f"{control.low:.3f} to {control.high:.3f}"
    name = control.name.replace("_", " ")
    found = f"{measured(control.name)} | {control.value:.3f} | {interval} | {control.n}"
    return f"| {name} | {found} | {control.goal}{mark} |"


def _numbers(control: Control) -> str:
    shown = [
        f"{name.replace('_', ' ')} {value:.3f}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in control.numbers.items()
    ]
    return f" ({', '.join(shown)})" if shown else ""


def picture(proof: Proof) -> bytes:
    """Return the bars as PNG: phases above, controls that are success rates below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = [(words, proof.phases[name], COLOURS[name]) for name, words in PHASES.items()]
    for control in proof.controls:
        words = RATES.get(control.name, f"taught by {control.name.removeprefix(BY)}")
        if control.name in RATES or control.name.startswith(BY):
            found = {"success": control.value, "low": control.low, "high": control.high}
            bars.append((words, found, RED if control.holds is False else SKY))
            if "first_meaning" in control.numbers:
                first = float(control.numbers["first_meaning"])
                bars.append(("swapped: the first meaning", {"success": first, "low": first, "high": first}, SKY))
    figure = Figure(figsize=(8.0, 1.2 + 0.36 * len(bars)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for y, (_, phase, colour) in enumerate(bars):
        value = phase["success"]
        axes.barh(y, value, color=colour, height=0.62)
        axes.errorbar(
            value, y, xerr=[[max(value - phase["low"], 0)], [max(phase["high"] - value, 0)]], color=INK, capsize=3,
            linewidth=1,
        )  # fmt: skip
        axes.text(min(phase["high"] + 0.02, 1.02), y, f"{value:.2f}", va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(bars)), [words for words, _, _ in bars], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.set_xlabel("success, with 95 % interval", color=INK, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    title = f"{proof.task} ({proof.goal}): {'learned' if proof.learned else 'not shown to be learned'}"
    axes.set_title(title.replace("$", r"\$"), loc="left", fontsize=11, color=INK)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "showonce"})
    return out.getvalue()


def summary_of(proof: Proof) -> str:
    """Return a proof as a few plain lines for a terminal."""
    lines = []
    for name, phase in proof.phases.items():
        lines.append(f"{name:<22} {phase['success']:.2f}  ({phase['low']:.2f} to {phase['high']:.2f}, n={phase['n']})")
    for control in proof.controls:
        mark = "" if control.holds is None else "  holds" if control.holds else "  MISSED"
        value = f"{control.value:.2f}  ({control.low:.2f} to {control.high:.2f}, n={control.n})"
        lines.append(f"{control.name:<22} {value}  {measured(control.name)}; goal: {control.goal}{mark}")
    lines += [f"{name:<22} not run: {why}" for name, why in proof.not_run.items()]
    return "\n".join([*lines, proof.verdict])
