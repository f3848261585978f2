import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qecforge.codes import _gf2
from qecforge.errors import CodeError

matrices = st.tuples(st.integers(0, 6), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1))
)


def span(matrix):
    """All sums of rows, by trying all choices."""
    sums = set()
    for chosen in itertools.product((0, 1), repeat=len(matrix)):
        sums.add(tuple((np.array(chosen, dtype=int) @ matrix.astype(int) % 2).tolist()))
    return sums


@given(matrices)
def test_pack_and_unpack_are_inverse(matrix):
    rows = _gf2.pack_rows(matrix)
    assert rows == [int("".join(map(str, row)), 2) for row in matrix.tolist()]
    assert np.array_equal(_gf2.unpack_rows(rows, matrix.shape[1]), matrix)


@given(matrices)
def test_row_reduce_keeps_the_span_and_is_in_reduced_echelon_form(matrix):
    reduced = _gf2.unpack_rows(_gf2.row_reduce(_gf2.pack_rows(matrix)), matrix.shape[1])
    assert span(reduced) == span(matrix)
    assert 2 ** len(reduced) == len(span(matrix))
    leads = [int(np.flatnonzero(row)[0]) for row in reduced]
    assert leads == sorted(set(leads))
    assert all(reduced[:, lead].sum() == 1 for lead in leads)


@given(matrices)
def test_rank_and_kernel_against_all_vectors(matrix):
    rows, columns = _gf2.pack_rows(matrix), matrix.shape[1]
    assert 2 ** _gf2.rank(rows) == len(span(matrix))
    vectors = np.array(list(itertools.product((0, 1), repeat=columns)))
    expected = {tuple(v) for v in vectors[~(vectors @ matrix.T.astype(int) % 2).any(axis=1)].tolist()}
    basis = _gf2.unpack_rows(_gf2.kernel(rows, columns), columns)
    assert span(basis) == expected
    assert 2 ** len(basis) == len(expected)


@given(matrices)
def test_row_dependencies_name_the_rows_that_sum_up(matrix):
    independent, dependent = _gf2.row_dependencies(_gf2.pack_rows(matrix))
    assert sorted([*independent, *dependent]) == list(range(len(matrix)))
    assert 2 ** len(independent) == len(span(matrix))
    for row, factors in dependent.items():
        assert set(factors) <= set(independent)
        assert all(factor < row for factor in factors)
        assert np.array_equal(matrix[factors].sum(axis=0) % 2, matrix[row])


@given(st.integers(1, 6).flatmap(lambda n: arrays(np.uint8, (n, n), elements=st.integers(0, 1))))
def test_inverse(matrix):
    rows, size = _gf2.pack_rows(matrix), len(matrix)
    if _gf2.rank(rows) < size:
        with pytest.raises(ValueError, match="singular"):
            _gf2.inverse(rows)
    else:
        inverse = _gf2.unpack_rows(_gf2.inverse(rows), size).astype(int)
        assert np.array_equal(inverse @ matrix % 2, np.eye(size, dtype=int))


def test_to_words_is_little_endian():
    assert _gf2.to_words([1, 1 << 64 | 5], 2).tolist() == [[1, 0], [5, 1]]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0, 1], [1]], "unequal length"),
        ([0, 1], "1 dimension"),
        ([["a", "b"]], "expected 0s and 1s"),
        ([[0, 2]], r"entry \(0, 1\) is 2"),
        ([[0.5, 1]], r"entry \(0, 0\) is 0.5"),
        ([[np.nan, 1]], r"entry \(0, 0\) is nan"),
    ],
)
def test_as_binary_matrix_refuses(matrix, message):
    with pytest.raises(CodeError, match=f"^hx: .*{message}"):
        _gf2.as_binary_matrix(matrix, "hx")
