"""The algorithm's steps: targets by hand, a reference of separate networks, where gradients reach."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from qecforge.testing.contexts import RecordingContext
from qecforge.testing.continuous import PointEnvironment
from qecforge_td3 import TD3Config
from qecforge_td3.actors import make_actor
from qecforge_td3.agent import _Training, td_target
from qecforge_td3.blocks import angles_and_pairs
from qecforge_td3.transitions import Transitions

SMALL = {"batch_size": 32, "critic_hidden": (16, 12), "pre_hidden": 14, "post_hidden": 10, "replay_capacity": 500,
         "learning_starts": 64, "qubits": 4, "layers": 3, "links": 2, "tangential_hidden": 32, "fits": 4}  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def training(num_envs=4, episode_length=10, truncates=True, **settings):
    config = TD3Config(**(SMALL | settings), num_envs=num_envs)
    env = PointEnvironment(num_envs, episode_length=episode_length, truncates=truncates)
    begun = _Training(config, env, RecordingContext(env, 3), None)
    begun.start()
    return begun


def test_the_target_by_hand():
    r, discount = torch.tensor([1.0, 2.0]), torch.tensor([0.9, 0.0])
    q_next = torch.tensor([[10.0, 5.0], [20.0, 3.0]])
    assert td_target(r, discount, q_next).tolist() == [1 + 0.9 * 10, 2.0]


def row(value):
    return {
        "s": np.full((1, 1), value),
        "a": np.full((1, 1), -value),
        "q_in": np.zeros((1, 0)),
        "q_out": np.zeros((1, 0)),
    }


def played(n_step, ends):
    """Rewards 1, 10, 100, ... from s = 0, 1, 2, ...; `ends` says how the last step ends."""
    rows = Transitions({"s": 1, "a": 1, "q_in": 0, "q_out": 0}, 1, capacity=20, n_step=n_step, gamma=0.5)
    for step, end in enumerate(ends):
        flags = [np.array([end == kind]) for kind in ("terminated", "truncated")]
        rows.add(row(step), np.array([10.0**step]), np.full((1, 1), step + 1.0), *flags)
    kept = rows.buffer.rows
    return {name: kept.column(name).reshape(len(rows), -1)[:, 0].tolist() for name in ("s", "r", "s_next", "discount")}


@pytest.mark.parametrize(("end", "discount"), [("truncated", 0.5), ("terminated", 0.0)])
def test_one_step_and_its_end(end, discount):
    found = played(1, ["", end, ""])
    assert found["s"] == [0, 1, 2]
    assert found["r"] == [1, 10, 100]
    assert found["s_next"] == [1, 2, 3]
    assert found["discount"] == [0.5, discount, 0.5]


@pytest.mark.parametrize(("end", "kept"), [("truncated", 1.0), ("terminated", 0.0)])
def test_sums_of_three_rewards(end, kept):
    found = played(3, ["", "", "", "", end])
    assert found["s"] == [0, 1, 2, 3, 4]
    assert found["r"] == [1 + 5 + 25, 10 + 50 + 250, 100 + 500 + 2500, 1000 + 5000, 10_000]
    assert found["s_next"] == [3, 4, 5, 5, 5]
    assert found["discount"] == [0.125, 0.125, 0.125 * kept, 0.25 * kept, 0.5 * kept]


def test_an_episode_that_is_cut_off_bootstraps_from_its_own_end():
    """Not from the first observation of the next one, which the environment shows."""
    begun = training(num_envs=1, episode_length=3, block="none")
    shown = []
    for _ in range(3):
        begun.collect()
        shown.append(begun.observations.copy())
    rows = begun.transitions.buffer.rows
    np.testing.assert_array_equal(rows.column("s_next")[:2], np.concatenate(shown[:2]))
    assert not np.array_equal(rows.column("s_next")[2], shown[2][0])
    np.testing.assert_allclose(rows.column("r")[2], -np.square(rows.column("s_next")[2]).sum(), rtol=1e-5)
    assert rows.column("discount").tolist() == pytest.approx([0.99] * 3)
    lost = training(num_envs=1, episode_length=3, block="none", truncates=False)
    for _ in range(3):
        lost.collect()
    assert lost.transitions.buffer.rows.column("discount").tolist() == pytest.approx([0.99, 0.99, 0.0])


class PlainTD3:
    """Fujimoto et al. 2018, algorithm 1, with three separate networks of torch's layers."""

    def __init__(self, networks, config):
        def linear(weight, bias):
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
            return layer

        own, h1 = networks.actor, config.critic_hidden[0]
        self.actor = torch.nn.ModuleList([linear(x.weight, x.bias) for x in (own.layer_1, own.layer_2, own.layer_3)])
        both = networks.critic
        self.critics = torch.nn.ModuleList(
            torch.nn.ModuleList([
                linear(both.weight_1[k * h1 : (k + 1) * h1], both.bias_1[k, 0]),
                linear(both.weight_2[k].T, both.bias_2[k, 0]),
                linear(both.weight_3[k].T, both.bias_3[k, 0]),
            ])
            for k in range(2)
        )  # fmt: skip
        self.targets = copy.deepcopy((self.actor, self.critics))
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=3e-4)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=3e-4)
        self.updates = 0

    @staticmethod
    def action(actor, s):
        return torch.tanh(actor[2](functional.leaky_relu(actor[1](functional.leaky_relu(actor[0](s))))))

    @staticmethod
    def value(critic, s, a):
        hidden = torch.cat([functional.leaky_relu(critic[0](s)), a], 1)
        return critic[2](functional.leaky_relu(critic[1](hidden)))[:, 0]

    def update(self, batch, noise):
        with torch.no_grad():
            a_next = (self.action(self.targets[0], batch["s_next"]) + noise.clamp(-0.5, 0.5)).clamp(-1, 1)
            q_next = torch.minimum(*(self.value(each, batch["s_next"], a_next) for each in self.targets[1]))
            y = batch["r"] + batch["discount"] * q_next
        loss = sum(functional.mse_loss(self.value(each, batch["s"], batch["a"]), y) for each in self.critics)
        self.critic_adam.zero_grad()
        loss.backward()
        self.critic_adam.step()
        self.updates += 1
        if self.updates % 2 == 0:
            loss = -self.value(self.critics[0], batch["s"], self.action(self.actor, batch["s"])).mean()
            self.actor_adam.zero_grad()
            loss.backward()
            self.actor_adam.step()
            with torch.no_grad():
                for targets, own in zip(self.targets, (self.actor, self.critics), strict=True):
                    for target, parameter in zip(targets.parameters(), own.parameters(), strict=True):
                        target.copy_(0.005 * parameter + 0.995 * target)


def test_without_a_block_it_is_td3():
    begun = training(block="none")
    for _ in range(30):
        begun.collect()
    reference = PlainTD3(begun.networks, begun.config)
    for _ in range(20):
        drawing, generator = copy.deepcopy(begun.drawing), begun.generator.clone_state()
        drawn = begun.transitions.buffer.sample_tensors(32, drawing)
        reference.update({name: tensor.clone() for name, tensor in drawn.items()},
                         0.2 * torch.randn(32, 2, generator=generator))  # fmt: skip
        begun.update()
    s = torch.randn(50, 2)
    torch.testing.assert_close(begun.networks.actor(s), PlainTD3.action(reference.actor, s), atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(
        begun.networks.target_actor(s), PlainTD3.action(reference.targets[0], s), atol=2e-6, rtol=1e-5
    )
    a = begun.networks.actor(s).detach()
    values = begun.networks.critic(s, a)
    for number, critic in enumerate(reference.critics):
        torch.testing.assert_close(values[number], PlainTD3.value(critic, s, a), atol=1e-5, rtol=1e-5)


def gradient_at(block, **settings):
    """Sum of |gradient| by PreDNN's angles, CZ outputs and links, where the actor is improved."""
    config = TD3Config(**(SMALL | settings), block=block)
    actor = make_actor(5, 2, config, torch.Generator().manual_seed(0))
    actions = actor.surrogate(torch.randn(16, 5), np.random.default_rng(0))
    actions.square().sum().backward()
    by_row = actor.pre_2.weight.grad.abs().sum(1)
    angles, gates = 2 * config.qubits * config.layers, config.circuit_inputs
    return [float(part.sum()) for part in (by_row[:angles], by_row[angles:gates], by_row[gates:])]


@pytest.mark.parametrize(
    ("block", "gradient", "reached"),
    [
        ("pqc", "tangential", [True, True, True]),
        ("pqc", "exact", [True, False, True]),  # rounded outputs have no derivative
        ("fc", "tangential", [True, True, True]),
        ("rbg", "tangential", [False, False, True]),
        ("zeros", "tangential", [False, False, True]),
    ],
)
def test_where_the_gradient_reaches_prednn(block, gradient, reached):
    assert [found > 0 for found in gradient_at(block, gradient=gradient)] == reached


def test_the_exact_gradient_is_that_of_the_means():
    config = TD3Config(**SMALL, gradient="exact")
    actor = make_actor(5, 2, config, torch.Generator().manual_seed(0))
    q_in, links = actor.pre(torch.randn(3, 5))
    q_in = q_in.detach().requires_grad_()
    actor.post(actor.block.mean(q_in, None), links.detach()).sum().backward()

    def total(values):
        angles, pairs = angles_and_pairs(values.numpy(), 4, 3)
        means = torch.from_numpy(actor.block.simulator.marginals(angles, pairs))
        return float(actor.post(means, links.detach()).sum().detach())

    for column in (0, 5, 17, 23):
        moved = []
        for step in (0.01, -0.01):
            beside = q_in.detach().clone()
            beside[:, column] += step
            moved.append(total(beside))
        assert float(q_in.grad[:, column].sum()) == pytest.approx((moved[0] - moved[1]) / 0.02, abs=2e-3)


def test_acting_uses_bits_and_the_fit_gets_what_was_sampled():
    begun = training(block="pqc")
    for _ in range(16):
        begun.collect()
    rows = begun.transitions.buffer.rows
    assert set(np.unique(rows.column("q_out"))) == {0.0, 1.0}
    assert rows.column("q_in").shape[1] == begun.config.circuit_inputs == 3 * (2 * 4 + 2)
    before = begun.networks.tangential.weight.clone()
    begun.update()
    assert not torch.equal(before, begun.networks.tangential.weight)
    assert int(begun.networks.tangential.updates) == begun.config.fits


def test_gates_are_spread_over_the_qubits_at_first():
    config = TD3Config()
    actor = make_actor(376, 17, config, torch.Generator().manual_seed(0))
    q_in, _ = actor.pre(torch.randn(200, 376))
    _, pairs = angles_and_pairs(q_in.detach().numpy(), 10, 10)
    assert (pairs[..., 0] != pairs[..., 1]).mean() > 0.5
    assert len(np.unique(pairs)) >= 8


def test_rounded_outputs_stay_on_the_qubits():
    q_in = np.array([[0.5, -0.5, -3.0, 1.4, 1.6, 99.0]], np.float32)
    angles, pairs = angles_and_pairs(np.concatenate([np.zeros((1, 8), np.float32), q_in[:, 2:]], 1), 2, 2)
    assert angles.shape == (1, 8)
    assert pairs.tolist() == [[[0, 1], [1, 1]]]


@pytest.mark.parametrize("settings", [{"critic": "batch_renorm"}, {"policy_delay": 3}])
def test_when_the_actor_and_the_targets_move(settings):
    begun = training(block="none", **settings)
    for _ in range(16):
        begun.collect()
    nets, delay = begun.networks, begun.config.policy_delay
    assert (nets.target_critic is nets.critic) == (settings.get("critic") == "batch_renorm")
    start = copy.deepcopy(nets.state_dict())
    for _ in range(delay - 1):
        begun.update()
    assert torch.equal(nets.actor.layer_1.weight, start["actor.layer_1.weight"])
    assert not torch.equal(nets.critic.weight_1, start["critic.weight_1"])
    begun.update()
    assert not torch.equal(nets.actor.layer_1.weight, start["actor.layer_1.weight"])
    assert not torch.equal(nets.target_actor.layer_1.weight, start["target_actor.layer_1.weight"])
