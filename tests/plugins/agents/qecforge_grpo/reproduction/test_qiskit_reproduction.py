"""The reproduction `qiskit`: its runs, and its tables of a store that is filled by hand."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from cli_harness import invoke

from qecforge import Registry, Store, load_manifest
from qecforge.errors import ConfigurationError
from qecforge.testing.reproductions import ReproductionContract
from qecforge_grpo.reproduction.report import PUBLISHED, arms_table, claims, published_table
from qecforge_grpo.reproduction.runs import ARMS, collect, plan_runs
from qecforge_grpo.reproduction.spec import REPRODUCTION

EXAMPLE = Path(__file__).parents[5] / "examples/qiskit/tiny.yaml"
FEW = ("environment.generator.count=20",)
WARM, AFTER = 0.4, 0.96


def planned_trainings(arms=ARMS, seeds=2, *, quick=True):
    return plan_runs(arms, seeds=range(seeds), quick=quick, registry=Registry.load(), overrides=FEW)


def file_training(store: Store, planned) -> None:
    """Drawn: 40 % and, of a seed, 2 % more after the warm start; 96 % less 1 % for each seed after GRPO."""
    plan, seed = planned.plan, planned.plan.seed
    run = store.begin_run(
        plan.identity,
        name=plan.name,
        seed=seed,
        manifest=plan.canonical,
        manifest_source=plan.source_text,
        environment="qiskit_tasks",
        reward="qiskit_execution",
        agent="grpo_text",
        quantizer=None,
        provenance={},
    )
    warm = WARM + 0.02 * seed + (0.1 if planned.arm == "supervised" else 0.0)
    looks = [("warm_start", 192, warm, 0.3, 100.0), ("held_out", 192, warm, 0.3, 110.0)]
    if planned.arm == "grpo":
        looks.append(("held_out", 4800, AFTER - 0.01 * seed, 0.01, 400.0 + seed))
    for name, step, drawn, removed, seconds in looks:
        numbers = {"drawn": drawn, "greedy": drawn + 0.02, "drawn_removed_api": removed, "greedy_removed_api": removed}
        store.add_metrics(run.id, [(f"{name}/{way}", step, value, seconds) for way, value in numbers.items()])
    store.mark_run(run.id, "finished")


@pytest.fixture
def results(tmp_path):
    planned = planned_trainings()
    with Store(tmp_path / "results.db") as store:
        for each in planned:
            file_training(store, each)
        yield collect(store, planned)


class TestQiskitReproduction(ReproductionContract):
    spec = REPRODUCTION
    options: ClassVar = {}
    overrides = FEW

    def fill(self, store, planned):
        for each in planned:
            file_training(store, each)


def test_arms_differ_in_the_warm_start_and_in_the_updates():
    sizes = {}
    for quick in (False, True):
        for each in planned_trainings(seeds=1, quick=quick):
            agent = each.plan.agent.config
            sizes[each.arm, quick] = (agent.warm_start.completions, agent.total_steps)
    for quick in (False, True):
        shown, drawn = sizes["grpo", quick]
        assert sizes["supervised", quick] == (shown + drawn, 256), "as many more as GRPO draws, and one update"
    assert sizes["grpo", True] == (sizes["grpo", False][0], sizes["grpo", False][1] // 2)


def test_the_first_arm_is_the_example():
    """With other names, and executions kept elsewhere."""
    example = load_manifest(EXAMPLE, registry=Registry.load(), overrides=FEW).runs()[0]
    ours = planned_trainings(("grpo",), seeds=1, quick=False)[0].plan
    assert ours.agent.config == example.agent.config
    assert ours.environment.config == example.environment.config


def test_stages_by_hand(results):
    rows = {row["stage"]: row for row in arms_table(results).rows}
    assert list(rows) == ["warm start", "warm start, then GRPO", "more supervised steps"]
    expected = {"warm start": (0.41, 0), "warm start, then GRPO": (0.955, 4800), "more supervised steps": (0.51, 0)}
    for stage, (drawn, step) in expected.items():
        assert rows[stage]["pass_at_1"]["mean"] == pytest.approx(drawn)
        assert rows[stage]["greedy"]["mean"] == pytest.approx(drawn + 0.02)
        assert rows[stage]["drawn_for_learning"] == step
        assert rows[stage]["seeds"] == 2
    assert rows["warm start, then GRPO"]["removed_api"]["mean"] == pytest.approx(0.01)
    assert rows["warm start, then GRPO"]["seconds"] == 401, "the longest"


def test_claims_by_hand(results):
    """Two seeds: t(0.975, 1) = 12.706, so that 0.41 +- 0.127 is not decided at 0.5, and differences of 0.56 and 0.53
    are 0.545 +- 0.19."""
    found = {claim.text: claim for claim in claims(results)}
    assert found["pass@1 after the warm start"].holds is None
    assert found["pass@1 after the warm start"].ours.high == pytest.approx(0.41 + 12.706 * 0.01, abs=1e-4)
    assert found["pass@1 after GRPO"].holds is None
    gain = found["GRPO less the warm start"]
    assert (gain.ours.mean, gain.holds) == (pytest.approx(0.545), True)
    assert gain.ours.low == pytest.approx(0.545 - 12.706 * 0.015, abs=1e-4)
    assert found["GRPO less as many supervised steps"].ours.mean == pytest.approx(0.445)
    assert found["removed API: warm start less GRPO"].ours.mean == pytest.approx(0.29)
    assert "GRPO less as many supervised steps" not in {each.text for each in claims(results[:1])}


def test_published_figures_have_their_intervals():
    """43.71 % of 151 are 66 tasks: Wilson's interval is 36 to 52 %; 29.14 % are 44: 22 to 37 %."""
    rows = published_table().rows
    assert [round(100 * end) for end in rows[2]["interval"]] == [36, 52]
    assert [round(100 * end) for end in rows[3]["interval"]] == [22, 37]
    for each in PUBLISHED[:4]:
        assert round(each.rate * 151) / 151 == pytest.approx(each.rate, abs=5e-5)
    assert rows[4]["interval"] is None


def test_an_unknown_arm_is_refused():
    with pytest.raises(ConfigurationError, match=r"unknown arm 'grp'\. Did you mean 'grpo'"):
        planned_trainings(("grp",))


def test_dry_run_lists_the_trainings(tmp_path):
    url = f"sqlite:///{tmp_path}/none.db"
    options = ("--quick", "--dry-run", "--store", url, "--transcripts", "known.db", "--set", *FEW)
    result = invoke("reproduce", "qiskit", *options)
    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines()[2:]] == ["grpo", "supervised"]
    assert not (tmp_path / "none.db").exists()
