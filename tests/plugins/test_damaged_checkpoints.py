"""A checkpoint with a right checksum and wrong contents is a `CheckpointError`, of every agent and environment; what is
let through can be gone on with."""

import re
import warnings

import numpy as np
import pytest
from damaged_states import altered_states

from qecforge import Registry, load_manifest
from qecforge.contracts.closing import closing
from qecforge.errors import CheckpointError, QecforgeError
from qecforge.runs.policies import build_environment
from qecforge.testing.contexts import RecordingContext

DISCOVERY = """\
qecforge: 1
name: damaged
environment: {plugin: code_discovery, n: 4, k: 1, target_distance: 2, max_gates: 6, gates: [h, cx], MORE}
reward: knill_laflamme
agent: {plugin: ppo, total_steps: 96, num_envs: 4, horizon: 8, minibatch_size: 16, update_epochs: 1, threads: 1, AGENT}
"""
STEERING = """\
qecforge: 1
name: damaged
environment: {plugin: surface_steering, distance: 3, rounds: 2, horizon: 40, parameters_per_gate: 1}
agent: {plugin: AGENT}
"""
MANIFESTS = {
    "ppo": DISCOVERY.replace("MORE", "action_masking: true").replace("AGENT", "device: cpu"),
    "ppo with int8": DISCOVERY.replace("MORE", "action_masking: false").replace("AGENT", "actor: int8, device: cpu"),
    "noise": DISCOVERY.replace(
        "MORE",
        "noise: {model: biased, p: {log_uniform: [0.01, 0.1]}, eta: {uniform: [1.0, 2.0]}}, noise_aware: true, "
        "show_progress: true",
    ).replace("AGENT", "num_agents: 2, device: cpu"),
    "parameter_ppo": STEERING.replace("AGENT", "parameter_ppo, total_epochs: 12, candidates: 4, report_every: 3"),
    "cma_es": STEERING.replace("AGENT", "cma_es, total_epochs: 12, candidates: 4, report_every: 3"),
    "spsa": STEERING.replace("AGENT", "spsa, total_epochs: 12, candidates: 4, report_every: 3"),
}


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def trained(agent, env, seed, **settings):
    """The context of a training, of which a checkpoint is left."""
    context = RecordingContext(env, seed, **settings)
    agent.train(env, context)
    return context


def end_of(call):
    """The error that a call ends with; None where it returns."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            call()
        except Exception as error:
            return error
    return None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("ppo with int8", "noise", "cma_es") else ())
        for name in MANIFESTS
    ],
)
def test_contents_that_cannot_be(registry, name):
    if name == "cma_es":
        pytest.importorskip("cma")
    (plan,) = load_manifest(MANIFESTS[name], registry=registry).runs()
    agent, refused = plan.agent.spec.make(plan.agent.config), 0
    with closing(build_environment(plan, agent), "environment") as env:
        checkpoint = trained(agent, env, plan.seed, stop_after=2).checkpoint
        trained(agent, env, plan.seed, checkpoint=checkpoint, stop_after=2)
        for what, state in altered_states(checkpoint):
            if not (isinstance(state, dict) and {"environment", "agent"} <= state.keys()):
                continue
            error = end_of(lambda state=state: trained(agent, env, plan.seed, checkpoint=state, stop_after=2))
            if isinstance(error, CheckpointError):
                refused += 1
                assert str(error).isprintable(), what
            elif error is not None:  # numbers that are finite and too large to go on with, a mask that is missing
                assert isinstance(error, QecforgeError), (what, error)
                assert re.search("not finite|expected a finite|action_mask is None", str(error)), (what, error)
    assert refused > 100
