"""Tasks on the demo site, by id: ``site/login`` and so on. A task is only data: nothing here needs a browser."""

from __future__ import annotations

from typing import Final

from showonce.errors import TaskError, nearest
from showonce.types import Limits, Success, Task

PREFIX: Final = "site/"
# name: goal, success, steps that a person needs
_TASKS: Final[dict[str, tuple[str, Success, int]]] = {
    "login": ("sign in as ada with pass sun", Success("url", "*/welcome.html*"), 5),
    "search": ("find chair", Success("url", "*/item.html*name=chair*"), 4),
    "form": ("order large for bob", Success("text", "thank you bob: large"), 6),
    "table": ("pay bob", Success("selector", "tr[data-name=bob].paid"), 1),
    # A word that nobody can know: the embedded model learns it from one demonstration.
    "shapes": ("nozaka", Success("selector", "body[data-chosen='red star']"), 1),
    "signin": ("sign in as ada with pass sun", Success("url", "*/orders"), 5),  # a server answers it
    "cart": ("get receipt", Success("file", "receipt*.txt"), 1),
}


def task_for(task_id: str) -> Task:
    """Return a task on the demo site.

    Raises:
        TaskError: no such task; the nearest id is named.
    """
    name = task_id.removeprefix(PREFIX)
    if name not in _TASKS:
        raise TaskError(f"no task {task_id!r}.{nearest(task_id, task_ids())}")
    goal, success, steps = _TASKS[name]
    limits = Limits(max_steps=steps + 7)
    start = f"site:{name}?seed={{seed}}"
    return Task(PREFIX + name, goal, "browser", start=start, success=success, limits=limits, split="test")


def task_ids() -> tuple[str, ...]:
    """Return the ids of all of them."""
    return tuple(PREFIX + name for name in _TASKS)
