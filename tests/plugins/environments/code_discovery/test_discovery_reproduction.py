"""What is asked of every reproduction, asked of the search for encoders with few gates; its table and its families."""

from __future__ import annotations

from typing import ClassVar

import pytest

from qecforge import Registry, Store
from qecforge.contracts import Order
from qecforge.errors import ConfigurationError
from qecforge.reproduction.carry_out import carry_out, report_of
from qecforge.reproduction.planning import planned_runs
from qecforge.testing.reproductions import ReproductionContract
from qecforge_code_discovery.reproduction.report import verdict
from qecforge_code_discovery.reproduction.runs import QUICK, collect, families
from qecforge_code_discovery.reproduction.spec import REPRODUCTION, DiscoveryOptions


class TestDiscoveryReproduction(ReproductionContract):
    spec = REPRODUCTION
    options: ClassVar = {"families": ("5_1_3", "10_1_3")}
    overrides = ("agent.total_steps=400_000",)


def test_families_are_those_released_and_those_beyond():
    """Figures of the set released with Olle et al. 2024, as far as papers and issues name them."""
    released = [family for family in families().values() if family.released]
    assert len(released) == 50
    fewest = {(family.n, family.k, family.d): (family.gates, family.two_qubit) for family in released}
    assert fewest[5, 1, 3] == (10, 7)
    assert fewest[10, 1, 4] == (20, 15)
    assert fewest[15, 2, 5] == (49, 36)
    assert sum(gates for gates, _ in fewest.values()) == 1224
    beyond = {family.name for family in families().values() if not family.released}
    assert {"16_1_5", "17_1_5", "16_4_4", "18_2_5", "20_4_5", "17_1_7", "25_1_7", "20_13_3"} < beyond
    assert set(QUICK) <= {family.name for family in released}
    for family in released:
        assert family.n - family.k >= 2 * (family.d - 1)
        assert family.length == family.gates + 2


@pytest.mark.parametrize(("gates", "said"), [(None, "not found"), (8, "better"), (10, "equal"), (11, "worse")])
def test_verdict(gates, said):
    assert verdict(families()["5_1_3"], gates) == said


def test_unknown_names_are_refused():
    for options, words in (({"families": ("5_1_4",)}, "unknown family"), ({"agents": ("apo",)}, "did you mean")):
        with pytest.raises(ConfigurationError, match=f"(?i){words}"):
            planned_runs(REPRODUCTION, Order(options=DiscoveryOptions(**options), seeds=(0,)), Registry.load())


@pytest.mark.slow
def test_the_table_says_what_the_store_has(tmp_path):
    """Of two seeds the better; both agents have a row; what is not found is said."""
    order = Order(
        options=DiscoveryOptions(families=("7_1_3", "10_2_4"), agents=("annealing", "ppo")),
        seeds=(0, 1),
        quick=True,
        overrides=("agent.total_steps=60_000",),
    )
    registry, url = Registry.load(), f"sqlite:///{tmp_path / 'results.db'}"
    planned = planned_runs(REPRODUCTION, order, registry)
    assert [each.labels for each in planned][::2] == [
        {"family": family, "agent": agent} for family in ("7_1_3", "10_2_4") for agent in ("annealing", "ppo")
    ]
    carry_out(REPRODUCTION, planned, registry, store_url=url)
    with Store(url, read_only=True) as store:
        results = collect(store, planned)
        rows = report_of(REPRODUCTION, store, planned).tables["codes"].rows
        claims = report_of(REPRODUCTION, store, planned).claims
    assert [(row["code"], row["agent"]) for row in rows] == [
        (code, agent) for code in ("[[7,1,3]]", "[[10,2,4]]") for agent in ("annealing", "ppo")
    ]
    ours = [result.found.gate_count for result in results[:2] if result.found]
    assert rows[0]["ours"] == min(ours)
    assert rows[0]["ours_two_qubit"] <= rows[0]["ours"] <= rows[0]["appended"]
    assert rows[0]["distance"] == 3
    assert rows[0]["first_seconds"] > 0
    assert rows[2]["verdict"] == "not found"
    assert rows[2].get("ours") is None
    assert claims[0].ours.mean == 1
    assert claims[0].holds is False
