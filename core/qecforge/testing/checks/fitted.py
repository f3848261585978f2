"""What an environment fits while a policy is trained, and keeps still while one is played."""

from __future__ import annotations

import copy

import numpy as np

from qecforge.testing.checks.closing import closes_what_it_made
from qecforge.testing.checks.play import MEMBERS, MakeEnvironment, play, same

__all__ = ["check_fitted"]


@closes_what_it_made
def check_fitted(make: MakeEnvironment) -> None:
    """`fitted_state` is of arrays, copies; where it is loaded it stays as it is, also after `load_state_dict`, and what
    it was taken from goes on fitting."""
    env = make(MEMBERS, 21)
    for _ in play(env, np.random.default_rng(21), 21):
        pass
    fitted = env.fitted_state()
    arrays = all(isinstance(name, str) and isinstance(each, np.ndarray) for name, each in fitted.items())
    assert arrays, "fitted_state() holds something else than arrays"
    kept, other = copy.deepcopy(fitted), make(MEMBERS + 1, 22)
    other.load_fitted_state(fitted)
    for _ in play(other, np.random.default_rng(22), 22):
        pass
    same(other.fitted_state(), kept, "fitted_state() where it was loaded, after a play,")
    again = make(MEMBERS + 1, 23)
    again.load_state_dict(other.state_dict())
    for _ in play(again, np.random.default_rng(23), 23):
        pass
    same(again.fitted_state(), kept, "fitted_state() after load_state_dict() and a play")
    for _ in play(env, np.random.default_rng(24), None):
        pass
    same(fitted, kept, "fitted_state() (it changed while the environment went on)")
    if fitted:
        goes_on = any(not np.array_equal(each, kept[name]) for name, each in env.fitted_state().items())
        assert goes_on, "fitted_state() does not change while a policy is trained"
