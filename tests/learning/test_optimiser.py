"""The optimiser of an adapter: what it trains, how far it goes, and that it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from showonce.config import SDFTConfig
from showonce.errors import StoreError
from showonce.inference.torch.adapter import Adapter
from showonce.learning.optimiser import AdapterOptimiser
from showonce.policy.vlm_policy import VLMPolicy

MakePolicy = Callable[..., VLMPolicy]


def adapter_of(make_policy: MakePolicy, kind: str) -> Adapter:
    adapter = make_policy(kind).adapter
    assert adapter is not None
    return adapter


def pull(optimiser: AdapterOptimiser, steps: int, factor: float = 1.0) -> float:
    """Minimise the squares of what is trained; return the last gradient norm."""
    norm = 0.0
    for _ in range(steps):
        norm = optimiser.step(sum((p**2).sum() for p in optimiser._lesson), factor)  # type: ignore[arg-type]
    return norm


def test_each_kind_of_tensor_has_its_own_rate(make_policy: MakePolicy) -> None:
    adapter = adapter_of(make_policy, "lora_tokens")
    optimiser = AdapterOptimiser(adapter, "candidate", SDFTConfig(lr=0.5, lora_lr=0.001, grad_clip=1e9))
    optimiser.begin([7])
    before = adapter.tensors("candidate") | {"tokens.7": adapter.backbone.embedding.weight[7].detach().clone()}
    pull(optimiser, 1)
    after = adapter.tensors("candidate")
    moved = {key: float((after[key] - before[key]).abs().max()) for key in before}
    assert moved["tokens.7"] == pytest.approx(0.5, rel=1e-3)  # Adam's first step is the learning rate
    assert max(v for k, v in moved.items() if k.endswith(".A")) == pytest.approx(0.001, rel=1e-3)


def test_a_factor_multiplies_the_rate_and_is_not_kept(make_policy: MakePolicy) -> None:
    steps = {}
    for factors in ((1.0, 1.0), (100.0, 1.0)):
        adapter = adapter_of(make_policy, "tokens")
        optimiser = AdapterOptimiser(adapter, "candidate", SDFTConfig(lr=0.001))
        optimiser.begin([7])
        start = adapter.backbone.embedding.weight[7].detach().clone()
        seen = []
        for factor in factors:
            pull(optimiser, 1, factor)
            seen.append(float((adapter.tensors("candidate")["tokens.7"] - start).abs().max()))
        steps[factors] = seen
    assert steps[100.0, 1.0][0] == pytest.approx(100 * steps[1.0, 1.0][0], rel=1e-3)
    assert steps[100.0, 1.0][1] - steps[100.0, 1.0][0] < 0.003


def test_the_norm_is_that_before_clipping_and_clipping_bounds_the_step(make_policy: MakePolicy) -> None:
    adapter = adapter_of(make_policy, "tokens")
    optimiser = AdapterOptimiser(adapter, "candidate", SDFTConfig(grad_clip=0.25))
    optimiser.begin([7])
    row = adapter.backbone.embedding.weight[7].detach()
    assert pull(optimiser, 1) == pytest.approx(2 * float(row.norm()), rel=1e-5)
    moment = optimiser.tensors()["tokens.7.exp_avg"]
    assert float(moment.norm()) == pytest.approx(0.1 * 0.25, rel=1e-4)  # (1 - beta1) of the clipped gradient


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(make_policy: MakePolicy, value: float) -> None:
    adapter = adapter_of(make_policy, "lora_tokens")
    optimiser = AdapterOptimiser(adapter, "candidate", SDFTConfig())
    optimiser.begin([7])
    pull(optimiser, 2)
    before, moments = adapter.hash("candidate"), optimiser.tensors()
    norm = optimiser.step(sum((p * value).sum() for p in optimiser._lesson))  # type: ignore[arg-type]
    assert not norm < 1e30
    assert adapter.hash("candidate") == before
    assert all(torch.equal(t, moments[k]) for k, t in optimiser.tensors().items())


def test_rows_of_earlier_lessons_rest(make_policy: MakePolicy) -> None:
    adapter = adapter_of(make_policy, "tokens")
    optimiser = AdapterOptimiser(adapter, "candidate", SDFTConfig())
    optimiser.begin([7])
    pull(optimiser, 2)
    first = adapter.tensors("candidate")["tokens.7"]
    optimiser.begin([9])
    pull(optimiser, 2)
    assert torch.equal(adapter.tensors("candidate")["tokens.7"], first)
    assert optimiser.trainable == adapter.backbone.width
    optimiser.begin([7])
    pull(optimiser, 1)
    assert float(optimiser.tensors()["tokens.7.step"]) == 3.0


@pytest.mark.parametrize("early", [True, False])
def test_restored_it_goes_on_as_if_nothing_had_happened(make_policy: MakePolicy, early: bool) -> None:
    config = SDFTConfig()
    straight = adapter_of(make_policy, "lora_tokens")
    optimiser = AdapterOptimiser(straight, "candidate", config)
    optimiser.begin([7])
    pull(optimiser, 3)
    saved, moments = straight.tensors("candidate"), optimiser.tensors()
    pull(optimiser, 2)
    other = adapter_of(make_policy, "lora_tokens")
    other.set_tensors(saved)
    resumed = AdapterOptimiser(other, "candidate", config)
    if early:
        resumed.restore(moments)
        resumed.begin([7])
    else:
        resumed.begin([7])
        pull(resumed, 1)
        other.set_tensors(saved)
        resumed.restore(moments)
    pull(resumed, 2)
    assert other.hash("candidate") == straight.hash("candidate")


def test_moments_of_another_adapter_are_refused(make_policy: MakePolicy) -> None:
    adapter = adapter_of(make_policy, "tokens")
    optimiser = AdapterOptimiser(adapter, "candidate", SDFTConfig())
    wrong = torch.zeros(3)
    optimiser.restore({"tokens.7.exp_avg": wrong, "tokens.7.exp_avg_sq": wrong, "tokens.7.step": torch.tensor(1.0)})
    with pytest.raises(StoreError, match="another adapter"):
        optimiser.begin([7])
