"""The policy end to end on random weights: proposals, teacher views, shared work, and what training needs from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.scripted_engine import CLICK, ScriptedEngine
from tests.tinyfactory import family_for, frame, save_checkpoint, word_tokenizer

from showonce.actions import Click, Type
from showonce.config import AdapterConfig, Config, InferenceConfig, PolicyConfig
from showonce.errors import BadInput, ConfigError, Unavailable
from showonce.inference.torch.features import TorchFeatures
from showonce.learning.methods.logits import answer_logits
from showonce.policy.batched import batchable
from showonce.policy.dialects import get_dialect
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context, Parts, Policy
from showonce.types import Demonstration, Frame, ParseReason

SHOWN = Demonstration("task", "zoka", (Frame(frame(1), Click(0.3, 0.7), "noted"), Frame(frame(2), Type("sun"))))
STUDENT, TEACHER = Context("zoka"), Context("zoka", demonstration=SHOWN)


@pytest.fixture(scope="module", params=["tiny", "qwen3_vl"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"), request.param)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def config_of(folder: Path, kind: str = "lora_tokens", **policy: str) -> Config:
    spoken = PolicyConfig(checkpoint=str(folder), adapter=AdapterConfig(kind=kind), **policy)
    return Config(policy=spoken, inference=InferenceConfig(max_new_tokens=60))


def trained(policy: VLMPolicy, name: str = "candidate") -> None:
    """Move one set away from the base."""
    adapter = policy.adapter
    assert adapter is not None
    adapter.add_tokens(policy.goal_ids("zoka"))
    generator = torch.Generator().manual_seed(0)
    tensors = {key: 0.3 * torch.randn(t.shape, generator=generator) for key, t in adapter.tensors(name).items()}
    width = policy.engine.backbone.width
    rows = {f"tokens.{i}": torch.randn(width, generator=generator) for i in policy.goal_ids("zoka")}
    adapter.set_tensors(tensors | rows, name)


class TestProposals:
    def test_a_proposal_is_whole(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        assert isinstance(policy, Policy)
        proposal = policy.propose(frame(0), STUDENT)
        assert (proposal.action is None) == (proposal.failure is not None)
        assert len(proposal.token_ids) == len(proposal.logprobs_T) == len(proposal.decision_T)
        assert proposal.adapter_version == policy.adapter_version
        assert set(proposal.timings) == {"model", "parse"}
        assert 0 <= (proposal.confidence.token or 0) <= 1
        assert (proposal.confidence.stated is None) == ('"confidence":' not in proposal.text)
        assert policy.dialect.parse(proposal.text) == (
            proposal.failure or policy.spelling.read(policy.label(proposal.token_ids))
        )

    def test_greedy_repeats_and_sampling_varies(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        assert policy.propose(frame(0), STUDENT).text == policy.propose(frame(0), STUDENT).text
        assert len({policy.propose(frame(0), STUDENT, "sample").text for _ in range(6)}) > 1
        again = [policy.propose(frame(0), STUDENT, "sample", rng=np.random.default_rng(3)).text for _ in range(2)]
        assert again[0] == again[1]

    def test_the_shadow_is_the_base(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        base = policy.propose(frame(0), STUDENT)
        trained(policy)
        policy.use("candidate")
        acting, shadow = policy.propose(frame(0), STUDENT), policy.propose(frame(0), STUDENT, adapter=None)
        assert shadow.logprobs_T == base.logprobs_T
        assert shadow.adapter_version == "base" != acting.adapter_version
        assert acting.logprobs_T != base.logprobs_T
        assert policy.adapter_version == acting.adapter_version

    def test_off_grammar_text_is_a_failure_not_an_error(self, tiny: Path) -> None:
        config = config_of(tiny)
        policy = load_policy(replace(config, inference=replace(config.inference, grammar=False)))
        failures = [p.failure for p in (policy.propose(frame(i), STUDENT) for i in range(4)) if p.failure]
        assert failures
        assert all(isinstance(f.reason, ParseReason) for f in failures)

    def test_calibration_is_applied(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny))
        policy.calibration = lambda raw: raw / 2
        confidence = policy.propose(frame(0), STUDENT).confidence
        assert confidence.token is not None
        assert confidence.calibrated == pytest.approx(confidence.token / 2)


@pytest.mark.parametrize("kind", ["tiny", "idefics3", "qwen2_5_vl", "qwen3_vl"])
def test_the_family_knows_the_size_that_the_network_sees(kind: str, tmp_path: Path) -> None:
    policy = load_policy(config_of(save_checkpoint(tmp_path, kind)))
    for size in ((56, 56), (88, 40), (130, 70)):
        assert policy.engine.encode(frame(0, *size)).seen == policy.family.geometry(size).seen


class TestTeacher:
    def test_its_prompt_ends_like_the_students(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny, demonstration_window="all"))
        student, teacher = policy.parts(frame(0), STUDENT), policy.parts(frame(0), TEACHER)
        tail = [p.key if isinstance(p, TorchFeatures) else p for p in teacher[-len(student) :]]
        assert tail == [p.key if isinstance(p, TorchFeatures) else p for p in student]
        assert len([p for p in teacher if isinstance(p, TorchFeatures)]) == 3

    def test_aligned_shows_only_the_step_that_is_due(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny))
        for progress, due in ((0, 0), (1, 1), (7, len(SHOWN.frames) - 1)):
            parts = policy.parts(frame(0), replace(TEACHER, progress=progress))
            shown = [p.key for p in parts if isinstance(p, TorchFeatures)]
            assert shown == [SHOWN.frames[due].observation.hash, frame(0).hash]

    def test_the_snapshot_changes_nothing(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        first = policy.propose(frame(0), TEACHER)
        warm = policy.propose(frame(0), TEACHER)
        parts = policy.parts(frame(0), TEACHER)
        _, logits = policy.engine.extend(policy.engine.start(), parts)
        scored, _ = answer_logits(policy, [parts], [list(first.token_ids)], None)
        assert first.token_ids == warm.token_ids
        assert np.abs(scored[0, 0].numpy() - logits).max() < 1e-4

    def test_the_snapshot_follows_the_adapter(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        policy.use("candidate")
        before = policy.propose(frame(0), TEACHER)
        trained(policy)
        after = policy.propose(frame(0), TEACHER)
        assert policy.adapter
        tensors = policy.adapter.tensors()
        fresh = load_policy(config_of(folder))
        assert fresh.adapter
        fresh.adapter.set_tensors(tensors, "candidate")
        fresh.use("candidate")
        assert after.logprobs_T == pytest.approx(fresh.propose(frame(0), TEACHER).logprobs_T, abs=1e-5)
        assert before.logprobs_T != after.logprobs_T

    def test_demonstrated_places_go_to_the_models_bins(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny))
        said = policy.tokenizer.decode([p for p in policy.parts(frame(0), TEACHER) if isinstance(p, int)])
        assert '"x":0.312,"y":0.688' in said
        assert "<unk>" not in said

    def test_context_forms(self, tiny: Path) -> None:
        seen = {}
        for context in ("demonstration", "highlight", "both"):
            policy = load_policy(config_of(tiny, teacher_context=context, demonstration_window="all"))
            parts = policy.parts(frame(0), TEACHER, highlight=Click(0.5, 0.5))
            frames = [p.key for p in parts if isinstance(p, TorchFeatures)]
            seen[context] = len(frames), frames[-1] == frame(0).hash
        assert seen == {"demonstration": (3, True), "highlight": (1, False), "both": (3, False)}
        assert policy.parts(frame(0), TEACHER)[-3] == policy.parts(frame(0), STUDENT)[-3]

    def test_narration(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny))
        told = policy.narrate(SHOWN.frames[0])
        trained(policy)
        policy.use("candidate")
        assert load_policy(config_of(tiny)).narrate(SHOWN.frames[0]) == told == policy.narrate(SHOWN.frames[0])
        noted = load_policy(config_of(tiny, narrate="note", demonstration_form="narrated"))
        silent = load_policy(config_of(tiny, narrate="none", demonstration_form="narrated"))
        unknown = noted.tokenizer.convert_tokens_to_ids("<unk>")  # "noted" is not in the vocabulary
        assert unknown in noted.parts(frame(0), TEACHER)
        assert unknown not in silent.parts(frame(0), TEACHER)


class TestTraining:
    def prompts(self, policy: VLMPolicy) -> list[Parts]:
        contexts = [STUDENT, TEACHER, STUDENT, TEACHER, replace(STUDENT, goal="miru")]
        return [policy.parts(frame(10 + i), context) for i, context in enumerate(contexts)]

    def test_samples_are_what_each_prompt_gives_alone(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        trained(policy)
        prompts = self.prompts(policy)
        together = policy.sample(prompts, 1.0, np.random.default_rng(0), "candidate")
        greedy = policy.sample(prompts, 0.0, np.random.default_rng(0), "candidate")
        seeds = np.random.default_rng(0).integers(2**63, size=len(prompts))
        for i, parts in enumerate(prompts):
            alone = policy.sample([parts], 0.0, np.random.default_rng(9), "candidate")[0]
            assert alone.token_ids == greedy[i].token_ids
            assert np.allclose(alone.logprobs_T, greedy[i].logprobs_T, atol=1e-4)
        assert len(set(seeds)) == len(prompts)
        assert len({d.token_ids for d in together}) > 2
        assert all(len(d.confidence_T) == len(d.token_ids) for d in together)
        repeated = policy.sample(prompts, 1.0, np.random.default_rng(0), "candidate")
        assert [d.token_ids for d in repeated] == [d.token_ids for d in together]

    def test_logits_agree_with_what_was_sampled(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        trained(policy)
        assert policy.adapter
        policy.adapter.parameters("candidate")
        prompts = self.prompts(policy)
        said = policy.sample(prompts, 1.0, np.random.default_rng(0), "candidate")
        answers = [d.token_ids for d in said]
        shared, mask = answer_logits(policy, prompts, answers, "candidate")
        alone, same = answer_logits(policy, prompts, answers, "candidate", grad=True)
        assert torch.equal(mask, same)
        assert mask.sum(1).tolist() == [len(a) for a in answers]
        assert (shared - alone)[mask].abs().max() < 1e-3
        assert alone.requires_grad
        assert not shared.requires_grad
        logprobs_BTV = torch.log_softmax(shared, -1)
        for b, d in enumerate(said):
            for t, token in enumerate(d.token_ids):
                if d.decision_T[t]:
                    assert float(logprobs_BTV[b, t, token]) == pytest.approx(d.logprobs_T[t], abs=1e-3)

    def test_the_gradient_reaches_the_adapter_alone(self, folder: Path) -> None:
        policy = load_policy(config_of(folder))
        adapter = policy.adapter
        assert adapter is not None
        adapter.add_tokens(policy.goal_ids("zoka"))
        parameters = adapter.parameters("candidate")
        answer = policy.answer(Click(0.3, 0.7), 0.9)
        logits_BTV, mask_BT = answer_logits(policy, [policy.parts(frame(0), STUDENT)], [answer], "candidate", grad=True)
        torch.log_softmax(logits_BTV, -1)[mask_BT].mean().backward()  # type: ignore[no-untyped-call]
        given = [p for p in parameters if p.grad is not None and bool(p.grad.any())]
        assert given
        base = [p for n, p in policy.engine.backbone.model.named_parameters() if "lora_" not in n]
        assert all(p.grad is None for p in base)

    def test_a_frame_is_encoded_once_for_everybody(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny))
        first = next(p for p in policy.parts(frame(0), STUDENT) if isinstance(p, TorchFeatures))
        trained(policy)
        policy.propose(frame(0), STUDENT, adapter=None)
        later = policy.parts(frame(0), TEACHER)
        assert any(p is first for p in later)


class TestLoading:
    def test_the_champion_acts_and_starts_as_the_base(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny, kind="tokens"))
        assert policy.acting == "champion"
        assert policy.adapter_version == "base"
        assert load_policy(replace(config_of(tiny), adapter="none")).adapter is None

    def test_no_adapter_means_nothing_to_use(self, tiny: Path) -> None:
        policy = load_policy(replace(config_of(tiny), adapter="none"))
        assert policy.propose(frame(0), STUDENT).adapter_version == "base"
        with pytest.raises(BadInput):
            policy.use("candidate")

    def test_wrong_settings_are_refused(self, tiny: Path, tmp_path: Path) -> None:
        config = config_of(tiny)
        with pytest.raises(ConfigError, match="neither a folder nor shipped"):
            load_policy(config_of(tmp_path / "nowhere"))
        with pytest.raises(Unavailable, match="not in this release"):
            load_policy(replace(config, inference=InferenceConfig(backend="mlx")))
        with pytest.raises(ConfigError, match="scripted"):
            load_policy(replace(config, inference=InferenceConfig(backend="scripted")))
        with pytest.raises(ConfigError, match="family"):
            load_policy(config_of(tiny, family="large"))

    def test_goal_tokens(self, tiny: Path) -> None:
        policy = load_policy(config_of(tiny))
        assert policy.tokenizer.convert_ids_to_tokens(list(policy.goal_ids("zoka"))) == ["zoka"]


class TestOverAnEngineThatOnlyAnswers:
    @pytest.fixture
    def policy(self) -> VLMPolicy:
        tokenizer = word_tokenizer()
        family, dialect = family_for("tiny", tokenizer), get_dialect("native")
        engine = ScriptedEngine([CLICK, "sun moon"], tokenizer)
        return VLMPolicy(engine, family, dialect, inference=InferenceConfig(grammar=False))

    def test_it_answers(self, policy: VLMPolicy) -> None:
        first, second = policy.propose(frame(0), STUDENT), policy.propose(frame(0), STUDENT)
        assert first.action == Click(0.312, 0.688)
        assert first.confidence.stated == 0.75
        assert second.failure is not None
        assert second.failure.reason is ParseReason.NO_OBJECT

    def test_it_answers_several_one_by_one(self, policy: VLMPolicy) -> None:
        asked = [policy.parts(frame(i), STUDENT) for i in range(2)]
        assert [d.text for d in policy.sample(asked, 0.0, np.random.default_rng(0), None)] == [CLICK, CLICK]
        assert batchable(policy) is None

    def test_it_cannot_train(self, policy: VLMPolicy) -> None:
        assert policy.adapter is None
        with pytest.raises(Unavailable, match="cannot train"):
            answer_logits(policy, [[5]], [[6]], None)
