from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode
from qecforge.codes.known_codes import rotated_surface
from qecforge.errors import CodeError
from qecforge.evaluation.error_rates.circuits.generators import measured_code


def weight(pauli: str) -> int:
    return len(pauli) - pauli.count("I")


def random_code(n: int, k: int, seed: int) -> StabilizerCode:
    rng = np.random.default_rng(seed)
    circuit = stim.Circuit()
    for _ in range(6 * n):
        circuit.append(rng.choice(["H", "S"]), [int(rng.integers(n))])
        if n > 1:
            circuit.append("CX", [int(q) for q in rng.choice(n, 2, replace=False)])
    for qubit in range(n):
        circuit.append("I", [qubit])
    return StabilizerCode.from_stim_tableau(circuit.to_tableau(), k)


def shuffled(code: StabilizerCode, seed: int) -> StabilizerCode:
    """The same group by other generators."""
    rng = np.random.default_rng(seed)
    rows = code.check_matrix.copy()
    for _ in range(20):
        a, b = rng.choice(len(rows), 2, replace=False)
        rows[a] ^= rows[b]
    return StabilizerCode(rows[rng.permutation(len(rows))])


def test_steane_is_measured_by_weight_four_generators_of_one_type(steane):
    measured = measured_code(shuffled(steane, 1))
    assert all(weight(pauli) == 4 for pauli in measured.stabilizers)
    assert all(len(set(pauli) - {"I"}) == 1 for pauli in measured.stabilizers)
    assert measured.is_css
    assert weight(measured.logical_x[0]) == weight(measured.logical_z[0]) == 3


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 6), st.integers(1, 2), st.integers(0, 10**6))
def test_what_is_measured_depends_on_the_group_alone_and_generates_it(n, k, seed):
    code = random_code(n, k, seed)
    measured = measured_code(code)
    if n - k > 1:
        assert measured_code(shuffled(code, seed)) == measured
    assert StabilizerCode.from_paulis(measured.stabilizers) == code
    checked = StabilizerCode.from_paulis(
        measured.stabilizers, logical_x=measured.logical_x, logical_z=measured.logical_z
    )
    assert checked.k == code.k


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_no_other_generators_are_lighter(seed):
    code = random_code(5, 1, seed)
    rows = code.check_matrix
    group = []
    for size in range(1, 5):
        for chosen in combinations(range(4), size):
            element = np.bitwise_xor.reduce(rows[list(chosen)])
            group.append((int((element[:5] | element[5:]).sum()), element))
    lightest = min(
        sum(w for w, _ in four)
        for four in combinations(group, 4)
        if len({tuple(np.bitwise_xor.reduce([e for _, e in part])) for s in (1, 2, 3, 4)
                for part in combinations(four, s)} | {(0,) * 10}) == 16
    )  # fmt: skip
    total = sum(weight(pauli) for pauli in measured_code(code).stabilizers)
    if code.css is not None:
        assert total >= lightest  # X-type and Z-type generators are worth more than the last bit of weight
    else:
        assert total == lightest


def test_nothing_to_lose_is_refused():
    with pytest.raises(CodeError, match="k=0"):
        measured_code(StabilizerCode.from_paulis(["XX", "ZZ"]))


def test_given_generators_are_kept_where_no_others_are_lighter(five):
    for code in (rotated_surface(3), rotated_surface(5), five):
        given = {s.lstrip("+-") for s in code.stabilizers}
        assert set(measured_code(code, "auto").stabilizers) == given
        assert measured_code(code, "auto") == measured_code(code, "given")
    assert set(measured_code(rotated_surface(5)).stabilizers) != set(
        measured_code(rotated_surface(5), "auto").stabilizers
    )


def test_heavy_generators_are_kept_where_asked_for_alone(steane):
    rows = steane.check_matrix.copy()
    rows[0] ^= rows[3]
    mixed = StabilizerCode(rows)
    assert measured_code(mixed, "auto") == measured_code(steane, "lightest")
    kept = measured_code(mixed, "given")
    assert set(kept.stabilizers) == {s.lstrip("+-") for s in mixed.stabilizers}
    assert not kept.is_css
