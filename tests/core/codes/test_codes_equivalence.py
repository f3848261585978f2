import itertools
from pathlib import Path

import numpy as np
import pytest
from codes_reference import codes
from hypothesis import given, settings
from hypothesis import strategies as st

from qecforge.codes import StabilizerCode, equivalent_under_permutation, known_codes, load_code
from qecforge.codes.equivalence import equivalent_under_local_cliffords, known_equivalents

CODES = [
    known_codes.five_qubit(),
    known_codes.steane(),
    known_codes.cube(),
    known_codes.shor(),
    known_codes.eleven_qubit(),
    known_codes.rotated_surface(4),
]


@settings(deadline=None)
@given(codes(max_qubits=4), codes(max_qubits=4))
def test_against_all_permutations(a, b):
    expected = a.n == b.n and any(a.permuted(order) == b for order in itertools.permutations(range(a.n)))
    assert equivalent_under_permutation(a, b) is expected


@pytest.mark.parametrize("code", CODES, ids=lambda code: f"{code.n},{code.k}")
@settings(deadline=None, max_examples=10)
@given(rng=st.randoms(use_true_random=False))
def test_a_permuted_code_is_equivalent(code, rng):
    order = list(range(code.n))
    rng.shuffle(order)
    assert equivalent_under_permutation(code, code.permuted(order)) is True


def cycles(*lengths):
    """Graph state of cycles side by side: equal colours everywhere for equal numbers of vertices."""
    n = sum(lengths)
    adjacency = [[0] * n for _ in range(n)]
    start = 0
    for length in lengths:
        for i in range(length):
            a, b = start + i, start + (i + 1) % length
            adjacency[a][b] = adjacency[b][a] = 1
        start += length
    return known_codes.graph_state(adjacency)


def test_the_search_tells_apart_what_colours_cannot():
    ring, two = cycles(8, 8), cycles(8, 8).permuted([(5 * q) % 16 for q in range(16)])
    assert equivalent_under_permutation(ring, two) is True
    assert equivalent_under_permutation(cycles(16), cycles(8, 8)) is False
    assert equivalent_under_permutation(cycles(5, 7), cycles(6, 6)) is False


def test_quick_answers_and_unknown():
    steane = known_codes.steane()
    assert equivalent_under_permutation(steane, known_codes.five_qubit()) is False
    assert equivalent_under_permutation(steane, steane) is True
    five = known_codes.five_qubit()
    turned = StabilizerCode.from_paulis([row.translate(str.maketrans("XZ", "ZX")) for row in five.stabilizers])
    assert equivalent_under_permutation(five, turned) in (True, False)
    order = [3, 0, 1, 2, 4, 5, 6, 8, 7]
    shor = known_codes.shor()
    assert equivalent_under_permutation(shor, shor.permuted(order), limit=0) is None
    golay = known_codes.golay()
    assert equivalent_under_permutation(golay, golay.permuted([1, 0, *range(2, 23)])) is None


def turned(code, cliffords):
    """With a Clifford gate on each qubit: the letters X, Z, Y of qubit q become `cliffords[q]` of them."""
    n, rows = code.n, len(code.check_matrix)
    letters = code.check_matrix[:, :n] + 2 * code.check_matrix[:, n:]
    mapped = np.array(
        [[0 if letter == 0 else cliffords[q][letter - 1] + 1 for q, letter in enumerate(row)] for row in letters],
        np.uint8,
    ).reshape(rows, n)
    return StabilizerCode(np.hstack([mapped & 1, mapped >> 1]).astype(np.uint8))


TURNS = list(itertools.permutations(range(3)))


@settings(deadline=None, max_examples=40)
@given(codes(max_qubits=3), codes(max_qubits=3))
def test_against_all_permutations_and_local_cliffords(a, b):
    expected = a.n == b.n and any(
        turned(a.permuted(order), cliffords) == b
        for order in itertools.permutations(range(a.n))
        for cliffords in itertools.product(TURNS, repeat=a.n)
    )
    assert equivalent_under_local_cliffords(a, b) is expected


@pytest.mark.parametrize("code", CODES, ids=lambda code: f"{code.n},{code.k}")
@settings(deadline=None, max_examples=5)
@given(rng=st.randoms(use_true_random=False))
def test_a_turned_code_is_equivalent(code, rng):
    order = rng.sample(range(code.n), code.n)
    other = turned(code.permuted(order), [rng.choice(TURNS) for _ in range(code.n)])
    assert equivalent_under_local_cliffords(code, other) is True
    assert list(known_equivalents(other).values()).count(True) == (0 if code.n == 16 else 1)


def test_the_seven_qubit_code_that_a_search_finds_is_not_steanes():
    path = Path(__file__).parents[3] / "examples" / "codes" / "7_1_3_9.stim"
    assert known_equivalents(load_code(path, k=1)) == {"Steane's code": False}
    assert known_equivalents(known_codes.golay()) == {}


def test_five_qubits_have_one_code_of_distance_three_up_to_local_cliffords():
    path = Path(__file__).parents[3] / "examples" / "codes" / "5_1_3_10.stim"
    assert known_equivalents(load_code(path, k=1)) == {"the five-qubit code": True}
