"""ONNX models of integer and float policies: valid, described, and real activations exactly where they are exact."""

from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from integer_nets import ACTIVATIONS, activation_table, random_mlp, random_observations
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerLayer, IntegerMlp, Levels, run_reference
from qecforge.inference.runtimes.onnx import host_instruction_set
from qecforge.inference.runtimes.onnx_model import float_model, qdq_model, real_activation_is_exact

MODULES = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}


def run(model, x):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"observations": x})[0]


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.skipif("vnni" not in host_instruction_set(), reason="a session's default kernels saturate without VNNI")
@pytest.mark.parametrize("per_output", [False, True])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_integer_model_in_any_session(activation, per_output):
    """With the session's defaults, and without any optimisation, where products are float32 of small integers."""
    rng = np.random.default_rng(1)
    mlp = random_mlp(rng, activation=activation, per_output=per_output)
    model = qdq_model(mlp)
    x = random_observations(rng, mlp)
    expected = run_reference(mlp, x)
    np.testing.assert_array_equal(run(model, x), expected)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    logits = plain.run(None, {"observations": x})[0]
    # sums of real numbers may fall on the other side of a rounding boundary: a few levels, not more
    assert np.abs(logits - expected).max() < 0.02 * expected.std()


def test_model_says_what_it_is():
    mlp = random_mlp(np.random.default_rng(2), bits=4)
    model = qdq_model(mlp)
    assert {each.key: each.value for each in model.metadata_props} == {
        "qecforge.format": "qecforge.integer_mlp.1",
        "qecforge.version": version("qecforge"),
        "qecforge.method": "lsq",
        "qecforge.bits": "4",
    }
    (inputs,), (outputs,) = model.graph.input, model.graph.output
    assert (inputs.name, outputs.name) == ("observations", "logits")
    kinds = [each.type.tensor_type for each in (inputs, outputs)]
    assert [kind.elem_type for kind in kinds] == [onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT]
    assert [[dim.dim_param or dim.dim_value for dim in kind.shape.dim] for kind in kinds] == [
        ["batch", 21],
        ["batch", 7],
    ]
    floats = qdq_model(random_mlp(np.random.default_rng(2), takes_bits=False))
    assert floats.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert model.SerializeToString(deterministic=True) == qdq_model(mlp).SerializeToString(deterministic=True)


def one_layer(before, table, activation="gelu"):
    return IntegerLayer(
        weight=np.ones((1, 1), np.int8),
        weight_scale=np.ones(1, np.float32),
        bias=np.zeros(1, np.int32),
        inputs=Levels(1.0, 0),
        outputs=before,
        table=table,
        activation=activation,
    )


def every_level(before, after, table, activation):
    """What the model puts out for each level of the pre-activation, in levels of the next layer."""
    weight = np.array([[1]], np.int8)
    shift = np.array([-before.zero_point], np.int32)
    first = IntegerLayer(weight, np.array([before.scale], np.float32), shift, Levels(1.0, 0), before, table, activation)
    last = IntegerLayer(weight, np.ones(1, np.float32), np.zeros(1, np.int32), after)
    model = qdq_model(IntegerMlp((first, last), 8, "lsq"))
    logits = run(model, np.arange(256, dtype=np.uint8)[:, None])[:, 0]
    return np.rint(logits / after.scale).astype(int) + after.zero_point


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"silu"}))
def test_real_activations_are_exact_where_they_are_taken(activation):
    """Level by level, over many steps: whatever `real_activation_is_exact` lets through equals the table."""
    rng = np.random.default_rng(3)
    taken = 0
    for _ in range(30):
        before = Levels(rng.uniform(0.005, 0.1), int(rng.integers(0, 256)))
        after = Levels(rng.uniform(0.005, 0.05), int(rng.integers(0, 30)))
        table = activation_table(activation, before, after)
        taken += real_activation_is_exact(one_layer(before, table, activation), after)
        np.testing.assert_array_equal(every_level(before, after, table, activation), table)
    assert taken > 10


def test_what_a_real_activation_could_miss_is_looked_up():
    before, after = Levels(0.03, 128), Levels(0.02, 9)
    table = activation_table("gelu", before, after)
    assert real_activation_is_exact(one_layer(before, table), after)
    other = table.copy()
    other[200] += 1
    assert not real_activation_is_exact(one_layer(before, other), after)
    assert not real_activation_is_exact(one_layer(before, table[None]), after)
    assert not real_activation_is_exact(one_layer(before, table, "swish"), after)
    assert not real_activation_is_exact(one_layer(before, table, "silu"), after)
    halves = Levels(2 * before.scale, 0)
    ties = activation_table("relu", before, halves)
    assert not real_activation_is_exact(one_layer(before, ties, "relu"), halves)
    for own in (other, ties):
        np.testing.assert_array_equal(every_level(before, after, own, "gelu"), own)


def test_look_ups_saturate_at_the_highest_level():
    """In 3 bits a sum far above the range is level 7, though bytes go on to 255."""
    before, after = Levels(0.5, 3, 3), Levels(0.25, 1, 3)
    table = activation_table("relu", before, after)
    table[8:] = 99
    found = every_level(before, after, table, "relu")
    np.testing.assert_array_equal(found, table[np.minimum(np.arange(256), 7)])


@pytest.mark.parametrize("activation", sorted(MODULES))
def test_float_model_is_the_module(activation):
    torch.manual_seed(0)
    kind = MODULES[activation]
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 20), kind(), nn.Linear(20, 10, bias=False), kind(), nn.Linear(10, 4)
    )
    model = float_model(module)
    x = torch.randn(30, 3, 4)
    with torch.inference_mode():
        expected = module(x).numpy()
    np.testing.assert_allclose(run(model, x.flatten(1).numpy()), expected, rtol=1e-5, atol=1e-5)
    assert {each.key: each.value for each in model.metadata_props}["qecforge.format"] == "qecforge.float_mlp.1"


def test_float_model_refuses_other_networks():
    with pytest.raises(ConfigurationError, match="linear layer"):
        float_model(nn.Sequential(nn.ReLU()))
