"""Every runtime gives the logits of the reference, and says what it runs on."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_nets import ACTIVATIONS, random_mlp, random_observations
from llvmlite import binding

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import run_reference
from qecforge.inference.runtimes.base import RUNTIMES
from qecforge.inference.runtimes.choice import make_runtime
from qecforge.inference.runtimes.onnx import OnnxRuntime, host_instruction_set

SETTINGS = settings(max_examples=40, deadline=None)


def step_of(mlp):
    """(N,) what one level of the last layer's inputs can change in each logit, at most."""
    last = mlp.layers[-1]
    return last.sum_scale * np.abs(last.weight.astype(np.float32)).max(axis=1)


def assert_matches(mlp, logits, expected):
    np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))
    assert np.all(np.abs(logits - expected) <= step_of(mlp))
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_runtime_matches_reference(name, activation, bits):
    for per_output in (False, True):
        for takes_bits in (False, True):
            rng = np.random.default_rng([bits, per_output, takes_bits])
            mlp = random_mlp(
                rng, (37, 65, 18, 11), activation=activation, bits=bits, takes_bits=takes_bits, per_output=per_output
            )
            runtime = make_runtime(name, mlp, threads=1)
            x = random_observations(rng, mlp, 70)
            assert_matches(mlp, runtime.logits(x), run_reference(mlp, x))


@SETTINGS
@given(
    name=st.sampled_from(RUNTIMES),
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=5),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    bits=st.integers(2, 8),
    takes_bits=st.booleans(),
    per_output=st.booleans(),
    batch=st.integers(1, 33),
)
def test_runtime_matches_reference_on_any_shape(name, seed, sizes, activation, bits, takes_bits, per_output, batch):
    rng = np.random.default_rng(seed)
    mlp = random_mlp(rng, sizes, activation=activation, bits=bits, takes_bits=takes_bits, per_output=per_output)
    x = random_observations(rng, mlp, batch)
    assert_matches(mlp, make_runtime(name, mlp, threads=1).logits(x), run_reference(mlp, x))


@pytest.mark.parametrize("name", RUNTIMES)
def test_greatest_products_do_not_saturate(name):
    """Pairs of 255 * 127 exceed 16 bits, where kernels for processors without VNNI add them."""
    mlp = random_mlp(np.random.default_rng(1), (64, 32, 16, 8))
    for layer in mlp.layers:
        layer.weight[...] = np.where(layer.weight < 0, -127, 127)
    x = np.full((9, 64), 255, np.uint8)
    x[::2, ::3] = 0
    assert_matches(mlp, make_runtime(name, mlp).logits(x), run_reference(mlp, x))


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("takes_bits", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_, np.int64, np.float16, np.float32, np.float64])
def test_observations_of_any_type_and_layout(name, takes_bits, dtype):
    rng = np.random.default_rng(2)
    mlp = random_mlp(rng, (24, 16, 5), takes_bits=takes_bits)
    runtime = make_runtime(name, mlp)
    x = rng.integers(0, 2, (8, 24)).astype(dtype)
    expected = run_reference(mlp, x)
    kept = x.copy()
    for form in (x, x.reshape(8, 2, 3, 4), np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1][::-1]):
        np.testing.assert_array_equal(runtime.logits(form), expected)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", RUNTIMES)
def test_out_is_filled_and_returned(name):
    rng = np.random.default_rng(4)
    mlp = random_mlp(rng)
    runtime = make_runtime(name, mlp)
    x = random_observations(rng, mlp, 6)
    out = np.full((6, 7), np.nan, np.float32)
    assert runtime.logits(x, out) is out
    np.testing.assert_array_equal(out, run_reference(mlp, x))
    first = runtime.logits(x[:3])
    runtime.logits(x[3:])
    np.testing.assert_array_equal(first, out[:3])


@pytest.mark.parametrize("name", RUNTIMES)
def test_no_members_have_no_logits(name):
    runtime = make_runtime(name, random_mlp(np.random.default_rng(10)))
    logits = runtime.logits(np.zeros((0, 21), np.uint8))
    assert (logits.shape, logits.dtype) == ((0, 7), np.float32)


@pytest.mark.parametrize("name", RUNTIMES)
def test_what_does_not_fit_is_refused_in_one_line(name):
    mlp = random_mlp(np.random.default_rng(5))
    runtime = make_runtime(name, mlp)
    x = np.zeros((2, 21), np.uint8)
    for wrong in (np.zeros((2, 20), np.uint8), np.zeros(21, np.uint8), np.uint8(0)):
        with pytest.raises(ConfigurationError, match="21 elements") as caught:
            runtime.logits(wrong)
        assert "\n" not in str(caught.value)
    for out in (np.zeros((3, 7), np.float32), np.zeros((2, 7)), np.zeros((7, 2), np.float32).T):
        with pytest.raises(ConfigurationError, match="out: got"):
            runtime.logits(x, out)


@pytest.mark.parametrize("name", RUNTIMES)
def test_report(name):
    report = make_runtime(name, random_mlp(np.random.default_rng(6)), threads=1).report()
    assert (report.runtime, report.threads) == (name, 1)
    assert report.version
    assert report.kernel
    assert report.instruction_set


def test_onnxruntime_reports_integer_products_alone():
    """Each layer is one QGemm; nothing is multiplied in float."""
    mlp = random_mlp(np.random.default_rng(7), (21, 33, 18, 7), per_output=True)
    report = OnnxRuntime(mlp, threads=2).report()
    assert report.kernel == "Add x2, Cast x2, Gather x2, QGemm x3"
    assert (report.version, report.threads) == (onnxruntime.__version__, 2)
    assert report.instruction_set == host_instruction_set()
    for activation in ACTIVATIONS:
        kernel = OnnxRuntime(random_mlp(np.random.default_rng(8), activation=activation)).report().kernel
        assert "QGemm x3" in kernel
        assert not {"Gemm x", "MatMul x"} & {part.rstrip("0123456789") for part in kernel.split(", ")}


@pytest.mark.parametrize(
    ("features", "name"),
    [
        ({"avx2", "avxvnni"}, "avx_vnni"),
        ({"avx2", "avx512bw", "avx512vnni"}, "avx512_vnni"),
        ({"avx2", "avxvnni", "avx512bw", "avx512vnni"}, "avx512_vnni"),  # since Sapphire Rapids, Zen 5
        ({"avx2", "avxvnni", "avx512bw", "avx512vnni", "amx-int8"}, "amx_int8"),
        ({"neon", "dotprod"}, "asimddp"),
        (set(), "none"),
    ],
)
def test_the_instruction_set_is_the_one_that_onnxruntime_prefers(monkeypatch, features, name):
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: dict.fromkeys(features, True))
    assert host_instruction_set.__wrapped__() == name


def test_unknown_runtimes_and_threads_are_refused():
    mlp = random_mlp(np.random.default_rng(9))
    with pytest.raises(ConfigurationError, match="'tensorrt', expected one of onnxruntime, native, reference"):
        make_runtime("tensorrt", mlp)
    for name in RUNTIMES:
        with pytest.raises(ConfigurationError, match="threads: got 0"):
            make_runtime(name, mlp, threads=0)
