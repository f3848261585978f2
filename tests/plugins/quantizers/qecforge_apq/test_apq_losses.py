"""APQ's formulas against values worked out by hand, and against finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qecforge_apq.losses import (
    best_actions,
    expected_excess,
    listwise_kl,
    logit_noise,
    near_ties,
    pairwise_margin,
    teacher_margin,
    worst_excess,
)


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


def random_case(seed, states=5, actions=7):
    rng = np.random.default_rng(seed)
    student, teacher = torch.from_numpy(rng.normal(size=(2, states, actions)))
    mask = torch.from_numpy(rng.random((states, actions)) < 0.7)
    mask[torch.arange(states), torch.from_numpy(rng.integers(actions, size=states))] = True
    return student.clone().requires_grad_(), teacher.clone(), mask


def check_gradient(loss, seed):
    student, teacher, mask = random_case(seed)
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher, mask), student, eps=1e-7, atol=1e-6)


def test_margin_is_the_gap_between_the_two_best():
    teacher = rows([1.0, 3.0, 2.5], [4.0, -1.0, 4.0])
    assert teacher_margin(teacher).tolist() == [0.5, 0.0]


def test_margin_leaves_forbidden_actions_out():
    teacher = rows([1.0, 3.0, 2.5], [9.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    mask = flags([True, False, True], [False, True, True], [False, True, False])
    assert teacher_margin(teacher, mask).tolist() == [1.5, 1.0, math.inf]
    assert teacher_margin(rows([2.0])).tolist() == [math.inf]


def test_near_ties_are_those_whose_margin_is_at_most_the_threshold():
    teacher = rows([1.0, 3.0, 2.5], [1.0, 3.0, 2.0], [0.0, 0.0, 0.0])
    assert near_ties(teacher, 0.5).tolist() == [True, False, True]


def test_logit_noise_is_the_largest_change_of_an_allowed_logit():
    teacher = rows([1.0, 3.0, 2.5], [1.0, 3.0, 2.5])
    student = rows([1.25, 2.5, 2.5], [1.25, 2.5, 2.5])
    mask = flags([True, True, True], [True, False, True])
    assert logit_noise(student, teacher).tolist() == [0.5, 0.5]
    assert logit_noise(student, teacher, mask).tolist() == [0.5, 0.25]


def test_shift_free_logit_noise_is_the_smallest_over_all_constants():
    teacher = rows([1.0, 3.0, 2.5])
    student = teacher + 7.0 + rows([0.25, -0.5, 0.0])
    assert logit_noise(student, teacher, shift_free=True).item() == pytest.approx(0.375)
    assert logit_noise(student, teacher, flags([True, False, True]), shift_free=True).item() == pytest.approx(0.125)
    best = min(logit_noise(student + c, teacher).item() for c in np.linspace(-8, 0, 8001))
    assert best == pytest.approx(0.375, abs=1e-3)


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ([0.0, 1.0, 0.95], 0.15),  # action 2 is 0.05 behind: 0.2 - 0.05; action 0 is far behind
        ([0.0, 1.0, 1.3], 0.5),  # flipped: 0.2 + 0.3
        ([0.9, 1.0, 0.95], 0.1 + 0.15),
        ([0.0, 1.0, 0.8], 0.0),  # exactly tau behind
    ],
)
def test_pairwise_margin_by_hand(student, expected):
    """Eq. (1) with tau = 0.2; the teacher's winner is action 1."""
    found = pairwise_margin(rows(student), rows([0.0, 1.0, 0.9]), 0.2)
    assert found.item() == pytest.approx(expected)


def test_pairwise_margin_leaves_forbidden_actions_out():
    student, teacher = rows([5.0, 1.0, 0.95, 0.9]), rows([9.0, 1.0, 0.9, 0.0])
    mask = flags([False, True, True, False])
    assert pairwise_margin(student, teacher, 0.2, mask).item() == pytest.approx(0.15)
    assert pairwise_margin(student, teacher, 0.2, flags([False, True, False, False])).item() == 0.0


def test_pairwise_margin_gradient_by_hand():
    """Each competitor within tau pulls the winner up by 1 and is pushed down by 1."""
    student = rows([0.9, 1.0, 0.95, 0.0]).requires_grad_()
    pairwise_margin(student, rows([0.0, 1.0, 0.9, 0.1]), 0.2).sum().backward()
    assert student.grad.tolist() == [[1.0, -2.0, 1.0, 0.0]]


def test_listwise_kl_by_hand():
    """Two actions: KL of (3/4, 1/4) from (1/2, 1/2) is log 2 - H(1/4); at T = 2, of softmax(log 3 / 2)."""
    teacher, student = rows([math.log(3.0), 0.0]), rows([0.0, 0.0])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert listwise_kl(student, teacher, 1.0).item() == pytest.approx(expected)
    p = math.sqrt(3.0) / (1.0 + math.sqrt(3.0))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert listwise_kl(student, teacher, 2.0).item() == pytest.approx(expected)


def test_listwise_kl_leaves_forbidden_actions_out():
    mask = flags([True, False, True])
    with_forbidden = listwise_kl(rows([0.3, 50.0, 0.1]), rows([0.9, -50.0, 0.2]), 1.5, mask)
    without = listwise_kl(rows([0.3, 0.1]), rows([0.9, 0.2]), 1.5)
    assert with_forbidden.item() == pytest.approx(without.item())
    assert listwise_kl(rows([0.3, 50.0]), rows([0.9, 2.0]), 1.0, flags([True, False])).item() == 0.0


def test_listwise_kl_gradient_by_hand():
    """(pi~ - pi) / T, and 0 where an action is forbidden."""
    student, teacher, mask = random_case(3)
    listwise_kl(student, teacher, 3.0, mask).sum().backward()
    inf = float("inf")
    expected = (student.detach() / 3.0).masked_fill(~mask, -inf).softmax(-1)
    expected = (expected - (teacher / 3.0).masked_fill(~mask, -inf).softmax(-1)) / 3.0
    torch.testing.assert_close(student.grad, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_gradients_match_finite_differences(seed):
    check_gradient(lambda z, teacher, mask: pairwise_margin(z, teacher, 0.7, mask), seed)
    check_gradient(lambda z, teacher, mask: listwise_kl(z, teacher, 1.7, mask), seed)

    def excess(z, teacher, mask):
        actions, allowed = best_actions(teacher, 4, mask)
        increases = torch.linspace(-1, 2, actions.numel(), dtype=torch.float64).view(actions.shape)
        return expected_excess(z, actions, increases, 0.25, allowed=allowed, mask=mask)

    check_gradient(excess, seed)


def test_the_teacher_gets_no_gradient():
    student, teacher, mask = random_case(1)
    teacher.requires_grad_()
    (pairwise_margin(student, teacher, 0.7, mask) + listwise_kl(student, teacher, 1.7, mask)).sum().backward()
    assert teacher.grad is None
    assert not logit_noise(student, teacher).requires_grad


def test_best_actions_start_with_the_winner_and_skip_the_forbidden():
    teacher = rows([1.0, 3.0, 2.5, 3.0], [9.0, 1.0, 2.0, 0.0])
    actions, allowed = best_actions(teacher, 3)
    assert actions.tolist() == [[1, 3, 2], [0, 2, 1]]
    assert allowed.all()
    actions, allowed = best_actions(teacher, 3, flags([True, False, True, True], [False, True, True, False]))
    assert actions[0].tolist() == [3, 2, 0]
    assert actions[1, :2].tolist() == [2, 1]
    assert allowed.tolist() == [[True, True, True], [True, True, False]]
    assert best_actions(teacher, 9)[0].shape == (2, 4)


def safe_case():
    """pi~ = (1/2, 1/4, 1/4); increases 0, 3, 1 over a budget of 1/2: excesses 0, 5/2, 1/2."""
    student = rows([math.log(2.0), 0.0, 0.0]).requires_grad_()
    actions = torch.tensor([[0, 1, 2]])
    return student, actions, rows([0.0, 3.0, 1.0]), torch.ones(1, 3, dtype=torch.bool)


def test_expected_excess_by_hand():
    student, actions, increases, allowed = safe_case()
    found = expected_excess(student, actions, increases, 0.5, allowed=allowed)
    assert found.item() == pytest.approx(0.25 * 2.5 + 0.25 * 0.5)
    found.sum().backward()
    # pi~_a (h_a - mean h), the mean being 3/4
    expected = rows([0.5 * (0.0 - 0.75), 0.25 * (2.5 - 0.75), 0.25 * (0.5 - 0.75)])
    torch.testing.assert_close(student.grad, expected)


def test_expected_excess_leaves_forbidden_candidates_out():
    student, actions, increases, _ = safe_case()
    mask = flags([True, False, True])
    found = expected_excess(student, actions, increases, 0.5, allowed=mask, mask=mask)
    assert found.item() == pytest.approx(0.5 / 3)


def test_equation_5_to_the_letter_has_no_gradient():
    """It sees no student at all; added to a loss that does, it leaves the gradient as it was."""
    student, actions, increases, allowed = safe_case()
    literal = worst_excess(increases, 0.5, allowed=allowed)
    assert literal.tolist() == [2.5]
    assert not literal.requires_grad
    (literal.sum() + expected_excess(student, actions, increases, 0.5, allowed=allowed).sum()).backward()
    both, student.grad = student.grad, None
    expected_excess(student, actions, increases, 0.5, allowed=allowed).sum().backward()
    torch.testing.assert_close(student.grad, both, rtol=0, atol=0)
    assert worst_excess(rows([0.0, 0.2]), 0.5, allowed=flags([True, True])).tolist() == [0.0]
    assert worst_excess(rows([0.7, 9.0]), 0.5, allowed=flags([True, False])).item() == pytest.approx(0.2)


logits = st.lists(st.integers(-(2**20), 2**20), min_size=2, max_size=12)


@given(teacher=logits, seed=st.integers(0, 2**32 - 1), epsilon=st.integers(0, 2**19))
def test_winner_stays_where_the_margin_exceeds_twice_the_noise(teacher, seed, epsilon):
    """The stability bound, in exact arithmetic: |z~ - z| <= eps leaves a margin >= m - 2 eps, and argmax if m > 2 eps.

    Source: APQ paper, section 4.1 and appendix 7.1.
    """
    rng = np.random.default_rng(seed)
    z = torch.tensor([teacher], dtype=torch.float64) / 2**10
    noise = torch.from_numpy(rng.integers(-epsilon, epsilon + 1, (64, len(teacher)))) / 2**10
    students = z + noise
    eps = logit_noise(students, z.expand_as(students))
    assert (eps <= epsilon / 2**10).all()
    margin = teacher_margin(z)
    stays = students.argmax(-1) == z.argmax(-1)
    assert stays[margin > 2 * eps].all()
    kept = (students.gather(-1, z.argmax(-1, keepdim=True).expand(64, 1)) - students).scatter(
        -1, z.argmax(-1, keepdim=True).expand(64, 1), torch.inf
    )
    assert (kept.amin(-1) >= margin - 2 * eps).all()
    half_range = logit_noise(students, z.expand_as(students), shift_free=True)
    assert (half_range <= eps).all()
    assert stays[margin > 2 * half_range].all()


def test_the_bound_is_tight():
    """Noise of just over half the margin flips a winner."""
    teacher = rows([1.0, 0.0])
    student = teacher + rows([-0.51, 0.51])
    assert logit_noise(student, teacher).item() == pytest.approx(0.51)
    assert near_ties(teacher, 2 * logit_noise(student, teacher)).item()
    assert student.argmax(-1).item() == 1


def test_a_flipped_near_tie_is_restored_with_its_margin():
    """The appendix's representative state: a_2 barely above a_3, which quantization put on top."""
    teacher = rows([0.3, 0.1, 1.00, 0.97, -0.5])
    student = rows([0.3, 0.1, 0.95, 1.02, -0.5]).requires_grad_()
    assert student.argmax().item() == 3
    optimizer = torch.optim.SGD([student], lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (pairwise_margin(student, teacher, 0.2) + 0.5 * listwise_kl(student, teacher, 1.0)).sum().backward()
        optimizer.step()
    assert student.argmax().item() == 2
    assert teacher_margin(student).item() > 0.15
    assert student[0].argsort(descending=True).tolist() == [2, 3, 0, 1, 4]
