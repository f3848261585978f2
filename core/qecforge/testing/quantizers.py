"""What every quantizer for discrete actions must do.

from qecforge.testing.quantizers import QuantizerContract

class TestMyQuantizer(QuantizerContract):
    spec = my_spec                      # qecforge.hookspecs.QuantizerSpec
    settings = {"granularity": "per_channel"}
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.contracts.agent import TrainingBatch
from qecforge.contracts.policy import Policy
from qecforge.contracts.quantizer import Quantizer
from qecforge.errors import CheckpointError, ConfigurationError, Interrupted
from qecforge.hookspecs import QuantizerSpec
from qecforge.inference.integer import run_reference
from qecforge.inference.module_policy import ModulePolicy
from qecforge.inference.policy import QuantizedPolicy
from qecforge.inference.runtimes.base import RUNTIMES
from qecforge.testing.agents import IdentityEnvironment
from qecforge.testing.contexts import RecordingContext

__all__ = ["PerceptronPolicy", "QuantizerContract"]

_ACTIONS = 12


class PerceptronPolicy(ModulePolicy):
    """A float policy with random weights, spread widely enough that its logits differ.

    Args:
        inputs, hidden, actions: Sizes of the layers.
        activation: A module class.
        seed: Of the weights.
        start: First action's number.
    """

    def __init__(
        self,
        inputs: int = _ACTIONS,
        hidden: tuple[int, ...] = (24, 16),
        actions: int = _ACTIONS,
        *,
        activation: type[nn.Module] = nn.GELU,
        seed: int = 0,
        start: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)

        def perceptron(*sizes: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for fan_in, fan_out in itertools.pairwise(sizes):
                linear = nn.Linear(fan_in, fan_out)
                with torch.no_grad():
                    linear.weight.normal_(0.0, 2.0 / fan_in**0.5, generator=generator)
                    linear.bias.normal_(0.0, 0.5, generator=generator)
                layers += [linear, activation()]
            return nn.Sequential(*layers[:-1])

        super().__init__(perceptron(inputs, *hidden, actions), perceptron(inputs, 8, 1), start=start)


class QuantizerContract:
    """Runs as a pytest class: subclass it, set `spec` and `settings`.

    Attributes:
        spec: The quantizer.
        settings: Its configuration, for `IdentityEnvironment` with its `peek`.
        agreement: Least fraction of random states on which 8 bits keep the best action.
        steers: Whether the extra loss alone moves the student; False where it only adds to the agent's objective what
            has no gradient (plain LSQ).
    """

    spec: ClassVar[QuantizerSpec]
    settings: ClassVar[Mapping[str, Any]] = {}
    agreement: ClassVar[float] = 0.95
    steers: ClassVar[bool] = True

    def make(self, **settings: Any) -> Quantizer:
        """The quantizer with `settings`, changed as given."""
        return self.spec.make(self.spec.config.model_validate({**self.settings, **settings}))

    def states(self, count: int = 400, seed: int = 1) -> NDArray[Any]:
        """(count, 12) random bits, uint8."""
        return np.random.default_rng(seed).integers(0, 2, (count, _ACTIONS)).astype(np.uint8)

    def quantized(self, policy: Policy, calibration: NDArray[Any] | None = None, **settings: Any) -> QuantizedPolicy:
        """`policy` after `quantize`."""
        states = self.states(seed=2) if calibration is None else calibration
        found = self.make(**settings).quantize(policy, states)
        assert isinstance(found, QuantizedPolicy)
        return found

    def only_training_aware(self) -> None:
        """Skip for post-training quantizers."""
        if self.spec.kind != "training_aware":
            pytest.skip("a post-training quantizer")

    def only_distillation(self) -> None:
        """Skip for others."""
        if self.spec.kind != "distillation":
            pytest.skip("it distils nothing")

    def test_spec(self) -> None:
        """The spec names a quantizer of discrete policies whose settings are valid and described."""
        assert "discrete" in self.spec.quantizes
        quantizer = self.make()
        assert isinstance(quantizer, Quantizer)
        assert quantizer.calibration_states >= 1
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{name} has no description"

    @pytest.mark.parametrize("activation", [nn.GELU, nn.Tanh, nn.ReLU])
    def test_integers_decide_as_the_float_policy(self, activation: type[nn.Module]) -> None:
        """With 8 bits the best action is nearly always kept, and logits are close."""
        policy, states = PerceptronPolicy(activation=activation), self.states()
        found = self.quantized(policy)
        floats, integers = policy.logits(states), found.logits(states)
        assert (floats.argmax(-1) == integers.argmax(-1)).mean() >= self.agreement
        assert np.abs(floats - integers).mean() < 0.05 * floats.std()

    @pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
    @pytest.mark.parametrize("silent", ["weights", "one output", "activations"])
    def test_biases_outlast_weights_of_zero(self, hidden: tuple[int, ...], silent: str) -> None:
        """Where a layer's weights, those of one output, or all that comes in are 0, its biases are what it gives."""
        first = int(silent == "activations")
        if first > len(hidden):
            pytest.skip("no layer comes before the only one")
        for number in range(first, len(hidden) + 1):
            policy = PerceptronPolicy(hidden=hidden, actions=3, activation=nn.ReLU)
            linear = [part for part in policy.module.modules() if isinstance(part, nn.Linear)]
            with torch.no_grad():
                linear[number].bias.copy_(
                    torch.tensor([3e-3, 4e-3, 1e-3, 2e-3, 1.5e-3, 2.5e-3])[: linear[number].out_features]
                )
                match silent:
                    case "weights":
                        linear[number].weight.zero_()
                    case "one output":
                        linear[number].weight[0] = 0.0
                        linear[number].weight[1:] *= 20.0
                    case _:
                        linear[number - 1].weight.zero_()
                        linear[number - 1].bias.fill_(-1.0)
            states, found = self.states(), self.quantized(policy)
            floats, integers = policy.logits(states), run_reference(found.mlp, states)
            for runtime in RUNTIMES:
                np.testing.assert_array_equal(found.with_runtime(runtime, threads=1).logits(states), integers)
            error, size = np.abs(floats - integers), np.abs(floats).max()
            assert error.max() < (0.15 if silent == "one output" else 0.03) * size, f"layer {number}"
            if number == len(hidden) and silent != "activations":
                np.testing.assert_allclose(integers[:, 0], 0.003, rtol=1e-5)

    @pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
    def test_every_runtime_equals_the_reference(self, bits: int) -> None:
        """Every number of bits is used as asked for, and every runtime gives the reference's logits."""
        policy, states = PerceptronPolicy(), self.states()
        found = self.quantized(policy, bits=bits)
        mlp = found.mlp
        assert mlp.bits == bits
        for layer in mlp.layers:
            assert np.abs(layer.weight.astype(int)).max() <= (1 << (bits - 1)) - 1
            assert layer.inputs.bits == bits  # pre-activations may have more: a table follows
            if layer.table is not None:
                assert layer.table[..., : 1 << bits].max() < 1 << bits
        expected = run_reference(mlp, states)
        for runtime in RUNTIMES:
            got = found.with_runtime(runtime, threads=1).logits(states)
            np.testing.assert_array_equal(got, expected, err_msg=runtime)

    @pytest.mark.parametrize("bits", [1, 9])
    def test_other_bits_are_refused(self, bits: int) -> None:
        """2 to 8 bits."""
        with pytest.raises(ValueError, match="bits"):
            self.make(bits=bits)

    def test_float_observations_have_levels_of_their_own(self) -> None:
        """Observations that are not small integers are quantized too."""
        rng = np.random.default_rng(3)
        policy, states = PerceptronPolicy(), rng.normal(0.3, 1.0, (400, _ACTIONS)).astype(np.float32)
        found = self.quantized(policy, states)
        assert not found.mlp.takes_bits
        assert (policy.logits(states).argmax(-1) == found.logits(states).argmax(-1)).mean() >= self.agreement
        assert self.quantized(policy).mlp.takes_bits

    def test_first_action_is_kept(self) -> None:
        """Where the action space starts at 3, so do the actions."""
        states = self.states()
        found = self.quantized(PerceptronPolicy(start=3))
        np.testing.assert_array_equal(
            found.act(states, rng=np.random.default_rng(0)), found.logits(states).argmax(-1) + 3
        )

    def test_same_inputs_same_integers(self) -> None:
        """The same policy and states give the same integers; another policy others."""
        first, second = (self.quantized(PerceptronPolicy()).mlp.tensors() for _ in range(2))
        other = self.quantized(PerceptronPolicy(seed=5)).mlp.tensors()
        assert first.keys() == second.keys()
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name], err_msg=name)
        assert any(not np.array_equal(array, other[name]) for name, array in first.items())

    def test_the_float_policy_is_untouched(self) -> None:
        """Weights are what they were, and have no gradient."""
        policy = PerceptronPolicy()
        before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
        self.quantized(policy)
        _assert_same(policy.state_dict(), before)

    @pytest.mark.parametrize("fault", ["nan", "few", "none", "size"])
    def test_bad_calibration_is_refused(self, fault: str) -> None:
        """NaN, too few states, or states of another environment: one line that names the calibration."""
        states = self.states().astype(np.float32)
        match fault:
            case "nan":
                states[7, 3] = np.nan
            case "few":
                states = states[:2]
            case "none":
                states = states[:0]
            case "size":
                states = states[:, :-1]
        with pytest.raises(ConfigurationError, match="calibration") as refusal:
            self.make().quantize(PerceptronPolicy(), states)
        assert "\n" not in str(refusal.value)

    def test_a_policy_without_linear_layer_is_refused(self) -> None:
        """One line."""
        policy = PerceptronPolicy()
        policy._module = nn.Sequential(nn.Flatten(), nn.GELU())
        with pytest.raises(ConfigurationError, match="no linear layer") as refusal:
            self.make().quantize(policy, self.states())
        assert "\n" not in str(refusal.value)

    def test_student_starts_from_the_teacher(self) -> None:
        """It decides as the teacher does, leaves teacher and environment as they were, and shares nothing with it."""
        self.only_training_aware()
        env, teacher = IdentityEnvironment(16, num_actions=_ACTIONS, start=2), PerceptronPolicy(start=2)
        env.reset(seed=4)
        weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
        before = str(env.state_dict())
        student = self.make().prepare(teacher, env)
        assert str(env.state_dict()) == before
        states = np.eye(_ACTIONS, dtype=np.uint8)
        ours, theirs = (each.act(states, rng=np.random.default_rng(0)) for each in (student, teacher))
        assert (ours == theirs).mean() >= 0.9
        with torch.no_grad():
            for tensor in student.state_dict().values():
                tensor.zero_()
        _assert_same(teacher.state_dict(), weights)

    def test_student_becomes_the_integers_that_it_computed(self) -> None:
        """After fine-tuning, the converted policy gives the student's logits."""
        self.only_training_aware()
        env, teacher = IdentityEnvironment(16, num_actions=_ACTIONS, start=2), PerceptronPolicy(start=2)
        env.reset(seed=4)
        quantizer = self.make()
        student = quantizer.prepare(teacher, env)
        self.fine_tune(quantizer, teacher, student, env)
        found = quantizer.convert(student)
        assert isinstance(found, QuantizedPolicy)
        states = self.states()
        with torch.no_grad():
            logits = student.module(torch.from_numpy(states).float()).numpy()
        integers = run_reference(found.mlp, states)
        assert (logits == integers).mean() > 0.99
        step = found.mlp.layers[-1].sum_scale * 127
        assert (np.abs(logits - integers) <= step).all()
        np.testing.assert_array_equal(
            found.act(states, rng=np.random.default_rng(0)), found.logits(states).argmax(-1) + 2
        )

    def test_student_is_saved_and_loaded(self) -> None:
        """Its state in another student of the same configuration gives the same integers; foreign ones are refused."""
        self.only_training_aware()
        env, teacher = IdentityEnvironment(16, num_actions=_ACTIONS), PerceptronPolicy()
        env.reset(seed=4)
        quantizer = self.make()
        student, copy = quantizer.prepare(teacher, env), quantizer.prepare(PerceptronPolicy(seed=9), env)
        self.fine_tune(quantizer, teacher, student, env)
        copy.load_state_dict({name: tensor.clone() for name, tensor in student.state_dict().items()})
        _assert_same(copy.state_dict(), student.state_dict())
        ours, theirs = (_integers(quantizer.convert(each)) for each in (student, copy))
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
        with pytest.raises(CheckpointError):
            copy.load_state_dict({"foreign": torch.zeros(1)})

    def test_extra_loss_reaches_the_student_alone(self) -> None:
        """It is a finite scalar; its gradient, or that of the whole objective, reaches the student, not the teacher."""
        self.only_training_aware()
        env, teacher = IdentityEnvironment(16, num_actions=_ACTIONS), PerceptronPolicy()
        env.reset(seed=4)
        quantizer = self.make()
        student = quantizer.prepare(teacher, env)
        extra = quantizer.extra_loss(teacher, student, env)
        student.module.train()
        with torch.no_grad():  # away from the teacher, so that there is something to mend
            for parameter in student.module.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        batch = _batch(student, env, needs_states=extra.needs_states)
        loss = extra(batch)
        assert loss.shape == ()
        assert torch.isfinite(loss)
        torch.autograd.backward(loss if self.steers else loss + batch.logits.square().mean())
        gradients = [parameter.grad for parameter in student.module.parameters() if parameter.grad is not None]
        assert gradients
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
        assert any(bool((gradient != 0).any()) for gradient in gradients)
        assert all(parameter.grad is None for parameter in teacher.module.parameters())

    def test_distillation_leaves_the_teacher_and_gives_the_same_integers_again(self) -> None:
        """The result is in integers and a function of teacher, environment and seed."""
        self.only_distillation()
        found = []
        for _ in range(2):
            env, teacher = IdentityEnvironment(16, num_actions=_ACTIONS, start=2), PerceptronPolicy(start=2)
            weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
            context = RecordingContext(env, 3)
            policy = self.make().distil(teacher, env, context)
            assert isinstance(policy, QuantizedPolicy)
            assert policy.start == 2
            assert all(name.startswith(("quantizer/", "time/")) for name in context.metrics)
            assert not context.advances or context.advances[-1].step == context.advances[-1].total
            _assert_same(teacher.state_dict(), weights)
            found.append(policy.mlp.tensors())
        for name, array in found[0].items():
            np.testing.assert_array_equal(array, found[1][name], err_msg=name)

    def test_resumed_distillation_equals_the_uninterrupted(self) -> None:
        """It is cut off at its second report, where it has one, and goes on from the checkpoint."""
        self.only_distillation()
        env, teacher = IdentityEnvironment(16, num_actions=_ACTIONS), PerceptronPolicy()
        whole = self.make().distil(teacher, env, RecordingContext(env, 3))
        first = RecordingContext(env, 3, interrupt_after=2)
        try:
            self.make().distil(teacher, env, first)
        except Interrupted:
            second = RecordingContext(env, 3, checkpoint=first.checkpoint)
            resumed = self.make().distil(teacher, env, second)
            theirs = _integers(resumed)
            for name, array in _integers(whole).items():
                np.testing.assert_array_equal(array, theirs[name], err_msg=name)
            with pytest.raises(CheckpointError):
                self.make().distil(
                    teacher, env, RecordingContext(env, 3, checkpoint={**(first.checkpoint or {}), "agent": {"x": 1}})
                )

    def test_other_actions_are_refused(self) -> None:
        """A student for continuous actions is refused in one line, unless the quantizer says that it takes them."""
        if self.spec.kind == "post_training":
            pytest.skip("a post-training quantizer")
        if "continuous" in self.spec.quantizes:
            pytest.skip("it quantizes continuous policies")
        env = IdentityEnvironment(16, num_actions=_ACTIONS)
        env.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
        quantizer = self.make()
        distils = self.spec.kind == "distillation"
        start = partial(quantizer.distil, context=RecordingContext(env)) if distils else quantizer.prepare
        with pytest.raises(ConfigurationError, match="expected Discrete") as refusal:
            start(PerceptronPolicy(), env)
        assert "\n" not in str(refusal.value)

    def fine_tune(
        self, quantizer: Quantizer, teacher: Policy, student: Policy, env: IdentityEnvironment, steps: int = 12
    ) -> None:
        """A few minibatches of an agent that wants large logits of the first action."""
        extra = quantizer.extra_loss(teacher, student, env)
        optimizer = torch.optim.AdamW(student.module.parameters(), lr=3e-3)
        student.module.train()
        for step in range(steps):
            batch = _batch(student, env, needs_states=extra.needs_states, progress=step / steps)
            loss = -batch.logits.log_softmax(-1)[:, 0].mean() + extra(batch)
            optimizer.zero_grad(set_to_none=True)
            if loss.requires_grad:
                torch.autograd.backward(loss)
                optimizer.step()
        student.module.eval()


def _batch(student: Policy, env: IdentityEnvironment, *, needs_states: bool, progress: float = 0.0) -> TrainingBatch:
    """One minibatch of what the environment shows now."""
    states = env.compact_states()
    shown = torch.from_numpy(np.eye(_ACTIONS, dtype=np.float32)[states])
    actions = torch.from_numpy(np.random.default_rng(0).integers(0, _ACTIONS, len(states)))
    return TrainingBatch(
        observations=shown,
        logits=student.module(shown),
        actions=actions,
        action_mask=None,
        states=states if needs_states else None,
        progress=progress,
    )


def _integers(policy: Policy) -> dict[str, NDArray[Any]]:
    assert isinstance(policy, QuantizedPolicy)
    return policy.mlp.tensors()


def _assert_same(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert state.keys() == expected.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, expected[name]), name
