"""The evaluations of steering keep the contract of evaluations."""

from typing import ClassVar

import numpy as np

from qecforge.parameters import GaussianParameters, ParameterTrajectory
from qecforge.testing.evaluations import EvaluationContract
from qecforge_surface_steering import (
    DecoderSteering,
    DecoderSteeringConfig,
    SurfaceSteering,
    SurfaceSteeringConfig,
    qecforge_environments,
)

SPECS = {each.name: each for environment in qecforge_environments() for each in environment.evaluations}
DEVICE = {
    "distance": 3,
    "rounds": 4,
    "parameters_per_gate": 1,
    "floor": {"single_qubit": 2e-3, "two_qubit": 8e-3},
    "drift": [{"profile": "step", "begins": 2, "amplitude": 1.0}],
}


class OfADevice(EvaluationContract):
    def subject(self):
        env = SurfaceSteering(SurfaceSteeringConfig.model_validate(DEVICE), num_envs=1, seed=0)
        start = env.initial_parameters
        trajectory = ParameterTrajectory(np.array([0, 2, 4]), np.stack([start, start, start + 0.5]))
        return env, GaussianParameters(start + 0.5, np.ones(len(start)), trajectory)


class TestSteering(OfADevice):
    spec = SPECS["steering"]
    settings: ClassVar = {"ler_epochs": 2, "shots": 50, "priors": ["nominal"], "traces": 2}


class TestGradientRelation(OfADevice):
    spec = SPECS["gradient_relation"]
    settings: ClassVar = {"directions": 2, "shots": 500}


class TestDecoderPriors(EvaluationContract):
    spec = SPECS["decoder_priors"]
    settings: ClassVar = {"shots": 100}

    def subject(self):
        config = DecoderSteeringConfig.model_validate({"device": DEVICE, "shots": 50, "calibration": {"shots": 500}})
        env = DecoderSteering(config, num_envs=2, seed=0)
        return env, GaussianParameters(env.initial_parameters, np.ones(len(env.initial_parameters)))
