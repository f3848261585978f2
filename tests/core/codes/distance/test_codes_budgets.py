"""Budgets hold in set-up too, and large codes pass every step."""

import math
import time

import numpy as np
import pytest
import stim

from qecforge.codes import StabilizerCode, css_distances, known_codes, load_code
from qecforge.codes._gf2 import pack_rows, product
from qecforge.codes._logicals import _compiled_gram_schmidt, _gram_schmidt
from qecforge.codes.distance import _integer_programme
from qecforge.codes.distance._meet_in_the_middle import load_kernels
from qecforge.codes.distance._search_space import pauli_space
from qecforge.codes.distance.enumerators import macwilliams

BUDGET = 0.5


def hypergraph_product(seed, bits):
    """Of a random check matrix of column weight 3, three quarters as many checks as bits."""
    rng = np.random.default_rng(seed)
    h = np.zeros((3 * bits // 4, bits), dtype=np.uint8)
    for column in range(bits):
        h[rng.choice(len(h), 3, replace=False), column] = 1
    m, n = h.shape
    eye_m, eye_n = np.eye(m, dtype=np.uint8), np.eye(n, dtype=np.uint8)
    hx = np.hstack([np.kron(h, eye_n), np.kron(eye_m, h.T)])
    hz = np.hstack([np.kron(eye_n, h), np.kron(h.T, eye_m)])
    return StabilizerCode.from_css(hx, hz, drop_redundant=True)


def scrambled(n, k, layers=6, seed=0):
    rng = np.random.default_rng(seed)
    circuit = stim.Circuit()
    for _ in range(layers):
        for qubit in range(n):
            circuit.append(["H", "S", "C_XYZ"][rng.integers(3)], [qubit])
        circuit.append("CX", rng.permutation(n)[: n // 2 * 2].tolist())
    return StabilizerCode.from_circuit(circuit, k, n=n)


def repetition(n):
    return load_code("\n".join("I" * q + "ZZ" + "I" * (n - 2 - q) for q in range(n - 1)))


LARGE = {
    "hypergraph product": lambda: hypergraph_product(1, 20),
    "repetition": lambda: repetition(1026),
    "sparse encoder": lambda: load_code("H 0\nCX 0 1999\n", k=1999),
    "dense": lambda: scrambled(500, 40),
}


@pytest.fixture(scope="module")
def large():
    load_kernels()  # compiling them on a machine's first proof counts for no budget
    return {name: make() for name, make in LARGE.items()}


@pytest.mark.parametrize("method", ["auto", "search", "meet_in_the_middle", "integer_programme"])
@pytest.mark.parametrize("name", LARGE)
def test_a_budget_holds_in_set_up_too(large, name, method):
    code = large[name]
    started = time.process_time()
    found = code.distance(method=method, budget_seconds=BUDGET)
    assert time.process_time() - started < 1.5 * BUDGET + 1.0
    assert 1 <= found.lower <= found.value <= code.n
    if found.witness is not None:
        assert code.n - found.witness.count("I") == found.value
        assert not code.contains(found.witness)


@pytest.mark.parametrize("name", LARGE)
def test_no_budget_at_all_gives_a_bound(large, name):
    found = large[name].distance(budget_seconds=0)
    assert 1 <= found.lower <= found.value <= large[name].n


def test_distances_of_long_repetition_codes():
    code = repetition(1026)
    assert (code.n, code.k, code.distance().value) == (1026, 1, 1)
    halves = css_distances(repetition(1000), budget_seconds=2.0)
    assert (halves.x.value, halves.z.value, halves.z.kind) == (1000, 1, "exact")


def test_macwilliams_of_a_thousand_qubits():
    n = 1000
    single = [1, *[0] * (n - 2), 0, 1]  # the group of X on all qubits
    dual = macwilliams(single, 4)
    assert sum(dual) == 4**n // 2
    # A letter that commutes with X is X itself; of two letters both commute (1 pair) or neither (4).
    assert (dual[0], dual[1], dual[2]) == (1, n, math.comb(n, 2) * 5)


@pytest.mark.parametrize("seed", range(5))
def test_fast_products_and_pairs_agree_with_plain_ones(seed):
    rng = np.random.default_rng(seed)
    m, c, p = (int(size) for size in rng.integers(1, 150, 3))
    a, b = rng.integers(0, 2, (m, c)).astype(np.uint8), rng.integers(0, 2, (c, p)).astype(np.uint8)
    assert np.array_equal(product(a, b), a.astype(int) @ b.astype(int) % 2)
    n = 70
    vectors = pack_rows(rng.integers(0, 2, (n, 2 * n)).astype(np.uint8))
    assert _compiled_gram_schmidt(list(vectors), n) == _gram_schmidt(list(vectors), n)


def test_actions_of_rows_are_those_of_their_columns():
    for code in (known_codes.five_qubit(), scrambled(9, 3), scrambled(8, 0)):
        space = pauli_space(code)
        for row, action in zip(space.commuting, space.row_actions, strict=True):
            total = 0
            for column in space.columns_of(space.row_operator(row)):
                total ^= space.actions[column]
            assert total == action


def test_a_programme_too_large_for_its_time_is_not_begun(monkeypatch):
    def never(*_arguments):
        raise AssertionError("begun")

    monkeypatch.setattr(_integer_programme, "_solve", never)
    space = pauli_space(scrambled(100, 2))
    result = _integer_programme.minimise(space, np.ones(300), 9.0, time.perf_counter() + 1e-3, step=1)
    assert (result.lower, result.operator) == (0.0, None)
