"""The integer perceptron: levels, the reference against hand-computed sums and float arithmetic, tensors and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from integer_nets import ACTIVATIONS, random_mlp, random_observations
from safetensors.numpy import save

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference.integer import IntegerLayer, IntegerMlp, Levels, run_reference
from qecforge.inference.policy import load_quantized


def layer(weight, bias, *, scale=1.0, inputs=None, outputs=None, table=None):
    weight = np.array(weight, np.int8)
    return IntegerLayer(
        weight=weight,
        weight_scale=np.full(len(weight), scale, np.float32),
        bias=np.array(bias, np.int32),
        inputs=inputs or Levels(1.0, 0),
        outputs=outputs,
        table=table,
        activation="none" if outputs is None else "relu",
    )


def clipped(x, levels):
    low, high = levels.dequantize(np.array([0, levels.highest], np.uint8))
    return np.clip(x, low, high)


@given(
    scale=st.floats(1e-4, 10.0),
    bits=st.integers(2, 8),
    zero=st.floats(0.0, 1.0, allow_subnormal=False),
    x=st.lists(st.floats(-50, 50, width=32, allow_subnormal=False), min_size=1, max_size=20),
)
def test_levels_are_the_nearest_within_range(scale, bits, zero, x):
    levels = Levels(scale, round(zero * (2**bits - 1)), bits)
    x = np.array(x, np.float32)
    q = levels.quantize(x)
    assert q.dtype == np.uint8
    assert q.max() <= levels.highest
    back = levels.dequantize(q)
    low, high = levels.dequantize(np.array([0, levels.highest], np.uint8))
    inside = (x >= low) & (x <= high)
    assert np.all(np.abs(back - x)[inside] <= 0.5 * levels.scale * (1 + 1e-5) + 1e-5 * np.abs(x)[inside])
    np.testing.assert_array_equal(back[x < low - levels.scale], low)
    np.testing.assert_array_equal(back[x > high + levels.scale], high)
    np.testing.assert_array_equal(levels.quantize(back), q)


def test_ties_go_to_the_even_level():
    levels = Levels(1.0, 10)
    np.testing.assert_array_equal(levels.quantize(np.array([0.5, 1.5, 2.5, -0.5, -1.5])), [10, 12, 12, 10, 8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0), "step of 0.0"),
        ((-1.0, 0), "positive"),
        ((np.nan, 0), "nan"),
        ((np.inf, 0), "inf"),
        ((1e-60, 0), "step of 0.0"),
        ((1.0, 0, 1), "2 to 8"),
        ((1.0, 0, 9), "2 to 8"),
        ((1.0, 256, 8), "0 to 255"),
        ((1.0, 16, 4), "0 to 15"),
        ((1.0, -1, 8), "0 to 255"),
    ],
)
def test_levels_refuse_what_is_no_quantisation(arguments, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Levels(*arguments)
    assert "\n" not in str(caught.value)


def test_reference_by_hand():
    """Two inputs, two hidden units, one logit. Hidden levels: step 0.5, zero at 2, 3 bits.

    x = (3, 1): sums (2*3 - 1*1 + 1, -3*3 + 4*1 + 0) = (6, -5); times 0.25 / 0.5 is (3, -2.5 -> -2), so levels (5, 0).
    The table adds one to each level up to 7, then (6, 1); the next zero point is 1, so (5, 0) @ (3, 7) - 4 = 11.
    """
    before = Levels(0.5, 2, 3)
    table = np.minimum(np.arange(256) + 1, 7).astype(np.uint8)
    hidden = layer([[2, -1], [-3, 4]], [1, 0], scale=0.25, outputs=before, table=table)
    last = layer([[3, 7]], [-4], scale=0.5, inputs=Levels(0.5, 1, 3))
    mlp = IntegerMlp((hidden, last), 3, "ptq")
    logits = run_reference(mlp, np.array([[3, 1]], np.uint8))
    np.testing.assert_array_equal(logits, [[11 * 0.25]])
    assert logits.dtype == np.float32
    assert (mlp.num_inputs, mlp.num_outputs, mlp.takes_bits) == (2, 1, True)


def test_each_output_can_have_a_table_of_its_own():
    tables = np.stack([np.arange(256), 255 - np.arange(256)]).astype(np.uint8)
    hidden = layer(np.eye(2), [0, 0], outputs=Levels(1.0, 0), table=tables)
    mlp = IntegerMlp((hidden, layer(np.eye(2), [0, 0])), 8, "smoothquant")
    np.testing.assert_array_equal(run_reference(mlp, np.array([[3, 5]], np.uint8)), [[3.0, 250.0]])


@pytest.mark.parametrize("takes_bits", [True, False])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_reference_is_near_the_float_network(activation, takes_bits):
    rng = np.random.default_rng(3)
    mlp = random_mlp(rng, (40, 60, 50, 9), activation=activation, takes_bits=takes_bits)
    x = random_observations(rng, mlp, 200)
    real = clipped(x, mlp.layers[0].inputs)
    for each, following in zip(mlp.layers, (*mlp.layers[1:], None), strict=True):
        weight = each.weight * each.weight_scale[:, None].astype(np.float64)
        real = real @ weight.T + each.bias * each.sum_scale.astype(np.float64)
        if following is not None:
            real = clipped(ACTIVATIONS[activation](clipped(real, each.outputs)), following.inputs)
    logits = run_reference(mlp, x)
    # rounding alone: a wrong zero point or scale anywhere costs far more
    assert np.abs(logits - real).max() < 0.1 * real.std()


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.booleans(), st.booleans())
def test_tensors_give_an_equal_policy_back(seed, bits, takes_bits, per_output):
    rng = np.random.default_rng(seed)
    mlp = random_mlp(rng, (5, 7, 3), bits=bits, takes_bits=takes_bits, per_output=per_output)
    back = IntegerMlp.from_tensors(mlp.tensors())
    assert (back.bits, back.method) == (mlp.bits, mlp.method)
    for one, other in zip(mlp.layers, back.layers, strict=True):
        assert (one.inputs, one.outputs, one.activation) == (other.inputs, other.outputs, other.activation)
    x = random_observations(rng, mlp)
    np.testing.assert_array_equal(run_reference(mlp, x), run_reference(back, x))


@pytest.mark.parametrize("name", sorted(random_mlp(np.random.default_rng(0), (4, 3, 2)).tensors()))
def test_a_damaged_policy_is_refused(name):
    tensors = random_mlp(np.random.default_rng(0), (4, 3, 2)).tensors()
    del tensors[name]
    with pytest.raises(CheckpointError) as caught:
        IntegerMlp.from_tensors(tensors)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", np.zeros(3, np.uint8)),
        ("bits", np.zeros(0)),
        ("layers.0.weight", np.zeros(4, np.int8)),
        ("layers.0.weight", np.zeros((3, 4), np.float32)),
        ("layers.0.weight", np.zeros((2, 4), np.int8)),
        ("layers.0.bias", np.zeros((3, 1), np.int32)),
        ("layers.0.inputs", np.array([np.nan, 0, 8])),
        ("layers.0.inputs", np.array([1.0, 0])),
        ("layers.0.outputs", np.array([1.0, 300, 8])),
        ("layers.0.table", np.zeros(255, np.uint8)),
        ("layers.1.table", np.zeros(256, np.uint8)),
        ("layers.0.activation", np.array([255, 255], np.uint8)),
        ("layers.0.inputs", np.array([1.0, 0, 7.5])),
        ("layers.0.inputs", np.array([1.0, np.inf, 8])),
    ],
)
def test_a_policy_with_a_foreign_tensor_is_refused(name, value):
    refused({**random_mlp(np.random.default_rng(0), (4, 3, 2)).tensors(), name: value}, "damaged|no integer policy")


def refused(tensors, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        IntegerMlp.from_tensors(tensors)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError) as loaded:
        load_quantized(save({**tensors, "start": np.zeros(1, np.int64)}))
    assert str(loaded.value) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bits", np.array([99]), "2 to 8 bits, got 99"),
        ("bits", np.array([1]), "2 to 8 bits, got 1"),
        ("layers.0.table", np.full(256, 300), r"layer 0: got a table of int64 and shape \(256,\), expected uint8 and"),
        ("layers.0.table", np.full(256, 3, np.float32), "layer 0: got a table of float32"),
        (
            "layers.0.table",
            np.full((3, 256), 16, np.uint8),
            "layer 0: its table gives level 16, expected at most 15, t",
        ),
        ("layers.0.weight_scale", np.array([1, np.nan, 1], np.float32), "layer 0: got a weight scale of nan, expected"),
        ("layers.0.weight_scale", np.array([1, 1, np.inf], np.float32), "layer 0: got a weight scale of inf"),
        ("layers.0.weight_scale", np.array([1, -0.5, 1], np.float32), "layer 0: got a weight scale of -0.5"),
        ("layers.1.weight_scale", np.array([0, 1], np.float32), "layer 1: got a weight scale of 0.0"),
    ],
)
def test_what_runtimes_would_not_compute_alike_is_refused(name, value, message):
    refused({**random_mlp(np.random.default_rng(0), (4, 3, 2), bits=4).tensors(), name: value}, message)


def test_a_layer_without_outputs_is_refused():
    for sizes in ((4, 0, 2), (4, 3, 0), (0, 3, 2)):
        weights = [np.zeros(shape, np.int8) for shape in zip(sizes[1:], sizes[:-1], strict=True)]
        hidden = layer(weights[0], np.zeros(sizes[1]), outputs=Levels(1.0, 0), table=np.zeros(256, np.uint8))
        with pytest.raises(ConfigurationError, match=r"layer [01]: got weights of shape .* at least one of each"):
            IntegerMlp((hidden, layer(weights[1], np.zeros(sizes[2]))), 8, "ptq")


def test_entries_of_a_table_that_are_never_used_may_be_anything():
    tensors = random_mlp(np.random.default_rng(0), (4, 3, 2), bits=4).tensors()
    tensors["layers.0.table"][16:] = 255
    IntegerMlp.from_tensors(tensors)


def test_what_could_overflow_32_bits_is_refused():
    with pytest.raises(ConfigurationError, match="overflow"):
        IntegerMlp((layer(np.zeros((1, 70_000)), [0]),), 8, "ptq")
    with pytest.raises(ConfigurationError, match="overflow"):
        IntegerMlp((layer([[1]], [2**31 - 1]),), 8, "ptq")
    with pytest.raises(ConfigurationError, match="at least one layer"):
        IntegerMlp((), 8, "ptq")
