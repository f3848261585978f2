"""Losses and derivatives that are written out, against autograd's; steps of Adam without torch's optimizer around."""

import copy

import numpy as np
import pytest
import torch

from qecforge_td3 import TD3Config
from qecforge_td3.derivatives import ByAutograd, ByHand, make_derivatives
from qecforge_td3.networks import Networks, fused_step

SMALL = {"batch_size": 24, "critic_hidden": (16, 12), "pre_hidden": 14, "post_hidden": 10, "qubits": 4, "layers": 3,
         "links": 2, "tangential_hidden": 32}  # fmt: skip
BLOCKS = [
    {"block": "none"},
    {"block": "fc"},
    {"block": "rbg"},
    {"block": "rbg", "links": 0},
    {"block": "zeros"},
    {"block": "pqc"},
    {"block": "pqc", "gradient": "exact"},
]
CPU = torch.device("cpu")


def networks(settings, seed=0):
    """Of 5 observation elements and 3 actions, its targets moved away from the networks."""
    made = Networks(5, 3, TD3Config(**(SMALL | settings)), torch.Generator().manual_seed(seed), CPU)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for target in (made.target_actor, made.target_critic):
            for parameter in target.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return made


def batch(seed=0, samples=24):
    generator = torch.Generator().manual_seed(seed)
    s, s_next = torch.randn(2, samples, 5, generator=generator)
    a, a_next = torch.rand(2, samples, 3, generator=generator) * 2 - 1
    r, discount = torch.rand(2, samples, generator=generator)
    return s, a, s_next, a_next, r, discount


def gradients(module):
    """A parameter without a derivative has one of zeros."""
    return {
        name: torch.zeros_like(each) if each.grad is None else each.grad.clone()
        for name, each in module.named_parameters()
    }


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("settings", BLOCKS)
def test_written_out_is_autograds(settings):
    found, expected = networks(settings), networks(settings)
    by_hand, by_autograd = ByHand(found, 24), ByAutograd(expected)
    for seed in range(2):  # the second finds the first one's arrays
        s, a, s_next, a_next, r, discount = batch(seed)
        actions = [each.next_actions(s_next, np.random.default_rng(seed)) for each in (by_hand, by_autograd)]
        torch.testing.assert_close(*actions)
        losses = [each.of_critics(s, a, s_next, a_next, r, discount) for each in (by_hand, by_autograd)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert_equal(gradients(found.critic), gradients(expected.critic))
        assert max(float(each.abs().max()) for each in gradients(found.critic).values()) > 1e-3
        losses = [each.of_actor(s, np.random.default_rng(seed)) for each in (by_hand, by_autograd)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert_equal(gradients(found.actor), gradients(expected.actor))


def test_a_next_action_may_be_changed():
    made = networks({"block": "none"})
    by_hand = ByHand(made, 24)
    s, _, s_next, *_ = batch()
    first = by_hand.next_actions(s_next, np.random.default_rng(0))
    kept = first.clone()
    first.clamp_(0.0, 0.01)
    by_hand.of_actor(s, np.random.default_rng(0))
    torch.testing.assert_close(by_hand.next_actions(s_next, np.random.default_rng(0)), kept)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, ByHand),
        ({"critic": "layer_norm"}, ByAutograd),
        ({"critic": "batch_renorm"}, ByAutograd),
        ({"block": "none", "hidden_noise": 0.2}, ByAutograd),
    ],
)
def test_what_is_written_out(settings, kind):
    config = TD3Config(**(SMALL | settings))
    assert isinstance(make_derivatives(networks(settings), config, CPU), kind)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.999)])
def test_a_step_of_adam_is_torchs(betas):
    ours = torch.nn.Linear(5, 4)
    unused = torch.nn.Parameter(torch.ones(2))
    theirs = copy.deepcopy(ours)
    optimizers = [
        torch.optim.Adam([*each.parameters(), unused], lr=1e-2, betas=betas, fused=True) for each in (ours, theirs)
    ]
    for number in range(4):
        for each in (ours, theirs):
            each.zero_grad()
            torch.autograd.backward(each(torch.full((1, 5), float(number))).square().sum())
        fused_step(optimizers[0])
        optimizers[1].step()
        assert torch.equal(ours.weight, theirs.weight)
    states = [each.state_dict()["state"] for each in optimizers]
    assert set(states[0]) == set(states[1]) == {0, 1}
    for number, state in states[0].items():
        assert all(torch.equal(value, states[1][number][name]) for name, value in state.items())
    assert unused.tolist() == [1, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("settings", BLOCKS)
def test_on_cuda_they_are_the_cpus(settings):
    device = torch.device("cuda")
    config = TD3Config(**(SMALL | settings))
    on_cuda = Networks(5, 3, config, torch.Generator().manual_seed(0), device)
    on_cpu = Networks(5, 3, config, torch.Generator().manual_seed(0), CPU)
    derivatives = make_derivatives(on_cuda, config, device), make_derivatives(on_cpu, config, CPU)
    assert [type(each) for each in derivatives] == [ByAutograd, ByHand]
    given = batch()
    losses = [
        each.of_critics(*(tensor.to(place) for tensor in given))
        for each, place in zip(derivatives, (device, CPU), strict=True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    found = {name: gradient.cpu() for name, gradient in gradients(on_cuda.critic).items()}
    for name, gradient in gradients(on_cpu.critic).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)
