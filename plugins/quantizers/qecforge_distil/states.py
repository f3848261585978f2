"""States that a teacher visits, each once, with what its network gives there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from qecforge.contracts import ActionHead, Environment, Policy
from qecforge.evaluation import collect_states
from qecforge.evaluation.policies.fidelity import policy_logits
from qecforge.inference.module_policy import ModulePolicy
from qecforge.learning.generators import seed_for

__all__ = ["TeacherStates", "held_out_states", "teacher_states"]


@dataclass(frozen=True, eq=False)
class TeacherStates:
    """S distinct states, in an order of no meaning.

    Attributes:
        observations: What the network takes: (S, *observation_shape), the environment's dtype; of continuous actions
            (S, D) float32, normalised where the teacher normalises.
        masks: (S, N) bool, True where an action is allowed; None where all are.
        outputs: (S, N) float32, the teacher's logits; of continuous actions unit actions (S, A) in -1..1.
    """

    observations: NDArray[Any]
    masks: NDArray[np.bool_] | None
    outputs: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.observations)

    def divided(self, divisor: NDArray[np.float32]) -> TeacherStates:
        """The same with observations (S, D) divided by `divisor` (D,)."""
        return dataclasses.replace(self, observations=self.observations / divisor)


class _Divided(nn.Module):
    def __init__(self, module: nn.Module, temperature: float) -> None:
        super().__init__()
        self.module, self.temperature = module, temperature

    def forward(self, observations: Tensor) -> Tensor:
        logits: Tensor = self.module(observations)
        return logits / self.temperature


class _Noisy(Policy):
    """A teacher of continuous actions whose noise is `temperature` times its own."""

    def __init__(self, teacher: Policy, head: ActionHead, temperature: float) -> None:
        self._teacher, self._head = teacher, dataclasses.replace(head, noise=temperature * head.noise)

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        unit = policy_logits(self._teacher, self._head.shown(observations))
        return self._head.actions(unit, deterministic=deterministic, rng=rng)

    def state_dict(self) -> dict[str, Tensor]:
        return self._teacher.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._teacher.load_state_dict(state)


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
        player = _player(teacher, T)
        parts.append(_visits(env, teacher, player, share, seed_for(seed, f"temperature {T}")))
    observations = np.concatenate([shown for shown, _ in parts])
    given = [masks for _, masks in parts if masks is not None]
    masks = np.concatenate(given) if given else None
    _, first = np.unique(_keys(observations, masks), return_index=True)
    return _of_teacher(teacher, observations, masks, first)


def held_out_states(env: Environment, teacher: Policy, states: int, seen: TeacherStates, *, seed: int) -> TeacherStates:
    """Those among `states` visits of the teacher as it acts in training that differ, and are not among those `seen`.
    Else as `teacher_states`; there may be none."""
    observations, masks = _visits(env, teacher, teacher, states, seed)
    keys, first = np.unique(_keys(observations, masks), return_index=True)
    known = {key.tobytes() for key in _keys(seen.observations, seen.masks)}
    fresh = np.array([key.tobytes() not in known for key in keys], np.bool_)
    return _of_teacher(teacher, observations, masks, first[fresh])


def _player(teacher: Policy, T: float) -> Policy:
    if teacher.head is not None:
        return _Noisy(teacher, teacher.head, T)
    return ModulePolicy(_Divided(teacher.module, T), start=teacher.start)


def _visits(
    env: Environment, teacher: Policy, player: Policy, states: int, seed: int
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """What the teacher's network takes of the states that `player` visits, and the masks."""
    saved = env.state_dict()
    try:
        visited = collect_states(env, player, states, seed=seed)
    finally:
        env.take_discoveries()
        env.load_state_dict(saved)
    shown = visited.observations if teacher.head is None else teacher.head.shown(visited.observations)
    return shown, visited.masks


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
    outputs = policy_logits(teacher, shown) if len(shown) else np.empty((0, 0), np.float32)
    return TeacherStates(shown, None if masks is None else masks[chosen], outputs)
