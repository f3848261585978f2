from __future__ import annotations

import numpy as np
import pytest

from qecforge.codes import StabilizerCode

HAMMING = [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1, 1], [1, 0, 1, 0, 1, 0, 1]]


@pytest.fixture(scope="session")
def steane() -> StabilizerCode:
    return StabilizerCode.from_css(HAMMING, HAMMING)


@pytest.fixture(scope="session")
def five() -> StabilizerCode:
    return StabilizerCode.from_paulis(["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"])


@pytest.fixture(scope="session")
def surface3() -> StabilizerCode:
    """The rotated surface code of distance 3."""
    plaquettes_x = [{0, 1, 3, 4}, {4, 5, 7, 8}, {2, 5}, {3, 6}]
    plaquettes_z = [{1, 2, 4, 5}, {3, 4, 6, 7}, {0, 1}, {7, 8}]
    hx, hz = (
        np.array([[int(q in face) for q in range(9)] for face in faces]) for faces in (plaquettes_x, plaquettes_z)
    )
    return StabilizerCode.from_css(hx, hz)


@pytest.fixture(scope="session")
def smolin() -> StabilizerCode:
    """[[8,3,2]], the cube: more than one logical qubit."""
    return StabilizerCode.from_paulis(["XXXXXXXX", "ZZZZIIII", "ZZIIZZII", "ZIZIZIZI", "IIIIZZZZ"])


@pytest.fixture(params=["steane", "five", "surface3", "smolin"])
def any_code(request: pytest.FixtureRequest) -> StabilizerCode:
    code: StabilizerCode = request.getfixturevalue(request.param)
    return code
