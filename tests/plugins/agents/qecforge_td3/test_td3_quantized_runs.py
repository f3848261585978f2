"""A trained actor of continuous actions, from teacher to integers in a store: kept, played, compared, cut off."""

import numpy as np
import pytest

from qecforge import Registry, RunListener, RunOptions, Store, load_manifest, load_policy
from qecforge.runs.execute import execute

MANIFEST = """\
qecforge: 1
name: integers
environment: {plugin: humanoid, id: Pendulum-v1, max_episode_steps: 20}
agent: {plugin: td3, block: none, total_steps: 160, learning_starts: 64, batch_size: 32, pre_hidden: 16, post_hidden: 8,
  critic_hidden: [16, 16], replay_capacity: 1000, normalize_observations: true}
evaluation:
  action_fidelity: {states: 200}
  returns: {episodes: 2}
seeds: [0]
"""
DISTIL = "{plugin: distil, bits: 4, states: 300, updates: 100, minibatch_size: 32, held_out_states: 100}"


class Phases(RunListener):
    """Keeps the names of a run's phases."""

    def __init__(self):
        self.seen = []

    def on_phase(self, plan, phase):
        if plan.quantization is not None:
            self.seen.append(phase)


class Stop(RunListener):
    """Says after 50 updates of the distillation that it is enough."""

    stopped = False

    def on_progress(self, plan, step, total, metrics):
        self.stopped = self.stopped or (plan.quantization is not None and step == 50)


def plan_of(quantizer):
    (plan,) = load_manifest(f"{MANIFEST}quantizer: {quantizer}\n", registry=Registry.load()).runs()
    return plan


@pytest.mark.parametrize(
    ("quantizer", "method", "phases"),
    [
        (DISTIL, "distil", ["teacher", "fine_tune", "quantize", "evaluate"]),
        ("{plugin: auto, bits: 8}", "ptq", ["teacher", "quantize", "evaluate"]),
    ],
)
def test_an_actor_in_integers_is_kept_and_compared(tmp_path, quantizer, method, phases):
    """Both are measured; `auto` of 8 bits, which trains nothing, does not say that it fine-tunes."""
    plan, url, listener = plan_of(quantizer), f"sqlite:///{tmp_path}/results.db", Phases()
    assert execute(plan, RunOptions(url), listener).status == "finished"
    assert [each for each in listener.seen if each != "train"] == phases
    with Store(url) as store:
        (run,) = [each for each in store.runs() if each.quantizer]
        (teacher,) = [each for each in store.runs() if not each.quantizer]
        found = {each.name: dict(each.values) for each in store.policy_evaluations(run.id)}
        theirs = {each.name: dict(each.values) for each in store.policy_evaluations(teacher.id)}
        env, policy = load_policy(store, run.id, registry=Registry.load())
        _, actor = load_policy(store, teacher.id, registry=Registry.load())
    assert policy.mlp.method == method
    assert set(found) == {"action_fidelity", "returns"}
    assert set(theirs) == {"returns"}
    assert 0 < found["action_fidelity"]["action_error_rms"] < 0.3
    observations, _ = env.reset(seed=0)
    got, expected = policy.act(observations), actor.act(observations, rng=np.random.default_rng(0))
    assert np.abs(got - expected).max() <= 2.0 * 2 * found["action_fidelity"]["action_error_max"] + 0.1
    env.close()


def test_cut_off_and_resumed_it_is_the_same(tmp_path):
    plan = plan_of(DISTIL)
    stop, contents = Stop(), []
    for name in ("whole", "parts"):
        url = f"sqlite:///{tmp_path}/{name}.db"
        if name == "parts":
            assert execute(plan, RunOptions(url), stop, lambda: stop.stopped).status == "interrupted"
        assert execute(plan, RunOptions(url), RunListener()).status == "finished"
        with Store(url) as store:
            (kept,) = store.artifacts(kind="quantized")
            contents.append(kept.sha256)
    assert contents[0] == contents[1]
