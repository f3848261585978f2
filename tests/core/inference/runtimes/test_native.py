"""The native runtime: every kernel of it equals the numpy reference to the bit."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import integer_nets
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_nets import ACTIVATIONS, random_mlp, random_observations
from llvmlite import binding

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerMlp, Levels, run_reference
from qecforge.inference.runtimes._native_cpu import KERNELS, cpu_features, packed_order
from qecforge.inference.runtimes.choice import make_runtime
from qecforge.inference.runtimes.native import NativeRuntime, usable_kernels

kernels = pytest.mark.parametrize("kernel", usable_kernels())


def assert_equal(mlp, observations, kernel, threads=1):
    got = NativeRuntime(mlp, threads=threads, kernel=kernel).logits(observations)
    want = run_reference(mlp, observations)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.int32), want.view(np.int32))


@kernels
@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 150), min_size=2, max_size=5),
    bits=st.integers(2, 8),
    takes_bits=st.booleans(),
    per_output=st.booleans(),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    batch=st.integers(1, 15),
)
def test_every_kernel_gives_the_bits_of_the_reference(
    kernel, seed, sizes, bits, takes_bits, per_output, activation, batch
):
    rng = np.random.default_rng(seed)
    mlp = random_mlp(rng, sizes, bits=bits, takes_bits=takes_bits, per_output=per_output, activation=activation)
    assert_equal(mlp, random_observations(rng, mlp, batch), kernel)


@kernels
@pytest.mark.parametrize("per_output", [False, True])
def test_the_policy_of_the_paper(kernel, per_output):
    rng = np.random.default_rng(7)
    mlp = random_mlp(rng, (264, 512, 512, 256, 290), per_output=per_output)
    assert_equal(mlp, random_observations(rng, mlp, 67), kernel, threads=2)


@kernels
def test_extreme_sums_clip_at_both_ends(kernel):
    rng = np.random.default_rng(1)
    mlp = random_mlp(rng, (300, 70, 40, 9))
    layers = []
    for layer in mlp.layers:
        weight = np.where(rng.random(layer.weight.shape) < 0.5, -127, 127).astype(np.int8)
        weight[::2] = 127
        weight[1::4] = -127
        scale = layer.weight_scale * np.float32(1e12 if layer.outputs is not None else 1)
        layers.append(replace(layer, weight=weight, weight_scale=scale.astype(np.float32)))
    extreme = IntegerMlp(tuple(layers), 8, "lsq")
    with np.errstate(all="raise"):
        assert_equal(extreme, np.full((3, 300), 255, np.uint8), kernel)


@kernels
@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(("takes_bits", "bits"), [(True, 8), (True, 2), (False, 8)])
def test_observations_of_every_dtype_and_layout(kernel, dtype, takes_bits, bits):
    rng = np.random.default_rng(3)
    mlp = random_mlp(rng, (30, 20, 5), takes_bits=takes_bits, bits=bits)
    observations = rng.integers(0, 200, (7, 5, 6)).astype(dtype)
    assert_equal(mlp, observations, kernel)
    assert_equal(mlp, np.asfortranarray(observations), kernel)
    assert_equal(mlp, observations[::2], kernel)
    observations.flags.writeable = False
    assert_equal(mlp, observations, kernel)


def test_observations_halfway_between_two_levels_round_to_even():
    rng = np.random.default_rng(4)
    mlp = random_mlp(rng, (4, 3, 2), takes_bits=False)
    halves = replace(mlp.layers[0], inputs=Levels(0.5, 3, 8))
    mlp = IntegerMlp((halves, *mlp.layers[1:]), 8, "lsq")
    observations = np.array([[0.25, 0.75, 1.25, -0.25], [1e30, -1e30, -1.75, np.inf]], np.float32)
    for kernel in usable_kernels():
        assert_equal(mlp, observations, kernel)


@pytest.mark.parametrize("batch", [1, 31, 32, 33, 80, 1001])
def test_threads_do_not_change_a_bit(batch):
    rng = np.random.default_rng(batch)
    mlp = random_mlp(rng, (50, 65, 64, 33))
    for threads in (1, 2, 5):
        assert_equal(mlp, random_observations(rng, mlp, batch), None, threads)


def test_one_runtime_serves_several_python_threads():
    rng = np.random.default_rng(9)
    mlp = random_mlp(rng, (50, 65, 64, 33))
    runtime = NativeRuntime(mlp, threads=1)
    batches = [random_observations(rng, mlp, 40) for _ in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(runtime.logits, batches))
    for got, batch in zip(found, batches, strict=True):
        np.testing.assert_array_equal(got, run_reference(mlp, batch))


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_python_threads_share_numbas_threads(layer):
    code = """if True:
        from concurrent.futures import ThreadPoolExecutor
        import numba, numpy
        from integer_nets import random_mlp, random_observations
        from qecforge.inference.integer import run_reference
        from qecforge.inference.runtimes.native import NativeRuntime
        rng = numpy.random.default_rng(9)
        mlp = random_mlp(rng, (50, 65, 64, 33))
        runtime = NativeRuntime(mlp, threads=2)
        batches = [random_observations(rng, mlp, 400) for _ in range(100)]
        with ThreadPoolExecutor(2) as pool:
            for got, batch in zip(pool.map(runtime.logits, batches), batches):
                numpy.testing.assert_array_equal(got, run_reference(mlp, batch))
        print(numba.threading_layer())
    """
    here = str(Path(integer_nets.__file__).parent)
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2", "PYTHONPATH": here}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert layer in ("default", done.stdout.strip())


def test_out_is_filled_and_nothing_beyond_it():
    rng = np.random.default_rng(5)
    mlp = random_mlp(rng, (21, 33, 18, 7))
    observations = random_observations(rng, mlp, 13)
    for kernel in usable_kernels():
        room = np.full((15, 7), np.nan, np.float32)
        out = room[1:14]
        assert NativeRuntime(mlp, kernel=kernel).logits(observations, out) is out
        np.testing.assert_array_equal(out, run_reference(mlp, observations))
        assert np.isnan(room[[0, 14]]).all()


def test_an_empty_batch_gives_no_logits():
    mlp = random_mlp(np.random.default_rng(5))
    assert NativeRuntime(mlp).logits(np.zeros((0, 21), np.uint8)).shape == (0, 7)


def test_the_policy_may_change_afterwards_without_effect():
    rng = np.random.default_rng(6)
    mlp = random_mlp(rng)
    observations = random_observations(rng, mlp)
    want = run_reference(mlp, observations)
    runtime = NativeRuntime(mlp)
    mlp.layers[0].weight[...] = 0
    np.testing.assert_array_equal(runtime.logits(observations), want)


def test_kernels_by_the_features_of_a_cpu():
    by_features = {
        "vnni_512_vbmi": {"avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512vbmi"},
        "vnni_512": {"avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni"},
        "vnni_256": {"avx2", "avxvnni"},
        "portable": {"neon", "dotprod"},
    }
    for name, features in by_features.items():
        assert next(kernel.name for kernel in KERNELS if kernel.runs_on(frozenset(features))) == name
    assert [kernel.number for kernel in KERNELS] == list(range(len(KERNELS)))


def test_the_packed_order_is_that_of_the_packing_instructions():
    # packssdw, then packuswb, on registers a, b, c, d of 8 lanes: each half-register by itself
    a, b, c, d = np.arange(32).reshape(4, 2, 4)
    want = [*a[0], *b[0], *c[0], *d[0], *a[1], *b[1], *c[1], *d[1]]
    assert packed_order(8).tolist() == want


def test_features_are_those_that_numba_compiles_for():
    compiled_for = str(numba.core.registry.cpu_target.target_context.codegen().magic_tuple()[2])
    assert cpu_features() == {name[1:] for name in compiled_for.split(",") if name.startswith("+")}


def test_features_are_those_that_the_user_names(monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx2,-avx512f,+fma")
    assert cpu_features() == {"avx2", "fma"}


def test_without_avx_where_numba_is_told_so(monkeypatch):
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: {"avx2": True, "sse4.2": True, "avx512f": False})
    assert cpu_features() == {"avx2", "sse4.2"}
    monkeypatch.setattr(numba.config, "ENABLE_AVX", 0)
    assert cpu_features() == {"sse4.2"}


def test_a_cpu_of_which_llvm_knows_nothing_has_the_portable_kernel(monkeypatch):
    def unknown():
        raise RuntimeError("failed to get host cpu features.")

    monkeypatch.setattr(binding, "get_host_cpu_features", unknown)
    assert usable_kernels() == ("portable",)


def test_a_cpu_without_the_instructions_takes_the_portable_kernel(tmp_path):
    code = "from qecforge.inference.runtimes.native import usable_kernels; print(*usable_kernels())"
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["portable"]


def test_no_more_threads_are_reported_than_numba_has():
    mlp = random_mlp(np.random.default_rng(0))
    assert NativeRuntime(mlp, threads=10_000).report().threads == numba.config.NUMBA_NUM_THREADS


def test_report():
    report = make_runtime("native", random_mlp(np.random.default_rng(0)), threads=1).report()
    best = next(kernel for kernel in KERNELS if kernel.name == usable_kernels()[0])
    assert (report.runtime, report.kernel, report.threads) == ("native", best.name, 1)
    assert report.instruction_set == best.instruction_set
    assert report.version.startswith("numba ")


def test_bad_input():
    mlp = random_mlp(np.random.default_rng(0))
    with pytest.raises(ConfigurationError, match=r"^kernel: got 'amx', expected one that runs here: .*portable$"):
        NativeRuntime(mlp, kernel="amx")
    with pytest.raises(ConfigurationError, match=r"^threads: got 0, expected 1 or more$"):
        NativeRuntime(mlp, threads=0)
    runtime = NativeRuntime(mlp)
    with pytest.raises(ConfigurationError, match=r"^observations: got shape \(3, 20\)"):
        runtime.logits(np.zeros((3, 20), np.uint8))
    with pytest.raises(ConfigurationError, match=r"^out: got float64"):
        runtime.logits(np.zeros((3, 21), np.uint8), np.zeros((3, 7)))
    layer = replace(mlp.layers[0], weight_scale=np.full_like(mlp.layers[0].weight_scale, 3e38))
    layer = replace(layer, outputs=Levels(1e-3, 0, 8))
    with pytest.raises(ConfigurationError, match=r"^layer 0: its scales do not fit in a float32"):
        NativeRuntime(IntegerMlp((layer, *mlp.layers[1:]), 8, "lsq"))
