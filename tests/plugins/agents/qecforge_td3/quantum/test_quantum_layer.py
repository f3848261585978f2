"""`QuantumLayer`: readouts, gradients, its generator, and what it refuses."""

import numpy as np
import pytest
import torch
from quantum_reference import means_of, probabilities, random_circuits, torch_means
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge_td3.quantum import PaperCircuit, QuantumLayer, circuits_of_shifts, marginals, sample_bits

CIRCUIT = PaperCircuit(qubits=3, layers=4)


@pytest.fixture
def batch():
    angles, pairs = random_circuits(np.random.default_rng(6), 5, 3, 4)
    return torch.tensor(angles, requires_grad=True), torch.tensor(pairs)


def gradient_of(layer, angles, pairs, cotangent):
    (found,) = torch.autograd.grad(layer(angles, pairs), angles, cotangent)
    return found.numpy()


def exact_gradient(angles, pairs, cotangent, kind="r"):
    """In double precision, by torch."""
    rows = []
    for row, (some, qubits) in enumerate(zip(angles.detach().double(), pairs, strict=True)):
        given = some.clone().requires_grad_()
        means = torch_means(given, qubits, 3, kind)
        rows.append(torch.autograd.grad(means, given, cotangent[row].double())[0].numpy())
    return np.array(rows)


def test_a_sample_is_a_sample(batch):
    bits = QuantumLayer(CIRCUIT, generator=3)(*batch)
    assert (bits.shape, bits.dtype) == ((5, 3), torch.float32)
    wanted = sample_bits(batch[0].detach().numpy(), batch[1].numpy(), np.random.default_rng(3))
    np.testing.assert_array_equal(bits.detach().numpy(), wanted)


def test_readouts(batch):
    angles, pairs = batch
    strings = [probabilities(a, p, 3) for a, p in zip(angles.detach().numpy(), pairs.numpy(), strict=True)]
    means = QuantumLayer(CIRCUIT, readout="marginals")(*batch).detach().numpy()
    np.testing.assert_allclose(means, [means_of(each) for each in strings], atol=1e-6)
    estimated = QuantumLayer(CIRCUIT, readout="marginals", shots=4000)(*batch).detach().numpy()
    np.testing.assert_allclose(estimated, means, atol=5 * 0.5 / 4000**0.5)
    assert not np.array_equal(estimated, means)
    best = np.array([each.argmax() for each in strings])[:, None] >> np.arange(3) & 1
    for shots in (None, 4000):
        found = QuantumLayer(CIRCUIT, readout="most_probable", shots=shots)(*batch).detach().numpy()
        np.testing.assert_array_equal(found, best)


@pytest.mark.parametrize("rotation", ["r", "ry_rz"])
@pytest.mark.parametrize("readout", ["sample", "marginals"])
@pytest.mark.parametrize("gradient", ["exact", "parameter_shift"])
def test_exact_gradients_and_those_of_the_shift_rule(batch, gradient, readout, rotation):
    cotangent = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    layer = QuantumLayer(PaperCircuit(3, 4, rotation), readout=readout, gradient=gradient)
    wanted = exact_gradient(*batch, cotangent, rotation)
    np.testing.assert_allclose(gradient_of(layer, *batch, cotangent), wanted, atol=1e-5)


def test_circuits_that_the_shift_rule_takes():
    """What the paper's size costs; see docs/hybrid.md."""
    assert circuits_of_shifts(PaperCircuit(10, 10)) == 600
    assert circuits_of_shifts(PaperCircuit(10, 10, "ry_rz")) == 400


def test_the_shift_rule_in_several_parts(batch, monkeypatch):
    monkeypatch.setattr("qecforge_td3.quantum.gradients.MOST_NUMBERS", 4000)
    cotangent = torch.ones(5, 3)
    found = gradient_of(QuantumLayer(CIRCUIT, gradient="parameter_shift"), *batch, cotangent)
    np.testing.assert_allclose(found, exact_gradient(*batch, cotangent), atol=1e-5)


def test_shifts_with_shots_are_unbiased(batch):
    cotangent = torch.ones(5, 3)
    layer = QuantumLayer(CIRCUIT, gradient="parameter_shift", shots=50)
    found = np.array([gradient_of(layer, *batch, cotangent) for _ in range(60)])
    error = (found.mean(0) - exact_gradient(*batch, cotangent)) / np.maximum(found.std(0) / 60**0.5, 1e-3)
    assert np.abs(error).max() < 5
    assert found.std(0).max() > 0.01


@pytest.mark.parametrize("shots", [None, 20])
def test_spsa_has_the_gradient_as_its_mean(batch, shots):
    """Up to the square of its step, which bounds what is left over."""
    cotangent = torch.ones(5, 3)
    layer = QuantumLayer(CIRCUIT, gradient="spsa", shots=shots, spsa_step=0.02 if shots is None else 0.2, generator=1)
    found = np.array([gradient_of(layer, *batch, cotangent) for _ in range(800)])
    error = found.mean(0) - exact_gradient(*batch, cotangent)
    assert (np.abs(error) / (found.std(0) / 800**0.5 + 0.02)).max() < 5
    one = QuantumLayer(CIRCUIT, gradient="spsa", generator=1)
    many = QuantumLayer(CIRCUIT, gradient="spsa", spsa_repeats=200, generator=1)
    far, near = (
        np.abs(gradient_of(each, *batch, cotangent) - exact_gradient(*batch, cotangent)).mean() for each in (one, many)
    )
    assert near < far / 4


def test_a_tangential_network_stands_for_the_layer(batch):
    """Its derivative reaches angles, and CZ outputs before they are rounded."""
    angles, _ = batch
    outputs = torch.tensor([[[0.2, 1.6], [2.9, -3.0], [1.1, 0.9], [2.0, 0.0]]] * 5, requires_grad=True)
    network = nn.Sequential(nn.Linear(32, 3), nn.Sigmoid())
    layer = QuantumLayer(CIRCUIT, gradient="tangential", tangential=network)
    assert layer.inputs == 32
    cotangent = torch.randn(5, 3)
    found = torch.autograd.grad(layer(angles, outputs), (angles, outputs), cotangent)
    inputs = torch.cat([angles, outputs.flatten(1)], 1)
    wanted = torch.autograd.grad(network(inputs), (angles, outputs), cotangent)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    assert all(weight.grad is None for weight in network.parameters())


def test_outputs_are_rounded_and_clipped(batch):
    outputs = torch.tensor([[[0.2, 1.6], [2.9, -3.0], [1.1, 0.9], [2.4, 0.4]]] * 5)
    layer = QuantumLayer(CIRCUIT, readout="marginals")
    assert layer.rounded(outputs)[0].tolist() == [[0, 2], [2, 0], [1, 1], [2, 0]]
    whole = torch.tensor([[[0, 2], [2, 0], [1, 1], [2, 0]]] * 5)
    torch.testing.assert_close(layer(batch[0], outputs), layer(batch[0], whole))


def test_dtype_is_that_of_the_angles(batch):
    angles = batch[0].detach().double().requires_grad_()
    means = QuantumLayer(CIRCUIT, readout="marginals")(angles, batch[1])
    means.sum().backward()
    assert (means.dtype, angles.grad.dtype) == (torch.float64, torch.float64)


def test_the_generator_is_part_of_the_state(batch, tmp_path):
    layer = QuantumLayer(CIRCUIT, generator=5)
    layer(*batch)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    wanted = [layer(*batch) for _ in range(3)]
    other = QuantumLayer(CIRCUIT, generator=99)
    other.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    for each in wanted:
        torch.testing.assert_close(other(*batch), each)


def test_generators_of_torch_and_of_a_call(batch):
    one, other = (QuantumLayer(CIRCUIT, generator=torch.Generator().manual_seed(4))(*batch) for _ in range(2))
    torch.testing.assert_close(one, other)
    layer = QuantumLayer(CIRCUIT, generator=1)
    before = layer.get_extra_state()
    torch.testing.assert_close(layer(*batch, np.random.default_rng(8)), layer(*batch, np.random.default_rng(8)))
    assert layer.get_extra_state() == before


def test_a_network_learns_through_samples():
    """A layer before the circuit is fitted so that the bits are those that are wanted of two inputs."""
    torch.manual_seed(0)
    layer = QuantumLayer(PaperCircuit(2, 2), generator=0)
    before = nn.Linear(2, 8)
    inputs, wanted = torch.eye(2).repeat(32, 1), torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(32, 1)
    pairs = torch.tensor([[[0, 1], [0, 0]]]).repeat(64, 1, 1)
    optimizer = torch.optim.Adam(before.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.mse_loss(layer(before(inputs), pairs), wanted).backward()
        optimizer.step()
    means = marginals(before(inputs[:2]).detach().numpy(), pairs[:2].numpy())
    np.testing.assert_allclose(means, wanted[:2], atol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "samples"}, r"readout: got 'samples', expected one of .* Did you mean 'sample'\?"),
        ({"gradient": "adjoint"}, "gradient: got 'adjoint', expected one of exact, parameter_shift"),
        ({"backend": "cuda"}, "backend: got 'cuda', expected 'numba', 'aer'"),
        ({"backend": 3}, "backend: got int, expected"),
        ({"backend": "aer"}, "gradient `exact`: this backend only samples: choose `parameter_shift`"),
        ({"shots": 0}, "shots: got 0, expected a whole number from 1"),
        ({"gradient": "tangential"}, "gradient `tangential`: give the layer a fitted network"),
        ({"gradient": "spsa", "spsa_step": 0.0}, "spsa: expected a step above 0"),
        ({"circuit": PaperCircuit}, "circuit: got type, expected a PaperCircuit or a parametrised QuantumCircuit"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        QuantumLayer(**{"circuit": CIRCUIT, **options})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"qubits": 17}, "circuit: got 17 qubits, expected 1 to 16"),
        ({"layers": 0}, "circuit: got 0 layers, expected at least 1"),
        ({"rotation": "u"}, "circuit: got rotation 'u', expected one of r, ry_rz"),
    ],
)
def test_circuits_that_there_are_not(shape, message):
    with pytest.raises(ConfigurationError, match=message):
        PaperCircuit(**shape)


def test_inputs_of_another_shape(batch):
    angles, pairs = batch
    layer = QuantumLayer(CIRCUIT)
    with pytest.raises(ConfigurationError, match=r"got inputs of shape \(5, 23\), expected \(B, 24\)"):
        layer(angles[:, 1:], pairs)
    with pytest.raises(ConfigurationError, match=r"got pairs of shape \(5, 3, 2\), expected \(5, 4, 2\)"):
        layer(angles, pairs[:, 1:])
    with pytest.raises(ConfigurationError, match=r"got pairs of shape None, expected \(5, 4, 2\)"):
        layer(angles)


def test_angles_that_are_not_finite(batch):
    angles = batch[0].detach().clone()
    angles[2, 5] = torch.nan
    with pytest.raises(ConfigurationError, match="angles: got nan in row 2, column 5"):
        QuantumLayer(CIRCUIT)(angles, batch[1])
