"""What an agent asks the environment for while it trains: the logical error rate of one parameter vector."""

import numpy as np
import pytest

from qecforge.errors import ConfigurationError, DecoderError
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge.evaluation.statistics import wilson_interval
from qecforge_surface_steering.config import SurfaceSteeringConfig
from qecforge_surface_steering.environment import SurfaceSteering

SMALL = {"distance": 3, "rounds": 5, "parameters_per_gate": 2, "cycles": 100, "floor": {"spread": 1.0}}
SMALL["floor"] |= {"single_qubit": 2e-3, "two_qubit": 8e-3}


def make(seed=0, **changes):
    return SurfaceSteering(SurfaceSteeringConfig.model_validate(SMALL | changes), num_envs=3, seed=seed)


def test_is_the_rate_of_the_circuits_that_the_parameters_imply():
    """Against the circuits built, sampled and decoded one by one, the decoder's prior being that of equal gates."""
    env = make(assess={"shots": 40_000}, drift=[{"profile": "step", "begins": 3, "amplitude": 1.0}])
    env.reset(options={"epoch": 5})
    nominal = np.where(env.circuits[0].arity == 1, 2e-3, 8e-3)
    errors = 0
    for tagged, noisy in zip(env.circuits, env.noisy_circuits(env.initial_parameters), strict=True):
        decoder = compile_decoder("pymatching", tagged.with_noise(nominal))
        events, flips = noisy.compile_detector_sampler(seed=7).sample(
            40_000, separate_observables=True, bit_packed=True
        )
        predicted = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=events)
        errors += int((predicted != flips).sum())
    expected = wilson_interval(errors, 80_000, confidence=0.9999)
    per_cycle = env.assess(env.initial_parameters)["logical_error_rate"]
    measured = round((1 - (1 - 2 * per_cycle) ** 5) / 2 * 40_000)
    other = wilson_interval(measured, 40_000, confidence=0.9999)
    assert expected.low < other.high
    assert other.low < expected.high
    assert expected.estimate > 0.05


def test_leaves_training_as_it_is():
    plain, assessed = make(), make()
    actions = np.tile(plain.initial_parameters, (3, 1))
    for _ in range(3):
        assessed.assess(assessed.initial_parameters)
        np.testing.assert_array_equal(plain.step(actions)[1], assessed.step(actions)[1])
    assert plain.state_dict() == assessed.state_dict()


def test_depends_on_seed_epoch_and_parameters_alone():
    env, same, other = (make(seed, assess={"shots": 20_000}) for seed in (0, 0, 1))
    x = env.initial_parameters
    first = env.assess(x)
    assert first == env.assess(x) == same.assess(x)
    assert first != other.assess(other.initial_parameters)
    assert env.assess(x + 2)["logical_error_rate"] > first["logical_error_rate"]
    env.step(np.tile(x, (3, 1)))
    assert env.assess(x) != first


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        pytest.param(
            {"code": "color", "floor": {"single_qubit": 1e-3, "two_qubit": 1e-3}, "assess": {"decoder": "pymatching"}},
            DecoderError,
            "decoder pymatching: .* use tesseract, bposd, bplsd or ml_lookup",
            id="hyperedges",
        ),
        pytest.param(
            {"code": "circuit", "distance": None, "rounds": 1, "circuit": "R 0\nX[x{}] 0\nM 0\nDETECTOR rec[-1]\n"},
            ConfigurationError,
            "circuit: it has no logical observable, .*: add OBSERVABLE_INCLUDE lines",
            id="no observable",
        ),
    ],
)
def test_what_has_no_logical_error_rate_is_refused(changes, error, message):
    env = make(**changes)
    with pytest.raises(error, match=message):
        env.assess(env.initial_parameters)


@pytest.mark.parametrize("wrong", [{"shots": 0}, {"decoder": "oracle"}, {"rounds": 3}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SurfaceSteeringConfig.model_validate(SMALL | {"assess": wrong})
