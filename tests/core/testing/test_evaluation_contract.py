"""The suite of evaluations: what keeps it, and what it catches."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import toy_continuous as toys

from qecforge.errors import Interrupted
from qecforge.testing.evaluations import EvaluationContract


class OfRecovery(EvaluationContract):
    spec = toys.RECOVERY
    settings: ClassVar = {"kicks": 3, "steps": 4}

    def subject(self):
        policy = toys.SamplingPolicy(toys.LOW, toys.HIGH, 2)
        policy.weights[:, :2] = -np.eye(2)
        return toys.Pulses(toys.PulseConfig(), num_envs=4, seed=0, reward=None), policy


class TestRecovery(OfRecovery):
    pass


def draws_from_the_global_generator(env, policy, config, context):
    context.record("luck", 0, np.random.standard_normal())


def files_nothing(env, policy, config, context):
    pass


def goes_on(env, policy, config, context):
    for step in range(3):
        try:
            context.record("step", step, 1.0)
        except Interrupted:
            continue


def goes_backwards(env, policy, config, context):
    context.record("step", 0, 1.0)
    context.progress(2, 2)
    context.progress(1, 2)


def trains(env, policy, config, context):
    policy.weights += 1.0
    context.record("step", 0, 1.0)


@pytest.mark.parametrize(
    ("evaluate", "test"),
    [
        (draws_from_the_global_generator, "test_same_seed_same_findings"),
        (files_nothing, "test_same_seed_same_findings"),
        (goes_on, "test_stops_when_cancelled"),
        (goes_backwards, "test_progress_goes_forward_to_its_end"),
        (trains, "test_the_policy_stays_as_it_is"),
    ],
)
def test_the_suite_catches(evaluate, test):
    class Contract(OfRecovery):
        spec = dataclasses.replace(toys.RECOVERY, evaluate=evaluate)

    with pytest.raises(AssertionError):
        getattr(Contract(), test)()
    Contract().test_spec()
