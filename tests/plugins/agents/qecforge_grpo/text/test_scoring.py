"""Groups of which some completions have no score, and the loss as TRL computes it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from qecforge.contracts import TextOutcome, Verdict
from qecforge.errors import InfrastructureError, QecforgeError
from qecforge_grpo.losses import averaged, group_advantages, grpo_losses
from qecforge_grpo.text.scoring import scores_of, still_groups, valid_advantages

NAN = math.nan


def test_what_has_no_score_is_left_out_of_its_group():
    values = torch.tensor([1.0, NAN, 0.0, 1.0, 0.5, NAN, NAN, NAN, 1.0, 1.0, NAN, 1.0], dtype=torch.float64)
    advantages = valid_advantages(values, 4, "none")
    assert advantages.tolist() == pytest.approx([1 / 3, 0, -2 / 3, 1 / 3, *[0.0] * 8])
    scaled = valid_advantages(values, 4, "deviation")
    assert scaled[:4].tolist() == pytest.approx(
        [each / (math.sqrt(1 / 3) + 1e-4) for each in (1 / 3, 0, -2 / 3, 1 / 3)]
    )
    assert still_groups(values, 4) == 2


def test_with_all_scores_it_is_the_group_s_own():
    values = torch.rand(12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for scale in ("deviation", "none"):
        torch.testing.assert_close(valid_advantages(values, 4, scale), group_advantages(values, 4, scale))


def test_outcomes_become_scores():
    passed = TextOutcome(verdict=Verdict.PASSED, score=1.0, components={"runs": 1.0})
    failed = TextOutcome(verdict=Verdict.FAILED, score=0.0, components={"runs": 0.5, "gates": 2.0})
    lost = TextOutcome.out_of_order("no cell answers")
    scores = scores_of([passed, lost, failed], 3)
    assert scores.valid.tolist() == [True, False, True]
    assert scores.mean == 0.5
    assert scores.components == {"gates": 1.0, "runs": 0.75}
    with pytest.raises(QecforgeError, match="got 1 rewards for 2 completions"):
        scores_of([passed], 2)
    with pytest.raises(InfrastructureError, match=r"none of 2 completions could be judged \(no cell answers\)"):
        scores_of([lost, lost], 2)
    for value in (NAN, math.inf):
        with pytest.raises(QecforgeError, match="a reward is not finite"):
            scores_of([passed, SimpleNamespace(valid=True, score=value, components={})], 2)


def trl_loss(log_probs, old, reference, rewards, mask, *, group_size, epsilon, beta):
    """`GRPOTrainer._compute_loss` with `loss_type="grpo"`, line by line, in double precision of numpy."""
    grouped = rewards.reshape(-1, group_size)
    mean, std = grouped.mean(1).repeat(group_size), grouped.std(1, ddof=1).repeat(group_size)
    advantages = (rewards - mean) / (std + 1e-4)
    coef_1 = np.exp(log_probs - old)
    coef_2 = np.clip(coef_1, 1 - epsilon, 1 + epsilon)
    per_token_loss = -np.minimum(coef_1 * advantages[:, None], coef_2 * advantages[:, None])
    per_token_kl = np.exp(reference - log_probs) - (reference - log_probs) - 1
    per_token_loss = per_token_loss + beta * per_token_kl
    grpo = ((per_token_loss * mask).sum(-1) / mask.sum(-1).clip(1.0)).mean()
    bnpo = (per_token_loss * mask).sum() / mask.sum().clip(1.0)
    dr_grpo = (per_token_loss * mask).sum() / (len(mask) * mask.shape[1])
    return {"episode": grpo, "step": bnpo, "constant": dr_grpo}


@pytest.mark.parametrize("average", ["episode", "step", "constant"])
def test_the_loss_is_trl_s(average):
    rng = np.random.default_rng(0)
    log_probs, old, reference = (np.log(rng.uniform(0.05, 0.9, (12, 7))) for _ in range(3))
    mask = np.arange(7) < rng.integers(1, 8, 12)[:, None]
    rewards = rng.integers(0, 2, 12).astype(float)
    expected = trl_loss(log_probs, old, reference, rewards, mask, group_size=4, epsilon=0.2, beta=0.04)
    present, before, frozen = (torch.from_numpy(each).float() for each in (log_probs, old, reference))
    advantages = valid_advantages(torch.from_numpy(rewards), 4, "deviation").float()
    losses = grpo_losses(present, before, frozen, advantages, clip=0.2)
    kept = torch.from_numpy(mask)
    loss = averaged(losses.policy, kept, average, 7) + 0.04 * averaged(losses.divergence, kept, average, 7)
    assert loss.item() == pytest.approx(expected[average], rel=1e-6, abs=1e-6)
