"""States that a teacher visits, each once, with what it thinks of the actions there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.contracts import Environment, Policy
from qecforge.evaluation import collect_states
from qecforge.evaluation.policies.fidelity import policy_logits
from qecforge.inference.module_policy import ModulePolicy
from qecforge.learning.generators import seed_for

__all__ = ["TeacherStates", "held_out_states", "teacher_states"]


@dataclass(frozen=True, eq=False)
class TeacherStates:
    """S distinct states, in an order of no meaning.

    Attributes:
        observations: (S, *observation_shape), the environment's dtype.
        masks: (S, N) bool, True where an action is allowed; None where all are.
        logits: (S, N) float32, the teacher's.
    """

    observations: NDArray[Any]
    masks: NDArray[np.bool_] | None
    logits: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.observations)


class _Divided(nn.Module):
    def __init__(self, module: nn.Module, temperature: float) -> None:
        super().__init__()
        self.module, self.temperature = module, temperature

    def forward(self, observations: Tensor) -> Tensor:
        logits: Tensor = self.module(observations)
        return logits / self.temperature


def teacher_states(
    env: Environment, teacher: Policy, states: int, temperatures: Sequence[float], *, seed: int
) -> TeacherStates:
    """Those among `states` visits, as many at each temperature, that differ. The environment is afterwards as it was;
    codes found on the way are dropped.

    Args:
        states: Visits in all, one at least for each temperature.
        seed: Of episodes and actions.
    """
    share = max(1, states // len(temperatures))
    parts = []
    for T in temperatures:
        player = ModulePolicy(_Divided(teacher.module, T), start=teacher.start)
        parts.append(_visits(env, player, share, seed_for(seed, f"temperature {T}")))
    observations = np.concatenate([shown for shown, _ in parts])
    given = [masks for _, masks in parts if masks is not None]
    masks = np.concatenate(given) if given else None
    _, first = np.unique(_keys(observations, masks), return_index=True)
    return _of_teacher(teacher, observations, masks, first)


def held_out_states(env: Environment, teacher: Policy, states: int, seen: TeacherStates, *, seed: int) -> TeacherStates:
    """Those among `states` visits of the teacher as it acts in training that differ, and are not among those `seen`.
    Else as `teacher_states`; there may be none."""
    observations, masks = _visits(env, teacher, states, seed)
    keys, first = np.unique(_keys(observations, masks), return_index=True)
    known = {key.tobytes() for key in _keys(seen.observations, seen.masks)}
    fresh = np.array([key.tobytes() not in known for key in keys], np.bool_)
    return _of_teacher(teacher, observations, masks, first[fresh])


def _visits(env: Environment, policy: Policy, states: int, seed: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    saved = env.state_dict()
    try:
        visited = collect_states(env, policy, states, seed=seed)
    finally:
        env.take_discoveries()
        env.load_state_dict(saved)
    return visited.observations, visited.masks


def _keys(observations: NDArray[Any], masks: NDArray[np.bool_] | None) -> NDArray[np.void]:
    """(S,): the bytes of each state, equal where states are."""
    rows = np.ascontiguousarray(observations.reshape(len(observations), -1)).view(np.uint8)
    if masks is not None:
        rows = np.concatenate([rows, np.packbits(masks, axis=1)], axis=1)
    return np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0]


def _of_teacher(
    teacher: Policy, observations: NDArray[Any], masks: NDArray[np.bool_] | None, chosen: NDArray[np.int64]
) -> TeacherStates:
    shown = observations[chosen]
    logits = policy_logits(teacher, shown) if len(shown) else np.empty((0, 0), np.float32)
    return TeacherStates(shown, None if masks is None else masks[chosen], logits)
