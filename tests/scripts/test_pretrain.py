"""Pre-training: what it draws, what it refuses, and that its own tokenizer, packing and model agree with run time."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import corpus  # noqa: E402
import pretrain  # noqa: E402
import tiny_model  # noqa: E402
import trainee as training  # noqa: E402
from showonce.actions import EXAMPLES, Click  # noqa: E402
from showonce.environments.embedded import language  # noqa: E402
from showonce.environments.registry import find_task, make_environment, oracle_for  # noqa: E402
from showonce.policy.dialects import get_dialect  # noqa: E402
from showonce.runtime.stop import Stop  # noqa: E402

TOKENS = tiny_model.tokens()


def text_of(ids: list[int]) -> str:
    """Spell ids as text: words apart, everything else as it is."""
    return "".join(f" {TOKENS[i]}" if TOKENS[i][0].isalpha() else TOKENS[i] for i in ids)


@pytest.mark.parametrize("form", pretrain.FORMS)
def test_ids_of_the_corpus_are_those_of_the_shipped_tokenizer(form):
    tokenizer = tiny_model.build_tokenizer()
    rng = random.Random(3)
    checked = 0
    for _ in range(40):
        for q in corpus.make_sequence(rng, 240, form).questions:
            if min(q.prompt) >= 0:
                ids = q.prompt + q.answer
                assert tokenizer(text_of(ids), add_special_tokens=False).input_ids == ids
                checked += 1
    assert checked > 100


def test_answers_of_the_corpus_are_the_native_dialect():
    dialect = get_dialect("native")
    world = make_environment("embedded")
    for family in ("click_icon", "drag", "scroll", "wait", "shortcut", "answer", "ask", "open", "fill_field"):
        world.reset(find_task(f"skill/{family}"), 1)
        while world.verify().success is None:
            action = oracle_for(world)()
            question = corpus.ask([], 0, action)
            text = "".join(TOKENS[i] for i in question.answer[:-1])
            assert text == dialect.write(action, 0.95)
            world.execute(action, Stop())


def test_pretraining_never_draws_a_held_out_program_or_word():
    words = {corpus.VOCAB[piece] for a in language.apps().values() for piece in tiny_model.word_pieces(a.word)}
    held_out = {tuple(corpus.PHRASE_INDEX[p] for p in program) for program in corpus.HELD_OUT}
    rng = random.Random(5)
    programs = 0
    for form in ("plain", "narrated", "frames_narrated"):
        for _ in range(150):
            sequence = corpus.make_sequence(rng, 240, form)
            assert not words & set(sequence.prefix)
            for q in sequence.questions:
                assert not words & set(q.prompt) and not words & set(q.answer)
                assert q.program not in held_out
                programs += bool(q.program)
    assert programs > 300


def test_a_goal_word_is_spelt_with_pieces_of_its_own():
    tokenizer = tiny_model.build_tokenizer()
    spelt = [tuple(tokenizer(word, add_special_tokens=False).input_ids) for word in language.app_words()]
    assert {len(ids) for ids in spelt} == {tiny_model.WORD_PIECES}
    assert len({i for ids in spelt for i in ids}) == len(spelt) * tiny_model.WORD_PIECES
    said = tokenizer(f"<goal>{language.app_words()[0]}<step>zero", add_special_tokens=False).input_ids
    assert said[1:-2] == list(spelt[0])


def test_words_are_placed_where_training_had_them():
    _, trainee = tiny_trainee()
    trainee.place_words()
    table = trainee.model.model.text_model.embed_tokens.weight
    for word in language.app_words()[:3]:
        rows = table[[corpus.VOCAB[piece] for piece in tiny_model.word_pieces(word)]]
        assert 0.5 * training.NOISE < (rows - trainee.pieces).std().item() < 1.5 * training.NOISE


def test_program_with_refuses_held_out_programs_even_when_asked_for_one(monkeypatch):
    program = next(iter(p for p in corpus.HELD_OUT if len(p) == 3))
    drawn = iter([program, program, language.random_program(random.Random(0), 3)])
    monkeypatch.setattr(corpus, "random_program", lambda rng, steps: next(drawn))

    class Rigged(random.Random):
        def random(self):
            return 0.9

        def randint(self, a, b):
            return 3

        def randrange(self, *a):
            return 0

    got, _ = corpus.program_with(Rigged(), program[0])
    assert got not in corpus.HELD_OUT


def test_it_refuses_to_start_when_the_test_list_has_changed(monkeypatch):
    monkeypatch.setattr(pretrain, "held_out_hash", lambda: "0" * 64)
    with pytest.raises(SystemExit, match="test apps have changed"):
        pretrain.main(pretrain.PretrainConfig())


def test_the_planned_hash_is_the_hash():
    assert language.held_out_hash() == pretrain.HELD_OUT_HASH


def tiny_trainee() -> tuple[pretrain.PretrainConfig, training.Trainee]:
    shape = tiny_model.Shape(
        vision_width=32, vision_layers=1, vision_ff=32, width=32, layers=2, heads=1, ff=32,
    )  # fmt: skip
    config = pretrain.PretrainConfig(shape=shape, micro=2)
    return config, training.Trainee(shape, 0).eval()


def test_questions_do_not_see_one_another():
    """The same question packed alone and among others gets the same logits."""
    _, trainee = tiny_trainee()
    rng = random.Random(2)
    sequence = corpus.make_sequence(rng, 240, "narrated")
    sequence.questions = [q for q in sequence.questions if q.weights[1] > 0][:4]
    packed = training.collate([sequence], 240, 32)
    _, together = trainee(packed, 0.0)
    at = 0
    for q in sequence.questions:
        alone = corpus.Sequence(sequence.frames, sequence.prefix, [q], sequence.fresh)
        _, logits = trainee(training.collate([alone], 240, 32), 0.0)
        torch.testing.assert_close(logits, together[at : at + len(logits)], atol=1e-4, rtol=1e-4)
        at += len(logits)
    assert at == len(together)


def test_a_demonstration_never_shares_its_layout_with_the_question():
    rng = random.Random(4)
    for _ in range(40):
        sequence = corpus.make_sequence(rng, 240, "frames_narrated")
        shown, asked = sequence.frames[0], sequence.frames[-1]
        assert not np.array_equal(shown, asked)


def test_wrong_actions_teach_the_confidence_only():
    rng = random.Random(6)
    wrong = [q for _ in range(60) for q in corpus.make_sequence(rng, 200, "plain").questions if q.tag == "wrong"]
    assert len(wrong) > 10
    for q in wrong:
        taught = [i for i, w in enumerate(q.weights) if w > 0]
        assert taught == [len(q.answer) - 2]
        assert TOKENS[q.answer[taught[0]]] == "0.05}"


def test_dense_targets_name_what_stands_in_a_cell():
    rng = random.Random(7)
    for _ in range(30):
        scene = corpus.random_scene(rng)
        targets = corpus.dense_targets(scene)
        assert targets.shape == (49, 7)
        assert all((targets[:, i] < n).all() for i, n in enumerate(corpus.DENSE_SIZES))
        assert (targets[:, 0] > 0).any()


def test_a_step_of_the_joint_stage_lowers_the_loss():
    _, trainee = tiny_trainee()
    optimiser = pretrain.Optimiser(trainee, 3e-3)
    rng = random.Random(8)
    batch = training.collate([corpus.make_sequence(rng, 200, "plain") for _ in range(4)], 200, 32)
    losses = []
    for _ in range(8):
        loss = training.answer_loss(trainee(batch, 0.0)[1], batch)
        loss.backward()
        optimiser.step(3e-3, 1)
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3


def test_a_saved_model_is_loaded_by_the_auto_classes_and_its_processor(tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    config, trainee = tiny_trainee()
    tiny_model.save(trainee.model, config.shape, tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype="float32")
    world = make_environment("embedded")
    frame = world.reset(find_task("skill/click_icon"), 0).image
    batch = processor(images=[frame], text=["<image><goal>click red circle<step>zero"], return_tensors="pt")
    assert (batch["input_ids"] == corpus.VOCAB["<image>"]).sum() == corpus.IMAGE_TOKENS
    logits = model.eval()(**batch).logits
    question = corpus.ask(corpus.ids("click red circle"), 0, Click(0.518, 0.232))
    sequence = corpus.Sequence([frame], corpus.frame_ids(), [question])
    position = len(batch["input_ids"][0]) - 1
    all_at = training.collate([sequence], 100, 32) | {"at": torch.tensor([position])}
    torch.testing.assert_close(trainee(all_at, 0.0)[1][0], logits[0, position], atol=1e-4, rtol=1e-4)


def test_every_example_action_is_understood_by_the_corpus():
    verbs = {a.verb for a in EXAMPLES} - {"triple_click"}  # younger than the trained vocabulary
    known = {v.split('"')[0] for v in tiny_model.VERB_PIECES}
    assert verbs == known
