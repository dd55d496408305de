"""MiniWoB++ tasks by id: ``miniwob/click-button``. A task is only data: nothing here needs a browser or the wheel."""

from __future__ import annotations

from typing import Final

from showonce.errors import TaskError, nearest
from showonce.types import Limits, Task

PREFIX: Final = "miniwob/"
MAX_STEPS: Final = 25  # of an episode; the longest scripted solution takes 16
# Every page of the wheel `miniwob` 1.1.0; a test compares.
_PAGES: Final = """
ascending-numbers bisect-angle book-flight book-flight-nodelay button-delay buy-ticket chase-circle choose-date
choose-date-easy choose-date-medium choose-date-nodelay choose-list circle-center click-button click-button-sequence
click-checkboxes click-checkboxes-large click-checkboxes-soft click-checkboxes-transfer click-collapsible
click-collapsible-2 click-collapsible-2-nodelay click-collapsible-nodelay click-color click-dialog click-dialog-2
click-link click-menu click-menu-2 click-option click-pie click-pie-nodelay click-scroll-list click-shades click-shape
click-tab click-tab-2 click-tab-2-easy click-tab-2-hard click-tab-2-medium click-test click-test-2 click-test-transfer
click-widget copy-paste copy-paste-2 count-shape count-sides daily-calendar drag-box drag-circle drag-cube drag-items
drag-items-grid drag-shapes drag-shapes-2 drag-single-shape drag-sort-numbers draw-circle draw-line email-inbox
email-inbox-delete email-inbox-forward email-inbox-forward-nl email-inbox-forward-nl-turk email-inbox-important
email-inbox-nl-turk email-inbox-noscroll email-inbox-reply email-inbox-star-reply enter-date enter-password enter-text
enter-text-2 enter-text-dynamic enter-time find-greatest find-midpoint find-word focus-text focus-text-2 form-sequence
form-sequence-2 form-sequence-3 generate-number grid-coordinate guess-number highlight-text highlight-text-2 hot-cold
hover-shape identify-shape login-user login-user-popup moving-items multi-layouts multi-orderings navigate-tree
number-checkboxes odd-or-even order-food phone-book read-table read-table-2 resize-textarea right-angle scroll-text
scroll-text-2 search-engine sign-agreement simon-says simple-algebra simple-arithmetic social-media social-media-all
social-media-some stock-market terminal text-editor text-transform tic-tac-toe unicode-test use-autocomplete
use-autocomplete-nodelay use-colorwheel use-colorwheel-2 use-slider use-slider-2 use-spinner visual-addition
"""
NAMES: Final = tuple(_PAGES.split())


def task_for(task_id: str) -> Task:
    """Return the task of a page; the ``miniwob/`` before its name may be left out. Its goal is drawn from the seed.

    Raises:
        TaskError: no such page; the nearest is named.
    """
    name = task_id.removeprefix(PREFIX)
    if name not in NAMES:
        raise TaskError(f"no task {task_id!r}.{nearest(PREFIX + name, task_ids())}")
    return Task(PREFIX + name, "", "miniwob", limits=Limits(max_steps=MAX_STEPS), split="test")


def task_ids() -> tuple[str, ...]:
    """Return the ids of all pages."""
    return tuple(PREFIX + name for name in NAMES)
