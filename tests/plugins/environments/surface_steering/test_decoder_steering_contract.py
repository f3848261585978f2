"""`decoder_steering` keeps the contract, for gates and for kinds of them, with matching and another decoder."""

from qecforge.testing.environments import EnvironmentContract
from qecforge_surface_steering import qecforge_environments

DEVICE = {"distance": 3, "rounds": 2, "parameters_per_gate": 1, "floor": {"single_qubit": 2e-3, "two_qubit": 8e-3}}
SMALL = {"device": DEVICE, "shots": 60, "assess_shots": 60, "calibration": {"shots": 500}, "horizon": 50}

REPETITION = """
    R 0 1 2 3 4
    CX[cx{}] 0 1 2 3
    CX[cx{}] 2 1 4 3
    M 1 3
    DETECTOR rec[-2]
    DETECTOR rec[-1]
    M 0 2 4
    DETECTOR rec[-5] rec[-3] rec[-2]
    DETECTOR rec[-4] rec[-2] rec[-1]
    OBSERVABLE_INCLUDE(0) rec[-1]
"""


class TestMatching(EnvironmentContract):
    spec = qecforge_environments()[1]
    settings = SMALL


class TestKindsFromALearnedPrior(EnvironmentContract):
    spec = qecforge_environments()[1]
    settings = SMALL | {"parameters": "kind", "prior": "learned", "control": "optimal", "epoch": 3}
    settings |= {"device": DEVICE | {"memory": "x"}}


class TestAnotherDecoder(EnvironmentContract):
    spec = qecforge_environments()[1]
    settings = SMALL | {"decoder": "ml_lookup", "device": {"code": "circuit", "circuit": REPETITION, "rounds": 1}}
