"""Decoder steering: its rewards against decoding by hand, its priors, and that an agent learns them."""

from pathlib import Path

import numpy as np
import pytest

from qecforge import Registry, RunOptions, Store, load_manifest, run_manifest
from qecforge.errors import ConfigurationError, DecoderError
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge.evaluation.statistics import wilson_interval
from qecforge.testing.contexts import RecordingEvaluation
from qecforge_ppo.parameters.agent import ParameterPPO
from qecforge_ppo.parameters.config import ParameterPPOConfig
from qecforge_surface_steering import qecforge_environments
from qecforge_surface_steering.decoder_config import DecoderPriorsConfig, DecoderSteeringConfig
from qecforge_surface_steering.decoder_environment import DecoderSteering
from qecforge_surface_steering.evaluations.decoder_priors import compare_priors

EXAMPLE = Path(__file__).parents[4] / "examples" / "steering" / "decoder_d3.yaml"
BAD = {"cz4-*": 0.03, "xy14": 0.03}
FLOOR = {"single_qubit": 5e-4, "two_qubit": 2e-3, "gates": BAD}
DEVICE = {"distance": 3, "rounds": 4, "parameters_per_gate": 1, "device_seed": 1, "floor": FLOOR}


def make(num_envs=3, seed=0, device=None, **changes):
    settings = {"device": DEVICE | (device or {}), "shots": 3000} | changes
    return DecoderSteering(DecoderSteeringConfig.model_validate(settings), num_envs=num_envs, seed=seed)


def drawn(env, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return size * rng.standard_normal((env.num_envs, len(env.parameter_names)))


def test_reward_is_what_decoding_by_hand_gives(monkeypatch):
    """Shots are caught on their way and decoded by decoders made from circuits that have the candidate's errors."""
    env = make(device={"measurement_error": 0.01})
    caught = []
    sample = env._memory.sample
    monkeypatch.setattr(
        env._memory, "sample", lambda *args, **kwargs: caught.append(sample(*args, **kwargs)) or caught[-1]
    )
    actions = drawn(env)
    _, rewards, _, _, infos = env.step(actions)
    (shots,) = caught
    nominal = np.where(env.device.circuits[0].arity == 1, 5e-4, 2e-3)
    c = env.device.circuits[0].attenuation
    for reward, action in zip(rewards, actions, strict=True):
        p = (1 - (1 - c * nominal) ** np.exp(action)) / c
        errors = 0
        for circuit, events, flips in zip(env.device.circuits, shots.events, shots.observables, strict=True):
            decoder = compile_decoder("pymatching", circuit.with_noise(p))
            errors += int((decoder.decode_shots_bit_packed(bit_packed_detection_event_data=events) != flips).sum())
        per_shot = errors / 3000
        assert reward == pytest.approx(-(1 - (1 - 2 * per_shot) ** (1 / 4)) / 2, rel=1e-6)
        assert errors > 10
    assert infos["cost"] == pytest.approx(-rewards.mean(), rel=1e-6)


def test_shots_are_those_of_the_device():
    """With the nominal prior: the rate of circuits that have the device's own errors, sampled and decoded by hand."""
    env = make(shots=60_000, num_envs=1)
    per_cycle = -env.step(np.zeros((1, 41)))[1][0]
    measured = round((1 - (1 - 2 * per_cycle) ** 4) / 2 * 60_000)
    errors = 0
    for circuit in env.device.circuits:
        decoder = compile_decoder("pymatching", circuit.with_noise(env.nominal))
        sampler = circuit.with_noise(env.gate_errors).compile_detector_sampler(seed=3)
        events, flips = sampler.sample(60_000, separate_observables=True, bit_packed=True)
        errors += int((decoder.decode_shots_bit_packed(bit_packed_detection_event_data=events) != flips).sum())
    ours = wilson_interval(measured, 60_000, confidence=0.9999)
    theirs = wilson_interval(errors, 120_000, confidence=0.9999)
    assert ours.low < theirs.high
    assert theirs.low < ours.high


def test_candidates_meet_the_same_shots_which_are_new_in_each_epoch():
    env = make()
    same = np.tile(drawn(env)[:1], (3, 1))
    first, second = env.step(same)[1], env.step(same)[1]
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


def test_the_device_is_held():
    """Control and epoch decide its errors; its drift has no part in the clock of training."""
    drift = [{"profile": "step", "begins": 5, "amplitude": 2.0, "gates": ["cz0-9"]}]
    before, after, optimal = (
        make(device={"drift": drift}, epoch=epoch, control=control)
        for epoch, control in ((4, "fixed"), (5, "fixed"), (5, "optimal"))
    )
    g = [gate.name for gate in before.device.model.gates].index("cz0-9")
    np.testing.assert_array_equal(before.gate_errors, optimal.gate_errors)
    assert np.flatnonzero(before.gate_errors != after.gate_errors).tolist() == [g]
    assert after.gate_errors[g] == pytest.approx(15 / 16 * -np.expm1(-(2e-3 + 4e-3 * 4) * 16 / 15))
    errors = before.gate_errors.copy()
    for _ in range(3):
        before.step(drawn(before))
    np.testing.assert_array_equal(before.gate_errors, errors)


def test_parameters_and_priors():
    """0 is the nominal prior, small errors grow by the factor, large ones stop at p_max; the way back is exact."""
    env = make()
    np.testing.assert_allclose(env.priors(np.zeros(41)), env.nominal, rtol=1e-14)
    np.testing.assert_allclose(env.priors(np.full(41, -5.0)), env.nominal * np.exp(-5), rtol=2e-3)
    np.testing.assert_allclose(env.priors(np.full(41, 1e3)), env.device.circuits[0].p_max)
    assert (env.priors(np.full(41, -1e3)) > 0).all()
    np.testing.assert_allclose(env.priors(env.parameters_of(env.gate_errors)), env.gate_errors, rtol=1e-12)
    assert env.priors(drawn(env)).shape == (3, 41)
    assert env.parameter_names[:2] == ("xy0.prior", "xy1.prior")


def test_kinds_share_a_number():
    env = make(parameters="kind", num_envs=2)
    assert env.parameter_names == ("single_qubit.prior", "two_qubit.prior")
    arity = env.device.circuits[0].arity
    np.testing.assert_allclose(env.priors([np.log(2), 0.0]) / env.nominal, np.where(arity == 1, 2, 1), rtol=1e-3)
    logs = np.log(env.gate_errors / env.nominal)
    expected = [logs[arity == 1].mean(), logs[arity == 2].mean()]
    np.testing.assert_allclose(env.parameters_of(env.gate_errors), expected, atol=0.01)


def test_learned_prior_is_where_tuning_starts():
    env = make(prior="learned", calibration={"shots": 50_000})
    start = env.priors(env.initial_parameters)
    np.testing.assert_allclose(start, env.learned_errors(), rtol=1e-9)
    bad = env.gate_errors > 0.02
    np.testing.assert_allclose(start[bad], env.gate_errors[bad], rtol=0.25)
    learned, nominal, true = env.logical_counts(np.stack([start, env.nominal, env.gate_errors]), 40_000)
    assert learned.errors < 0.7 * nominal.errors
    assert true.errors < 0.7 * nominal.errors


def test_assessments_see_other_shots_and_leave_training_as_it_is():
    plain, assessed = make(assess_shots=30_000), make(assess_shots=30_000)
    true = assessed.parameters_of(assessed.gate_errors)
    found = assessed.assess(true)
    assert found == assessed.assess(true)
    assert found["logical_error_rate"] < 0.7 * found["logical_error_rate_nominal"]
    actions = drawn(plain)
    np.testing.assert_array_equal(plain.step(actions)[1], assessed.step(actions)[1])
    assert plain.state_dict() == assessed.state_dict()
    assert assessed.assess(true) != found


def test_an_agent_learns_the_priors():
    """Half of what knowing the device would bring, at least, is there after seconds; measured on shots of its own."""
    config = ParameterPPOConfig(total_epochs=50, candidates=20, initial_sigma=1.0)
    env = make(num_envs=20, shots=4000)
    search = ParameterPPO(config).search(env, 0)
    for _ in range(config.total_epochs):
        search.tell(env.step(search.ask())[1])
    context = RecordingEvaluation()
    compare_priors(env, search.policy(), DecoderPriorsConfig(shots=60_000), context)
    recorded = {name: values[0] for name, values in context.series.items()}
    errors = {name.split("/")[1]: value for name, value in recorded.items() if name.endswith("errors")}
    assert errors["start"] == errors["nominal"] > 400
    assert errors["true"] < 0.65 * errors["nominal"]
    assert errors["tuned"] < (errors["nominal"] + errors["true"]) / 2
    per_shot = errors["tuned"] / recorded["decoder_priors/tuned/shots"]
    assert recorded["decoder_priors/tuned/ler"] == pytest.approx((1 - (1 - 2 * per_shot) ** (1 / 4)) / 2)


@pytest.mark.slow
def test_example_finds_the_bad_gates(tmp_path):
    """As it stands: of the errors with the nominal prior, two fifths at least are gone, as with the device's own."""
    manifest = load_manifest(EXAMPLE, registry=Registry.load())
    (outcome,) = run_manifest(manifest, options=RunOptions(f"sqlite:///{tmp_path}/results.db"))
    assert outcome.status == "finished"
    with Store(f"sqlite:///{tmp_path}/results.db", read_only=True) as store:
        (run,) = store.runs()
        ler = {
            name: store.metrics(run.id, f"decoder_priors/{name}/ler").value[0] for name in ("nominal", "tuned", "true")
        }
        assessed = store.metrics(run.id, "logical_error_rate").value
    assert ler["true"] < 0.55 * ler["nominal"]
    assert ler["tuned"] < 0.6 * ler["nominal"]
    assert assessed[-1] < 0.7 * assessed[0]


def test_example_is_valid():
    (plan,) = load_manifest(EXAMPLE, registry=Registry.load()).runs()
    assert isinstance(plan.environment.config, DecoderSteeringConfig)


def test_evaluation_is_of_decoder_steering_alone():
    spec = qecforge_environments()[1].evaluations[0]
    with pytest.raises(
        ConfigurationError, match="SurfaceSteering has no priors to compare: choose environment decoder_"
    ):
        spec.evaluate(make().device, None, DecoderPriorsConfig(), print)


def test_bad_parameters_are_refused_and_nothing_happens():
    env = make()
    actions = drawn(env)
    actions[1, 7] = np.nan
    with pytest.raises(ConfigurationError, match="candidate 1 has a parameter that is not finite: give finite numbers"):
        env.step(actions)
    assert env.epoch == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        pytest.param(
            {"device": {"code": "color", "distance": 3, "rounds": 5}, "decoder": "pymatching"},
            DecoderError,
            "decoder pymatching: .*use tesseract, bposd, bplsd or ml_lookup",
            id="hyperedges",
        ),
        pytest.param(
            {"device": {"code": "circuit", "rounds": 1, "circuit": "R 0\nX[x{}] 0\nM 0\nDETECTOR rec[-1]\n"}},
            ConfigurationError,
            "circuit: it has no logical observable, .*: add OBSERVABLE_INCLUDE lines",
            id="no observable",
        ),
    ],
)
def test_devices_that_cannot_be_decoded_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        DecoderSteering(DecoderSteeringConfig.model_validate(changes), num_envs=1, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shots": 0}, "shots"),
        ({"exploration": 0.0}, "exploration"),
        ({"calibration": {"spread": 0}}, "spread"),
        ({"device": {"distance": 4}}, "distance: 4 is not an odd number"),
        ({"device": {"plugin": "surface_steering", "distance": 3}}, "plugin"),
        ({"engine": "stim"}, "engine"),
    ],
)
def test_bad_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DecoderSteeringConfig.model_validate({"device": DEVICE} | wrong)
