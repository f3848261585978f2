"""PPO as a whole, on the identity task."""

import gymnasium
import numpy as np
import pytest
import torch

from qecforge.errors import CheckpointError, ConfigurationError, QecforgeError
from qecforge.inference.module_policy import ModulePolicy
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge_ppo import PPOConfig, make_ppo

QUICK = {"num_envs": 8, "horizon": 16, "learning_rate": 3e-3, "device": "cpu", "threads": 1}


def train(settings=None, *, env_options=None, seed=0, stop_after=None, **options):
    agent = make_ppo(PPOConfig.model_validate({**QUICK, **(settings or {})}))
    env = IdentityEnvironment(agent.num_envs, **(env_options or {}))
    context = RecordingContext(env, seed, stop_after=stop_after)
    return agent.train(env, context, **options), context


def accuracy(policy, **env_options):
    env = IdentityEnvironment(200, **env_options)
    observations, infos = env.reset(seed=11)
    return env.step(policy.act(observations, action_mask=infos.get("action_mask")))[1].mean()


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": {"hidden_sizes": [32], "activation": "relu", "value": "shared"}},
        {"policy": {"hidden_sizes": [48, 32, 16], "activation": "gelu", "value": [32]}},
        {"policy": {"hidden_sizes": []}, "learning_rate": 1e-2},
        {"value_clip": 0.2, "normalize_advantages": "rollout", "target_kl": 0.05, "update_epochs": 8},
        {"max_grad_norm": None, "normalize_advantages": "none", "clip": {"from": 0.2, "to": 0.1}},
        {"policy": "paper", "learning_rate": 1e-3, "minibatch_size": 128},
    ],
)
def test_learns_with_every_option(settings):
    policy, _ = train({"total_steps": 8_000, **settings})
    assert accuracy(policy) > 0.9


@pytest.mark.parametrize("options", [{"truncates": True}, {"start": 3}, {"num_actions": 9, "episode_length": 1}])
def test_learns_on_every_variant(options):
    policy, _ = train({"total_steps": 10_000}, env_options=options)
    assert accuracy(policy, **options) > 0.9


def test_agents_side_by_side_learn_what_they_learn_alone():
    """Agent 0 of three sees the members that it would have alone, draws from its own generator, and its gradient does
    not depend on the others: the same weights up to rounding."""
    _, alone = train({"num_envs": 8, "total_steps": 1024}, seed=2)
    _, together = train({"num_envs": 24, "num_agents": 3, "total_steps": 3072}, seed=2)
    solo, group = alone.checkpoint["agent"], together.checkpoint["agent"]
    for name, weights in solo["networks"].items():
        torch.testing.assert_close(group["networks"][name][:1], weights, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(group["networks"][name][1], weights[0], atol=1e-3)
    assert group["recent_return"][0] == pytest.approx(solo["recent_return"][0])


def test_the_best_agent_is_kept():
    policy, context = train({"num_envs": 24, "num_agents": 3, "total_steps": 3072}, seed=2)
    state = context.checkpoint["agent"]
    best = int(np.argmax(state["recent_return"]))
    first_layer = policy.state_dict()["policy.0.weight"]
    assert torch.equal(first_layer, state["networks"]["actor.weights.0"][best].T)
    recent = [context.metrics[f"agent_{agent}/recent_return"][-1] for agent in range(3)]
    assert recent == state["recent_return"]


def test_truncation_bootstraps_and_termination_does_not():
    """The one observation is always the same: V = 1 + gamma V where episodes are cut off, so 1/(1-gamma) = 5."""
    settings = {
        "gamma": 0.8,
        "gae_lambda": 0.0,
        "total_steps": 10_000,
        "minibatch_size": 128,
        "learning_rate": 1e-2,
        "policy": {"value_gain": 0.01},
    }

    def value(truncates):
        options = {"num_actions": 1, "episode_length": 1, "truncates": truncates}
        policy, _ = train(settings, env_options=options)
        return policy.value_module(torch.ones(1, 1)).item()

    assert value(True) == pytest.approx(5.0, abs=0.3)
    assert value(False) == pytest.approx(1.0, abs=0.1)


def test_episode_statistics_are_exact():
    _, context = train({"total_steps": 1024, "num_envs": 10, "horizon": 20}, env_options={"episode_length": 10})
    first = context.advances[1].metrics
    # ten members, staggered: in twenty steps each ends an episode of 10, 9, .., 1 steps and one of 10
    assert first["episodes"] == 20
    assert first["episode_length"] == pytest.approx((5.5 + 10) / 2)
    assert 0 < first["episode_return"] < first["episode_length"]


def test_schedules_are_followed():
    settings = {"total_steps": 1280, "learning_rate": {"from": 1.0e-3, "to": 0.0}}
    _, context = train(settings)
    np.testing.assert_allclose(context.metrics["learning_rate"], 1e-3 * (1 - np.arange(1, 11) / 10), atol=1e-12)


@pytest.mark.parametrize(("members", "horizon", "size"), [(1, 3, 2), (1, 2, 2), (5, 1, 2), (3, 5, 4), (2, 4, 64)])
def test_no_minibatch_is_a_single_sample(members, horizon, size):
    """Advantages of one sample have no deviation: their normalisation would make every weight NaN."""
    settings = {"num_envs": members, "horizon": horizon, "minibatch_size": size, "update_epochs": 1}
    _, context = train({**settings, "total_steps": members * horizon})
    samples = members * horizon
    steps = {int(entry["step"]) for entry in context.checkpoint["agent"]["optimizer"]["state"].values()}
    assert steps == {min(-(-samples // size), samples // 2)}
    assert all(torch.isfinite(weights).all() for weights in context.checkpoint["agent"]["networks"].values())


def test_target_kl_leaves_epochs_out():
    far, _ = train({"total_steps": 1024, "learning_rate": 0.05, "update_epochs": 10})
    near, context = train({"total_steps": 1024, "learning_rate": 0.05, "update_epochs": 10, "target_kl": 1e-9})
    steps = {int(entry["step"]) for entry in context.checkpoint["agent"]["optimizer"]["state"].values()}
    assert steps == {8 * 2}  # one epoch of two minibatches in each of eight iterations
    assert not torch.equal(far.state_dict()["policy.0.weight"], near.state_dict()["policy.0.weight"])


def test_reinforce_takes_one_step_per_rollout():
    _, context = train({"total_steps": 1024, "algorithm": "reinforce"})
    steps = {int(entry["step"]) for entry in context.checkpoint["agent"]["optimizer"]["state"].values()}
    assert steps == {8}


def test_value_network_goes_on_with_a_given_policy():
    teacher, _ = train({"total_steps": 2_000})
    value = teacher.value_module
    before = [parameter.detach().clone() for parameter in value.parameters()]
    further, _ = train({"total_steps": 1_000}, policy=teacher)
    assert further is teacher
    assert further.value_module is value
    assert any(not torch.equal(new, old) for new, old in zip(value.parameters(), before, strict=True))


def test_paper_network():
    env = IdentityEnvironment(4)
    policy = make_ppo(PPOConfig(policy="paper")).build_policy(env)
    widths = [layer.out_features for layer in policy.module if isinstance(layer, torch.nn.Linear)]
    assert widths == [512, 512, 256, 5]
    assert [type(layer).__name__ for layer in policy.module][1::2] == ["GELU"] * 3
    assert [layer.out_features for layer in policy.value_module if isinstance(layer, torch.nn.Linear)][:-1] == widths[
        :-1
    ]


def test_initial_weights_are_orthogonal_with_their_gains():
    network = {"hidden_sizes": [16, 16], "hidden_gain": 1.5, "policy_gain": 0.25, "value_gain": 3.0}
    policy = make_ppo(PPOConfig.model_validate({"policy": network})).build_policy(IdentityEnvironment(4))
    first, _, second, _, last = policy.module
    torch.testing.assert_close(second.weight @ second.weight.T, 1.5**2 * torch.eye(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(first.weight.T @ first.weight, 1.5**2 * torch.eye(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(last.weight @ last.weight.T, 0.25**2 * torch.eye(5), atol=1e-5, rtol=0)
    assert policy.value_module[-1].weight.norm().item() == pytest.approx(3.0)
    assert all((layer.bias == 0).all() for layer in (first, second, last))


def test_sampling_needs_a_generator():
    policy = make_ppo(PPOConfig()).build_policy(IdentityEnvironment(4))
    with pytest.raises(ConfigurationError, match="pass rng, a numpy"):
        policy.act(np.eye(5), deterministic=False)


def test_drawn_actions_follow_the_policy():
    policy = make_ppo(PPOConfig()).build_policy(IdentityEnvironment(4))
    with torch.no_grad():
        policy.module[-1].weight.zero_()
        policy.module[-1].bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4, 1e-30]).log())
    actions = policy.act(np.zeros((100_000, 5)), deterministic=False, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(actions, minlength=5) / 1e5, [0.1, 0.2, 0.3, 0.4, 0.0], atol=0.01)


class VectorReward(IdentityEnvironment):
    reward_space = gymnasium.spaces.Box(0.0, 1.0, (3,))


class ContinuousActions(IdentityEnvironment):
    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))


class DiscreteObservations(IdentityEnvironment):
    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.single_observation_space = gymnasium.spaces.Discrete(4)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (VectorReward, r"vector of shape \(3,\), expected one number"),
        (ContinuousActions, "expected Discrete"),
        (DiscreteObservations, "expected an array"),
    ],
)
def test_environments_that_are_refused(environment, expected):
    agent = make_ppo(PPOConfig.model_validate(QUICK))
    env = environment(agent.num_envs)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        agent.train(env, RecordingContext(env))
    assert "\n" not in str(caught.value)


def test_several_agents_do_not_share_a_given_policy():
    teacher, _ = train({"total_steps": 200})
    with pytest.raises(ConfigurationError, match="set num_agents to 1"):
        train({"num_agents": 2}, policy=teacher)


def test_a_checkpoint_of_another_network_is_refused():
    _, context = train({"total_steps": 200})
    agent = make_ppo(PPOConfig.model_validate({**QUICK, "policy": {"hidden_sizes": [7]}}))
    env = IdentityEnvironment(agent.num_envs)
    with pytest.raises(CheckpointError, match="this checkpoint does not fit") as caught:
        agent.train(env, RecordingContext(env, checkpoint=context.checkpoint))
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused():
    env = IdentityEnvironment(4)
    small = make_ppo(PPOConfig()).build_policy(env)
    wide = make_ppo(PPOConfig.model_validate({"policy": {"hidden_sizes": [65, 64]}})).build_policy(env)
    assert isinstance(wide, ModulePolicy)
    with pytest.raises(CheckpointError, match=r"policy.0.weight has shape \(65, 5\), expected \(64, 5\)"):
        small.load_state_dict(wide.state_dict())


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(QecforgeError, match=r"not finite.*lower learning_rate"):
        train({"total_steps": 4_000, "learning_rate": 1e30, "max_grad_norm": None})


def test_threads_are_as_configured_and_then_given_back(monkeypatch):
    before = torch.get_num_threads()
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    train({"total_steps": 200, "threads": 3})
    assert asked == [3, before]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_learns_on_a_gpu():
    policy, context = train({"total_steps": 8_000, "device": "cuda"}, env_options={"masked": True})
    assert accuracy(policy, masked=True) > 0.9
    agent = make_ppo(PPOConfig.model_validate({**QUICK, "total_steps": 9_000, "device": "cuda"}))
    env = IdentityEnvironment(agent.num_envs, masked=True)
    agent.train(env, RecordingContext(env, checkpoint=context.checkpoint))
