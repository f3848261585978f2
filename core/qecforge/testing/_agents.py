"""What the suites of agents share: comparisons to the bit, and what every policy does with randomness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qecforge.contracts.policy import Policy
from qecforge.errors import ConfigurationError

__all__ = ["assert_equal_states", "assert_equal_weights", "assert_randomness_is_given", "weights_differ"]


def assert_equal_weights(first: Policy, second: Policy) -> None:
    """Two policies agree bit for bit."""
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def weights_differ(first: Policy, second: Policy) -> bool:
    """Whether any weight of two policies of the same names does."""
    theirs = second.state_dict()
    return any(not torch.equal(tensor, theirs[name]) for name, tensor in first.state_dict().items())


def assert_equal_states(first: Any, second: Any, clock_prefix: str, place: str = "state") -> None:
    """Nested states agree bit for bit, clock times aside."""
    assert type(first) is type(second), place
    if isinstance(first, Mapping):
        assert first.keys() == second.keys(), place
        for key in first:
            if not str(key).startswith(clock_prefix):
                assert_equal_states(first[key], second[key], clock_prefix, f"{place}[{key!r}]")
    elif isinstance(first, list):
        assert len(first) == len(second), place
        for index, (ours, theirs) in enumerate(zip(first, second, strict=True)):
            assert_equal_states(ours, theirs, clock_prefix, f"{place}[{index}]")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    elif isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first, second, err_msg=place)
    else:
        assert first == second or (first != first and second != second), place


def assert_randomness_is_given(policy: Policy, observations: NDArray[Any]) -> None:
    """Actions are a function of observations and of the generator's state, deterministic or not; where there is no
    generator and one is needed, that is said in one line."""
    before = observations.copy()
    for deterministic in (True, False):
        draws = []
        for seed in (0, 1):
            np.random.seed(seed)
            torch.manual_seed(seed)
            draws.append(policy.act(observations, deterministic=deterministic, rng=np.random.default_rng(7)))
        first, again = draws
        np.testing.assert_array_equal(
            first, again, err_msg="the same generator gave other actions: draw from rng alone"
        )
        refusal = _refusal_without_generator(policy, observations, deterministic)
        if refusal is None:
            assert deterministic, "drawn actions without rng: raise ConfigurationError where it is missing"
        else:
            assert "rng" in refusal, f"{refusal}: it does not say that rng is missing"
            assert "\n" not in refusal, "a message is one line"
    np.testing.assert_array_equal(observations, before, err_msg="act changed the observations")


def _refusal_without_generator(policy: Policy, observations: NDArray[Any], deterministic: bool) -> str | None:
    try:
        policy.act(observations, deterministic=deterministic, rng=None)
    except ConfigurationError as error:
        return str(error)
    return None
