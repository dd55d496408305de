"""The embedded world as an environment: no browser, no display, every step verified.

Task ids: ``skill/FAMILY``, ``app/SPLIT/KIND/INDEX`` and ``hard/PART/INDEX``; a free goal in the goal language
(``click red circle``) works too. A wrong action changes nothing but is counted: after more than `mistakes` of them the
task has failed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from showonce.actions import Action, points, to_pixel
from showonce.environments.embedded.draw import draw
from showonce.environments.embedded.families import FAMILIES, Problem, build_program
from showonce.environments.embedded.goals import problem_for_goal
from showonce.environments.embedded.hard import DEMONSTRATED, HardTask, find_hard, hard_tasks
from showonce.environments.embedded.hard import PREFIX as HARD
from showonce.environments.embedded.language import apps, find_app
from showonce.environments.embedded.plan import PRECONDITIONS, apply, event, expected, oracle_action, slip
from showonce.environments.embedded.scene import (
    BOTTOM,
    SIZE,
    TOP,
    Scene,
    Theme,
    inside,
    open_dialog,
    place,
    random_theme,
    title_rect,
)
from showonce.environments.embedded.settings import EmbeddedSettings
from showonce.environments.settings import EnvironmentSettings
from showonce.errors import EnvironmentBroken, TaskError, nearest
from showonce.protocols import Capabilities, Interrupt
from showonce.types import Executed, Limits, Observation, Outcome, ScreenFacts, Task


class EmbeddedWorld:
    """One screen of 112 x 112 pixels drawn with Pillow; see `EmbeddedSettings`."""

    Settings: ClassVar[type[EnvironmentSettings]] = EmbeddedSettings
    name = "embedded"
    capabilities = Capabilities(resettable=True, seeded=True, verifiable=True, side_effects=False, exact=True)

    def __init__(self, settings: EmbeddedSettings | None = None) -> None:
        self.settings = settings or EmbeddedSettings()
        self._problem: Problem | None = None
        self._rng = random.Random(0)
        self._index = self._wrong = 0
        self._correct: bool | None = None
        self._evidence = ""
        self._task_id = ""
        self._hard: HardTask | None = None
        self._shown = self._slipped = False  # whether this is a demonstration's screen, and a slip is due no more
        self._forgiven: Action | None = None
        self._closed = False

    def reset(self, task: Task, seed: int | None = None) -> Observation:
        """Start a task. The same task and seed give the same pixels.

        A task whose `start` is ``screen N`` always begins on the screen of seed N. With ``reset: none`` a task that is
        already on the screen goes on where it is.

        Raises:
            TaskError: a task id or a goal that this world does not know.
            EnvironmentBroken: the world was closed.
        """
        if self._closed:
            raise EnvironmentBroken("the embedded world was closed; make a new one.")
        if task.reset == "none" and self._problem is not None and self._task_id == task.id:
            return self.observe()
        self._task_id = task.id
        seed = _started(task, seed)
        self._rng = random.Random(f"{task.id}|{task.goal}|{seed + self.settings.layout}")
        self._hard = find_hard(task.id) if task.id.startswith(HARD) else None
        self._shown, self._slipped, self._forgiven = seed < DEMONSTRATED, False, None
        self._problem = self._build(task)
        self._index = self._wrong = 0
        self._correct, self._evidence = None, ""
        self._drift_at_start()
        self._begin_late()
        return self.observe()

    def observe(self) -> Observation:
        """Return the present screen, with its words as page text."""
        scene = self._open().scene
        return Observation(draw(scene), text=_page_text(scene))

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        """Do one action; returns it with the pixels that it hit and a sentence about the outcome."""
        problem = self._open()
        interrupt.check()
        did = event(problem.scene, action)
        if problem.any_order and did in problem.plan[self._index :]:
            rest = [s for s in problem.plan[self._index :] if s != did]
            problem.plan = (*problem.plan[: self._index], did, *rest)
        wanted = expected(problem.scene, problem.plan, self._index)
        self._correct = wanted is not None and did == wanted
        self._evidence = f"did {_say(did.kind, did.key, did.value)}"
        if wanted is not None and self._correct:
            apply(problem.scene, did, problem.menus)
            if did.kind not in PRECONDITIONS:
                self._index += 1
                problem.scene.done = self._index
                self._drift_after_step()
        elif action is not self._forgiven:
            self._wrong += 1
            if wanted is not None:
                self._evidence += f", wanted {_say(wanted.kind, wanted.key, wanted.value)}"
        pixels = tuple((to_pixel(x, SIZE), to_pixel(y, SIZE)) for x, y in points(action))
        return Executed(action, self._evidence, pixels)

    def verify(self) -> Outcome:
        """Return whether the task is done, whether the last step was right, and whether it can no longer succeed."""
        problem = self._open()
        finished = self._index >= len(problem.plan)
        lost = self._wrong > self.settings.mistakes
        success = (not lost) if finished else (False if lost else None)
        evidence = f"{self._index} of {len(problem.plan)} steps done; {self._evidence}".rstrip("; ")
        return Outcome(success, "world", evidence, self._correct, hopeless=lost and not finished)

    def facts(self, at: Sequence[tuple[float, float]] = ()) -> ScreenFacts:
        """Return the words under the given points, and of the field that was clicked last (focused)."""
        scene = self._open().scene
        near = tuple(_words_at(scene, to_pixel(x, SIZE), to_pixel(y, SIZE)) for x, y in at)
        focused = scene.widgets[scene.focus].label if scene.focus >= 0 else ""
        return ScreenFacts(application=self.name, near=near, focused=focused, content=(0.0, 0.0, 1.0, 1.0))

    def undo(self, interrupt: Interrupt) -> str:
        """Close a dialog that stands in the way, as a person would with Escape. Nothing else can be taken back."""
        scene = self._open().scene
        interrupt.check()
        if scene.popup is None or scene.popup.kind != "dialog":
            return ""
        label, scene.popup = next(iter(scene.popup.rows)), None
        return f"closed the dialog {label!r}"

    def close(self) -> None:
        """End it; closing twice is fine."""
        self._closed, self._problem = True, None

    def oracle(self) -> Action:
        """Return the right next action.

        Raises:
            EnvironmentBroken: nothing is left to do, or no task was started.
        """
        problem = self._open()
        sub = expected(problem.scene, problem.plan, self._index)
        if sub is None:
            raise EnvironmentBroken("the task is done; there is no next action.")
        if self._hard is not None and self._hard.slip and self._shown and not self._slipped:
            self._slipped, self._forgiven = True, slip(problem.scene, sub)
            return self._forgiven
        return oracle_action(problem.scene, sub)

    @property
    def goal(self) -> str:
        """The goal of the present screen; a skill draws it from the seed."""
        return self._open().goal

    @property
    def scene(self) -> Scene:
        """The scene behind the pixels; for tests, controls and the pre-training corpus, never for a policy."""
        return self._open().scene

    def _open(self) -> Problem:
        if self._closed:
            raise EnvironmentBroken("the embedded world was closed; make a new one.")
        if self._problem is None:
            raise EnvironmentBroken("the embedded world has no task yet; call reset(task, seed) first.")
        return self._problem

    def _build(self, task: Task) -> Problem:
        if task.id.startswith("skill/"):
            family = task.id.removeprefix("skill/")
            if family not in FAMILIES:
                raise TaskError(f"no skill {family!r}.{nearest(family, FAMILIES)}")
            return FAMILIES[family](self._rng)
        if task.id.startswith("app/"):
            app = find_app(task.id)
            return build_program(self._rng, app.word, app.program)
        if self._hard is not None:
            return self._hard.problem(self._rng)
        return problem_for_goal(task.goal, self._rng)

    def _begin_late(self) -> None:
        """Do the steps that a demonstration of the hard set does not show."""
        problem, late = self._open(), self._hard.late if self._hard is not None and self._shown else 0
        for sub in problem.plan[:late]:
            apply(problem.scene, sub, problem.menus)
        self._index = problem.scene.done = late

    @property
    def _dialog(self) -> float:
        """The probability that a dialog stands in the way before a step."""
        hard = 0.0 if self._hard is None or self._shown else self._hard.dialog
        return max(self.settings.dialog, hard)

    def _drift_at_start(self) -> None:
        scene = self._open().scene
        if self.settings.theme != "any":
            scene.theme = _themed(self._rng, self.settings.theme)
        needed = {" ".join(s.key) for s in self._open().plan} | {s.value for s in self._open().plan}
        if self.settings.renamed > 0:
            for widget in scene.widgets:
                free = widget.kind in ("button", "check") and widget.label not in needed
                if free and self._rng.random() < self.settings.renamed:
                    widget.label = "".join(self._rng.sample("qwxzkvjf", min(5, len(widget.label))))
        if self._dialog and self._rng.random() < self._dialog and scene.popup is None:
            open_dialog(scene, self._rng)

    def _drift_after_step(self) -> None:
        problem = self._open()
        scene = problem.scene
        if self.settings.moved and scene.popup is None:
            _move_all(scene, self._rng)
        chance, goes_on = self._dialog, self._index < len(problem.plan)
        if chance and scene.popup is None and goes_on and self._rng.random() < chance:
            open_dialog(scene, self._rng)


def _started(task: Task, seed: int | None) -> int:
    """Return the seed of the first screen: the task's own ``start: screen N``, else the episode's.

    Raises:
        TaskError: a start that this world does not know.
    """
    if not task.start:
        return seed or 0
    word, _, number = task.start.partition(" ")
    if word != "screen" or not number.strip().isdigit():
        raise TaskError(f"task {task.id!r}: start={task.start!r} is not known to the embedded world; write 'screen N'.")
    return int(number)


def _page_text(scene: Scene) -> str:
    """Return the words on the screen, top to bottom."""
    rows = [(0, x, t) for x, t in enumerate(scene.titles)]
    for w in scene.widgets:
        if scene.visible(w) and (w.label or w.text):
            rows.append((w.rect[1], w.rect[0], f"{w.label} {w.text}".strip()))
    if scene.popup is not None:
        rows += [(r[1], r[0], label) for label, r in scene.popup.rows.items()]
    if scene.typed:
        rows.append((BOTTOM, 0, scene.typed))
    return "\n".join(t for _, _, t in sorted(rows))


def _words_at(scene: Scene, x: int, y: int) -> str:
    """Return the words of the widget under a pixel; "" for none."""
    if scene.popup is not None:
        for label, rect in scene.popup.rows.items():
            if inside(rect, x, y):
                return label
        if scene.popup.kind == "dialog" or inside(scene.popup.rect, x, y):
            return ""
    for title in scene.titles if y < TOP else ():
        if inside(title_rect(scene, title), x, y):
            return title
    index = scene.at(x, y)
    return " ".join(scene.widgets[index].key) if index >= 0 else ""


def _say(kind: str, key: tuple[str, ...], value: str) -> str:
    return " ".join(w for w in (kind, *key, value) if w)


def _themed(rng: random.Random, which: str) -> Theme:
    while True:
        theme = random_theme(rng)
        if (theme.background[0] < 128) == (which == "dark"):
            return theme


def _move_all(scene: Scene, rng: random.Random) -> None:
    """Give every widget a new place; the old layout stays when no new one is found."""
    for _ in range(20):
        trial = Scene(scene.theme, pages=scene.pages)
        if all(place(trial, replace(w), rng) for w in scene.widgets):
            for old, new in zip(scene.widgets, trial.widgets, strict=True):
                old.rect = new.rect
            return


def task_for(task_id: str) -> Task:
    """Return the task of an id: ``skill/FAMILY``, ``app/SPLIT/KIND/INDEX`` or ``hard/PART/INDEX``.

    Raises:
        TaskError: no such task; the nearest id is named.
    """
    if task_id.startswith("skill/"):
        family = task_id.removeprefix("skill/")
        if family not in FAMILIES:
            raise TaskError(f"no task {task_id!r}.{nearest(task_id, task_ids())}")
        return Task(task_id, "", limits=Limits(max_steps=8), split="train")
    if task_id.startswith("app/"):
        app = find_app(task_id)
        return Task(task_id, app.word, limits=Limits(max_steps=len(app.program) + 3), split=task_id.split("/")[1])
    if task_id.startswith(HARD):
        hard = find_hard(task_id)
        return Task(task_id, hard.goal, limits=Limits(max_steps=len(hard.program) + 3), split="dev")
    raise TaskError(f"no task {task_id!r}.{nearest(task_id, task_ids())}")


def task_ids() -> tuple[str, ...]:
    """Return every registered task id."""
    return (*(f"skill/{f}" for f in FAMILIES), *apps(), *hard_tasks())
