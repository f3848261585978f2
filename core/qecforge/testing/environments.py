"""What every environment must do.

    from qecforge.testing.environments import EnvironmentContract

    class TestMyEnvironment(EnvironmentContract):
        spec = my_spec              # qecforge.hookspecs.EnvironmentSpec
        settings = {"size": 4}      # a configuration whose episodes, if it has any, end within a few dozen steps
        reward = None               # a qecforge.contracts.reward.Reward, where the environment has none of its own

Outside pytest, `check_environment(make)` runs the same checks and says which failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from qecforge.contracts.environment import Environment, Resumes
from qecforge.contracts.reward import Reward
from qecforge.hookspecs import EnvironmentSpec
from qecforge.testing.checks.closing import check_closing
from qecforge.testing.checks.environments import (
    check_bad_actions,
    check_buffers,
    check_determinism,
    check_discoveries,
    check_episodes,
    check_masks,
    check_parameters,
    check_peek,
    check_separation,
    check_spaces,
    check_state,
    check_state_between_episodes,
    check_step,
    check_trials,
)
from qecforge.testing.checks.fitted import check_fitted
from qecforge.testing.checks.groups import check_groups, check_invalid_rewards, check_reset_options
from qecforge.testing.checks.play import MakeEnvironment, new_buffers, sample_actions
from qecforge.testing.checks.views import check_view

__all__ = ["CHECKS", "EnvironmentContract", "MakeEnvironment", "check_environment", "new_buffers", "sample_actions"]

CHECKS: dict[str, Callable[[MakeEnvironment], None]] = {
    "spaces": check_spaces,
    "step": check_step,
    "determinism": check_determinism,
    "buffers": check_buffers,
    "episodes": check_episodes,
    "state": check_state,
    "masks": check_masks,
    "bad_actions": check_bad_actions,
    "peek": check_peek,
    "trials": check_trials,
    "parameters": check_parameters,
    "discoveries": check_discoveries,
    "separation": check_separation,
    "closing": check_closing,
    "reset_options": check_reset_options,
    "fitted": check_fitted,
    "groups": partial(check_groups, sample=sample_actions),
}
"""Name -> check; a check raises `AssertionError` where the contract is broken."""


def check_environment(make: MakeEnvironment, *, resumes: Resumes = "to_the_bit") -> dict[str, Exception | None]:
    """Run every check: name -> None where it holds, else what it raised.

    Args:
        resumes: As in the environment's spec.
    """
    results: dict[str, Exception | None] = {}
    for name, check in (CHECKS | {"state": _STATE[resumes]}).items():
        try:
            check(make)
        except Exception as error:
            results[name] = error
        else:
            results[name] = None
    return results


_STATE: Mapping[Resumes, Callable[[MakeEnvironment], None]] = {
    "to_the_bit": check_state,
    "between_episodes": check_state_between_episodes,
}


class EnvironmentContract:
    """Subclass it in a test module and say what to test.

    Attributes:
        spec: The environment's spec.
        settings: Fields of its configuration; random actions should end episodes, if there are any, within a few dozen
            steps.
        reward: Given to `spec.make`; None for the native reward.
    """

    spec: ClassVar[EnvironmentSpec]
    settings: ClassVar[Mapping[str, Any]] = {}
    reward: ClassVar[Reward | None] = None

    def make(self, num_envs: int, seed: int) -> Environment:
        """A fresh environment."""
        config = self.spec.config.model_validate(dict(self.settings))
        env = self.spec.make(config, num_envs=num_envs, seed=seed, reward=self.reward)
        assert isinstance(env, Environment), f"{type(env).__name__} is no Environment"
        return env

    def test_spaces(self) -> None:
        """See `check_spaces`."""
        check_spaces(self.make)

    def test_step(self) -> None:
        """See `check_step`."""
        check_step(self.make)

    def test_determinism(self) -> None:
        """See `check_determinism`."""
        check_determinism(self.make)

    def test_buffers(self) -> None:
        """See `check_buffers`."""
        check_buffers(self.make)

    def test_episodes(self) -> None:
        """See `check_episodes`."""
        check_episodes(self.make)

    def test_state(self) -> None:
        """See `check_state`, or `check_state_between_episodes` where the spec says that it resumes so."""
        _STATE[self.spec.resumes](self.make)

    def test_separation(self) -> None:
        """See `check_separation`."""
        check_separation(self.make)

    def test_masks(self) -> None:
        """See `check_masks`."""
        check_masks(self.make)

    def test_bad_actions(self) -> None:
        """See `check_bad_actions`."""
        check_bad_actions(self.make)

    def test_peek(self) -> None:
        """See `check_peek`."""
        check_peek(self.make)

    def test_trials(self) -> None:
        """See `check_trials`."""
        check_trials(self.make)

    def test_parameters(self) -> None:
        """See `check_parameters`."""
        check_parameters(self.make)

    def test_discoveries(self) -> None:
        """See `check_discoveries`."""
        check_discoveries(self.make)

    def test_closing(self) -> None:
        """See `check_closing`."""
        check_closing(self.make, self.reward)

    def test_view(self) -> None:
        """See `qecforge.testing.checks.views.check_view`."""
        check_view(self.spec.view)

    def test_reset_options(self) -> None:
        """See `check_reset_options`."""
        check_reset_options(self.make)

    def test_fitted(self) -> None:
        """See `check_fitted`."""
        check_fitted(self.make)

    def test_groups(self) -> None:
        """See `check_groups`."""
        check_groups(self.make, sample_actions)

    def test_invalid_rewards(self) -> None:
        """See `check_invalid_rewards`."""
        check_invalid_rewards(self.make, sample_actions, self.reward)
