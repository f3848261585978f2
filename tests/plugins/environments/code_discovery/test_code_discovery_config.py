"""What a configuration refuses, in one line that says what to do; connectivities; gate names."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from qecforge_code_discovery import CodeDiscoveryConfig

FIVE: dict[str, Any] = {"n": 5, "target_distance": 3}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"k": 5}, "n = 5 is too small for k = 5: a code needs n > k. Set n to 6 or more"),
        ({"n": 1, "target_distance": 2}, "n = 1 is too small for k = 1"),
        (
            {"n": 4},
            r"no \[\[4,1,3\]\] code exists: the quantum Singleton bound .* allows d <= 2. Lower target_distance",
        ),
        ({"n": 127, "k": 2}, r"n \+ k = 129 is more than the 128 rows"),
        ({"target_distance": 1}, "greater than or equal to 2"),
        ({"max_gates": 0}, "greater than or equal to 1"),
        ({"gates": []}, "gates is empty: give at least one entangling gate"),
        ({"gates": ["h", "swap"]}, "entangle nothing.*add cx or cz"),
        ({"gates": ["h", "cnott"]}, "unknown gate 'cnott'. Did you mean 'cnot'"),
        ({"gates": ["h", "qq"]}, "unknown gate 'qq'. Choose among h, s"),
        ({"gates": ["x", "cx"]}, "gate 'x' is a Pauli.*Leave it out"),
        ({"gates": ["s", "s_dag", "cx"]}, "gate 's_dag' repeats 's'"),
        ({"gates": "cx"}, "give a list of names"),
        ({"connectivity": "lin"}, "unknown connectivity 'lin'. Did you mean 'line'"),
        ({"connectivity": {"grid": [2, 2]}}, "a 2x2 grid has 4 qubits, but n is 5: make them equal"),
        ({"connectivity": {"edges": [[0, 1], [1, 2], [3, 4]]}}, "qubit 3 cannot be reached from qubit 0.*disconnected"),
        ({"connectivity": {"edges": [[0, 9]]}}, r"coupling \[0, 9\] is out of range: qubits are counted 0..4"),
        ({"connectivity": {"coupling_map": [[2, 2]]}}, r"coupling \[2, 2\] joins a qubit with itself"),
        ({"connectivity": {"hexagons": 3}}, "connectivity cannot be .*Give all_to_all"),
        ({"noise": "loud"}, "noise cannot be 'loud': give none, or"),
        ({"noise": {"model": "depolarizing", "p": 1.2}}, r"p = 1.2 leaves \[0, 1\]: bring it inside"),
        ({"noise": {"model": "depolarizing", "p": {"uniform": [0.5, 1.5]}}}, r"p = 1.5 leaves \[0, 1\]"),
        ({"noise": {"model": "depolarizing", "p": {"uniform": [0.5, 0.1]}}}, r"range \[0.5, 0.1\] is empty"),
        ({"noise": {"model": "depolarizing", "p": {"log_uniform": [0, 0.1]}}}, "has no logarithm"),
        ({"noise": {"model": "depolarizing", "p": float("nan")}}, "p = nan leaves"),
        ({"noise": {"model": "per_qubit", "probabilities": [[0.1, 0.1, 0.1]]}}, "has 1 qubits, but n is 5"),
        (
            {"noise": {"model": "per_qubit", "probabilities": [[0.4, 0.4, 0.4]] * 5}},
            r"noise of qubit 0, .* leaves \[0, 1\]",
        ),
        ({"noise_aware": True}, "noise_aware needs noise"),
        ({"css_only": True}, "css_only takes the gates h, cx, swap, not s, sqrt_x"),
        ({"check_weight_rule": "mask"}, "need max_check_weight. Set it"),
        ({"gate_error_weight": 1.0, "gates": ["cx"]}, r"gate_errors lacks 'cx 0 1' \(20 missing\)"),
        ({"gate_errors": [{"gate": "cx", "qubits": [0], "error": 0.1}]}, "is no single gate. Correct it"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        CodeDiscoveryConfig(**{**FIVE, **fields})
    (error,) = caught.value.errors()
    assert "\n" not in error["msg"]


@pytest.mark.parametrize(
    ("connectivity", "edges"),
    [
        ("all_to_all", [(a, b) for a in range(6) for b in range(a + 1, 6)]),
        ("line", [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]),
        ("ring", [(0, 1), (0, 5), (1, 2), (2, 3), (3, 4), (4, 5)]),
        ("next_nearest", [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4), (3, 5), (4, 5)]),
        ({"grid": [2, 3]}, [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]),
        ({"edges": [[5, 4], [4, 0], [0, 1], [1, 2], [2, 3]]}, [(0, 1), (0, 4), (1, 2), (2, 3), (4, 5)]),
    ],
)
def test_connectivities(connectivity: Any, edges: list[tuple[int, int]]) -> None:
    config = CodeDiscoveryConfig(n=6, target_distance=2, connectivity=connectivity, gates=["h", "cx", "cz"])
    both = sorted([*edges, *((b, a) for a, b in edges)])
    assert config.pairs() == tuple(both)
    assert config.actions().names == (
        *(f"h {q}" for q in range(6)),
        *(f"cx {a} {b}" for a, b in both),
        *(f"cz {a} {b}" for a, b in edges),
    )


def test_a_coupling_map_is_directed() -> None:
    fields: dict[str, Any] = {"n": 3, "target_distance": 2, "connectivity": {"coupling_map": [[1, 0], [1, 2]]}}
    assert CodeDiscoveryConfig(**fields, gates=["cy", "iswap"], stop_action=True).actions().names == (
        *("cy 1 0", "cy 1 2"),
        *("iswap 0 1", "iswap 1 2", "stop"),
    )


def test_aliases_name_classes() -> None:
    config = CodeDiscoveryConfig(**FIVE, gates=["C1", "CNOT"])
    assert config.gates == ("h", "s", "sqrt_x", "c_xyz", "c_zyx", "cx")
    assert CodeDiscoveryConfig(**FIVE, gates=["sdg", "sx", "sqrt_y", "cz"]).gates == ("s", "sqrt_x", "h", "cz")


def test_configurations_survive_json() -> None:
    config = CodeDiscoveryConfig(
        **FIVE,
        connectivity={"edges": [[0, 1], [1, 2], [2, 3], [3, 4]]},
        noise={"model": "biased", "p": {"log_uniform": [1e-4, 1e-2]}, "eta": 5},
    )
    assert CodeDiscoveryConfig.model_validate_json(config.model_dump_json()) == config
    assert CodeDiscoveryConfig.model_validate(config.model_dump()) == config
    assert CodeDiscoveryConfig(**FIVE, noise="none").noise is None
