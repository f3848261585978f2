"""A circuit of your own in a classifier of torch: trained by exact gradients, then carried out by a noisy device.

python examples/any_qiskit_circuit.py
"""

import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch import nn

from qecforge_td3.quantum import QuantumLayer

angles = ParameterVector("angle", 6)
circuit = QuantumCircuit(3)
for qubit in range(3):
    circuit.ry(angles[qubit], qubit)
circuit.crx(angles[3], 0, 1)
circuit.rzz(angles[4], 1, 2)
circuit.cry(angles[5], 2, 0)
circuit.measure_all()

torch.manual_seed(0)
points = 2 * torch.rand(256, 2) - 1
labels = (points[:, :1] * points[:, 1:] > 0).float()  # no line divides these

before, after = nn.Linear(2, 6), nn.Linear(3, 1)
layer = QuantumLayer(circuit, readout="marginals", gradient="exact")
optimizer = torch.optim.Adam([*before.parameters(), *after.parameters()], 0.05)
for _ in range(300):
    optimizer.zero_grad()
    loss = nn.functional.binary_cross_entropy_with_logits(after(layer(3 * before(points))), labels)
    loss.backward()
    optimizer.step()

device = QuantumLayer(circuit, {"fake": "generic_5"}, readout="marginals", gradient="parameter_shift", shots=500)
for name, each in {"exact simulation": layer, "noisy device, 500 shots": device}.items():
    right = (after(each(3 * before(points))) > 0) == labels.bool()
    print(f"{name}: {right.float().mean():.1%} of {len(points)} points classified")
