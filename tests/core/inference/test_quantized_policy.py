"""The policy in integers: acting, saving, loading, copying, refusing."""

import copy
import pickle

import numpy as np
import pytest
import torch
from integer_nets import random_mlp, random_observations
from safetensors.torch import save

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference.integer import run_reference
from qecforge.inference.policy import QuantizedPolicy, load_quantized


@pytest.fixture
def mlp():
    return random_mlp(np.random.default_rng(1))


@pytest.fixture
def x(mlp):
    return random_observations(np.random.default_rng(2), mlp, 40)


def test_acts_on_the_greatest_logit_that_the_mask_allows(mlp, x):
    policy = QuantizedPolicy(mlp, start=3)
    logits = run_reference(mlp, x)
    np.testing.assert_array_equal(policy.logits(x), logits)
    actions = policy.act(x)
    assert actions.dtype == np.int64
    np.testing.assert_array_equal(actions, logits.argmax(-1) + 3)
    mask = np.ones_like(logits, bool)
    mask[np.arange(40), logits.argmax(-1)] = False
    np.testing.assert_array_equal(policy.act(x, action_mask=mask), np.argsort(logits, axis=-1)[:, -2] + 3)


def test_draws_from_the_softmax(mlp, x):
    policy = QuantizedPolicy(mlp)
    rng = np.random.default_rng(3)
    mask = np.arange(7) != 2
    many = np.repeat(x[:1], 40_000, axis=0)
    drawn = np.bincount(policy.act(many, action_mask=np.tile(mask, (40_000, 1)), deterministic=False, rng=rng))
    weights = np.where(mask, np.exp(run_reference(mlp, x[:1])[0].astype(float)), 0)
    expected = weights / weights.sum()
    assert drawn[2] == 0
    # 5 standard deviations of a count
    assert np.all(np.abs(drawn / 40_000 - expected) < 5 * np.sqrt(expected * (1 - expected) / 40_000) + 1e-9)
    again = policy.act(x, deterministic=False, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(policy.act(x, deterministic=False, rng=np.random.default_rng(4)), again)
    with pytest.raises(ConfigurationError, match="rng"):
        policy.act(x, deterministic=False)


@pytest.mark.parametrize("per_output", [False, True])
@pytest.mark.parametrize("bits", [2, 8])
def test_file_gives_an_equal_policy(bits, per_output):
    mlp = random_mlp(np.random.default_rng(5), bits=bits, per_output=per_output, takes_bits=False)
    x = random_observations(np.random.default_rng(6), mlp)
    policy = QuantizedPolicy(mlp, start=2)
    content = save(policy.state_dict())
    back = load_quantized(content, runtime="reference")
    np.testing.assert_array_equal(back.act(x), policy.act(x))
    np.testing.assert_array_equal(back.logits(x), run_reference(mlp, x))
    assert (back.start, back.mlp.bits, back.mlp.method) == (2, bits, "lsq")
    assert save(back.state_dict()) == content


def test_state_is_a_copy(mlp, x):
    policy = QuantizedPolicy(mlp)
    expected = policy.logits(x)
    for tensor in policy.state_dict().values():
        tensor.zero_()
    np.testing.assert_array_equal(QuantizedPolicy(mlp).logits(x), expected)


def test_takes_over_another_policy_for_the_same_environment(mlp, x):
    other = random_mlp(np.random.default_rng(7), (21, 5, 7), bits=4)
    policy = QuantizedPolicy(mlp)
    policy.logits(x)
    policy.load_state_dict(QuantizedPolicy(other, start=1).state_dict())
    np.testing.assert_array_equal(policy.act(x), run_reference(other, x).argmax(-1) + 1)
    for sizes in ((20, 5, 7), (21, 5, 6)):
        foreign = QuantizedPolicy(random_mlp(np.random.default_rng(8), sizes)).state_dict()
        with pytest.raises(CheckpointError, match="expected 21 and 7") as caught:
            policy.load_state_dict(foreign)
        assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(policy.logits(x), run_reference(other, x))


def test_a_file_that_is_not_ours_is_refused_in_one_line(mlp):
    state = QuantizedPolicy(mlp).state_dict()
    content = save(state)
    files = {
        "empty": b"",
        "text": b"this is\nno policy",
        "cut": content[: len(content) // 2],
        "float policy": save({"policy.0.weight": torch.zeros(2, 2), "policy.0.bias": torch.zeros(2)}),
        "bfloat16": save({"weight": torch.zeros(2, dtype=torch.bfloat16)}),
        "other mark": save({**state, "format": torch.zeros(4, dtype=torch.uint8)}),
        "no start": save({name: tensor for name, tensor in state.items() if name != "start"}),
        "wrong start": save({**state, "start": torch.zeros(2)}),
        "wrong type": save({**state, "bits": torch.zeros(1, dtype=torch.bfloat16)}),
        "no table": save({name: tensor for name, tensor in state.items() if name != "layers.0.table"}),
    }
    for what, file in files.items():
        with pytest.raises(CheckpointError, match=r"safetensors|integer policy") as caught:
            load_quantized(file)
        assert "\n" not in str(caught.value), what


def test_copies_make_runtimes_of_their_own(mlp, x):
    policy = QuantizedPolicy(mlp, start=4, threads=1)
    expected = policy.act(x)
    for other in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        np.testing.assert_array_equal(other.act(x), expected)
        assert other.runtime is not policy.runtime
        assert other.runtime_report() == policy.runtime_report()
    reference = policy.with_runtime("reference")
    np.testing.assert_array_equal(reference.act(x), expected)
    assert (policy.runtime_report().runtime, reference.runtime_report().runtime) == ("onnxruntime", "reference")


def test_refuses_what_it_cannot_do(mlp):
    with pytest.raises(ConfigurationError, match=r"quantized already \(by lsq, 8 bits\)"):
        _ = QuantizedPolicy(mlp).module
    with pytest.raises(ConfigurationError, match="runtime: got 'cuda'"):
        QuantizedPolicy(mlp, runtime="cuda")
    with pytest.raises(ConfigurationError, match="threads: got 0"):
        QuantizedPolicy(mlp, threads=0)
    with pytest.raises(ConfigurationError, match="21 elements"):
        QuantizedPolicy(mlp).act(np.zeros((2, 22), np.uint8))
