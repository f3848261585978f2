"""The exact simulation against qiskit's `Statevector`, torch in double precision and finite differences."""

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantum_reference import means_of, p_value, probabilities, qiskit_state, random_circuits, torch_means

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum import amplitudes, marginals, marginals_vjp, peak_register, sample_bits

KINDS = ["r", "ry_rz"]
SHOTS = 20_000


def sampled(angles, pairs, kind, seed):
    """Many shots of one circuit, through the public function."""
    return sample_bits(np.repeat(angles, SHOTS, 0), np.repeat(pairs, SHOTS, 0), seed, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_exactly_distributed(kind):
    """60 random circuits: no p-value below what 60 of them meet once in 1,700 times; and they are spread."""
    rng = np.random.default_rng(11)
    found = []
    for seed in range(60):
        qubits, layers = int(rng.integers(1, 7)), int(rng.integers(1, 9))
        angles, pairs = random_circuits(rng, 1, qubits, layers)
        bits = sampled(angles, pairs, kind, seed)
        assert bits.dtype == np.uint8
        assert bits.shape == (SHOTS, qubits)
        found.append(p_value(bits, probabilities(angles[0], pairs[0], qubits, kind)))
    assert min(found) > 1e-5
    assert 0.3 < np.mean(found) < 0.7


def test_the_test_of_distributions_sees_a_missing_gate():
    """What the tests above go by: samples of a circuit are told from those of it without one CZ."""
    rng = np.random.default_rng(3)
    angles, pairs = random_circuits(rng, 1, 4, 5)
    pairs[0] = [[0, 1], [1, 2], [2, 3], [0, 3], [1, 3]]
    less = pairs.copy()
    less[0, 1] = 0
    assert p_value(sampled(angles, less, "r", 0), probabilities(angles[0], pairs[0], 4)) < 1e-9


@pytest.mark.parametrize(
    "pairs",
    [
        [[0, 1], [0, 0]],  # two lone qubits
        [[0, 1], [0, 1], [0, 1], [0, 0]],  # the same pair again
        [[0, 1], [1, 2], [2, 3], [3, 3]],  # a chain: lone ends, the others leave as they come
        [[2, 0], [2, 1], [2, 3], [0, 1], [1, 3], [3, 0], [1, 1]],
        [[0, 1], [2, 3], [1, 2], [0, 3], [2, 2]],  # parts that join
        [[3, 3], [3, 3]],  # coins
    ],
)
def test_each_way_into_and_out_of_the_register(pairs):
    rng = np.random.default_rng(5)
    pairs = np.array([pairs])
    angles, _ = random_circuits(rng, 1, 4, pairs.shape[1])
    exact = probabilities(angles[0], pairs[0], 4)
    for seed, order in enumerate((pairs, pairs[:, :, ::-1])):
        assert p_value(sampled(angles, order, "r", seed), exact) > 1e-5
        np.testing.assert_allclose(marginals(angles, order), means_of(exact)[None], atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(qubits=st.integers(1, 7), layers=st.integers(1, 12), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_amplitudes_and_marginals_are_those_of_qiskit(qubits, layers, kind, seed):
    angles, pairs = random_circuits(np.random.default_rng(seed), 1, qubits, layers)
    state = qiskit_state(angles[0], pairs[0], qubits, kind)
    np.testing.assert_allclose(amplitudes(angles, pairs, kind)[0], state, atol=1e-6)
    np.testing.assert_allclose(marginals(angles, pairs, kind)[0], means_of(np.abs(state) ** 2), atol=1e-6)


def test_the_papers_size_with_all_gates_firing():
    rng = np.random.default_rng(7)
    angles, _ = random_circuits(rng, 4, 10, 10)
    pairs = np.array([[rng.choice(10, 2, replace=False) for _ in range(10)] for _ in range(4)])
    means = marginals(angles, pairs)
    for row in range(4):
        np.testing.assert_allclose(means[row], means_of(probabilities(angles[row], pairs[row], 10)), atol=1e-6)


def test_sixteen_qubits():
    rng = np.random.default_rng(9)
    angles, _ = random_circuits(rng, 1, 16, 20)
    pairs = np.array([[rng.choice(16, 2, replace=False) for _ in range(20)]])
    np.testing.assert_allclose(marginals(angles, pairs)[0], means_of(probabilities(angles[0], pairs[0], 16)), atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(qubits=st.integers(1, 6), layers=st.integers(1, 8), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_gradients_are_those_of_torch_in_double_precision(qubits, layers, kind, seed):
    rng = np.random.default_rng(seed)
    angles, pairs = random_circuits(rng, 1, qubits, layers)
    cotangent = rng.standard_normal((1, qubits)).astype(np.float32)
    given_ = torch.tensor(angles[0].astype(float), requires_grad=True)
    (torch_means(given_, pairs[0], qubits, kind) * torch.tensor(cotangent[0].astype(float))).sum().backward()
    np.testing.assert_allclose(marginals_vjp(angles, pairs, cotangent, kind)[0], given_.grad.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_differences(kind):
    """Of qiskit's probabilities, in double precision."""
    rng = np.random.default_rng(21)
    angles, pairs = random_circuits(rng, 1, 4, 4)
    cotangent = rng.standard_normal((1, 4)).astype(np.float32)

    def value(shifted):
        return float(means_of(probabilities(shifted, pairs[0], 4, kind)) @ cotangent[0].astype(float))

    start = angles[0].astype(float)
    differences = [(value(start + step) - value(start - step)) / 2e-5 for step in 1e-5 * np.eye(len(start))]
    np.testing.assert_allclose(marginals_vjp(angles, pairs, cotangent, kind)[0], differences, atol=1e-5)


def test_large_angles():
    """As far as float32 says which angle is meant."""
    rng = np.random.default_rng(2)
    angles, pairs = random_circuits(rng, 8, 4, 4, spread=5000.0)
    for row, found in enumerate(marginals(angles, pairs)):
        np.testing.assert_allclose(found, means_of(probabilities(angles[row], pairs[row], 4)), atol=2e-6)


def test_a_seed_gives_the_same_bits_on_any_number_of_threads():
    angles, pairs = random_circuits(np.random.default_rng(0), 3000, 6, 6)
    cotangent = np.ones((3000, 6), np.float32)
    threads = numba.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            numba.set_num_threads(count)
            bits = sample_bits(angles, pairs, np.random.default_rng(4))
            found.append((bits, marginals_vjp(angles, pairs, cotangent)))
    finally:
        numba.set_num_threads(threads)
    for one, many in zip(*found, strict=True):
        np.testing.assert_array_equal(one, many)
    assert not np.array_equal(found[0][0], sample_bits(angles, pairs, 5))


def test_drawing_goes_on_where_the_generator_is():
    angles, pairs = random_circuits(np.random.default_rng(0), 20, 6, 6)
    whole, rng = np.random.default_rng(1), np.random.default_rng(1)
    both = sample_bits(np.concatenate([angles, angles]), np.concatenate([pairs, pairs]), whole)
    np.testing.assert_array_equal(both[:20], sample_bits(angles, pairs, rng))
    np.testing.assert_array_equal(both[20:], sample_bits(angles, pairs, rng))


def test_the_peak_of_the_register():
    pairs = np.array(
        [
            [[0, 1], [2, 3], [0, 0]],  # pairs of lone qubits need none
            [[0, 1], [1, 0], [0, 0]],  # both in at once
            [[0, 1], [1, 2], [0, 0]],  # the middle one alone; its neighbours are lone
        ]
    )
    angles, _ = random_circuits(np.random.default_rng(0), 3, 4, 3)
    assert peak_register(angles, pairs).tolist() == [1, 2, 1]


def test_inputs_are_not_changed():
    angles, pairs = random_circuits(np.random.default_rng(0), 3, 4, 3)
    before = angles.copy(), pairs.copy()
    sample_bits(angles, pairs, 0)
    marginals_vjp(angles, pairs, np.ones((3, 4), np.float32))
    np.testing.assert_array_equal(angles, before[0])
    np.testing.assert_array_equal(pairs, before[1])


def test_an_empty_batch():
    assert sample_bits(np.empty((0, 24), np.float32), np.empty((0, 3, 2), np.int64), 0).shape == (0, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 7, 23])
def test_an_angle_that_is_not_finite_is_named(value, column):
    angles, pairs = random_circuits(np.random.default_rng(0), 5, 4, 3)
    angles[3, column] = value
    for call in (lambda: sample_bits(angles, pairs, 0), lambda: marginals(angles, pairs)):
        with pytest.raises(
            ConfigurationError, match=rf"angles: got {value} in row 3, column {column}, expected finite"
        ):
            call()


@pytest.mark.parametrize("qubit", [-1, 4, 2**40])
def test_a_qubit_that_is_not_there_is_refused(qubit):
    angles, pairs = random_circuits(np.random.default_rng(0), 5, 4, 3)
    pairs[2, 1, 0] = qubit
    with pytest.raises(ConfigurationError, match=r"pairs: got .* in row 2, expected qubits from 0 to 3"):
        marginals(angles, pairs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, p, c: (a[:, :-1], p, c), "a multiple of 6"),
        (lambda a, p, c: (a[:-1], p, c), r"got shapes \(4, 24\) and \(5, 3, 2\)"),
        (lambda a, p, c: (a, p[:, :, 0], c), "angles and pairs: got shapes"),
        (lambda a, p, c: (np.zeros((5, 102), np.float32), p, c), "got 17, expected 1 to 16"),
        (lambda a, p, c: (a, p, c[:, :3]), r"cotangent: got shape \(5, 3\), expected \(5, 4\)"),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    angles, pairs = random_circuits(np.random.default_rng(0), 5, 4, 3)
    with pytest.raises(ConfigurationError, match=message):
        marginals_vjp(*change(angles, pairs, np.ones((5, 4), np.float32)))


def test_an_unknown_rotation():
    angles, pairs = random_circuits(np.random.default_rng(0), 5, 4, 3)
    with pytest.raises(ConfigurationError, match="rotation: got 'rx', expected one of r, ry_rz"):
        sample_bits(angles, pairs, 0, "rx")
