"""Distillation: its loss worked out by hand, its states, and a network of few bits that it mends."""

import numpy as np
import pytest
import torch

from qecforge.errors import CheckpointError
from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.quantizers import PerceptronPolicy
from qecforge_distil import AutoConfig, DistilConfig, make_auto, make_distil
from qecforge_distil.states import TeacherStates, held_out_states, teacher_states
from qecforge_distil.training import Distillation, agreement, centred_error


def test_error_of_logits_by_hand():
    student, teacher = torch.tensor([[3.0, 1.0, 5.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    # differences 2, 1, 5; without their mean 8/3: -2/3, -5/3, 7/3
    assert centred_error(student, teacher).item() == pytest.approx((4 + 25 + 49) / 27)
    mask = torch.tensor([[True, True, False]])
    assert centred_error(student, teacher, mask).item() == pytest.approx(0.25)
    assert centred_error(student, teacher, torch.ones_like(mask)).item() == pytest.approx((4 + 25 + 49) / 27)
    assert centred_error(teacher + 7.0, teacher, mask).item() == 0.0


def test_forbidden_actions_have_no_gradient_and_the_teacher_none():
    student = torch.tensor([[3.0, 1.0, 5.0]], requires_grad=True)
    teacher = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    torch.autograd.backward(centred_error(student, teacher, mask).sum())
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.tensor([[0.5, -0.5, 0.0]]))
    assert teacher.grad is None


def bits(count, seed):
    return np.random.default_rng(seed).integers(0, 2, (count, 12)).astype(np.uint8)


def student_of(teacher, width, states):
    student = FakeQuantizedMlp(read_mlp(teacher.module), bits=width, takes_levels=True)
    student.calibrate(states, activations="mse", weights="mse")
    return student


@torch.no_grad()
def loss_of(student, states):
    logits = student(torch.from_numpy(states.observations))
    return centred_error(logits, torch.from_numpy(states.outputs)).mean().item()


@pytest.mark.parametrize("width", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_few_bits_are_mended_on_states_never_seen(width):
    """The loss falls to less than half, and decisions in states that it did not learn on are kept more often."""
    teacher = PerceptronPolicy(hidden=(48, 32))
    seen, fresh = (TeacherStates(each, None, teacher.logits(each)) for each in (bits(600, 0), bits(600, 1)))
    student = student_of(teacher, width, seen.observations)
    before = agreement(student, fresh)
    training = Distillation(DistilConfig(bits=width, updates=300, minibatch_size=64), student, seen, seed=0)
    losses = [training.update() for _ in range(300)]
    assert np.mean(losses[-20:]) < np.mean(losses[:5]) / 2
    assert agreement(student, fresh) > before + 0.05
    moved = student.step_changes()
    assert moved["step_change_mean"] > 0.01, "steps that stand still are not learned"


def test_steps_alone_lower_the_loss():
    teacher = PerceptronPolicy()
    states = TeacherStates(bits(400, 0), None, teacher.logits(bits(400, 0)))
    student = FakeQuantizedMlp(read_mlp(teacher.module), bits=3, takes_levels=True, learn_weights=False)
    student.calibrate(states.observations)
    training = Distillation(DistilConfig(bits=3, updates=150, minibatch_size=64), student, states, seed=0)
    before = loss_of(student, states)
    for _ in range(150):
        training.update()
    assert loss_of(student, states) < 0.92 * before


def test_states_are_distinct_and_held_out_ones_are_others():
    env, teacher = IdentityEnvironment(16, num_actions=12, masked=True), PerceptronPolicy()
    env.reset(seed=4)
    before = str(env.state_dict())
    states = teacher_states(env, teacher, 60, (1.0, 4.0), seed=0)
    assert str(env.state_dict()) == before
    keys = [(row.tobytes(), mask.tobytes()) for row, mask in zip(states.observations, states.masks, strict=True)]
    assert len(set(keys)) == len(keys) == len(states) > 12
    assert (states.masks.sum(1) < 12).any()
    np.testing.assert_array_equal(states.outputs, teacher.logits(states.observations))
    held_out = held_out_states(env, teacher, 200, states, seed=1)
    others = [(row.tobytes(), mask.tobytes()) for row, mask in zip(held_out.observations, held_out.masks, strict=True)]
    assert others
    assert len(set(others)) == len(others)
    assert not set(others) & set(keys)


def test_temperature_spreads_the_teacher():
    """A teacher acts otherwise by each temperature; the same seed and temperature give the same states."""
    env, teacher = IdentityEnvironment(16, num_actions=12, masked=True), PerceptronPolicy()
    found = [teacher_states(env, teacher, 40, (1.0,), seed=seed).observations for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].shape != found[2].shape or (found[0] != found[2]).any()


def test_all_states_learned_on_leave_no_held_out_ones():
    env, teacher = IdentityEnvironment(16, num_actions=12), PerceptronPolicy()
    context = RecordingContext(env, 1)
    make_distil(DistilConfig(bits=3, states=400, updates=3, calibration_states=64)).distil(teacher, env, context)
    assert context.metrics["quantizer/distinct_states"] == [12]
    assert context.metrics["quantizer/held_out_states"] == [0]
    assert "quantizer/held_out_top1" not in context.metrics


@pytest.mark.parametrize("fault", ["order", "student", "generator", "updates"])
def test_foreign_checkpoints_are_refused(fault):
    teacher = PerceptronPolicy()
    states = TeacherStates(bits(40, 0), None, teacher.logits(bits(40, 0)))

    def training():
        return Distillation(
            DistilConfig(updates=9, minibatch_size=8), student_of(teacher, 4, states.observations), states, seed=0
        )

    state = training().state_dict()
    state[fault] = {"order": np.array([40]), "student": {}, "generator": {}, "updates": 10}[fault]
    with pytest.raises(CheckpointError, match="restore") as refusal:
        training().load_state_dict(state)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("width", "method"), [(8, "ptq"), (4, "distil")])
def test_auto_is_what_the_width_asks_for(width, method):
    assert make_auto(AutoConfig(bits=width)).quantize(PerceptronPolicy(), bits(64, 0)).mlp.method == method


def test_auto_of_8_bits_trains_nothing():
    env = IdentityEnvironment(16, num_actions=12)
    context = RecordingContext(env)
    assert make_auto(AutoConfig(bits=8)).distil(PerceptronPolicy(), env, context).mlp.method == "ptq"
    assert context.advances == []
