"""The sparse graph between objectives and parameters, beside its dense matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qecforge.contracts import FactorGraph
from qecforge.errors import ConfigurationError


@st.composite
def graphs(draw):
    """A graph, and the dense matrix of objectives x groups it was made from."""
    m, G, P = draw(st.integers(0, 5)), draw(st.integers(1, 4)), draw(st.integers(0, 7))
    dense = np.array([[draw(st.booleans()) for _ in range(G)] for _ in range(m)], np.bool_).reshape(m, G)
    group = np.array([draw(st.integers(0, G - 1)) for _ in range(P)], np.int64)
    indptr = np.concatenate([[0], np.cumsum(dense.sum(axis=1))])
    return FactorGraph(indptr, np.nonzero(dense)[1], m, P, group, G), dense


@given(graphs())
def test_neighbourhoods_and_statistics_are_those_of_the_dense_matrix(drawn):
    graph, groups = drawn
    dense = groups[:, graph.group]
    np.testing.assert_array_equal(graph.dense(), dense)
    for objective in range(graph.num_objectives):
        np.testing.assert_array_equal(graph.parameters_of(objective), np.flatnonzero(dense[objective]))
    for parameter in range(graph.num_parameters):
        np.testing.assert_array_equal(graph.objectives_of(parameter), np.flatnonzero(dense[:, parameter]))
    np.testing.assert_array_equal(graph.unconnected_parameters(), np.flatnonzero(~dense.any(axis=0)))
    np.testing.assert_array_equal(graph.group_sizes, np.bincount(graph.group, minlength=graph.num_groups))
    statistics = graph.statistics()
    assert statistics.mean_parameters_per_objective == (dense.sum(axis=1).mean() if dense.shape[0] else 0)
    assert statistics.mean_objectives_per_parameter == (dense.sum(axis=0).mean() if dense.shape[1] else 0)
    assert statistics.max_parameters_per_objective == dense.sum(axis=1).max(initial=0)
    assert statistics.max_objectives_per_parameter == dense.sum(axis=0).max(initial=0)
    assert statistics.density == (dense.mean() if dense.size else 0)


def test_arrays_are_copies_that_nobody_writes_to():
    indptr, indices, group = np.array([0, 1, 3]), np.array([0, 0, 1]), np.array([0, 0, 1])
    graph = FactorGraph(indptr, indices, 2, 3, group, 2)
    indices[0] = 1
    assert graph.indices.tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="read-only"):
        graph.group[0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indptr": [0, 3]}, "indptr has 2 entries: give 3"),
        ({"indptr": [0, 1, 2]}, "indptr runs from 0 to 2: let it rise from 0 to 3"),
        ({"indptr": [0, 4, 3]}, "let it rise"),
        ({"indices": [0, 0, 2]}, "indices lie in 0..2: give 0..1"),
        ({"indices": [0, 1, 0]}, "groups of objective 1 do not ascend"),
        ({"indices": [0, 1, 1]}, "groups of objective 1 do not ascend"),
        ({"group": [0, 0]}, "group has 2 entries: give 3"),
        ({"group": [0, 0, -1]}, "group lie in -1..0: give 0..1"),
        ({"group": [0.0, 0.0, 1.0]}, "group is float64 of shape"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    arrays = {"indptr": [0, 1, 3], "indices": [0, 0, 1], "group": [0, 0, 1]} | changes
    with pytest.raises(ConfigurationError, match=message):
        FactorGraph(**{k: np.array(v) for k, v in arrays.items()}, num_objectives=2, num_parameters=3, num_groups=2)


def test_numbers_out_of_range_are_refused():
    graph = FactorGraph(np.array([0, 1]), np.array([0]), 1, 2, np.array([0, 0]), 1)
    with pytest.raises(ConfigurationError, match=r"there is no objective 1: give 0\.\.0"):
        graph.parameters_of(1)
    with pytest.raises(ConfigurationError, match=r"there is no parameter -1: give 0\.\.1"):
        graph.objectives_of(-1)
