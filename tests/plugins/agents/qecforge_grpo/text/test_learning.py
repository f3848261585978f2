"""One gradient step, against the loss of the whole batch."""

import math

import pytest
import test_text_contract as contract
import torch

from qecforge.testing.text import DigitTask
from qecforge_grpo.losses import averaged, grpo_losses
from qecforge_grpo.text.agent import _Training
from qecforge_grpo.text.completing import complete, log_probs_of
from qecforge_grpo.text.config import TextGRPOConfig
from qecforge_grpo.text.scoring import Scores, valid_advantages

GROUPS, SIZE, LONGEST = 4, 3, 6
SCORES = [1, 0, 0, *[1, 1, 1], 0, 1, math.nan, *[math.nan] * 3]
"""Of four groups: one that varies, one that does not, one that lacks a score, one without any."""


def training(**settings):
    config = TextGRPOConfig.model_validate(
        {
            "total_steps": 1000, "group_size": SIZE, "groups": GROUPS, "model": contract.MODEL,
            "warm_start": {"completions": 0}, "longest_completion": LONGEST, "learning_rate": 1e-2, **settings,
        }
    )  # fmt: skip
    return _Training(config, DigitTask(), 0, None)


@pytest.mark.parametrize("average", ["episode", "step", "constant"])
@pytest.mark.parametrize("kl", [0.0, 0.5])
def test_what_does_not_vary_counts_in_the_averages_and_moves_nothing(average, kl):
    """Left out of the computation or not, the step is that of the loss over all that has a score."""
    ours = training(loss_average=average, kl=kl)
    prompts = [[40 + number, 50, 1] for number in range(GROUPS)]
    drawn = complete(ours.model, prompts, times=SIZE, longest=LONGEST, generator=torch.Generator().manual_seed(0))
    values = torch.tensor(SCORES, dtype=torch.float64)
    advantages = valid_advantages(values, SIZE, "deviation").float()
    if kl:
        ours.reference = ours._fresh_reference()
        with torch.no_grad():
            ours.reference.embedding.weight += 0.1
    scored = ~values.isnan()
    present, mask = log_probs_of(ours.model, drawn)[scored], drawn.mask[scored]
    reference = None if not kl else log_probs_of(ours.reference, drawn)[scored].detach()
    losses = grpo_losses(present, drawn.log_probs[scored], reference, advantages[scored], clip=0.2)
    loss = averaged(losses.policy + kl * losses.divergence, mask, average, LONGEST)
    expected = torch.autograd.grad(loss, list(ours.model.parameters()))
    found = []
    ours._descend = lambda loss, rate: found.extend(torch.autograd.grad(loss, list(ours.model.parameters())))
    ours._learn(drawn, Scores(values, {}))
    assert sum(float(each.abs().sum()) for each in expected) > 0.1
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_an_update_without_variance_takes_no_step():
    ours = training()
    drawn = complete(ours.model, [[40, 1]], times=SIZE, longest=3, generator=torch.Generator().manual_seed(0))
    before = [each.clone() for each in ours.model.parameters()]
    assert ours._learn(drawn, Scores(torch.ones(SIZE, dtype=torch.float64), {})) == [0.0] * 4
    assert all(map(torch.equal, before, ours.model.parameters()))


def test_the_warm_start_s_loss_is_filed_as_it_began_and_as_it_ended():
    agent = contract.TestTiny.spec.make(
        contract.TestTiny.spec.config.model_validate(
            {**contract.TestTiny.settings, "warm_start": {"completions": 3200, "batch": 32, "report_every": 10}}
        )
    )
    from qecforge.testing.contexts import RecordingContext

    context = RecordingContext(DigitTask(agent.num_envs), 0, stop_after=12)
    agent.train(context.env, context)
    filed = {}
    for each in context.advances:
        if "warm_start/loss" in each.metrics:
            filed.setdefault(each.step, each.metrics["warm_start/loss"])
    assert list(filed) == [0, agent.num_envs]
    assert filed[agent.num_envs] < 0.7 * filed[0]
