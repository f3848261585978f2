"""What a reproduction plans is checked before anything runs, and put into stages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_study import StudyOptions, Walk, plan, study

from qecforge import Registry
from qecforge.contracts import Order, PlannedRun
from qecforge.errors import ConfigurationError, ManifestError, PluginError
from qecforge.reproduction.planning import check_names, planned_runs, seeds_of, stages


def order(**changes):
    return Order(**{"options": StudyOptions(), "seeds": (0, 1)} | changes)


def test_seeds_are_those_asked_for_or_those_of_the_size():
    assert seeds_of(study(), quick=False) == (0, 1, 2)
    assert seeds_of(study(), quick=True) == (0, 1)
    assert seeds_of(study(), quick=True, seeds=4) == (0, 1, 2, 3)


def test_runs_come_as_they_were_planned(registry):
    planned = planned_runs(study(), order(), registry)
    assert [(each.size, each.plan.seed) for each in planned] == [(5, 0), (9, 0), (5, 1), (9, 1)]
    assert {type(each) for each in planned} == {Walk}
    assert len(planned_runs(study(), order(quick=True), registry)) == 2
    (longer, _) = planned_runs(study(), order(seeds=(0,), overrides=("agent.total_steps=77",)), registry)
    assert longer.plan.agent.config.total_steps == 77


def test_a_run_waits_in_the_stage_after_the_last_that_it_waits_for(registry):
    planned = planned_runs(study(), order(), registry)
    assert [[each.size for each in stage] for stage in stages(planned)] == [[5, 5], [9, 9]]
    small, large, other, _ = planned
    chain = [large, replace(small, after=(large.plan.identity, other.plan.identity)), other]
    chain[0] = replace(large, after=(other.plan.identity,))
    assert [[each.plan.identity for each in stage] for stage in stages(chain)] == [
        [other.plan.identity],
        [large.plan.identity],
        [small.plan.identity],
    ]


def test_runs_that_overrides_make_one_are_carried_out_once(registry):
    planned = planned_runs(study(), order(seeds=(0,), overrides=("environment.size=7",)), registry)
    assert len(planned) == 2
    (stage,) = stages([replace(each, after=()) for each in planned])
    assert stage == [replace(planned[0], after=())]


def test_a_run_that_waits_for_what_never_comes_is_refused(registry):
    small, large, *_ = planned_runs(study(), order(), registry)
    with pytest.raises(
        PluginError, match=rf"run {large.plan.identity[:12]} waits for {small.plan.identity[:12]}, which"
    ):
        stages([large])
    with pytest.raises(PluginError, match="runs wait for each other: "):
        stages([replace(small, after=(large.plan.identity,)), large])
    with pytest.raises(PluginError, match=r"reproduction 'study': run .* is not planned"):
        planned_runs(study(plan=lambda order, registry: [large]), order(), registry)


BROKEN = "Report it to the plugin's authors."


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda order, registry: [], "reproduction 'study' has no run for these options: choose others, or leave them"),
        (
            lambda order, registry: 1 / 0,
            f"failed while it planned its runs: ZeroDivisionError: division by zero. {BROKEN}",
        ),
        (lambda order, registry: None, "failed while it planned its runs: TypeError: "),
        (lambda order, registry: ["walk"], f"planned 'walk', expected PlannedRun. {BROKEN}"),
        (
            lambda order, registry: [PlannedRun(plan="walk.yaml", labels={})],
            "planned a run of 'walk.yaml', expected a RunPlan of load_manifest(...).runs(). ",
        ),
        (
            lambda order, registry: [
                replace(each, labels={str(i): ""}) for i, each in enumerate(plan(order, registry))
            ],
            "labels of a run are 1, of another 0; expected the same for all. ",
        ),
    ],
)
def test_what_is_no_plan_is_one_line(registry, made, message):
    with pytest.raises((ConfigurationError, PluginError)) as caught:
        planned_runs(study(plan=made), order(), registry)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_plan_says_of_its_order_is_the_users(registry):
    with pytest.raises(ConfigurationError, match=r"^unknown size '7'\. Known: 5, 9$"):
        planned_runs(study(), order(options=StudyOptions(sizes=("7",))), registry)
    with pytest.raises(ManifestError, match=r"agent\.total_stps"):
        planned_runs(study(), order(overrides=("agent.total_stps=7",)), registry)


def test_a_missing_need_is_named_before_anything_is_planned():
    def never(order, registry):
        pytest.fail("planned without what it needs")

    with pytest.raises(PluginError, match=r"^reproduction 'study' needs environment 'walk', which cannot be used: unk"):
        planned_runs(study(plan=never), order(), Registry.load([]))


def test_names_are_checked_with_the_nearest():
    check_names("method", ["apq"], ["apq", "ptq"])
    with pytest.raises(ConfigurationError, match=r"^unknown method 'apqq'\. Did you mean 'apq'\? Known: apq, lsq$"):
        check_names("method", ["apqq"], ["apq", "lsq"])
