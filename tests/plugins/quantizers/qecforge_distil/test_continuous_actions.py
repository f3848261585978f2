"""Actors of continuous actions in integers: TD3's plain one, by post-training quantization and by distillation."""

import numpy as np
import pytest
import torch

from qecforge.contracts import ActionHead
from qecforge.contracts.policy import weights_of
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.evaluation import action_fidelity, collect_states
from qecforge.inference.network import read_mlp
from qecforge.inference.policy import QuantizedPolicy, load_quantized
from qecforge.inference.quantization.calibration import with_inputs_of_one_range
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.inference.runtimes.base import RUNTIMES
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.continuous import PointEnvironment
from qecforge.testing.quantizers import PerceptronPolicy
from qecforge_distil import AutoConfig, DistilConfig, make_auto, make_distil
from qecforge_ptq import PtqConfig, make_ptq
from qecforge_td3 import TD3Config, make_td3


def actor(env, *, normalised=False):
    """A float actor whose actions spread over the range, without a training."""
    config = TD3Config(block="none", pre_hidden=24, post_hidden=16, normalize_observations=normalised)
    policy = make_td3(config).build_policy(env)
    with torch.no_grad():
        for number, each in enumerate(policy.actor.parameters()):
            each.mul_(2.5 if number % 2 == 0 else 1.0)
    if normalised:
        policy.normalizer.update(torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) + 0.3)
    return policy


def states(env, policy, seed=7):
    return collect_states(env, policy, 2000, seed=seed).observations


@pytest.mark.parametrize("normalised", [False, True])
def test_eight_bits_are_the_float_actor_nearly(normalised):
    env = PointEnvironment()
    policy = actor(env, normalised=normalised)
    shown = states(env, policy)
    found = make_ptq(PtqConfig(granularity="per_channel", range="mse")).quantize(policy, states(env, policy, 1)[:512])
    fidelity = action_fidelity(policy, found, shown)
    assert 0 < fidelity.action_error_relative < 0.05
    assert fidelity.action_error_rms < fidelity.action_error_max < 20 * fidelity.action_error_rms
    space = env.single_action_space
    np.testing.assert_allclose(
        found.act(shown), policy.act(shown, rng=np.random.default_rng(0)), atol=fidelity.action_error_max * 0.76
    )
    assert (found.act(shown) >= space.low).all()
    assert (found.act(shown) <= space.high).all()


@pytest.mark.parametrize(("width", "normalised"), [(3, True), pytest.param(2, False, marks=pytest.mark.slow)])
def test_few_bits_are_mended_on_states_never_seen(width, normalised):
    """Distilled, the relative error falls to less than half of that of the best ranges."""
    env = PointEnvironment()
    policy = actor(env, normalised=normalised)
    shown = states(env, policy)
    ranges = make_ptq(PtqConfig(bits=width, granularity="per_channel", range="mse"))
    before = action_fidelity(policy, ranges.quantize(policy, states(env, policy, 1)[:512]), shown)
    config = DistilConfig(bits=width, states=1500, updates=250, minibatch_size=64, held_out_states=500)
    context = RecordingContext(env, 1)
    found = make_distil(config).distil(policy, env, context)
    after = action_fidelity(policy, found, shown)
    assert after.action_error_relative < before.action_error_relative / 2
    held_out = context.metrics["quantizer/held_out_error"]
    assert held_out[-1] < held_out[0] / 2
    assert "quantizer/held_out_top1" not in context.metrics
    assert context.metrics["quantizer/loss"][-1] < context.metrics["quantizer/loss"][0] / 2


@pytest.mark.parametrize(("make", "config"), [(make_auto, AutoConfig(bits=8)), (make_ptq, PtqConfig(bits=3))])
def test_actors_are_kept_and_every_runtime_gives_the_same_actions(make, config):
    env = PointEnvironment()
    policy = actor(env, normalised=True)
    found = make(config).quantize(policy, states(env, policy)[:256])
    assert (found.mlp.layers[0].inputs.bits, found.mlp.layers[1].inputs.bits) == (8, config.bits)
    shown = states(env, policy, 3)
    again = load_quantized(weights_of(found))
    for runtime in RUNTIMES:
        np.testing.assert_array_equal(again.with_runtime(runtime, threads=1).act(shown), found.act(shown))
    assert again.act(shown).dtype == np.float32
    head = again.head
    np.testing.assert_array_equal(head.mean, policy.head.mean)
    np.testing.assert_array_equal(head.divisor, found.head.divisor)
    assert (head.noise, found.mlp.method) == (0.1, "ptq")
    noisy = again.act(np.repeat(shown[:1], 20_000, 0), deterministic=False, rng=np.random.default_rng(0))
    deviation = (noisy / ((head.high - head.low) / 2)).std(0)
    assert (deviation < 0.105).all()
    with pytest.raises(ConfigurationError, match="rng is missing"):
        again.act(shown, deterministic=False)


def test_unit_actions_by_hand():
    head = ActionHead(np.array([-0.5, -1.0], np.float32), np.array([1.0, 0.5], np.float32))
    unit = np.array([[0.0, 1.0], [-1.0, -2.0]], np.float32)
    np.testing.assert_allclose(head.actions(unit, deterministic=True, rng=None), [[0.25, 0.5], [-0.5, -1.0]])
    mean, scale = np.array([1.0], np.float32), np.array([2.0], np.float32)
    shown = ActionHead(head.low, head.high, 0.0, mean, scale).shown(np.array([[1.5], [9.0]]))
    np.testing.assert_array_equal(shown, [[1.0], [10.0]])


def test_what_does_not_fit_is_refused_in_one_line():
    env = PointEnvironment()
    policy = actor(env)
    found = make_ptq(PtqConfig()).quantize(policy, states(env, policy)[:64])
    discrete = make_ptq(PtqConfig()).quantize(PerceptronPolicy(), np.eye(12, dtype=np.uint8).repeat(2, 0))
    with pytest.raises(CheckpointError, match="got one of continuous actions, expected discrete"):
        QuantizedPolicy(found.mlp).load_state_dict(found.state_dict())
    with pytest.raises(ConfigurationError, match="gives 12 numbers, but an action has 2"):
        QuantizedPolicy(discrete.mlp, head=policy.head)
    state = found.state_dict()
    del state["head.high"]
    with pytest.raises(CheckpointError, match="damaged"):
        found.load_state_dict(state)
    with pytest.raises(ConfigurationError, match="use decision_fidelity"):
        action_fidelity(policy, discrete, states(env, policy))
    with pytest.raises(ConfigurationError, match="finite bounds"):
        ActionHead(np.array([0.0]), np.array([np.inf]))


@pytest.mark.parametrize(
    ("setting", "said"), [({"block": "rbg"}, "contains a block"), ({"hidden_noise": 0.1}, "hidden layer has noise")]
)
def test_other_actors_are_refused(setting, said):
    env = PointEnvironment()
    policy = make_td3(TD3Config(**{"block": "none", **setting})).build_policy(env)
    with pytest.raises(ConfigurationError, match=said) as refusal:
        make_distil(DistilConfig(states=16, updates=1)).distil(policy, env, RecordingContext(env))
    assert "\n" not in str(refusal.value)


def test_inputs_of_one_range_are_an_equal_network():
    """A wide input no longer takes the levels of a narrow one."""
    spec = read_mlp(PerceptronPolicy(inputs=3, hidden=(8,), actions=2).module)
    spec.layers[0].weight[:, 0] /= 64.0
    shown = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32) * [64.0, 1.0, 0.0]
    same, divisor = with_inputs_of_one_range(spec, shown)
    np.testing.assert_allclose(divisor, np.where(np.abs(shown).max(0) > 0, np.abs(shown).max(0), 1), rtol=1e-6)
    before, after = (
        each.hidden(torch.from_numpy(x).float())[-1][1] for each, x in ((spec, shown), (same, shown / divisor))
    )
    torch.testing.assert_close(before, after)

    def error(network, x):
        fake = FakeQuantizedMlp(network)
        x = x.astype(np.float32)
        fake.calibrate(x, activations="mse", weights="mse")
        with torch.no_grad():
            return (fake(torch.from_numpy(x)) - before).square().mean().sqrt().item()

    assert error(same, shown / divisor) < 0.5 * error(spec, shown)
