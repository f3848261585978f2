"""Advantages, clip, divergence and averages by hand."""

import math

import numpy as np
import pytest
import torch

from qecforge_grpo.losses import averaged, group_advantages, grpo_losses, k3, without_variance


def test_advantages_by_hand():
    returns = torch.tensor([1.0, 0.0, 0.0, 1.0, 5.0, 5.0, 5.0, 5.0], dtype=torch.float64)
    deviation = math.sqrt(4 * 0.25 / 3) + 1e-4  # mean 1/2, four squares of 1/4, three degrees of freedom
    expected = [0.5 / deviation, -0.5 / deviation, -0.5 / deviation, 0.5 / deviation, 0, 0, 0, 0]
    assert group_advantages(returns, 4, "deviation").tolist() == pytest.approx(expected)
    assert group_advantages(returns, 4, "none").tolist() == [0.5, -0.5, -0.5, 0.5, 0, 0, 0, 0]
    assert without_variance(returns, 4) == 1
    assert without_variance(returns, 2) == 2


def test_clip_by_hand():
    """Ratios 1.5 and 0.5 with clip 0.2: held back where the advantage asks for more of it, not on the way back."""
    log_probs = torch.log(torch.tensor([[1.5, 0.5], [1.5, 0.5]], dtype=torch.float64)).requires_grad_()
    old = torch.zeros(2, 2, dtype=torch.float64)
    losses = grpo_losses(log_probs, old, None, torch.tensor([2.0, -2.0], dtype=torch.float64), clip=0.2)
    assert losses.policy.tolist() == [pytest.approx([-2.4, -1.0]), pytest.approx([3.0, 1.6])]
    assert losses.clipped.tolist() == [[True, False], [False, True]]
    assert losses.divergence.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    losses.policy.sum().backward()
    assert log_probs.grad.tolist() == [pytest.approx([0.0, -1.0]), pytest.approx([3.0, 0.0])]


def test_the_divergence_is_k3_and_unbiased():
    pi, reference = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.5, 0.3])
    terms = k3(torch.tensor(np.log(pi)), torch.tensor(np.log(reference))).numpy()
    by_hand = reference / pi - np.log(reference / pi) - 1
    np.testing.assert_allclose(terms, by_hand)
    assert (terms >= 0).all()
    assert pi @ terms == pytest.approx(pi @ np.log(pi / reference))


def test_averages_by_hand():
    terms = torch.tensor([[1.0, 2.0, 3.0], [4.0, 100.0, 100.0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert averaged(terms, mask, "episode", 5).item() == pytest.approx((2.0 + 4.0) / 2)
    assert averaged(terms, mask, "step", 5).item() == pytest.approx(10.0 / 4)
    assert averaged(terms, mask, "constant", 5).item() == pytest.approx(10.0 / (2 * 5))


def test_what_lies_behind_the_end_has_no_gradient():
    terms = torch.full((2, 3), float("nan"))
    terms[:, 0] = 1.0
    terms.requires_grad_()
    mask = torch.zeros(2, 3, dtype=torch.bool)
    mask[:, 0] = True
    for average in ("episode", "step", "constant"):
        terms.grad = None
        averaged(terms, mask, average, 3).backward()
        assert (terms.grad[:, 1:] == 0).all()
        assert (terms.grad[:, 0] > 0).all()
