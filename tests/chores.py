"""A recording of a chore as the recorder stores it, for tests of values and binding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from showonce.actions import Action, Click, Key, Type
from showonce.demonstrations import save_demonstration
from showonce.types import Check, Demonstration, Element, Frame, Observation, Success, Task

BOX = (0.1, 0.1, 0.3, 0.2)
SCREEN = Observation(np.zeros((4, 4, 3), np.uint8))
AT = Click(0.2, 0.15)
OPTIONS = ("Question", "Complaint", "Order")


def step(action: Action, role: str = "", name: str = "", **told: object) -> Frame:
    element = Element(name, BOX, role, **told)  # type: ignore[arg-type]
    return Frame(SCREEN, action, target=name, targets=(element,))


def chore() -> Demonstration:
    """Find a customer, open a ticket: a suggestion, a subject with the name in it, a date, two lists, an amount."""
    near = ("Priority",)
    select = {"options": OPTIONS, "attributes": {"name": "category"}}
    frames = (
        step(AT, "textbox", "User"),
        step(Type("clerk"), "textbox", "User"),
        step(Type("<secret:password>"), "textbox", "Password"),
        step(AT, "button", "Sign in"),
        step(Type("hop"), "textbox", "Find a customer"),  # 5
        step(AT, "", "Grace Hopper"),
        step(
            AT, "button", "New ticket", near=("Grace Hopper", "Orders"), attributes={"id": "new-17", "type": "button"}
        ),
        step(Type("Call for Grace Hopper "), "textbox", "Subject", attributes={"maxlength": "40", "id": "subject"}),
        step(Type("11302026"), "textbox", "Due date", attributes={"type": "date"}),
        step(Key("down"), "combobox", "Category", value="Question", **select),  # 10
        step(Key("down"), "combobox", "Category", value="Complaint", **select),
        step(AT, "", "Normal", near=near),
        step(AT, "", "High", near=near),
        step(Type("5"), "textbox", "Amount"),
        step(AT, "link", "Grace Hopper", near=("Page 5",), attributes={"href": "/customers/17"}),  # 15
        step(AT, "button", "Save", near=("Ticket for Grace Hopper",), attributes={"id": "save"}),
    )
    checks = (Check(1, "Grace Hopper", BOX), Check(16, "Ticket for Grace Hopper saved", BOX))
    return Demonstration("user/crm", "Make a ticket for Grace Hopper", frames, checks=checks, sends=(3, 15))


def task(kind: str = "text", value: str = "Ticket 7 for Grace Hopper") -> Task:
    return Task("user/crm", "Make a ticket for Grace Hopper", success=Success(kind, value))


def stored(folder: Path, demonstration: Demonstration | None = None) -> Path:
    return save_demonstration(demonstration or chore(), folder / "shown")
