"""The page source: what is drawn is where it is said to be, and nothing of a held-out MiniWoB++ task is in it."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.browsers import needs_browser, needs_miniwob

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import corpus  # noqa: E402
import page_corpus  # noqa: E402
import page_html  # noqa: E402
import page_words  # noqa: E402
import pages  # noqa: E402
import pretrain  # noqa: E402
import tiny_model  # noqa: E402
import trainee as training  # noqa: E402
from showonce.actions import Click  # noqa: E402
from showonce.environments.miniwob.settings import MiniWoBSettings  # noqa: E402
from showonce.environments.miniwob.tasks import NAMES, task_for  # noqa: E402
from showonce.environments.miniwob.world import MiniWoB  # noqa: E402
from showonce.policy.families.tiny import plain_words  # noqa: E402

TOKENS = tiny_model.tokens()
FORMS = ("plain", "frames", "frames_narrated")
RGB = {"red": (255, 0, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "cyan": (0, 255, 255), "black": (0, 0, 0)}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> page_corpus.Pages:
    folder = tmp_path_factory.mktemp("pages")
    pages.main(pages.PagesConfig(out=str(folder), screens=page_corpus.HELD_BACK + 600, seed=3))
    return page_corpus.Pages(folder)


def goal_of(question: corpus.Question) -> str:
    """Return the words between <goal> and <step>."""
    words = [TOKENS[i] for i in question.prompt]
    return " ".join(words[1 : words.index("<step>")])


def test_the_held_out_tasks_are_those_that_were_written_down_before_training() -> None:
    assert page_words.held_out_pages_hash() == pretrain.HELD_OUT_PAGES_HASH
    assert {task.task for task in page_words.HELD_OUT_TASKS} <= set(NAMES)
    assert len(page_words.HELD_OUT_TASKS) >= 15


def test_it_refuses_to_start_when_the_held_out_tasks_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain, "held_out_pages_hash", lambda: "0" * 64)
    with pytest.raises(SystemExit, match="held-out MiniWoB"):
        pretrain.main(pretrain.PretrainConfig(pages="anywhere"))


@needs_miniwob
def test_the_templates_are_the_instructions_of_the_real_pages() -> None:
    world = MiniWoB(MiniWoBSettings(area="task", frame=112))
    try:
        for task in page_words.HELD_OUT_TASKS:
            for seed in (1, 2):
                world.reset(task_for(task.task), seed)
                assert page_words.resembles_held_out(plain_words(world.goal)), (task.task, world.goal)
    finally:
        world.close()


def test_no_program_has_the_logic_of_a_held_out_task() -> None:
    rng = random.Random(1)
    seen = Counter()
    for _ in range(2000):
        group = page_html.random_group(rng)
        logic = page_html.signature(group.program)
        assert logic not in page_words.HELD_OUT_LOGICS
        seen[len(logic)] += 1
    assert min(seen[n] for n in (1, 2, 3)) > 100


def test_the_logic_check_bites() -> None:
    program = [page_html.Step("header", page_words.KIND, 0), page_html.Step("button", page_words.LABEL, 1)]
    assert not page_words.allowed(page_html.signature(program))
    assert page_words.allowed(page_html.signature(program[::-1]))
    assert page_words.resembles_held_out("click on the save button")
    assert not page_words.resembles_held_out("click on the save link")


@needs_browser
def test_no_goal_reads_like_a_held_out_instruction(rendered: page_corpus.Pages) -> None:
    rng = random.Random(2)
    goals: list[str] = []
    while len(goals) < 3000:
        question = page_corpus.goal_question(rng, rendered.things(rendered.draw(rng)))
        if question is not None:
            goals.append(goal_of(question))
    assert not [goal for goal in goals if page_words.resembles_held_out(goal)]
    assert len(set(goals)) > 2000
    tokenizer = tiny_model.build_tokenizer()
    for goal in goals[:200]:
        assert plain_words(goal) == goal
        ids = tokenizer(goal, add_special_tokens=False).input_ids
        assert [TOKENS[i] for i in ids] == goal.split()


@needs_browser
def test_what_is_said_to_stand_somewhere_is_painted_there(rendered: page_corpus.Pages) -> None:
    checked = 0
    rng = random.Random(4)
    for i in range(400):
        view = rendered.look(i, rng)
        for thing in view.things:
            if thing.kind in ("dot", "box") and thing.colour in RGB and min(thing.rect[2:]) > 0.1:
                x, y = (int(v * pages.SIZE) for v in thing.middle)
                distance = np.abs(view.frame[y, x].astype(int) - RGB[thing.colour]).max()
                checked += 1
                assert distance < 100, (i, thing)
    assert checked > 20


@needs_browser
@pytest.mark.parametrize("form", FORMS)
def test_sequences_fit_and_a_demonstration_is_of_another_page(rendered: page_corpus.Pages, form: str) -> None:
    rng = random.Random(5)
    tags: Counter[str] = Counter()
    for _ in range(150):
        sequence = page_corpus.page_sequence(rendered, rng, 240, form)
        assert len(sequence.prefix) + sum(len(q.prompt) + len(q.answer) for q in sequence.questions) <= 240
        assert len(sequence.frames) == (1 if form == "plain" else 2)
        if form != "plain":
            assert not np.array_equal(*sequence.frames)
        tags.update(q.tag for q in sequence.questions)
    assert tags["page_goal"] > 100 and tags["page_describe"] > 20 and tags["wrong"] > 10
    assert form == "plain" or tags[f"page_{form}"] > 100


@needs_browser
def test_the_pages_kept_for_the_score_are_not_trained_on(rendered: page_corpus.Pages) -> None:
    groups = len(rendered.screens) // page_corpus.SCREENS
    assert rendered.groups.stop <= groups - page_corpus.HELD_BACK // page_corpus.SCREENS


@needs_browser
def test_an_answer_points_into_what_the_goal_names(rendered: page_corpus.Pages) -> None:
    rng = random.Random(9)
    for _ in range(200):
        i = rendered.draw(rng)
        things = rendered.things(i)
        action = page_corpus.click(rng.choice(things))
        assert isinstance(action, Click)
        assert any(
            t.rect[0] <= action.x <= t.rect[0] + t.rect[2] and t.rect[1] <= action.y <= t.rect[1] + t.rect[3]
            for t in things
        )


@needs_browser
def test_a_step_on_pages_lowers_the_loss(rendered: page_corpus.Pages) -> None:
    shape = tiny_model.Shape(vision_width=32, vision_layers=1, vision_ff=32, width=32, layers=2, heads=1, ff=32)
    trainee = training.Trainee(shape, 0).eval()
    optimiser = pretrain.Optimiser(trainee, 3e-3)
    rng = random.Random(8)
    batch = training.collate([page_corpus.page_sequence(rendered, rng, 240, "frames") for _ in range(4)], 240, 32)
    losses = []
    for _ in range(8):
        loss = training.answer_loss(trainee(batch, 0.0)[1], batch)
        loss.backward()
        optimiser.step(3e-3, 1)
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    scores = training.evaluate(
        trainee, {"plain": 192}, 0, lambda r, n, form: page_corpus.page_sequence(rendered, r, n, form), 1, 2
    )
    assert "page_goal" in scores
    assert torch.isfinite(torch.tensor(losses)).all()


def test_an_unfinished_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        page_corpus.Pages(tmp_path)
