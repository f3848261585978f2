"""The quantizer as a whole: students, what is trained in each mode, and that training keeps more decisions."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from qecforge.contracts import TrainingBatch
from qecforge.errors import ConfigurationError
from qecforge.evaluation.policies.fidelity import decision_fidelity
from qecforge.inference.integer import run_reference
from qecforge.inference.module_policy import ModulePolicy
from qecforge.registry import Registry
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge_apq import ApqConfig, make_apq, qecforge_quantizers
from qecforge_ppo import PPOConfig, make_ppo

REWARD = {"residual_component": "reward"}  # what the identity task looks up


def identity_teacher(seed=0):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Linear(16, 5))
    return ModulePolicy(module, nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)))


def apq(**settings):
    return make_apq(ApqConfig.model_validate({**REWARD, **settings}))


def fine_tune(quantizer, teacher, *, stop_after=3, **ppo):
    agent = make_ppo(
        PPOConfig.model_validate({"num_envs": 8, "horizon": 16, "total_steps": 2000, "minibatch_size": 32, **ppo})
    )
    context = RecordingContext(IdentityEnvironment(8), 0, stop_after=stop_after)
    student = quantizer.prepare(teacher, context.env)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    extra = quantizer.extra_loss(teacher, student, context.env)
    trained = agent.train(context.env, context, policy=student, extra_loss=extra)
    assert trained is student
    after = student.state_dict()
    return student, extra, {name for name in before if not torch.equal(before[name], after[name])}


def test_it_is_found_under_its_name():
    (spec,) = qecforge_quantizers()
    assert (spec.name, spec.kind, spec.config) == ("apq", "training_aware", ApqConfig)
    assert spec.quantizes == {"discrete"}


def test_qat_trains_weights_and_steps_and_leaves_the_teacher():
    teacher = identity_teacher()
    weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    student, extra, changed = fine_tune(apq(), teacher)
    assert {"policy.layers.0.weight", "policy.layers.1.bias", "policy.layers.0.log_weight_step"} <= changed
    assert all(torch.equal(tensor, weights[name]) for name, tensor in teacher.state_dict().items())
    assert extra.metrics["logit_noise"] > 0
    policy = apq().convert(student)
    assert policy.mlp.method == "apq"
    x = np.eye(5, dtype=np.uint8)
    with torch.no_grad():
        expected = student.module(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(run_reference(policy.mlp, x), expected, atol=1e-5)


def test_noise_of_quantization_alone_is_what_integers_and_floats_of_one_student_differ_by():
    teacher, env = identity_teacher(), IdentityEnvironment(8)
    quantizer = apq(safe="none", noise_against="unquantized", bits=3)
    student = quantizer.prepare(teacher, env)
    loss = quantizer.extra_loss(identity_teacher(seed=1), student, env)
    x = torch.eye(5)
    logits = student.module(x)
    loss(TrainingBatch(x, logits, torch.zeros(5, dtype=torch.int64), None, None, 0.5))
    expected = (logits - teacher.module(x)).abs().amax(1).mean().item()  # the student has the teacher's weights still
    assert loss.metrics["logit_noise"] == pytest.approx(expected, rel=1e-4)
    assert expected > 0


def test_calibration_ends_when_it_is_time():
    student, _, _ = fine_tune(apq(observe_until=1.0), identity_teacher())
    assert student.module.observing
    student, _, _ = fine_tune(apq(observe_until=0.01), identity_teacher())
    assert not student.module.observing


def test_ptq_rank_trains_the_steps_alone():
    """Not a weight of the policy moves, nor the calibration."""
    student, extra, changed = fine_tune(apq(mode="ptq_rank", safe="none"), identity_teacher(), entropy=0.5)
    trained = {name for name in changed if name.startswith("policy.")}
    assert trained
    moved = torch.cat([each.detach().abs().flatten() for each in student.module.log_steps()])
    assert extra.metrics["step_change_mean"] == pytest.approx(float(moved.mean()))
    assert extra.metrics["step_change_mean"] > 1e-3
    assert all("log_" in name and "step" in name for name in trained)


def test_ptq_rank_hides_the_agents_own_objective():
    """The agent sees the student's logits, but its losses reach no step; APQ's reach them all."""
    teacher, env = identity_teacher(), IdentityEnvironment(8)
    quantizer = apq(mode="ptq_rank", safe="none", margin=5.0, gate="none")
    student = quantizer.prepare(teacher, env)
    loss = quantizer.extra_loss(teacher, student, env)
    x = torch.eye(5)
    logits = student.module(x)
    assert not logits.requires_grad
    np.testing.assert_array_equal(logits, student.module.forward(x).detach())
    found = loss(TrainingBatch(x, logits, torch.zeros(5, dtype=torch.int64), None, None, 0.5))
    found.backward()
    learned = [parameter for parameter in student.module.parameters() if parameter.requires_grad]
    assert learned
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in learned)


def test_ptq_rank_students_can_be_copied():
    student = apq(mode="ptq_rank", safe="none").prepare(identity_teacher(), IdentityEnvironment(8))
    clone = copy.deepcopy(student)
    assert not clone.module(torch.eye(5)).requires_grad


def test_a_student_of_another_making_is_refused():
    env = IdentityEnvironment(8)
    with pytest.raises(ConfigurationError, match="expected the student that prepare gives"):
        apq().extra_loss(identity_teacher(), identity_teacher(), env)


# ---- does it do what it is for: states of a teacher whose two best actions are often close


def random_teacher(seed):
    """Logits of mean 0 and deviation 2 for each of 12 actions over random bits."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 12))
    last = module[-1]
    with torch.no_grad():
        logits = module(torch.randint(0, 2, (2000, 24)).float())
        scale = 2.0 / logits.std(0)
        last.weight.mul_(scale[:, None])
        last.bias.copy_((last.bias - logits.mean(0)) * scale)
    return ModulePolicy(module, nn.Linear(24, 1))


class BitsEnvironment(IdentityEnvironment):
    """Random bits to look at; rewards do not matter here."""

    def _observations(self, targets):
        words = np.stack([self._hash(2 + bit) for bit in range(self._actions)], axis=1)
        return (words >> np.uint64(40) & np.uint64(1)).astype(self.single_observation_space.dtype)


def distill(seed, steps=300, **settings):
    """Train a student on APQ's terms alone; its fidelity on states not trained on."""
    teacher, env = random_teacher(seed), BitsEnvironment(256, num_actions=24)
    quantizer = apq(safe="none", **settings)
    student = quantizer.prepare(ModulePolicy(teacher.module, teacher.value_module), env)
    loss = quantizer.extra_loss(teacher, student, env)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in student.module.parameters() if parameter.requires_grad], lr=1e-3
    )
    student.module.train()
    for step in range(steps):
        x = torch.from_numpy(rng.integers(0, 2, (64, 24)).astype(np.float32))
        batch = TrainingBatch(x, student.module(x), torch.zeros(64, dtype=torch.int64), None, None, step / steps)
        optimizer.zero_grad()
        loss(batch).backward()
        optimizer.step()
    student.module.eval()
    held_out = rng.integers(0, 2, (4000, 24)).astype(np.float32)
    with torch.no_grad():
        logits = teacher.module(torch.from_numpy(held_out)).numpy()
    mask = np.ones(logits.shape, bool)
    integers = quantizer.convert(student).mlp
    return decision_fidelity(logits, run_reference(integers, held_out.astype(np.uint8)), mask)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "ranking", ["kl", pytest.param("softsort", marks=SLOW), pytest.param("permutahedron", marks=SLOW)]
)
def test_training_keeps_more_decisions_at_four_bits(ranking):
    """Every listwise term, with the pairwise one, brings agreement and order well above the calibrated start's."""
    start = distill(0, steps=0, bits=4)
    trained = distill(0, bits=4, ranking=ranking, alpha=0.5 if ranking == "kl" else 20.0)
    assert trained.top1 > start.top1 + 0.06
    assert trained.tau > start.tau + 0.05


@pytest.mark.slow
def test_training_the_steps_alone_helps_too():
    """PTQ+rank: less than with the weights, more than nothing."""
    start = distill(1, steps=0, bits=4)
    steps_alone = distill(1, bits=4, mode="ptq_rank")
    whole = distill(1, bits=4)
    assert start.top1 < steps_alone.top1 < whole.top1


def test_the_registry_offers_it():
    assert Registry.load().quantizer("apq").spec.config is ApqConfig
