"""What is recorded of a steered run, against numbers computed apart."""

import json
import math

import numpy as np
import pytest

from qecforge import Registry, RunOptions, Store, load_manifest, run_manifest
from qecforge.errors import ConfigurationError, DecoderError
from qecforge.parameters import GaussianParameters, ParameterTrajectory
from qecforge.testing.contexts import RecordingEvaluation
from qecforge_surface_steering import SurfaceSteering, SurfaceSteeringConfig
from qecforge_surface_steering.decoding.logical import LogicalCounts, LogicalMemory, per_cycle
from qecforge_surface_steering.decoding.priors import nominal_errors
from qecforge_surface_steering.evaluations.config import GradientRelationConfig, SteeringEvaluationConfig
from qecforge_surface_steering.evaluations.gradient_relation import evaluate_gradient_relation
from qecforge_surface_steering.evaluations.steering import evaluate_steering

STEP = {"profile": "step", "begins": 10, "amplitude": 2.0, "gates": ["xy1", "xy2"], "kinds": ["amplitude"]}
WAVE = {"profile": "sinusoid", "frequency": 0.03, "amplitude": 4.0, "gates": ["cz*"], "kinds": ["strength"]}
OTHER = {"profile": "step", "begins": 20, "amplitude": -1.0, "gates": ["xy2"], "kinds": ["amplitude"]}
EPOCHS = [0, 5, 10, 15, 30, 40]


def make(seed=0, **settings):
    defaults = {"distance": 3, "rounds": 4, "parameters_per_gate": 2, "horizon": 40, "drift": [STEP, WAVE, OTHER]}
    defaults["floor"] = {"single_qubit": 2e-3, "two_qubit": 8e-3, "spread": 0.5}
    return SurfaceSteering(SurfaceSteeringConfig.model_validate(defaults | settings), num_envs=1, seed=seed)


def following(env, share=0.6, epochs=EPOCHS):
    """A policy that had gone `share` of the way to the optimum at each snapshot."""
    start = env.initial_parameters
    means = [start + share * (env.optimum(min(epoch, 39)) - start) for epoch in epochs]
    return GaussianParameters(means[-1], np.ones(len(start)), ParameterTrajectory(epochs, means))


class Recorder(RecordingEvaluation):
    """Takes each step of a series once."""

    def record(self, metric, step, value):
        assert step not in self.series.get(metric, {}), (metric, step)
        assert isinstance(step, int)
        super().record(metric, step, value)


def evaluated(env, policy, **settings):
    context = Recorder()
    evaluate_steering(env, policy, SteeringEvaluationConfig.model_validate({"ler_epochs": 0} | settings), context)
    return context.series


def test_rates_distances_and_totals_are_the_environments_own():
    env = make()
    policy = following(env)
    record = evaluated(env, policy, settle=7)
    means = dict(zip(EPOCHS, policy.trajectory.means.astype(np.float64), strict=True))
    controls = {
        "fixed": lambda epoch: env.initial_parameters,
        "steered": means.get,
        "optimal": env.optimum,
    }
    for name, control in controls.items():
        assert list(record[f"steering/{name}/rate"]) == EPOCHS
        for epoch in EPOCHS:
            x = control(epoch)
            assert record[f"steering/{name}/rate"][epoch] == pytest.approx(env.true_rates(x, epoch).mean(), rel=1e-12)
            off = (x - env.optimum(epoch)) / env.exploration_scale
            assert record[f"steering/{name}/distance"][epoch] == pytest.approx(np.sqrt(np.mean(off**2)), abs=1e-12)

    def between(epoch):
        return [np.interp(epoch, EPOCHS, column) for column in policy.trajectory.means.T.astype(np.float64)]

    controls["steered"] = between
    for name, control in controls.items():
        expected = np.mean([env.true_rates(np.asarray(control(t)), t).mean() for t in range(7, 40)])
        assert record[f"steering/{name}/total"] == {40: pytest.approx(expected, rel=1e-12)}
    totals = [record[f"steering/{name}/total"][40] for name in ("optimal", "steered", "fixed")]
    assert totals == sorted(totals)
    assert totals[2] > 1.1 * totals[0]


def test_stabilizers_are_recorded_before_and_after():
    env = make()
    policy = following(env)
    record = evaluated(env, policy)
    names = [name for name in record if name.startswith("steering/stabilizer/")]
    assert len(names) == 2 * env.model.num_objectives
    for name, last in (("fixed", env.initial_parameters), ("steered", policy.trajectory.means[-1].astype(float))):
        for objective, rate in zip(env.model.objective_names, env.true_rates(last, 40), strict=True):
            assert record[f"steering/stabilizer/{name}/{objective}"] == {
                0: pytest.approx(
                    env.true_rates(env.initial_parameters, 0)[env.model.objective_names.index(objective)], rel=1e-6
                ),
                40: pytest.approx(rate, rel=1e-12),
            }


def test_the_response_to_a_step_is_the_share_of_the_way_that_control_has_gone():
    env = make()
    record = evaluated(env, following(env, 0.25))
    assert [name for name in record if "response" in name] == ["steering/response/0"]
    before = 0.25 * 1.0
    shares = {10: 0.25, 15: 0.25, 30: 0.25, 40: 0.25}
    assert record["steering/response/0"] == {t: pytest.approx(v - before, abs=1e-6) for t, v in shares.items()}
    late = {"profile": "step", "begins": 12, "amplitude": 2.0, "gates": ["xy1"], "direction": "normal"}
    env = make(drift=[WAVE, late])
    record = evaluated(env, following(env, 0.25))
    begun = 0.25 * 2 / 5
    expected = {15: 0.25 - begun, 30: 0.25 - begun, 40: 0.25 - begun}
    assert record["steering/response/1"] == {t: pytest.approx(v, abs=1e-6) for t, v in expected.items()}


def test_parameters_that_two_profiles_move_have_no_response():
    env = make(drift=[STEP | {"gates": ["xy2"]}, OTHER])
    assert not any("response" in name for name in evaluated(env, following(env)))


def test_traces_take_the_profiles_in_turn():
    env = make()
    policy = following(env)
    record = evaluated(env, policy, traces=4)
    names = [name.split("/")[2] for name in record if name.endswith("/mean")]
    assert names[0] == "xy1.amplitude"
    assert names[1].startswith("cz")
    assert names[2] == "xy2.amplitude"
    assert len(names) == 4
    number = env.parameter_names.index("xy2.amplitude")
    expected = {t: pytest.approx(env.optimum(t)[number]) for t in EPOCHS}
    assert record["steering/trace/xy2.amplitude/optimum"] == expected
    mean = dict(zip(EPOCHS, policy.trajectory.means[:, number], strict=True))
    assert record["steering/trace/xy2.amplitude/mean"] == {t: pytest.approx(float(v)) for t, v in mean.items()}
    assert not any("trace" in name for name in evaluated(env, policy, traces=0))


def test_logical_error_rates_are_those_of_circuits_and_decoders_made_by_hand():
    env = make()
    policy = following(env)
    record = evaluated(env, policy, ler_epochs=3, shots=20_000, priors=["nominal", "learned", "true"])
    nominal = nominal_errors(env.config, env.circuits[0].arity)
    memory = LogicalMemory(env.circuits, rounds=4, reference=nominal)
    means = dict(zip(EPOCHS, policy.trajectory.means, strict=True))
    for name in ("fixed", "steered", "optimal"):
        for prior in ("nominal", "learned", "true"):
            path = f"steering/{name}/{prior}"
            if name == "optimal" and prior == "learned":
                assert f"{path}/ler" not in record
                continue
            assert list(record[f"{path}/ler"]) == [0, 15, 40]
            for epoch in (0, 15, 40):
                errors, shots = record[f"{path}/errors"][epoch], record[f"{path}/shots"][epoch]
                assert shots > 0.3 * 20_000
                assert record[f"{path}/ler"][epoch] == pytest.approx(per_cycle(errors / shots, 4), rel=1e-9)
                assert 0.3 < record[f"{path}/effective"][epoch] <= 1.0001
                x = {"fixed": env.initial_parameters, "steered": means[epoch], "optimal": env.optimum(epoch)}[name]
                device = env.gate_errors(x, epoch)
                belief = nominal if prior == "nominal" else device
                again = memory.decoder(belief).count(memory.sample(device, shots=40_000, seed=123)).interval(0.9999)
                here = LogicalCounts(round(shots), round(errors), 4).interval(0.9999)
                assert here.low < again.high
                assert again.low < here.high
    assert record["steering/fixed/nominal/ler"][15] > record["steering/optimal/nominal/ler"][15] * 1.2
    path = "steering/optimal/nominal/reduction"
    low, lower, high = (record[f"{path}{end}"][15] for end in ("_low", "", "_high"))
    fixed, optimal = (record[f"steering/{name}/nominal/ler"][15] for name in ("fixed", "optimal"))
    assert lower == pytest.approx(1 - optimal / fixed)
    assert low < lower < high < low + 0.15
    assert "steering/fixed/nominal/reduction" not in record


def test_everything_repeats_and_another_seed_does_not():
    def once(seed):
        env = make(seed, device_seed=1)
        return evaluated(env, following(env), ler_epochs=2, shots=500, calibration_shots=500)

    first = once(0)
    assert once(0) == first
    other = once(1)
    changed = {name for name in first if other[name] != first[name]}
    assert "steering/fixed/nominal/errors" in changed
    counted = ("/errors", "/shots", "/ler", "/effective", "/reduction", "/reduction_low", "/reduction_high")
    assert all(name.endswith(counted) for name in changed)
    assert first["steering/fixed/nominal/errors"] != other["steering/fixed/nominal/errors"]


def test_a_decoder_that_need_not_change_is_made_once(monkeypatch):
    made = []
    decoder = LogicalMemory.decoder
    monkeypatch.setattr(LogicalMemory, "decoder", lambda self, prior: made.append(1) or decoder(self, prior))
    env = make(drift=[])
    evaluated(env, following(env), ler_epochs=6, shots=100, policies=["fixed"], priors=["nominal", "true"])
    assert len(made) == 2


def test_a_table_may_end_with_the_last_epoch():
    table = {"profile": "table", "values": [[0.1 * t] for t in range(40)], "gates": ["xy*"]}
    env = make(drift=[table])
    record = evaluated(env, following(env), ler_epochs=2, shots=100)
    number = env.parameter_names.index("xy0.amplitude")
    assert record["steering/trace/xy0.amplitude/optimum"][40] == pytest.approx(env.optimum(39)[number])


def test_policies_may_be_left_out():
    record = evaluated(make(), following(make()), policies=["optimal"], ler_epochs=1, shots=50, priors=["nominal"])
    assert {name.split("/")[1] for name in record} == {"optimal", "response", "trace"}
    assert list(record["steering/optimal/nominal/ler"]) == [0]


ONE_GATE = """
R 0 1
Z[g] 0 1
M 0 1
DETECTOR(0, 0, 0) rec[-2]
OBSERVABLE_INCLUDE(0) rec[-1]
"""


def one_gate(**settings):
    """One parameter; the logical error rate and the detection rate are both 2 p/3."""
    start = {"kind": "miscalibrated", "sigma": 2.0}
    values = {"code": "circuit", "circuit": ONE_GATE, "rounds": 1, "parameters_per_gate": 1, "start": start}
    floor = {"floor": {"single_qubit": 0.05, "two_qubit": 0.05}, "curvature": {"single_qubit": 0.05, "two_qubit": 0.05}}
    config = SurfaceSteeringConfig.model_validate(values | floor | settings)
    return SurfaceSteering(config, num_envs=1, seed=3)


@pytest.mark.parametrize("prior", ["nominal", "true"])
def test_the_gradient_relation_of_a_single_gate_is_known(prior):
    env = one_gate()
    context = Recorder()
    config = GradientRelationConfig(directions=6, step=0.4, shots=40_000, decoder="ml_lookup", prior=prior)
    evaluate_gradient_relation(env, following(env, epochs=[0, 1]), config, context)
    record = context.series
    assert context.reports == [(number, 6) for number in range(1, 7)]
    x, scale = env.initial_parameters[0], env.exploration_scale[0]
    p = [env.gate_errors([x + sign * 0.4 * scale], 0)[0] for sign in (1, -1, 0)]
    slope = math.log(p[0] / p[1]) / 0.8
    assert abs(slope) > 0.5
    assert record["gradient_relation/rate"] == {0: pytest.approx(2 / 3 * p[2], rel=1e-12)}
    interval = LogicalCounts(40_000, round(40_000 * 2 / 3 * p[2]), 1).interval(0.99999)
    assert interval.low < record["gradient_relation/ler"][0] < interval.high
    for number in range(6):
        assert abs(record["gradient_relation/dlog_rate"][number]) == pytest.approx(abs(slope), rel=1e-9)
        sign = math.copysign(1, record["gradient_relation/dlog_rate"][number] * slope)
        error = record["gradient_relation/dlog_ler_error"][number]
        variance = sum((1 - 2 / 3 * q) / (2 / 3 * q) / 40_000 for q in p[:2])
        assert 0 < error < 0.1 * math.sqrt(variance) / 0.8
        assert abs(record["gradient_relation/dlog_ler"][number] - sign * slope) < 5 * error


def test_the_gradient_relation_repeats():
    def once(seed):
        context = Recorder()
        env = make(seed, device_seed=1, start={"kind": "miscalibrated", "sigma": 1.0})
        config = GradientRelationConfig(directions=2, shots=1000)
        evaluate_gradient_relation(env, following(env), config, context)
        return context.series

    assert once(0) == once(0)
    assert once(0)["gradient_relation/dlog_rate"] != once(1)["gradient_relation/dlog_rate"]


def test_what_is_refused():
    env = make()
    plain = GaussianParameters(env.initial_parameters, np.ones(len(env.initial_parameters)))
    for policy in (plain, object()):
        with pytest.raises(ConfigurationError, match=r"no trajectory.*agent.snapshots"):
            evaluated(env, policy)
    with pytest.raises(ConfigurationError, match="settle: 40"):
        evaluated(env, following(env), settle=40)
    short = GaussianParameters([1.0], [1.0], ParameterTrajectory([0, 1], [[0.0], [1.0]]))
    with pytest.raises(ConfigurationError, match="1 parameters, expected 82"):
        evaluated(env, short)
    with pytest.raises(ConfigurationError, match="expected SurfaceSteering"):
        evaluated(object(), following(env))
    with pytest.raises(ConfigurationError, match="expected SurfaceSteering"):
        evaluate_gradient_relation(object(), plain, GradientRelationConfig(), Recorder())
    with pytest.raises(ConfigurationError, match="no logical error in 2 shots, too few"):
        evaluate_gradient_relation(env, plain, GradientRelationConfig(shots=2), Recorder())


def test_matching_is_refused_where_faults_are_no_edges():
    env = make(code="color", drift=[])
    with pytest.raises(DecoderError, match="pymatching"):
        evaluated(env, following(env), ler_epochs=1, decoder="pymatching")
    with pytest.raises(DecoderError, match="pymatching"):
        evaluate_gradient_relation(env, following(env), GradientRelationConfig(decoder="pymatching"), Recorder())
    record = evaluated(env, following(env), ler_epochs=1, shots=200, policies=["optimal"])
    assert record["steering/optimal/nominal/shots"][0] == pytest.approx(200, rel=0.1)


def test_a_circuit_without_observable_has_no_logical_error_rate():
    env = one_gate(circuit=ONE_GATE.replace("OBSERVABLE_INCLUDE(0) rec[-1]", ""))
    policy = following(env, epochs=[0, 1])
    assert "steering/fixed/rate" in evaluated(env, policy)
    with pytest.raises(ConfigurationError, match="OBSERVABLE_INCLUDE"):
        evaluated(env, policy, ler_epochs=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shots": 0}, "greater than or equal to 1"),
        ({"calibration_shots": 0}, "greater than or equal to 1"),
        ({"policies": ["fixed", "fixed"]}, "fixed is given twice: give each once"),
        ({"priors": []}, "at least 1 item"),
        ({"priors": ["best"]}, "nominal"),
        ({"decoder": "blossom"}, "pymatching"),
        ({"ler_epochs": -1}, "greater than or equal to 0"),
        ({"prior_spread": 0}, "greater than 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SteeringEvaluationConfig.model_validate(settings)


def test_a_manifest_names_them_and_the_store_keeps_what_they_record(tmp_path):
    manifest = load_manifest(
        json.dumps(
            {
                "qecforge": 1,
                "name": "steered",
                "environment": {"plugin": "surface_steering", "distance": 3, "rounds": 3, "parameters_per_gate": 1},
                "agent": {"plugin": "parameter_ppo", "total_epochs": 12, "snapshots": 5},
                "evaluation": {
                    "steering": {"ler_epochs": 3, "shots": 200, "priors": ["nominal"]},
                    "gradient_relation": {"directions": 3, "shots": 2000},
                },
            }
        ),
        registry=Registry.load(),
    )
    (outcome,) = run_manifest(manifest, options=RunOptions(f"sqlite:///{tmp_path}/results.db"))
    assert outcome.status == "finished", outcome.error
    with Store(f"sqlite:///{tmp_path}/results.db", read_only=True) as store:
        (run,) = store.runs()
        assert store.metrics(run.id, "steering/steered/rate").step.tolist() == [0, 3, 6, 9, 12]
        assert store.metrics(run.id, "steering/fixed/nominal/ler").step.tolist() == [0, 6, 12]
        assert store.metrics(run.id, "steering/optimal/nominal/shots").value == pytest.approx(200, rel=0.1)
        assert store.metrics(run.id, "gradient_relation/dlog_ler").step.tolist() == [0, 1, 2]
        fixed = store.metrics(run.id, "steering/fixed/total")
        assert fixed.value[0] == pytest.approx(store.metrics(run.id, "steering/optimal/total").value[0], rel=1e-12)
