"""The hard set: tasks on which learners differ, because each part withholds something that an ordinary app gives.

``hard/PART/INDEX``; `PARTS` says what a part withholds. A task is taught by its `lessons`, in that order, and then
measured. Screens of seeds below `DEMONSTRATED` are those of demonstrations (see `showonce.seeds`); on them alone a slip
happens, the recording begins late, and no dialog appears.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from showonce.environments.embedded.families import Problem, build_program
from showonce.environments.embedded.language import COLOURS, LABELS, SHAPES, Phrase, apps, phrase_text, random_program
from showonce.environments.embedded.scene import Widget, icon
from showonce.errors import TaskError, nearest

PREFIX: Final = "hard/"
DEMONSTRATED: Final = 10_000  # seeds below this one are never practised or measured
PARTS: Final = {
    "few": "one step, few updates: how fast a learner learns",
    "alike": "screens full of things that share colour or shape with the target: whether both were learned",
    "slip": "the demonstration has a wrong click before the right one: whether slips are copied",
    "late": "the recording began after the first of two steps: what is done where nobody showed anything",
    "dialog": "a dialog that nobody showed is in the way: whether an old skill survives inside a new one",
    "shared": "the goal contains a word that the model knows with another meaning: whether it is learned all the same",
    "leak": "after that lesson the known word alone: whether its old meaning survived",
    "sequence": "three lessons that share words, the first is measured: whether it survives the third",
}
EACH: Final = 3  # tasks of every part
_SEED: Final = 20_261_128
_LOOKALIKES: Final = 4


@dataclass(frozen=True)
class HardTask:
    """One task. goal: its words. lessons: ids of the tasks that are taught before it is measured, in this order.

    lookalikes: further icons that share colour or shape with the target. slip: whether the demonstration begins with a
    wrong click, which is forgiven there. late: how many steps were done before it begins. dialog: probability of a
    dialog before a step. beside: a thing that stands on every screen although nothing asks for it.
    """

    id: str
    goal: str
    program: tuple[Phrase, ...]
    lessons: tuple[str, ...]
    lookalikes: int = 0
    slip: bool = False
    late: int = 0
    dialog: float = 0.0
    beside: Phrase = ()

    @property
    def part(self) -> str:
        return self.id.split("/")[1]

    def problem(self, rng: random.Random) -> Problem:
        """Draw a screen on which the program can be carried out."""
        beside = self.beside
        extra = [icon(beside) if len(beside) > 1 else Widget("button", label=beside[0])] if beside else []
        if self.lookalikes:
            extra += [icon(key) for key in _alike(self.program[0][1:], self.lookalikes, rng)]
        return build_program(rng, self.goal, self.program, extra)


def _alike(key: Phrase, n: int, rng: random.Random) -> list[Phrase]:
    """Return `n` icons that share the colour or the shape of one, as many of either as possible."""
    colour, shape = key
    same_colour: list[Phrase] = [(colour, other) for other in rng.sample(SHAPES, len(SHAPES)) if other != shape]
    same_shape: list[Phrase] = [(other, shape) for other in rng.sample(COLOURS, len(COLOURS)) if other != colour]
    return [pair for both in zip(same_colour, same_shape, strict=True) for pair in both][:n]


@cache
def hard_tasks() -> dict[str, HardTask]:
    """Return every task by id, in the order in which a set takes them: one of each part, then the next of each."""
    made = [task for index in range(EACH) for task in _tasks(index)]
    return {task.id: task for task in sorted(made, key=lambda task: task.id.count("/"))}


def _tasks(index: int) -> Iterator[HardTask]:
    """Yield the tasks of one index, and the later lessons of its sequence (``hard/sequence/0/2``, measured nowhere)."""
    rng = random.Random(f"{_SEED}|{index}")
    known = [app.word for app in apps().values() if app.id.startswith("app/dev/")]  # 32 words, meanings of their own
    words = iter(known[index * len(known) // EACH :])
    for part in ("few", "alike", "slip", "late", "dialog"):
        steps, name = (2 if part == "late" else 1), f"{PREFIX}{part}/{index}"
        program = random_program(rng, steps)
        while part == "alike" and len(program[0]) != 3:
            program = random_program(rng, steps)
        yield HardTask(
            name, next(words), program, (name,), lookalikes=_LOOKALIKES if part == "alike" else 0, slip=part == "slip",
            late=1 if part == "late" else 0, dialog=0.5 if part == "dialog" else 0.0,
        )  # fmt: skip
    label, target = rng.choice(LABELS), ("click", rng.choice(COLOURS), rng.choice(SHAPES))
    shared = f"{PREFIX}shared/{index}"
    yield HardTask(shared, f"{next(words)} {label}", (target,), (shared,), beside=(label,))
    known_goal: Phrase = ("click", label)
    yield HardTask(f"{PREFIX}leak/{index}", phrase_text(known_goal), (known_goal,), (shared,), beside=target[1:])
    first, second, third, fourth = (next(words) for _ in range(4))
    goals = (f"{first} {second}", f"{first} {third}", f"{fourth} {second}")
    name = f"{PREFIX}sequence/{index}"
    names = (name, f"{name}/2", f"{name}/3")
    programs: list[tuple[Phrase, ...]] = []
    while len(programs) < len(goals):
        program = random_program(rng, 1)
        if program not in programs:
            programs.append(program)
    for own, goal, program in zip(names, goals, programs, strict=True):
        yield HardTask(own, goal, program, names if own == name else (own,))


def measured() -> tuple[str, ...]:
    """Return the ids of the set: all but the later lessons of sequences."""
    return tuple(name for name in hard_tasks() if name.count("/") == 2)


def find_hard(task_id: str) -> HardTask:
    """Return a task of the hard set. Raises TaskError: no such task (the nearest id is named)."""
    known = hard_tasks()
    if task_id not in known:
        raise TaskError(f"no task {task_id!r}.{nearest(task_id, known)}")
    return known[task_id]
