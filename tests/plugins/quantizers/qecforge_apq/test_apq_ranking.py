"""Relaxed rankings against hard ones, against a general-purpose projection, and against finite differences."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import rankdata, spearmanr

from qecforge_apq.ranking import permutahedron_distance, soft_ranks, softsort_distance

DISTANCES = [softsort_distance, permutahedron_distance]


def everything(values):
    return torch.ones_like(values, dtype=torch.bool)


def project(scores):
    """Nearest point of the convex hull of the permutations of (n, ..., 1), as non-negative least squares."""
    vertices = np.array(list(permutations(range(1, len(scores) + 1))), float).T
    weight = 1e4  # of the condition that the coefficients sum to one
    system = np.vstack([vertices, np.full(vertices.shape[1], weight)])
    coefficients, _ = nnls(system, np.append(scores, weight))
    return vertices @ coefficients


def test_soft_ranks_of_two_actions_by_hand():
    """On the segment from (1, 2) to (2, 1): the gap, over the strength, clipped to 1."""
    values = torch.tensor([[0.5, 0.0], [3.0, 0.0], [0.0, 0.25]], dtype=torch.float64)
    expected = torch.tensor([[1.25, 1.75], [1.0, 2.0], [1.625, 1.375]], dtype=torch.float64)
    torch.testing.assert_close(soft_ranks(values, 1.0, everything(values)), expected)
    torch.testing.assert_close(soft_ranks(values * 4, 4.0, everything(values)), expected)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("strength", [0.3, 1.0, 5.0])
def test_soft_ranks_are_the_projection(seed, strength):
    values = np.random.default_rng(seed).normal(size=5)
    found = soft_ranks(torch.from_numpy(values)[None], strength, torch.ones(1, 5, dtype=torch.bool))
    np.testing.assert_allclose(found[0], project(-values / strength), atol=2e-6)


def test_soft_ranks_become_ranks():
    values = torch.tensor([[0.2, -1.0, 3.0, 0.9]], dtype=torch.float64)
    assert soft_ranks(values, 0.1, everything(values)).tolist() == [[3.0, 4.0, 1.0, 2.0]]
    tied = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(soft_ranks(tied, 0.1, everything(tied)), torch.from_numpy(rankdata(-tied)[None]))


def test_soft_ranks_leave_forbidden_actions_out():
    values = torch.tensor([[0.2, 50.0, 3.0, 0.9, -50.0]], dtype=torch.float64)
    mask = torch.tensor([[True, False, True, True, False]])
    alone = soft_ranks(values[mask][None], 2.0, torch.ones(1, 3, dtype=torch.bool))
    found = soft_ranks(values, 2.0, mask)
    torch.testing.assert_close(found[mask][None], alone)
    assert found[~mask].tolist() == [0.0, 0.0]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=9), st.floats(0.05, 20))
def test_soft_ranks_keep_the_order_and_the_sum(values, strength):
    x = torch.tensor([values], dtype=torch.float64)
    ranks = soft_ranks(x, strength, everything(x))[0]
    n = len(values)
    assert ranks.sum().item() == pytest.approx(n * (n + 1) / 2)
    assert (ranks[x[0].argsort(dim=-1, descending=True, stable=True)].diff() >= -1e-9).all()
    assert ranks.min() >= 1 - 1e-9
    assert ranks.max() <= n + 1e-9


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_gradients_match_finite_differences(seed, distance, temperature):
    rng = np.random.default_rng(seed)
    student, teacher = torch.from_numpy(rng.normal(size=(2, 4, 6)))
    mask = torch.from_numpy(rng.random((4, 6)) < 0.8)
    mask[:, 0] = True
    student = student.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: distance(z, teacher, temperature, mask), student, eps=1e-7, atol=1e-5)
    forbidden = torch.autograd.grad(distance(student, teacher, temperature, mask).sum(), student)[0][~mask]
    assert not forbidden.any()


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_become_one_minus_spearmans_correlation(distance):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 8))
    mask = rng.random((6, 8)) < 0.7
    mask[:, :2] = True
    found = distance(torch.from_numpy(student), torch.from_numpy(teacher), 1e-4, torch.from_numpy(mask))
    expected = [1 - spearmanr(s[m], t[m]).statistic for s, t, m in zip(student, teacher, mask, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_student_equal_to_its_teacher_is_at_the_minimum(distance):
    teacher = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    student = teacher.clone().requires_grad_()
    loss = distance(student, teacher, 1.0)
    assert loss.tolist() == [0.0, 0.0, 0.0]
    loss.sum().backward()
    assert not student.grad.any()


@pytest.mark.parametrize("distance", DISTANCES)
def test_one_allowed_action_costs_nothing(distance):
    student = torch.tensor([[1.0, 2.0, 0.0]], requires_grad=True)
    loss = distance(student, torch.tensor([[3.0, 1.0, 2.0]]), 1.0, torch.tensor([[False, True, False]]))
    assert loss.item() == 0.0
    loss.sum().backward()
    assert not student.grad.any()


@pytest.mark.parametrize("distance", DISTANCES)
def test_descending_the_distance_restores_swapped_neighbours(distance):
    teacher = torch.tensor([[2.0, 1.5, 1.0, 0.5, 0.0]])
    student = torch.tensor([[1.7, 1.8, 1.0, 0.2, 0.3]], requires_grad=True)
    optimizer = torch.optim.Adam([student], lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        distance(student, teacher, 0.5).sum().backward()
        optimizer.step()
    assert student[0].argsort(descending=True).tolist() == [0, 1, 2, 3, 4]
