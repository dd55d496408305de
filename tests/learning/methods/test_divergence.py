"""The divergences against hand-computed values, against autograd in float64, and the exactness of the tail bucket."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from showonce.errors import BadInput
from showonce.learning.methods.divergence import KINDS, divergence, masked_mean

ONE = torch.ones(1, 1, dtype=torch.bool)


def logits(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log().view(1, 1, -1)


STUDENT, TEACHER = logits(0.5, 0.3, 0.2), logits(0.2, 0.7, 0.1)


def by_hand(kind: str, beta: float = 0.5) -> float:
    s, t = (0.5, 0.3, 0.2), (0.2, 0.7, 0.1)
    if kind == "forward_kl":
        return sum(b * math.log(b / a) for a, b in zip(s, t, strict=True))
    if kind == "reverse_kl":
        return sum(a * math.log(a / b) for a, b in zip(s, t, strict=True))
    m = [beta * b + (1 - beta) * a for a, b in zip(s, t, strict=True)]
    left = sum(b * math.log(b / c) for b, c in zip(t, m, strict=True))
    right = sum(a * math.log(a / c) for a, c in zip(s, m, strict=True))
    return beta * left + (1 - beta) * right


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.5, 0.1])
def test_hand_computed(kind: str, beta: float) -> None:
    got = divergence(STUDENT, TEACHER, ONE, kind, jsd_beta=beta)
    assert got.item() == pytest.approx(by_hand(kind, beta), rel=1e-12)


def test_known_numbers() -> None:
    """Worked out on paper: .2 ln .4 + .7 ln(7/3) + .1 ln .5, and .5 ln 2.5 + .3 ln(3/7) + .2 ln 2."""
    assert divergence(STUDENT, TEACHER, ONE, "forward_kl").item() == pytest.approx(0.3405357, abs=1e-6)
    assert divergence(STUDENT, TEACHER, ONE, "reverse_kl").item() == pytest.approx(0.3425854, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("topk", [None, 2, 4])
def test_gradient_against_finite_differences(kind: str, topk: int | None) -> None:
    generator = torch.Generator().manual_seed(3)
    student = torch.randn(2, 3, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    teacher = torch.randn(2, 3, 7, dtype=torch.float64, generator=generator)
    mask = torch.tensor([[True, True, False], [False, True, True]])
    assert torch.autograd.gradcheck(lambda x: divergence(x, teacher, mask, kind, jsd_beta=0.3, topk=topk), (student,))


def test_gradient_of_forward_kl_is_student_minus_teacher() -> None:
    student = STUDENT.clone().requires_grad_()
    divergence(student, TEACHER, ONE, "forward_kl").sum().backward()
    assert torch.allclose(student.grad, STUDENT.softmax(-1) - TEACHER.softmax(-1), atol=1e-12)


def test_no_gradient_into_the_teacher() -> None:
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    divergence(student, teacher, ONE, "jsd").sum().backward()
    assert teacher.grad is None and student.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_tail_is_the_exact_rest(kind: str) -> None:
    """Keeping k entries equals the divergence of the hand-coarsened distributions."""
    student = logits(0.05, 0.4, 0.1, 0.15, 0.3)
    teacher = logits(0.6, 0.2, 0.1, 0.06, 0.04)
    # the two likeliest of the teacher are 0 and 1, those of the student 1 and 4: kept are 0, 1, 4
    coarse_s, coarse_t = logits(0.05, 0.4, 0.3, 0.25), logits(0.6, 0.2, 0.04, 0.16)
    got = divergence(student, teacher, ONE, kind, topk=2)
    assert got.item() == pytest.approx(divergence(coarse_s, coarse_t, ONE, kind).item(), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("topk", [5, 6, 7, 99])
def test_a_tail_of_one_entry_or_none_is_the_full_divergence(kind: str, topk: int) -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 2, 3, 6, dtype=torch.float64, generator=generator).unbind(0)
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert torch.allclose(divergence(student, teacher, mask, kind, topk=topk), divergence(student, teacher, mask, kind))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), kind=st.sampled_from(KINDS), scale=st.floats(0.1, 30))
def test_top_k_never_exceeds_the_whole(seed: int, k: int, kind: str, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(2, 1, 4, 12, dtype=torch.float64, generator=generator) * scale).unbind(0)
    mask = torch.ones(1, 4, dtype=torch.bool)
    whole = divergence(student, teacher, mask, kind)
    part = divergence(student, teacher, mask, kind, topk=k)
    assert bool((part <= whole + 1e-9).all()) and bool((part >= -1e-9).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("topk", [None, 2])
def test_extreme_logits_stay_finite(kind: str, topk: int | None) -> None:
    student = torch.tensor([[[200.0, -200.0, 0.0, 1.0]]], requires_grad=True)
    teacher = torch.tensor([[[-200.0, 200.0, 0.0, 1.0]]])
    value = divergence(student, teacher, ONE, kind, topk=topk).sum()
    value.backward()
    assert torch.isfinite(value) and bool(torch.isfinite(student.grad).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_compared_in_float32(dtype: torch.dtype) -> None:
    got = divergence(STUDENT.to(dtype), TEACHER.to(dtype), ONE, "forward_kl")
    assert got.dtype == torch.float32 and got.item() == pytest.approx(by_hand("forward_kl"), abs=0.01)


def test_zero_outside_the_mask_and_where_both_agree() -> None:
    generator = torch.Generator().manual_seed(5)
    both = torch.randn(2, 2, 4, 5, generator=generator)
    mask = torch.tensor([[True, False, True, False], [False, False, False, True]])
    got = divergence(both[0], both[1], mask)
    assert bool((got[~mask] == 0).all()) and bool((got[mask] > 0).all())
    assert divergence(both[0], both[0], mask).abs().max() < 1e-6


def test_a_change_outside_the_mask_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(6)
    student, teacher = torch.randn(2, 1, 3, 5, generator=generator).unbind(0)
    mask = torch.tensor([[True, False, True]])
    before = divergence(student, teacher, mask)
    student[:, 1] += 7
    assert torch.equal(divergence(student, teacher, mask), before)


def test_masked_mean_weighs_sequences_alike() -> None:
    values = torch.tensor([[1.0, 3.0, 100.0], [6.0, 100.0, 100.0], [9.0, 9.0, 9.0]])
    mask = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    assert masked_mean(values, mask).item() == pytest.approx((2.0 + 6.0) / 2)
    assert masked_mean(values, torch.zeros_like(mask)).item() == 0.0


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("forward_kll", {}, "Did you mean 'forward_kl'"),
        ("jsd", {"jsd_beta": 1.0}, "inside (0, 1)"),
        ("forward_kl", {"topk": 0}, "at least 1"),
    ],
)
def test_bad_input(kind: str, options: dict[str, float], words: str) -> None:
    with pytest.raises(BadInput) as error:
        divergence(STUDENT, TEACHER, ONE, kind, **options)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_shapes_that_differ() -> None:
    with pytest.raises(BadInput, match="must be"):
        divergence(STUDENT, TEACHER[..., :2], ONE)
