"""The whole objective: schedules, gates, ablations, the reward-safe term on a real environment, checkpoints."""

import copy
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from qecforge.contracts import TrainingBatch
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference.module_policy import ModulePolicy
from qecforge.learning.schedules import Schedule, value_at
from qecforge.testing.agents import IdentityEnvironment
from qecforge_apq.config import ApqConfig
from qecforge_apq.objective import ApqLoss
from qecforge_apq.residuals import peek_changes, record_teacher
from qecforge_code_discovery import CodeDiscoveryConfig
from qecforge_code_discovery.environment import CodeDiscovery
from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig

RANK = {"safe": "none", "margin": 0.2, "temperature": 1.0}


class Fixed(nn.Module):
    """Logits that are the observations."""

    def forward(self, x):
        return x


def fixed_teacher():
    return ModulePolicy(Fixed(), nn.Identity())


def batch_of(teacher, student, mask=None, *, states=None, progress=0.0):
    return TrainingBatch(
        observations=torch.tensor(teacher),
        logits=torch.tensor(student, requires_grad=True),
        actions=torch.zeros(len(teacher), dtype=torch.int64),
        action_mask=None if mask is None else torch.tensor(mask),
        states=states,
        progress=progress,
    )


def loss_of(settings, env=None):
    env = IdentityEnvironment(4, num_actions=3) if env is None else env
    return ApqLoss(ApqConfig.model_validate(settings), fixed_teacher(), env)


NEAR = ([1.0, 0.95, 0.0], [0.95, 1.0, 0.0])
"""Margin 0.05, noise 0.05; pairwise term at tau 0.2: 0.25."""
FAR = ([3.0, 0.0, 0.0], [3.0, 0.05, 0.0])
"""Margin 3, noise 0.05, pairwise term 0 up to tau 2.95."""
BOTH = [list(pair) for pair in zip(NEAR, FAR, strict=True)]


def kl(teacher, student, temperature=1.0):
    p, q = (np.exp(np.array(z) / temperature) / np.exp(np.array(z) / temperature).sum() for z in (teacher, student))
    return float((p * np.log(p / q)).sum())


def test_the_objective_by_hand():
    """Eq. (3): L_pair + alpha L_list, averaged; the pairwise term in the near tie alone."""
    loss = loss_of({**RANK, "beta": 2.0})
    found = loss(batch_of(*BOTH))
    expected = 2.0 * (0.25 / 2 + 0.5 * (kl(*NEAR) + kl(*FAR)) / 2)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert loss.metrics["pairwise"] == pytest.approx(0.125, rel=1e-5)
    assert loss.metrics["near_ties"] == 0.5
    assert loss.metrics["logit_noise"] == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize(
    ("gate", "pairwise", "listwise"),
    [("pairwise", 0.15, kl(*NEAR) + kl(*FAR)), ("both", 0.15, kl(*NEAR)), ("none", 0.15 + 1.05, kl(*NEAR) + kl(*FAR))],
)
def test_the_gate_covers_what_it_says(gate, pairwise, listwise):
    """A margin of 4 for the far state lets its pairwise term count where the gate is open: 4 - 2.95, and 4 - 3 for the
    third action; both states are scaled to that."""
    far = ([3.0, 0.0, 0.0], [3.0, 0.05, 0.0])
    near = ([1.0, 0.95, 0.0], [0.95, 1.0, 0.0])
    loss = loss_of({**RANK, "margin": 0.1, "gate": gate})
    loss(batch_of([near[0], far[0]], [near[1], far[1]]))
    assert loss.metrics["pairwise"] == pytest.approx(0.15 / 2, rel=1e-5)
    assert loss.metrics["listwise"] == pytest.approx(listwise / 2, rel=1e-4)
    loss = loss_of({**RANK, "margin": 4.0, "gate": gate})
    loss(batch_of([near[0], far[0]], [near[1], far[1]]))
    in_near_tie = (4.0 + 0.05) + (4.0 - 0.95)
    in_far = (4.0 - 2.95) + (4.0 - 3.0)
    expected = in_near_tie + (in_far if gate == "none" else 0.0)
    assert loss.metrics["pairwise"] == pytest.approx(expected / 2, rel=1e-5)


def test_the_gate_follows_the_noise():
    """delta = 2 eps_hat, an average over minibatches: 0.05, then 0.9 * 0.05 + 0.1 * 1."""
    loss = loss_of({**RANK, "noise_decay": 0.9})
    loss(batch_of([NEAR[0]], [NEAR[1]]))
    assert loss.metrics["logit_noise"] == pytest.approx(0.05, rel=1e-5)
    assert loss.metrics["near_ties"] == 1.0
    tie = [1.0, 0.75, 0.0]
    loss(batch_of([tie, tie], [[2.0, 0.75, 0.0], [1.0, 0.75, -1.0]]))
    assert loss.metrics["logit_noise"] == pytest.approx(0.145, rel=1e-5)
    assert loss.metrics["near_ties"] == 1.0
    loss(batch_of([[1.0, 0.7, 0.0]], [[1.0, 0.7, 0.0]]))
    assert loss.metrics["logit_noise"] == pytest.approx(0.9 * 0.145, rel=1e-5)
    assert loss.metrics["near_ties"] == 0.0


def test_shift_free_noise_does_not_widen_the_gate():
    shifted = ([1.0, 0.5, 0.0], [6.0, 5.5, 5.0])
    for noise, expected in (("largest", 5.0), ("shift_free", 0.0)):
        loss = loss_of({**RANK, "noise": noise})
        loss(batch_of([shifted[0]], [shifted[1]]))
        assert loss.metrics["logit_noise"] == pytest.approx(expected)


def test_noise_against_the_unquantized_student_leaves_training_out():
    settings = {**RANK, "noise_against": "unquantized"}
    config, env = ApqConfig.model_validate(settings), IdentityEnvironment(4, num_actions=3)
    loss = ApqLoss(config, fixed_teacher(), env, unquantized=lambda x: torch.tensor([[4.0, 0.0, -0.5]]))
    loss(batch_of([[1.0, 0.5, 0.0]], [[4.25, 0.0, -0.5]]))
    assert loss.metrics["logit_noise"] == 0.25
    assert loss.metrics["near_ties"] == 1.0
    with pytest.raises(ConfigurationError, match="noise_against is unquantized"):
        ApqLoss(config, fixed_teacher(), env)(batch_of([[1.0, 0.5, 0.0]], [[4.25, 0.0, -0.5]]))


def test_forbidden_actions_make_no_near_tie_and_cost_nothing():
    """The runner-up, the largest change and the largest logit are forbidden."""
    teacher, student = [[1.0, 0.99, 0.0, 50.0]], [[1.0, 9.0, 0.1, -50.0]]
    mask = [[True, False, True, False]]
    loss = loss_of({**RANK, "margin": 5.0})
    batch = batch_of(teacher, student, mask)
    total = loss(batch)
    assert loss.metrics["logit_noise"] == pytest.approx(0.1)
    assert loss.metrics["near_ties"] == 0.0
    assert loss.metrics["listwise"] == pytest.approx(kl([1.0, 0.0], [1.0, 0.1]), rel=1e-4)
    total.backward()
    assert batch.logits.grad[0, [1, 3]].tolist() == [0.0, 0.0]


def test_schedules():
    anneal = Schedule.model_validate({"from": 3.0, "to": 1.0, "until": 0.5})
    assert [anneal.at(x) for x in (0.0, 0.25, 0.5, 1.0)] == [3.0, 2.0, 1.0, 1.0]
    defaults = ApqConfig()
    assert [value_at(defaults.temperature, x) for x in (0.0, 0.5, 1.0)] == [3.0, 2.0, 1.0]
    assert [value_at(defaults.margin, x) for x in (0.0, 0.25, 1.0)] == [0.0, 0.1, 0.2]
    assert value_at(0.7, 0.3) == 0.7
    loss = loss_of({"safe": "none"})
    for progress, tau, temperature in ((0.0, 0.0, 3.0), (0.25, 0.1, 2.5), (1.0, 0.2, 1.0)):
        loss(batch_of([NEAR[0]], [NEAR[1]], progress=progress))
        assert loss.metrics["pairwise"] == pytest.approx(0.05 + tau, rel=1e-5)
        assert loss.metrics["listwise"] == pytest.approx(kl(*NEAR, temperature), rel=1e-3)


def test_defaults_are_the_papers():
    config = ApqConfig()
    assert (config.alpha, config.top_k, config.safe_weight, config.gate_factor) == (0.5, 6, 0.2, 2.0)
    assert config.budget_quantile == 0.95
    assert value_at(config.margin, 1.0) == 0.2
    for name, field in ApqConfig.model_fields.items():
        assert field.description, f"{name} has no description"
    assert ApqConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config


@pytest.mark.parametrize(
    ("ablation", "present"),
    [
        ({}, {"pairwise", "listwise"}),
        ({"pairwise": False, "ranking": "none"}, set()),
        ({"pairwise": False}, {"listwise"}),
        ({"ranking": "none"}, {"pairwise"}),
        ({"ranking": "softsort"}, {"pairwise", "listwise"}),
        ({"ranking": "permutahedron"}, {"pairwise", "listwise"}),
    ],
)
def test_ablations_are_configuration(ablation, present):
    loss = loss_of({**RANK, **ablation})
    total = loss(batch_of([[1.0, 0.5, 0.45]], [[0.4, 0.6, 0.7]]))
    assert {name for name in ("pairwise", "listwise") if loss.metrics[name] > 0} == present
    assert loss.metrics["safe"] == 0.0
    assert (total.item() > 0) == bool(present)
    total.backward()  # a scalar on the student's graph, whatever is switched off


def test_a_margin_or_temperature_that_makes_no_sense_is_refused():
    with pytest.raises(ValidationError, match="temperature"):
        ApqConfig.model_validate({"temperature": 0.0})
    with pytest.raises(ValidationError, match=r"temperature: goes from 3\.0 to 0\.0: a temperature is above 0"):
        ApqConfig.model_validate({"temperature": {"from": 3, "to": 0}})
    with pytest.raises(ValidationError, match="top_k"):
        ApqConfig.model_validate({"top_k": 1})
    with pytest.raises(ValidationError, match="set pairwise to true or ranking to kl"):
        ApqConfig.model_validate({"mode": "ptq_rank", "pairwise": False, "ranking": "none", "safe": "none"})


# ---- the reward-safe term


def discovery(num_envs=8, **settings):
    config = CodeDiscoveryConfig.model_validate(
        {"n": 5, "k": 1, "target_distance": 3, "max_gates": 8, "gates": ["h", "s", "cx"], **settings}
    )
    return CodeDiscovery(config, num_envs=num_envs, seed=3, reward=KnillLaflamme(KnillLaflammeConfig(form="residual")))


def network_for(env, seed=0):
    torch.manual_seed(seed)
    D, N = int(np.prod(env.single_observation_space.shape)), int(env.single_action_space.n)
    return ModulePolicy(nn.Sequential(nn.Linear(D, 16), nn.GELU(), nn.Linear(16, N)), nn.Linear(D, 1))


def discovery_batch(env, teacher, steps=3, *, noise=0.05, seed=0):
    """States a few gates into the episode, and a student that is the teacher with noisy logits."""
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    for _ in range(steps):
        observations, *_, infos = env.step(
            teacher.act(observations, action_mask=infos.get("action_mask"), deterministic=False, rng=rng)
        )
    x = torch.from_numpy(np.asarray(observations, np.float32))
    with torch.no_grad():
        logits = teacher.module(x)
    logits = logits + noise * torch.from_numpy(rng.normal(size=logits.shape).astype(np.float32))
    mask = infos.get("action_mask")
    return TrainingBatch(
        observations=x,
        logits=logits.requires_grad_(),
        actions=torch.zeros(len(x), dtype=torch.int64),
        action_mask=None if mask is None else torch.from_numpy(mask),
        states=env.compact_states(),
        progress=0.5,
    )


def safe_by_hand(env, teacher, batch, *, budget, top_k, weight):
    """Loops over states and candidates, each looked up by itself."""
    total, probabilities = 0.0, []
    mask = batch.action_mask if batch.action_mask is not None else torch.ones_like(batch.logits, dtype=torch.bool)
    z = teacher.module(batch.observations).detach()
    for m in range(len(z)):
        legal = [a for a in range(z.shape[1]) if mask[m, a]]
        best = sorted(legal, key=lambda a: -float(z[m, a]))[:top_k]
        odds = {a: math.exp(float(batch.logits.detach()[m, a])) for a in legal}
        after = {}
        for a in best:
            look = env.peek(np.array([[a]]), batch.states[m : m + 1])
            after[a] = float(look["residual"][0, 0])
        excess = {a: max(0.0, after[a] - after[best[0]] - budget) for a in best}
        total += sum(odds[a] / sum(odds.values()) * excess[a] for a in best)
        probabilities.append(excess)
    return weight * total / len(z), probabilities


@pytest.mark.parametrize("masked", [True, False])
def test_expected_safe_term_by_loops(masked):
    env = discovery(action_masking=masked)
    teacher = network_for(env)
    batch = discovery_batch(env, teacher)
    settings = {"pairwise": False, "ranking": "none", "safe_states": "all", "budget": 0.5, "top_k": 4}
    loss = ApqLoss(ApqConfig.model_validate(settings), teacher, env)
    assert loss.needs_states
    found = loss(batch)
    expected, excess = safe_by_hand(env, teacher, batch, budget=0.5, top_k=4, weight=0.2)
    assert expected > 0
    assert found.item() == pytest.approx(expected, rel=1e-4)
    found.backward()
    push = batch.logits.grad
    for m, row in enumerate(excess):
        if any(row.values()):
            worst, best = max(row, key=row.get), min(row, key=row.get)
            assert push[m, worst] > 0 > push[m, best]


def test_literal_safe_term_counts_and_does_not_pull():
    """Eq. (5): the value is the worst excess; the gradient is that of the same objective without it."""
    env = discovery()
    teacher = network_for(env)
    settings = {"safe_states": "all", "budget": 0.5, "safe": "literal", "safe_weight": 3.0, "margin": 0.2}
    with_it, without = discovery_batch(env, teacher), discovery_batch(env, teacher)
    loss = ApqLoss(ApqConfig.model_validate(settings), teacher, env)
    literal = loss(with_it)
    none = ApqLoss(ApqConfig.model_validate({"safe": "none", "margin": 0.2}), teacher, env)(without)
    _, excess = safe_by_hand(env, teacher, with_it, budget=0.5, top_k=6, weight=3.0)
    worst = 3.0 * np.mean([max(row.values()) for row in excess])
    assert worst > 0
    assert literal.item() - none.item() == pytest.approx(worst, rel=1e-4)
    literal.backward()
    none.backward()
    assert torch.equal(with_it.logits.grad, without.logits.grad)


def test_safe_term_counts_in_near_ties_alone_unless_told():
    env = discovery()
    teacher = network_for(env)
    settings = {"pairwise": False, "ranking": "none", "budget": 0.0}
    everywhere = ApqLoss(ApqConfig.model_validate({**settings, "safe_states": "all"}), teacher, env)
    gated = ApqLoss(ApqConfig.model_validate(settings), teacher, env)
    batch = discovery_batch(env, teacher, noise=1e-4)
    assert everywhere(batch).item() > 0
    assert gated(batch).item() == 0.0
    assert gated.metrics["near_ties"] == 0.0
    batch = discovery_batch(env, teacher, noise=50.0)
    assert everywhere(batch).item() == pytest.approx(ApqLoss(gated.config, teacher, env)(batch).item(), rel=1e-6)


def test_budget_is_the_quantile_of_the_teachers_own_changes():
    env = discovery()
    teacher = network_for(env)
    changes = np.abs(record_teacher(discovery(), teacher, "residual", 32).changes)
    loss = ApqLoss(ApqConfig.model_validate({"teacher_steps": 32, "residual_units": "typical"}), teacher, env)
    env.reset(seed=4)
    batch = discovery_batch(env, teacher)
    before = str(env.state_dict())
    loss(batch)
    assert str(env.state_dict()) == before
    assert loss.metrics["budget"] == pytest.approx(np.quantile(changes, 0.95))
    assert loss.state_dict()["unit"] == pytest.approx(np.sqrt((changes**2).mean()))


def test_typical_units_take_the_scale_of_the_reward_out():
    """A residual ten times as large has a term ten times as large in raw units, and the same in typical ones."""
    results = {}
    for units in ("raw", "typical"):
        for factor in (1.0, 10.0):
            env = discovery()
            peek = env.peek
            env.peek = lambda *a, peek=peek, factor=factor: {k: v * factor for k, v in peek(*a).items()}
            teacher = network_for(env)
            settings = {"safe_states": "all", "residual_units": units, "pairwise": False, "ranking": "none"}
            settings |= {"budget_quantile": 0.5, "teacher_steps": 8}
            loss = ApqLoss(ApqConfig.model_validate(settings), teacher, env)
            results[units, factor] = loss(discovery_batch(env, teacher)).item()
    assert results["raw", 1.0] > 0
    assert results["raw", 10.0] == pytest.approx(10 * results["raw", 1.0], rel=1e-4)
    assert results["typical", 10.0] == pytest.approx(results["typical", 1.0], rel=1e-4)


def test_sensitivity_needs_no_states_and_predicts_what_a_look_ahead_finds():
    """Excesses by the model and by the look-ahead go together over the states of a batch."""
    env = discovery(num_envs=128)
    teacher = network_for(env)
    batch = discovery_batch(env, teacher)
    settings = {"pairwise": False, "ranking": "none", "safe_states": "all", "budget": 0.0}
    model = ApqLoss(ApqConfig.model_validate({**settings, "residual_change": "sensitivity"}), teacher, env)
    assert not model.needs_states
    blind = TrainingBatch(batch.observations, batch.logits, batch.actions, batch.action_mask, None, 0.5)
    found = model(blind)
    (predicted,) = torch.autograd.grad(found, batch.logits)
    (looked_up,) = torch.autograd.grad(ApqLoss(ApqConfig.model_validate(settings), teacher, env)(batch), batch.logits)
    agreement = torch.nn.functional.cosine_similarity(predicted.flatten(), looked_up.flatten(), dim=0)
    assert agreement > 0.5


def test_sensitivity_to_rewards_works_without_look_ahead(monkeypatch):
    env = IdentityEnvironment(16, num_actions=3)
    monkeypatch.setattr(env, "can_peek", False)
    teacher = network_for(env)
    settings = {"residual_change": "sensitivity", "residual_component": "reward", "safe_states": "all", "budget": 0.0}
    loss = ApqLoss(ApqConfig.model_validate({**settings, "pairwise": False, "ranking": "none"}), teacher, env)
    x = torch.eye(3)
    z = teacher.module(x).detach()
    batch = TrainingBatch(x, z.clone().requires_grad_(), torch.zeros(3, dtype=torch.int64), None, None, 0.5)
    total = loss(batch)
    total.backward()
    for target in range(3):
        if z[target].argmax() == target:  # whatever else costs a reward of one
            others = [a for a in range(3) if a != target]
            assert batch.logits.grad[target, target] < 0
            assert (batch.logits.grad[target, others] > 0).all()
    assert (z.argmax(1) == torch.arange(3)).any()


def test_the_needs_of_the_safe_term_are_told_in_one_line(monkeypatch):
    env = IdentityEnvironment(4, num_actions=3)
    teacher = network_for(env)
    x = torch.eye(3)
    batch = TrainingBatch(x, torch.zeros(3, 3, requires_grad=True), torch.zeros(3, dtype=torch.int64), None, None, 0.0)
    reward = {"residual_component": "reward", "safe_states": "all"}
    with pytest.raises(ConfigurationError, match="the agent gave no states"):
        ApqLoss(ApqConfig.model_validate(reward), teacher, env)(batch)
    with pytest.raises(ConfigurationError, match="the environment looks up reward: name one"):
        ApqLoss(ApqConfig(), teacher, env)(batch)
    zero = {**reward, "residual_units": "typical"}
    monkeypatch.setattr(env, "step", lambda actions, step=env.step: (*(r := step(actions))[:1], 0 * r[1], *r[2:]))
    with pytest.raises(ConfigurationError, match="never changed, so that it has no typical size"):
        ApqLoss(ApqConfig.model_validate(zero), teacher, env)(batch)
    monkeypatch.setattr(env, "can_peek", False)
    with pytest.raises(ConfigurationError, match="IdentityEnvironment cannot look ahead, which safe: expected needs"):
        ApqLoss(ApqConfig.model_validate(reward), teacher, env)


@pytest.mark.parametrize("change", ["peek", "sensitivity"])
def test_state_goes_on_where_it_was_saved(change):
    """Saved between two minibatches and loaded into a new object: the same losses, though the environment differs."""
    env = discovery()
    teacher = network_for(env)
    config = ApqConfig.model_validate({"residual_change": change, "teacher_steps": 8, "noise_decay": 0.5})
    whole = ApqLoss(config, teacher, env)
    batches = [discovery_batch(env, teacher, noise=noise, seed=7) for noise in (0.1, 3.0, 0.4)]
    whole(batches[0])
    whole(batches[1])
    saved = copy.deepcopy(whole.state_dict())
    resumed = ApqLoss(config, network_for(env, seed=0), discovery())
    resumed.load_state_dict(saved)
    assert torch.equal(whole(batches[2]), resumed(batches[2]))
    assert whole.metrics == resumed.metrics
    fresh = ApqLoss(config, teacher, env)
    fresh(batches[2])
    assert fresh.metrics["logit_noise"] != resumed.metrics["logit_noise"]
    with pytest.raises(CheckpointError, match="apq: this checkpoint does not fit"):
        resumed.load_state_dict({"foreign": 1})


def test_the_teacher_is_frozen_as_it_was_given():
    env = discovery()
    teacher = network_for(env)
    loss = ApqLoss(ApqConfig.model_validate(RANK), teacher, env)
    batch = discovery_batch(env, teacher, noise=0.0)
    batch.logits.detach().copy_(teacher.module(batch.observations).detach())
    with torch.no_grad():
        for parameter in teacher.module.parameters():
            parameter += 1.0
    found = loss(batch)
    assert found.item() == pytest.approx(loss.metrics["pairwise"], abs=1e-6)
    assert loss.metrics["logit_noise"] == 0.0
    found.backward()
    assert all(parameter.grad is None for parameter in teacher.module.parameters())


def test_candidates_include_the_first_action_wherever_the_space_starts():
    env = IdentityEnvironment(4, num_actions=3, start=5)
    env.reset(seed=0)
    changes = peek_changes(env, env.compact_states(), np.tile(np.arange(3), (4, 1)), "reward")
    assert changes.sum() == -4.0
