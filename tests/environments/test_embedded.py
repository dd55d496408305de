from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from showonce.actions import VERBS, Click, Done, TripleClick, Wait
from showonce.environments.embedded import language
from showonce.environments.embedded.draw import draw
from showonce.environments.embedded.families import FAMILIES, build_program
from showonce.environments.embedded.goals import problem_for_goal
from showonce.environments.embedded.plan import PRECONDITIONS, apply, event, expected, oracle_action
from showonce.environments.embedded.scene import BOTTOM, SIZE, TOP
from showonce.environments.registry import find_task, make_environment, oracle_for, task_ids
from showonce.errors import ConfigError, EnvironmentBroken, Stopped, TaskError
from showonce.runtime.stop import Stop
from showonce.types import Task


def solve(world, task, seed):
    """Let the world's oracle do the task; return the actions and the final outcome."""
    world.reset(task, seed)
    actions = []
    while world.verify().success is None:
        action = oracle_for(world)()
        world.execute(action, Stop())
        assert world.verify().step_correct is True, (task.id, seed, world.verify().evidence)
        actions.append(action)
    return actions, world.verify()


@pytest.mark.parametrize("task_id", [t for t in task_ids() if t.startswith("skill/")])
def test_the_oracle_solves_every_skill(task_id):
    world = make_environment("embedded")
    for seed in range(30):
        actions, outcome = solve(world, find_task(task_id), seed)
        assert outcome.success is True and len(actions) <= find_task(task_id).limits.max_steps


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_oracle_solves_every_app(split):
    world = make_environment("embedded")
    for app in language.apps().values():
        if app.id.startswith(f"app/{split}/"):
            actions, outcome = solve(world, find_task(app.id), 11)
            assert outcome.success is True and len(actions) == len(app.program)


def test_all_verbs_are_used_by_the_skills():
    world = make_environment("embedded")
    seen = Counter()
    for family in FAMILIES:
        for seed in range(6):
            seen.update(a.verb for a in solve(world, find_task(f"skill/{family}"), seed)[0])
    assert set(seen) == set(VERBS) - {"triple_click"}  # no program of this world wants one


@pytest.mark.parametrize("wrong", [lambda a: TripleClick(a.x, a.y), lambda a: replace(a, held="ctrl")])
def test_a_triple_click_or_a_held_modifier_is_no_click(wrong):
    world = make_environment("embedded")
    world.reset(find_task("skill/click_icon"), 1)
    world.execute(wrong(world.oracle()), Stop())
    outcome = world.verify()
    assert outcome.success is False and outcome.step_correct is False
    assert re.search(r"did (triple_click|ctrl\+click) ", outcome.evidence)


@pytest.mark.parametrize(
    "settings",
    [{"theme": "dark"}, {"theme": "light"}, {"moved": True}, {"dialog": 1.0}, {"renamed": 1.0}, {"layout": 9}],
)
def test_drift_keeps_every_task_solvable_and_changes_the_screen(settings):
    plain, drifted = make_environment("embedded"), make_environment("embedded", **settings)
    differ = 0
    for task_id in ("skill/form", "skill/checkboxes", "app/dev/multi/1", "app/dev/single/2"):
        for seed in range(5):
            assert solve(drifted, find_task(task_id), seed)[1].success is True
            plain.reset(find_task(task_id), seed)
            drifted.reset(find_task(task_id), seed)
            if "moved" in settings:
                for world in (plain, drifted):
                    world.execute(oracle_for(world)(), Stop())
            differ += plain.observe().hash != drifted.observe().hash
    assert differ > 0


def test_a_dialog_in_the_way_costs_one_more_step():
    task = find_task("app/dev/single/0")
    assert len(solve(make_environment("embedded", dialog=1.0), task, 3)[0]) == 2


def test_same_seed_same_pixels_and_another_seed_other_pixels():
    a, b = make_environment("embedded"), make_environment("embedded")
    task = find_task("app/dev/multi/0")
    assert a.reset(task, 5).hash == b.reset(task, 5).hash != a.reset(task, 6).hash


def test_a_frame_is_rgb_of_the_stated_size_and_not_blank():
    for family in FAMILIES:
        image = draw(FAMILIES[family](random.Random(1)).scene)
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8 and len(np.unique(image)) > 5


def test_widgets_stand_inside_the_screen_and_do_not_overlap():
    for seed in range(300):
        rng = random.Random(seed)
        scene = rng.choice(list(FAMILIES.values()))(rng).scene
        boxes = [w.rect for w in scene.widgets if w.page == 0]
        for i, (x, y, w, h) in enumerate(boxes):
            assert x >= 0 and x + w <= SIZE and y >= TOP and y + h <= BOTTOM
            for x2, y2, w2, h2 in boxes[i + 1 :]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_a_wrong_step_changes_nothing_and_ends_the_hope():
    world = make_environment("embedded")
    before = world.reset(find_task("app/dev/multi/0"), 1)
    world.execute(Done("nothing"), Stop())
    outcome = world.verify()
    assert (outcome.success, outcome.step_correct, outcome.hopeless) == (False, False, True)
    assert world.observe().hash == before.hash


def test_tolerated_mistakes_leave_the_task_open():
    world = make_environment("embedded", mistakes=1)
    world.reset(find_task("app/dev/single/0"), 1)
    world.execute(Wait(1.0), Stop())
    assert world.verify().success is None
    world.execute(oracle_for(world)(), Stop())
    assert world.verify().success is True


def test_a_step_must_hit_the_target_not_merely_be_a_click():
    world = make_environment("embedded")
    world.reset(find_task("skill/click_icon"), 4)
    right = oracle_for(world)()
    assert isinstance(right, Click)
    world.execute(Click(0.999, 0.999), Stop())
    assert world.verify().success is False


def test_every_step_of_a_workflow_shows_on_the_screen():
    world = make_environment("embedded")
    for app in language.apps().values():
        if "/dev/multi/" in app.id:
            seen = [world.reset(find_task(app.id), 2).hash]
            while world.verify().success is None:
                world.execute(oracle_for(world)(), Stop())
                seen.append(world.observe().hash)
            assert len(set(seen)) == len(seen)


def test_splits_share_no_word_no_pair_and_no_program():
    by_split = {
        s: [a for a in language.apps().values() if a.id.startswith(f"app/{s}/")] for s in ("train", "dev", "test")
    }
    words = [a.word for a in language.apps().values()]
    assert len(set(words)) == len(words) and not set(words) & set(language.vocabulary())
    multi = [a.program for apps in by_split.values() for a in apps if len(a.program) > 1]
    assert len(set(multi)) == len(multi)
    for split, apps in by_split.items():
        assert len([a for a in apps if "/multi/" in a.id]) >= 16, split
        assert all(3 <= len(a.program) <= 5 for a in apps if "/multi/" in a.id)
    held_out = language.held_out_programs()
    assert {a.program for a in by_split["test"] if len(a.program) > 1} <= held_out
    assert not {a.program for a in by_split["train"]} & held_out


def test_a_single_app_has_rivals_on_its_screens():
    """Chance must be low: an app's screen always offers several places to point at."""
    app = language.find_app("app/dev/single/0")
    for seed in range(50):
        scene = build_program(random.Random(seed), app.word, app.program).scene
        assert len(scene.widgets) >= 4


@pytest.mark.parametrize(
    "goal",
    [
        *("click red circle", "click save", "click red", "fill name sun", "press ctrl+s", "type sun", "open notes"),
        *("count star", "colour circle", "set five", "ask name", "wait save", "right_click blue star"),
        language.find_app("app/dev/multi/3").word,
    ],
)
def test_a_free_goal_becomes_a_solvable_task(goal):
    task = Task("user/mine", goal)
    assert solve(make_environment("embedded"), task, 1)[1].success is True


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(TaskError, match="skill/click_icon"):
        find_task("skill/click_icom")
    with pytest.raises(TaskError, match="does not understand"):
        problem_for_goal("dance a tango", random.Random(0))
    with pytest.raises(ConfigError, match="mistakes"):
        make_environment("embedded", mistake=1)
    with pytest.raises(ConfigError, match="embedded"):
        make_environment("embeded")
    with pytest.raises(ConfigError, match="dark"):
        make_environment("embedded", theme="drak")
    with pytest.raises(ConfigError, match="dialog"):
        make_environment("embedded", dialog=2)


def test_the_oracle_has_nothing_to_say_once_all_is_done():
    world = make_environment("embedded")
    solve(world, find_task("skill/open"), 0)
    with pytest.raises(EnvironmentBroken, match="done"):
        oracle_for(world)()


def test_events_of_oracle_actions_are_what_was_expected_in_every_state():
    for seed in range(200):
        rng = random.Random(seed)
        problem = FAMILIES[rng.choice(list(FAMILIES))](rng)
        index = 0
        while (sub := expected(problem.scene, problem.plan, index)) is not None:
            assert event(problem.scene, oracle_action(problem.scene, sub)) == sub
            apply(problem.scene, sub, problem.menus)
            index += sub.kind not in PRECONDITIONS


def test_boxes_may_be_ticked_in_any_order():
    world, task = make_environment("embedded"), find_task("skill/checkboxes")
    for seed in range(10):
        world.reset(task, seed)
        plan = world._open().plan
        for sub in reversed(plan):
            world.execute(oracle_action(world.scene, sub), Stop())
        assert world.verify().success is True


def test_it_tells_the_words_at_a_point_and_only_those():
    world = make_environment("embedded")
    world.reset(find_task("skill/fill_field"), 3)
    click = world.oracle()
    nothing = next(
        (x / 20, y / 20) for x in range(20) for y in range(4, 18)
        if world.scene.at(int(x / 20 * SIZE), int(y / 20 * SIZE)) < 0
    )  # fmt: skip
    facts = world.facts([(click.x, click.y), nothing])
    label = world.scene.widgets[world.scene.at(int(click.x * SIZE), int(click.y * SIZE))].label
    assert facts.near == (label, "") and label
    assert (facts.application, facts.url, facts.focused) == ("embedded", None, "")
    world.execute(click, Stop())
    assert world.facts().focused == label and world.facts().near == ()


def test_a_dialog_hides_the_words_behind_it_and_can_be_taken_back():
    world = make_environment("embedded", dialog=1.0)
    world.reset(find_task("app/dev/single/0"), 5)
    popup = world.scene.popup
    (label, button), (x, y, w, _) = next(iter(popup.rows.items())), popup.rect
    inside = ((button[0] + 2) / SIZE, (button[1] + 2) / SIZE)
    assert world.facts([inside, ((x + w - 1) / SIZE, (y + 1) / SIZE)]).near == (label, "")
    stop = Stop()
    stop.press()
    with pytest.raises(Stopped):
        world.undo(stop)
    assert world.undo(Stop()) == f"closed the dialog {label!r}"
    assert world.undo(Stop()) == "" and world.scene.popup is None
    assert world.verify().success is None, "it is no step"
