"""Backends that sample: qiskit-aer, any `SamplerV2`, devices that are imitated; the same distributions as ours."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import StatevectorSampler
from quantum_reference import p_value, probabilities, random_circuits, torch_means

from qecforge.errors import ConfigurationError, InfrastructureError
from qecforge_td3.quantum import (
    AerBackend,
    PaperCircuit,
    QuantumLayer,
    SamplerBackend,
    depolarizing,
    fake_backend,
    make_backend,
)

CIRCUIT = PaperCircuit(qubits=3, layers=4)
SHOTS = 4000


@pytest.fixture
def batch():
    """Five circuits of three patterns."""
    angles, pairs = random_circuits(np.random.default_rng(6), 5, 3, 4)
    pairs[3], pairs[4] = pairs[0], pairs[1]
    return angles, pairs


@pytest.mark.parametrize("rotation", ["r", "ry_rz"])
@pytest.mark.parametrize("sampler", ["numba", "aer", StatevectorSampler(seed=3)], ids=["numba", "aer", "statevector"])
def test_every_backend_gives_the_distribution(sampler, rotation, batch):
    backend = make_backend(sampler, PaperCircuit(3, 4, rotation))
    bits = backend.shots(*batch, SHOTS, np.random.default_rng(2))
    assert (bits.shape, bits.dtype) == ((5, SHOTS, 3), np.uint8)
    for row, some in enumerate(bits):
        assert p_value(some, probabilities(batch[0][row], batch[1][row], 3, rotation)) > 1e-5
    assert not np.array_equal(bits[0], bits[3])


class Counting:
    """A `SamplerV2` that notes its jobs."""

    def __init__(self):
        self.sampler, self.jobs = StatevectorSampler(seed=1), []

    def run(self, pubs, *, shots=None):
        self.jobs.append([values.shape for _, values in pubs])
        return self.sampler.run(pubs, shots=shots)


def test_circuits_of_one_pattern_share_a_pub(batch):
    sampler = Counting()
    make_backend(sampler, CIRCUIT).shots(*batch, 10, np.random.default_rng(0))
    assert sampler.jobs == [[(2, 24), (2, 24), (1, 24)]]


def test_aer_draws_its_seed_from_the_generator(batch):
    backend = AerBackend(CIRCUIT)
    one, other, third = (backend.shots(*batch, 50, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)
    rng = np.random.default_rng(4)
    assert not np.array_equal(backend.shots(*batch, 50, rng), backend.shots(*batch, 50, rng))


def test_shots_of_equal_circuits_differ(batch):
    """One pattern, one row many times: each has randomness of its own."""
    angles, pairs = np.repeat(batch[0][:1], 2000, 0), np.repeat(batch[1][:1], 2000, 0)
    bits = AerBackend(CIRCUIT).sample_bits(angles, pairs, np.random.default_rng(0))
    assert p_value(bits, probabilities(angles[0], pairs[0], 3)) > 1e-5


def test_depolarizing_noise_is_what_it_says():
    """One RY and one RZ on |0>, measured: the mean of the bit is drawn to 1/2 by twice p."""
    circuit = PaperCircuit(1, 1, "ry_rz")
    angles, pairs = np.zeros((1, 2), np.float32), np.zeros((1, 1, 2), np.int64)
    backend = make_backend({"depolarizing": 0.2}, circuit)
    mean = backend.shots(angles, pairs, 20_000, np.random.default_rng(0)).mean()
    assert abs(mean - (1 - 0.8**2) / 2) < 5 * 0.5 / 20_000**0.5
    noise = make_backend(depolarizing(0.2), circuit).shots(angles, pairs, 20_000, np.random.default_rng(0)).mean()
    assert mean == noise


def test_a_fake_backend_is_noisy_and_near(batch):
    """Circuits are transpiled for a line of qubits; bits come back in the order of the layer's qubits."""
    angles = np.zeros((1, 24), np.float32)
    angles[0, 18] = np.pi  # theta of the first qubit in the last layer
    pairs = np.zeros((1, 4, 2), np.int64)
    pairs[0, 0] = [0, 2]
    means = (
        make_backend({"fake": "generic_4"}, CIRCUIT).shots(angles, pairs, 2000, np.random.default_rng(0)).mean((0, 1))
    )
    np.testing.assert_allclose(means, [1, 0, 0], atol=0.15)
    assert ((means > 0) & (means < 1)).any()
    assert make_backend(fake_backend("generic_4", 3), CIRCUIT).target.num_qubits == 4


@pytest.mark.parametrize(
    "backend", ["aer", {"fake": "generic_3"}, StatevectorSampler(seed=0)], ids=["aer", "fake", "sv"]
)
def test_shifts_through_a_sampler(backend):
    """Gradients of shots; a fake backend's are near as its noise is small."""
    circuit = PaperCircuit(2, 2)
    angles, pairs = random_circuits(np.random.default_rng(1), 1, 2, 2)
    given = torch.tensor(angles[0], dtype=torch.float64, requires_grad=True)
    torch_means(given, pairs[0], 2, "r").sum().backward()
    layer = QuantumLayer(circuit, backend, gradient="parameter_shift", shots=4000)
    inputs = torch.tensor(angles, requires_grad=True)
    layer(inputs, torch.tensor(pairs)).sum().backward()
    np.testing.assert_allclose(inputs.grad[0].numpy(), given.grad.numpy(), atol=0.1)


def test_marginals_of_a_sampler(batch):
    means = QuantumLayer(CIRCUIT, "aer", "marginals", "spsa", shots=SHOTS)(
        torch.tensor(batch[0]), torch.tensor(batch[1])
    )
    wanted = make_backend("numba", CIRCUIT).marginals(*batch)
    np.testing.assert_allclose(means.numpy(), wanted, atol=5 * 0.5 / SHOTS**0.5)
    np.testing.assert_allclose(make_backend("aer", CIRCUIT).marginals(*batch), wanted, atol=5 * 0.5 / 1024**0.5)


def test_no_exact_gradient_where_one_only_samples(batch):
    backend = make_backend("aer", CIRCUIT)
    with pytest.raises(ConfigurationError, match="gradient `exact`: this backend only samples"):
        backend.marginals_vjp(*batch, np.ones((5, 3), np.float32))


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ({"fake": "FakeManilla"}, r"fake backend: there is none called 'FakeManilla'\..* Known: generic_N"),
        ({"fake": "generic4"}, r"Did you mean 'generic_3'\?"),
        ({"fake": "generic_2"}, "fake backend 'generic_2': has 2 qubits, and the circuit 3: choose a larger one"),
        ({"fake": "generic_0"}, "fake backend 'generic_0': has 0 qubits"),
        ({"depolarizing": 1.5}, r"depolarizing: got 1.5, expected a number in 0..1"),
        ({"depolarising": 0.1}, r"backend: got \{'depolarising': 0.1\}, expected 'numba'"),
    ],
)
def test_backends_that_there_are_not(backend, message):
    with pytest.raises(ConfigurationError, match=message):
        make_backend(backend, CIRCUIT)


def test_a_device_with_too_few_qubits():
    with pytest.raises(ConfigurationError, match="has 2 qubits, and the circuit 3: choose a larger one"):
        SamplerBackend(CIRCUIT, StatevectorSampler(), target=fake_backend("generic_2", 2))


def test_a_sampler_that_fails_is_named(batch):
    class Broken:
        def run(self, pubs, *, shots=None):
            raise RuntimeError("the queue\nis closed")

    with pytest.raises(InfrastructureError, match="sampler Broken: a job of 3 circuits failed: the queue is closed"):
        make_backend(Broken(), CIRCUIT).sample_bits(*batch, np.random.default_rng(0))


def test_angles_that_are_not_finite_reach_no_sampler(batch):
    batch[0][1, 2] = np.inf
    with pytest.raises(ConfigurationError, match="angles: got inf in row 1, column 2"):
        make_backend(Counting(), CIRCUIT).sample_bits(*batch, np.random.default_rng(0))


def test_more_qubits_than_there_is_memory_for():
    angles = ParameterVector("a", 60)
    circuit = QuantumCircuit(60)
    for qubit, angle in enumerate(angles):
        circuit.rx(angle, qubit)
    circuit.measure_all()
    with pytest.raises(ConfigurationError, match=r"`aer`: a state of 60 qubits takes 18,446,744,073,709,551,616 bytes"):
        QuantumLayer(circuit, "aer", gradient="spsa")
    with pytest.raises(ConfigurationError, match=r"backend `numba`: got 60 qubits, expected at most 16 .* bytes"):
        QuantumLayer(circuit)
