"""The reproduction of the APQ paper: its runs, and the tables made of a store that was filled by hand."""

from __future__ import annotations

import json
import math

import pytest
from apq_records import ABLATIONS, MAIN, file_run, made_fidelity, planned_runs

from qecforge import Registry, Store
from qecforge.errors import ConfigurationError
from qecforge.evaluation.built_in import DECISION_FIDELITY, LOGICAL_ERROR_RATE
from qecforge.evaluation.error_rates.noise import canonical_noise
from qecforge.evaluation.error_rates.records import ErrorCounts
from qecforge.evaluation.statistics import mean_interval, wilson_interval
from qecforge.reporting.spread import Spread
from qecforge.reporting.tables import to_csv, to_json, to_text
from qecforge.reproduction.claims import claims_table
from qecforge.reproduction.planning import stages
from qecforge.testing.examples import example_code, example_task
from qecforge_apq.reproduction.claims import claims
from qecforge_apq.reproduction.codes import codes_table
from qecforge_apq.reproduction.details import flips_table, latency_table, noise_table, search_table
from qecforge_apq.reproduction.report import error_rate_curves
from qecforge_apq.reproduction.runs import PAPER_EXPERIMENTS, collect, methods, plan_runs
from qecforge_apq.reproduction.tables import ablation_table, decision_table


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "results.db") as opened:
        yield opened


@pytest.fixture
def filled(store):
    planned = planned_runs()
    for each in planned:
        file_run(store, each)
    return collect(store, planned)


def test_every_experiment_and_method_is_a_valid_manifest():
    experiments = [*PAPER_EXPERIMENTS, "e1_6bits", "e3_2bits"]
    planned = plan_runs(experiments, list(methods()), seeds=range(5), registry=Registry.load())
    teachers = [each for each in planned if each.method.quantizer is None]
    assert [each.experiment for each in teachers[::5]] == list(PAPER_EXPERIMENTS), "at other widths they are the same"
    assert len(planned) == len(teachers) + len(experiments) * (len(methods()) - 1) * 5
    assert len({each.plan.identity for each in planned}) == len(planned)
    bits = {each.experiment: each.plan.quantization.quantizer.config.bits for each in planned if each not in teachers}
    assert bits == dict.fromkeys(PAPER_EXPERIMENTS, 8) | {"e1_6bits": 6, "e3_2bits": 2}
    for each in planned:
        agent = each.plan.agent.config
        assert (agent.gamma, agent.gae_lambda, agent.clip, agent.horizon) == (0.995, 0.95, 0.2, 128)
        assert (agent.learning_rate, agent.weight_decay, agent.total_steps) == (3e-4, 0.01, 300_000)
        assert {1e-3} <= set(each.plan.evaluation.of(LOGICAL_ERROR_RATE).strengths)
        assert (each.plan.evaluation.of(DECISION_FIDELITY) is not None) == (each.method.quantizer is not None)


def test_the_float_runs_are_the_teachers():
    """One training serves every quantizer: they name no other run than the first stage's."""
    first, second = stages(planned_runs(methods=(*MAIN, *ABLATIONS)))
    assert {each.method.name for each in first} == {"fp32"}
    teachers = {each.plan.seed: each.plan.identity for each in first}
    assert len(second) == 2 * 8
    for each in second:
        assert each.plan.quantization.teacher.identity == teachers[each.plan.seed]
        assert each.after == (teachers[each.plan.seed],)
    (alone,) = stages(planned_runs(methods=("ptq",)))
    assert [each.after for each in alone] == [(), ()]


def test_overrides_reach_the_manifests_that_they_are_about():
    overrides = [
        "agent.total_steps=5000",
        "quantizer.bits=4",
        "quantizer.fine_tune.total_steps=3000",
        "evaluation.decision_fidelity.states=50",
    ]
    planned = plan_runs(["e1"], MAIN, seeds=[0], registry=Registry.load(), overrides=overrides)
    runs = {each.method.name: each.plan for each in planned}
    assert {plan.agent.config.total_steps for plan in runs.values()} == {5000}
    assert {plan.quantization.quantizer.config.bits for name, plan in runs.items() if name != "fp32"} == {4}
    assert runs["fp32"].quantization is None
    assert {
        name: plan.quantization.fine_tuning.total_steps
        for name, plan in runs.items()
        if plan.quantization and plan.quantization.fine_tuning
    } == {
        "lsq": 3000,
        "apq": 3000,
    }
    assert runs["ptq"].evaluation.of(DECISION_FIDELITY).states == 50
    assert runs["ptq"].quantization.teacher.identity == runs["fp32"].identity


def test_the_deep_variant_has_a_layer_more():
    (run,) = planned_runs(("e1_deep",), ("fp32",), 1)
    assert run.plan.agent.config.policy.hidden_sizes == (512, 512, 512, 256)
    assert run.plan.agent.config.policy.activation == "gelu"


def test_ablations_are_what_the_paper_leaves_out():
    plans = {name: planned_runs(methods=(name,), seeds=1)[0].plan for name in ("apq", *ABLATIONS)}
    settings = {name: plan.quantization.quantizer.config for name, plan in plans.items()}
    assert (settings["apq"].pairwise, settings["apq"].ranking, settings["apq"].mode) == (True, "kl", "qat")
    assert settings["apq"].safe != "none"
    assert (settings["apq_no_ranking"].pairwise, settings["apq_no_ranking"].ranking) == (False, "none")
    assert (settings["apq_no_safe"].safe, settings["apq_no_safe"].pairwise) == ("none", True)
    assert (settings["apq_listwise"].pairwise, settings["apq_listwise"].ranking) == (False, "kl")
    assert settings["ptq_rank"].mode == "ptq_rank"


def test_the_papers_numbers_are_those_of_its_tables():
    """Table 2, then table 3 (top-1 %, tau, LER at 1e-3 and 1e-4)."""
    theirs = {
        "fp32": (100.0, 1.000, 1.80e-3, 1.6e-5),
        "ptq": (91.2, 0.867, 2.28e-3, 2.2e-5),
        "smoothquant": (95.1, 0.912, 1.95e-3, 1.9e-5),
        "lsq": (95.9, 0.930, 1.99e-3, 1.8e-5),
        "apq": (98.6, 0.955, 1.86e-3, 1.6e-5),
        "apq_no_ranking": (94.1, 0.902, 2.05e-3, 1.9e-5),
        "apq_no_safe": (96.0, 0.927, 1.98e-3, 1.8e-5),
        "apq_listwise": (97.3, 0.942, 1.93e-3, 1.7e-5),
        "ptq_rank": (95.2, 0.918, 2.01e-3, 1.8e-5),
    }
    assert [name for name, method in methods().items() if method.table != "ours"] == list(theirs)
    for name, (top1, *others) in theirs.items():
        paper = methods()[name].paper
        assert (round(100 * paper.top1, 6), paper.tau, paper.ler_1e3, paper.ler_1e4) == (top1, *others)


@pytest.mark.parametrize(
    ("experiments", "chosen", "message"),
    [(["e4"], ["ptq"], "unknown experiment 'e4'"), (["e1"], ["apqq"], "unknown method 'apqq'. Did you mean 'apq'")],
)
def test_unknown_names_are_one_line(experiments, chosen, message):
    with pytest.raises(ConfigurationError, match=message):
        plan_runs(experiments, chosen, seeds=[0], registry=Registry.load())


def test_table_2_by_hand(filled):
    rows = {row["method"]: row for row in decision_table(filled).rows}
    assert list(rows) == [methods()[name].label for name in MAIN]
    apq = rows["APQ"]
    assert apq["seeds"] == 2
    assert apq["top1"]["mean"] == pytest.approx(0.991)
    assert apq["top1"]["std"] == pytest.approx(0.002 / math.sqrt(2))
    interval = mean_interval([0.99, 0.992])
    assert (apq["top1"]["low"], apq["top1"]["high"]) == pytest.approx((interval.low, interval.high))
    assert apq["tau"]["mean"] == pytest.approx(1 - 0.009 * 2 / 3)
    assert (apq["top1_theirs"], apq["tau_theirs"]) == (0.986, 0.955)
    assert apq["ler_1e3"]["mean"] == pytest.approx(1.8e-3)
    assert apq["ler_1e4"]["mean"] == pytest.approx(2e-5)
    assert apq["ler_of"] == "[[5,1,3]] flag ml_lookup"
    teacher = rows["float teacher"]
    assert (teacher["top1"]["mean"], teacher["tau"]["mean"]) == (1.0, 1.0)


def test_only_what_the_manifest_asks_for_enters_the_rates(store):
    """The same code measured otherwise, by another manifest, is another number."""
    (planned,) = planned_runs(methods=("ptq",), seeds=1)
    file_run(store, planned)
    (record,) = store.codes()
    task = example_task(example_code("five_qubit"), 1e-3, extraction="shor", decoder="ml_lookup")
    store.add_error_counts(record.id, task, 0, ErrorCounts(shots=1000, errors=900))
    (result,) = collect(store, [planned])
    assert [(rate.p, rate.task.extraction) for rate in result.rates] == [(1e-4, "flag"), (1e-3, "flag")]


def test_of_two_decoders_the_one_that_auto_takes_enters_the_rates(store):
    (planned,) = planned_runs(methods=("fp32",), seeds=1)
    run_id = file_run(store, planned)
    code = store.codes(run=run_id)[0]
    noise = canonical_noise(planned.plan.evaluation.of(LOGICAL_ERROR_RATE).noise)
    for decoder in ("bposd", "tesseract"):
        task = example_task(example_code("five_qubit"), 1e-3, noise=noise, decoder=decoder)
        store.add_error_counts(code.id, task, 0, ErrorCounts(shots=2000, errors=7), run_id=run_id)
    (result,) = collect(store, [planned])
    assert [(rate.p, rate.task.decoder) for rate in result.rates] == [(1e-4, "ml_lookup"), (1e-3, "ml_lookup")]


def test_a_decoder_that_nobody_ranked_comes_after_those_that_are(store):
    """Of a plugin, say: alone it gives the rate, beside another it does not."""
    (planned,) = planned_runs(methods=("fp32",), seeds=1)
    run_id = file_run(store, planned)
    code = store.codes(run=run_id)[0]
    noise = canonical_noise(planned.plan.evaluation.of(LOGICAL_ERROR_RATE).noise)
    for p, decoder in ((1e-3, "chain_of_thought"), (3e-3, "chain_of_thought"), (3e-3, "another")):
        task = example_task(example_code("five_qubit"), p, noise=noise, decoder=decoder)
        store.add_error_counts(code.id, task, 0, ErrorCounts(shots=2000, errors=7), run_id=run_id)
    (result,) = collect(store, [planned])
    decoders = {rate.p: rate.task.decoder for rate in result.rates}
    assert decoders[1e-3] == "ml_lookup"
    assert decoders[3e-3] in ("chain_of_thought", "another")


def test_runs_that_did_not_finish_are_left_out(store):
    planned = planned_runs(methods=("fp32", "ptq"))
    run_id = file_run(store, planned[2])
    file_run(store, planned[3])
    store.mark_run(run_id, "interrupted")
    results = collect(store, planned)
    assert [(result.method.name, result.seed) for result in results] == [("ptq", 1)]
    (row,) = decision_table(results).rows
    assert row["seeds"] == 1
    assert math.isnan(row["top1"]["std"])


def test_another_seed_joins_those_that_are_there(store, filled):
    more = planned_runs(methods=("apq",), seeds=3)
    file_run(store, more[2])
    row = {row["method"]: row for row in decision_table(collect(store, more)).rows}["APQ"]
    assert row["seeds"] == 3
    assert row["top1"]["mean"] == pytest.approx(0.992)


def test_the_mean_over_experiments_needs_all_of_them(store):
    planned = planned_runs(("e1", "e2", "e3"), ("fp32", "apq"), 2)
    for each in planned[:-1]:
        file_run(store, each)
    rows = decision_table(collect(store, planned)).rows
    means = {row["method"]: row for row in rows if row["experiment"] == "mean"}
    assert means["float teacher"]["seeds"] == 2
    assert means["APQ"]["seeds"] == 1  # of seed 1 the third experiment is missing
    assert means["APQ"]["top1"]["mean"] == pytest.approx(0.99)
    assert means["APQ"]["ler_1e3"]["mean"] == pytest.approx(1.8e-3)
    assert means["APQ"]["ler_1e4"] is None  # E3 is not measured there: a mean over fewer would be another number


def test_table_3_stands_beside_apq(store):
    planned = planned_runs(methods=("fp32", "ptq", "apq", *ABLATIONS))
    for each in planned:
        file_run(store, each)
    results = collect(store, planned)
    rows = ablation_table(results).rows
    assert [row["method"] for row in rows] == [methods()[name].label for name in ("apq", *ABLATIONS)]
    assert rows[0]["seconds"]["mean"] == 1.0
    assert rows[0]["hours_theirs"] == 3.4
    assert "APQ w/o safe" not in {row["method"] for row in decision_table(results).rows}


def test_table_3_is_empty_without_ablations(filled):
    assert ablation_table(filled).rows == []


def test_flips_by_hand(filled):
    rows = [row for row in flips_table(filled).rows if row["method"] == "PTQ (per-tensor)"]
    assert [row["margin"] for row in rows] == ["[0, 0.1)", "[0.1, 0.2)", "[0.2, 0.3)", "[0.3, 0.5)", ">= 0.5"]
    assert (rows[0]["states"], rows[0]["flips"]) == (2000, 198)
    assert (rows[0]["distinct"], rows[0]["rate_distinct"]) == (1000, 0.099)
    alone = wilson_interval(99, 1000)  # visits of one state are no independent trials
    assert rows[0]["interval"] == [alone.low, alone.high]
    assert (rows[0]["theirs"], rows[1]["theirs"], rows[1]["rate"]) == (0.30, None, None)


def test_noise_by_hand(filled):
    row = next(row for row in noise_table(filled).rows if row["method"] == "APQ")
    assert row["noise"]["mean"] == pytest.approx(0.009 * 0.05, rel=1e-5)
    assert row["near_ties"]["mean"] == 1.0
    assert row["distinct"]["mean"] == 500


def test_search_is_beside_the_float_actor(filled):
    rows = {row["method"]: row for row in search_table(filled).rows}
    assert rows["APQ"]["steps_ratio"] == rows["APQ"]["successes_ratio"] == 2.0
    assert rows["float teacher"]["steps_ratio"] == 1.0
    assert rows["float teacher"]["successes_per_hour"]["mean"] == 3600.0
    assert (rows["APQ"]["rollouts"], rows["APQ"]["rollouts_ratio"]) == (6000.0, 2.0)
    assert rows["APQ"]["codes_ratio_theirs"] == 2.1
    assert rows["PTQ (per-tensor)"]["codes_ratio_theirs"] is None


def test_latency_is_beside_torch_fp16_and_the_best_float(filled):
    rows = [row for row in latency_table(filled).rows if row["method"] == "APQ"]
    assert len(rows) == 1  # of one seed
    assert rows[0]["speedup"] == pytest.approx(10.0)
    assert rows[0]["speedup_best"] == pytest.approx(25 / 8)
    assert rows[0]["theirs"] == pytest.approx(2.74 / 0.72)
    assert rows[0]["microseconds"] == pytest.approx(8.0)
    assert rows[0]["steps_theirs"] == 1410
    floats = [row for row in latency_table(filled).rows if row["method"] == "float teacher"]
    theirs = {(row["precision"], row["runtime"]): row["steps_theirs"] for row in floats}
    assert theirs == {("fp32", "torch"): None, ("fp16", "torch"): 365, ("fp32", "onnxruntime"): None}


GOALS = (
    "APQ: top-1 at least 98.6 %",
    "APQ: tau at least 0.955",
    "APQ: flips below 10.0 % of distinct states at margins in [0, 0.1)",
)


def rows_of(results):
    return claims_table(claims(results)).rows


def verdicts(results, experiment="e1"):
    return {row["claim"]: row["holds"] for row in rows_of(results) if row["part"] == experiment}


def test_claims_say_what_holds(store):
    planned = planned_runs(seeds=5)
    for each in planned:
        file_run(store, each)
    results = collect(store, planned)
    said = verdicts(results)
    assert [said[goal] for goal in GOALS] == [True, True, True]
    pairs = (("apq", "lsq"), ("lsq", "smoothquant"), ("smoothquant", "ptq"), ("apq", "ptq"))
    assert [said[f"top-1: {one} above {other}, by"] for one, other in pairs] == [True] * 4
    worse = made_fidelity(0.80)
    for result in results:
        if result.method.name == "apq":
            store.add_policy_evaluation(result.run.id, "decision_fidelity", {}, payload=worse.to_payload())
    said = verdicts(collect(store, planned))
    assert [said[goal] for goal in GOALS] == [False, False, False]
    assert said["top-1: apq above lsq, by"] is False
    assert said["top-1: lsq above smoothquant, by"] is True


def test_what_the_seeds_disagree_about_is_not_decided(filled, store):
    """Means of 99.1 and 94.1 %, but two seeds: Student's interval of 99.1 +- 0.14 reaches below 98.6."""
    assert verdicts(filled)["APQ: top-1 at least 98.6 %"] is None
    for result in filled:
        if (result.method.name, result.seed) == ("smoothquant", 0):
            payload = made_fidelity(0.5).to_payload()
            store.add_policy_evaluation(result.run.id, "decision_fidelity", {}, payload=payload)
    found = collect(store, planned_runs())
    assert verdicts(found)["top-1: lsq above smoothquant, by"] is None  # better by 46 and by 2 points
    text = to_text(claims_table(claims(found)))
    assert "not decided" in text
    (alone,) = {row["holds"] for row in rows_of([each for each in found if each.seed == 0])}
    assert alone is None


def test_claims_about_the_mean_take_all_three_experiments(store):
    planned = planned_runs(experiments=("e1", "e2", "e3"), methods=("fp32", "ptq", "apq"), seeds=3)
    for each in planned:
        if (each.experiment, each.plan.seed) != ("e3", 2):
            file_run(store, each)
    rows = [row for row in rows_of(collect(store, planned)) if row["part"] == "mean"]
    assert {row["seeds"] for row in rows} == {2}
    assert rows[0]["value"]["mean"] == pytest.approx(0.991)


def test_codes_behind_the_rates_are_counted_once(filled):
    """Every run of the store found one and the same code."""
    rows = {row["method"]: row for row in codes_table(filled).rows}
    assert (rows["APQ"]["codes"], rows["APQ"]["as_teacher"], rows["APQ"]["seeds"]) == (1, 2, 2)
    assert (rows["APQ"]["errors_1e3"], rows["APQ"]["shots_1e3"]) == (180, 100_000)
    assert (rows["APQ"]["errors_1e4"], rows["APQ"]["shots_1e4"]) == (2, 100_000)
    assert rows["float teacher"]["as_teacher"] is None


def test_latency_is_compared_on_one_cpu_only(filled, store):
    for result in filled:
        if result.method.name == "apq" and result.latency:
            payload = {**result.latency, "cpu": "another"}
            store.add_policy_evaluation(result.run.id, "latency", {"latency_us": 1.0}, payload=payload)
    rows = {row["method"]: row for row in latency_table(collect(store, planned_runs())).rows}
    assert (rows["APQ"]["speedup"], rows["APQ"]["speedup_best"]) == (None, None)
    assert rows["PTQ (per-tensor)"]["speedup"] is not None


def test_tables_can_be_written_in_every_format(filled):
    for table in (decision_table(filled), flips_table(filled), search_table(filled), latency_table(filled)):
        assert len(json.loads(to_json(table))) == len(table.rows)
        assert len(to_csv(table).splitlines()) == len(table.rows) + 1
        assert to_text(table)
    text = to_text(decision_table(filled))
    assert "99.10 ± 0.14 [97.83, 100.37]" in text
    assert "1.8e-03 ± 0" in text


def test_curves_add_the_counts_of_all_seeds(filled):
    group = [result for result in filled if result.method.name == "apq"]
    (low, high) = error_rate_curves(group)
    assert (low.x, high.x) == (1e-4, 1e-3)
    assert high.y == pytest.approx(1.8e-3)
    assert high.low < 1.8e-3 < high.high


def test_a_spread_of_nothing_is_none():
    assert Spread.of([None, math.nan]) is None
    alone = Spread.of([0.5, None])
    assert (alone.mean, alone.seeds) == (0.5, 1)
