"""Tables over many devices or drifts, where some seeds have no number, and overrides of the runs that they are of."""

import numpy as np
import pytest
from steering_records import error_rates, file_run, file_runs, planned_runs

from qecforge import Store
from qecforge.errors import ConfigurationError
from qecforge_surface_steering.reproduction.claims import claims
from qecforge_surface_steering.reproduction.runs import collect
from qecforge_surface_steering.reproduction.sweeps import map_table, trend_table
from qecforge_surface_steering.reproduction.tables import drift_table


def test_a_critical_frequency_that_one_seed_has_not_has_no_mean(tmp_path):
    """The improvement of seed 0 vanishes between the frequencies, that of seed 1 below the lowest."""
    planned = planned_runs("map", overrides=["sweep.agent.entropy=[0.1]"])
    with Store(tmp_path / "results.db") as store:
        for each in planned:
            (profile,) = each.plan.environment.config.drift
            improved = each.plan.seed == 0 and profile.frequency < 0.01
            totals = {f"steering/{name}/total": ([1000], rate) for name, rate in (("fixed", 0.05), ("optimal", 0.04))}
            file_run(store, each, {"true_cost": (np.arange(10, 1001, 10), 0.045 if improved else 0.055)} | totals)
        rows = map_table(collect(store, planned)).rows
    assert sorted({round(row["improvement"]["mean"], 9) for row in rows[:-1]}) == [-0.5, 0]
    assert rows[-1]["critical"] is None
    assert rows[-1]["note"] == "below 0.001 (1 of 2 seeds)"


def test_an_override_about_an_evaluation_that_none_has_is_refused():
    with pytest.raises(ConfigurationError, match=r"^`overrides` evaluation\.steerin\.shots=7: none of these results"):
        planned_runs("map", "drift", overrides=["agent.clip=0.1", "evaluation.steerin.shots=7"])
    assert planned_runs("gradient_relation", "drift", overrides=["evaluation.steering.shots=7"])


def test_one_seed_cannot_tell_whether_an_interval_is_above_a_goal(tmp_path):
    with Store(tmp_path / "results.db") as store:
        one = collect(store, file_runs(store, "fine_tuning", seeds=1))
    found = [claim for claim in claims(one) if claim.part == "fine-tuning"]
    assert [(claim.ours.seeds, claim.holds) for claim in found] == [(1, None), (1, None)]


def test_a_stability_that_counting_hides_in_one_seed_has_no_mean(tmp_path):
    """Seed 0 fluctuates half as much with steering, seed 1 less than counting 2,000 shots shows."""
    epochs = np.arange(0, 3001, 50)
    wave = np.sin(2 * np.pi * epochs / 1000)
    planned = planned_runs("drift")
    with Store(tmp_path / "results.db") as store:
        for each, shots, share in zip(planned, (10**9, 2000), (0.5, 0.001), strict=True):
            file_run(
                store,
                each,
                error_rates("fixed", epochs, 4e-3 + 2e-3 * wave, rounds=25, shots=shots)
                | error_rates("steered", epochs, 3e-3 + share * 2e-3 * wave, rounds=25, shots=shots),
            )
        row = drift_table(collect(store, planned)).rows[0]
    assert (row["control"], row["reduction"]["seeds"]) == ("steered", 2)
    assert row["stability"] is None
    assert row["note"] == "fluctuation within counting noise (1 of 2 seeds)"


def test_a_trend_says_how_many_runs_have_no_rate(tmp_path):
    """At d = 9 nothing converges."""
    planned = [each for each in planned_runs("scaling", seeds=1) if each.manifest == "scaling_p1"]
    epochs = np.arange(0, 401, 4)
    with Store(tmp_path / "results.db") as store:
        for each in planned:
            gap = 0.5 if each.plan.environment.config.distance == 9 else 0.5 * np.exp(-0.03 * epochs)
            rates = {"steering/steered/rate": (epochs, 0.04 / (1 - gap)), "steering/optimal/rate": (epochs, 0.04)}
            file_run(store, each, rates)
        results = collect(store, planned)
    row = trend_table(results).rows[0]
    assert (row["points"], row["note"]) == (3, "1 of 4 runs have no γ")
    assert row["exponent"] == pytest.approx(0, abs=1e-3)
    assert claims(results)[0].note == "1 of 4 runs have no γ"
