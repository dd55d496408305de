"""What a person types and chooses in a browser becomes values, and other values can be typed in their place."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from tests.browsers import needs_browser
from tests.recording import Session
from tests.xscreen import until

from showonce.actions import Click
from showonce.demonstrations.binding import bind
from showonce.demonstrations.values import load_values
from showonce.environments.browser.world import BrowserEnvironment
from showonce.runtime.stop import Stop
from showonce.types import Task

pytestmark = [needs_browser]
PAGE = """<style>label, .pick { position: absolute; left: 20px } input, select { width: 180px }
.choices { display: none } .open { display: block } .list { position: absolute; left: 330px; top: 10px }</style>
<label style='top:10px'>Customer <input id=customer autocomplete=off></label><div class=list></div>
<label style='top:60px'>Category <select id=category><option>Billing<option>Delivery<option>Very late</select></label>
<label style='top:110px'>Due date <input id=due type=date></label>
<label style='top:160px'>Subject <input id=subject maxlength=30></label>
<div class=pick style='top:210px'><span>Priority</span><div><div id=priority>Normal</div>
<div class=choices><div>Low</div><div>High</div></div></div></div><script>
const people = ['Grace Hopper', 'Ann Hooper', 'Alan Turing'], list = document.querySelector('.list');
customer.oninput = () => list.replaceChildren(...people.filter(one => one.toLowerCase().includes(customer.value))
  .map(one => { const row = document.createElement('div'); row.textContent = one;
    row.addEventListener('click', () => { customer.value = one; list.replaceChildren(); }); return row; }));
const choices = document.querySelector('.choices');
priority.addEventListener('click', () => choices.classList.toggle('open'));
for (const one of choices.children) one.addEventListener('click', () => {
  priority.textContent = one.textContent; choices.classList.remove('open'); });
</script>"""
HELD = "JSON.stringify([customer.value, category.value, due.value, subject.value, priority.textContent])"


def held(session: Session) -> list[str]:
    found = session.person.send("Runtime.evaluate", expression=HELD, returnByValue=True)
    return list(json.loads(found["result"]["value"]))


def fill(session: Session, drawn: bool) -> None:
    """drawn: lists open in the page, where keys go from entry to entry."""
    person = session.person
    person.click(150, 22)
    person.type("hop")
    person.click(350, 22)  # the only suggestion
    session.told("Grace Hopper")
    person.click(150, 22)
    person.key("Tab")
    person.key("ArrowDown")
    if drawn:
        time.sleep(0.3)
        person.key("ArrowDown")
        person.key("Enter", "\r")
    until(lambda: held(session)[1] == "Delivery", what="a choice")
    person.key("Tab")
    person.type("11302026")
    person.click(150, 172)
    person.type("Call Grace Hopper")
    person.click(30, 240)
    person.click(30, 275)
    session.told("High")


@pytest.mark.parametrize("drawn", [False, True])  # in this order: lists once drawn stay so in the browser's context
def test_values_of_a_form_are_told_and_others_are_typed(session: Session, drawn: bool) -> None:
    session.environment = BrowserEnvironment(replace(session.environment.settings, selects=drawn))
    session.show(PAGE)
    fill(session, drawn)
    assert held(session) == ["Grace Hopper", "Delivery", "2026-11-30", "Call Grace Hopper", "High"]
    shown = session.end()
    assert session.path is not None
    values = load_values(session.path)
    assert [value.recorded for value in values] == [
        "Grace Hopper", "Delivery", "2026-11-30", "Call Grace Hopper", "High"
    ]  # fmt: skip
    assert [value.name for value in values[:4]] == ["customer", "category", "due_date", "subject"]
    assert values[3].longest == 30
    texts = ["Ann Hooper", "Very late", "2027-02-01", "x", "Low"]
    given = {value.name: text for value, text in zip(values, texts, strict=True)}
    task = Task("user/web", "do it", "browser", start=str(session.folder / "page.html"))
    bound, _ = bind(shown, task, [replace(value, kind="parameter") for value in values], given)
    assert bound.frames[-2].targets[0].bound == ("Low",)
    session.environment.reset(task, 1)
    session.person.sit_down()
    for frame in bound.frames[:-1]:
        action = frame.action
        if isinstance(action, Click) and frame.targets[0].bound:
            names = {one.name: one.box for one in session.environment.targets()}
            left, top, right, bottom = names[frame.targets[0].name]
            action = Click((left + right) / 2, (top + bottom) / 2)
        session.environment.execute(action, Stop())
        session.environment.observe()
    assert held(session) == texts
