"""The chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qecforge.codes import DiscoveredCode, StabilizerCode
from qecforge.contracts import Environment, Reward, StepBuffers, group_size, refuse_unknown_options, require_valid
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge_thirdparty_example import ChainConfig

__all__ = ["BitFlipChain", "ChainBatch", "ChainSubject"]


@dataclass(frozen=True)
class ChainSubject:
    """What rewards are compiled for.

    Attributes:
        n: Qubits.
        num_envs: Largest batch B.
    """

    n: int
    num_envs: int


@dataclass
class ChainBatch:
    """What rewards are shown: (B, n) bool, True where a member's logical X acts. The environment's own, not mutated."""

    support: NDArray[np.bool_]


class BitFlipChain(Environment):
    """Qubit 0 carries the state, the others start in |0>; action 2i is CX(i, i+1), action 2i + 1 is CX(i+1, i).

    The code is decided by the support x of its logical X: its Z stabilizers are all z with z·x = 0 (mod 2). It corrects
    the most bit flips where x is everywhere: the repetition code. Nothing is random.
    """

    def __init__(self, config: ChainConfig, *, num_envs: int, seed: int, reward: Reward) -> None:
        n = config.n
        self.config, self.num_envs = config, num_envs
        self.single_observation_space = gymnasium.spaces.MultiBinary(n)
        self.single_action_space = gymnasium.spaces.Discrete(2 * (n - 1))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._reward = reward.compile(ChainSubject(n, num_envs))
        self._support = np.zeros((num_envs, n), np.bool_)
        self._gates = np.zeros((num_envs, config.max_gates), np.int64)
        self._length = np.zeros(num_envs, np.int64)
        self._return = np.zeros(num_envs)
        self._steps = 0
        self._best = 0
        self._found: list[DiscoveredCode] = []
        self._restart(np.ones(num_envs, np.bool_))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start every member anew. All start alike, so members of a group do."""
        refuse_unknown_options(options or {}, "bit_flip_chain", "group_size")
        group_size(options or {}, self.num_envs, "bit_flip_chain")
        self._restart(np.ones(self.num_envs, np.bool_))
        return self._observe(out), {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One gate for each member. Raises `ConfigurationError` for actions that are no gates."""
        chosen = self._checked(actions)
        members = np.arange(self.num_envs)
        control = chosen // 2 + chosen % 2
        target = chosen // 2 + 1 - chosen % 2
        self._support[members, target] ^= self._support[members, control]
        self._gates[members, self._length] = chosen
        self._length += 1
        self._steps += self.num_envs
        rewards = require_valid(self._reward.score(ChainBatch(self._support)), "bit_flip_chain").values.copy()
        self._return += rewards
        solved = self._support.all(axis=1)
        terminated = solved | (self._length >= self.config.max_gates)
        truncated = np.zeros(self.num_envs, np.bool_)
        self._record(solved)
        infos = {"episode_return": self._return.copy(), "episode_length": self._length.copy()}
        self._restart(terminated)
        if out is not None:
            out.rewards[...], out.terminated[...], out.truncated[...] = rewards, terminated, truncated
            rewards, terminated, truncated = out.rewards, out.terminated, out.truncated
        return self._observe(out), rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Supports, gates and counts; the discoveries that were not taken are found again from the gates."""
        return {
            "support": self._support.copy(),
            "gates": self._gates.copy(),
            "length": self._length.copy(),
            "return": self._return.copy(),
            "steps": self._steps,
            "best": self._best,
            "found": [{"encoder": each.encoder, "step": each.step} for each in self._found],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where shapes differ."""
        for name, array in (("support", self._support), ("gates", self._gates)):
            if state[name].shape != array.shape:
                raise CheckpointError(f"bit_flip_chain: {name} has shape {state[name].shape}, expected {array.shape}")
        self._support, self._gates = state["support"].copy(), state["gates"].copy()
        self._length, self._return = state["length"].copy(), state["return"].copy()
        self._steps, self._best = int(state["steps"]), int(state["best"])
        self._found = [self._code(each["encoder"], int(each["step"])) for each in state["found"]]

    def close_extras(self, **kwargs: Any) -> None:
        """Close the compiled reward."""
        self._reward.close()

    def take_discoveries(self) -> tuple[DiscoveredCode, ...]:
        """Repetition codes, each with fewer gates than the one before."""
        found, self._found = tuple(self._found), []
        return found

    def _checked(self, actions: Any) -> NDArray[np.int64]:
        chosen = np.asarray(actions)
        count = int(self.single_action_space.n)  # type: ignore[attr-defined]
        if chosen.shape != (self.num_envs,) or ((chosen < 0) | (chosen >= count)).any():
            raise ConfigurationError(
                f"bit_flip_chain: got actions {chosen.tolist()}, expected {self.num_envs} numbers from 0 to {count - 1}"
            )
        return chosen.astype(np.int64)

    def _restart(self, ended: NDArray[np.bool_]) -> None:
        self._support[ended] = np.eye(1, self.config.n, dtype=np.bool_)
        self._length[ended] = 0
        self._return[ended] = 0.0

    def _observe(self, out: StepBuffers | None) -> NDArray[Any]:
        if out is None:
            return self._support.astype(np.int8)
        out.observations[...] = self._support
        return out.observations

    def _record(self, solved: NDArray[np.bool_]) -> None:
        for member in np.flatnonzero(solved):
            length = int(self._length[member])
            if self._best and length >= self._best:
                continue
            self._best = length
            gates = self._gates[member, :length]
            encoder = "\n".join(f"CX {gate // 2 + gate % 2} {gate // 2 + 1 - gate % 2}" for gate in gates.tolist())
            self._found.append(self._code(encoder, self._steps))

    def _code(self, encoder: str, step: int) -> DiscoveredCode:
        n = self.config.n
        paulis = ["_" * i + "ZZ" + "_" * (n - 2 - i) for i in range(n - 1)]
        gates = encoder.count("CX")
        return DiscoveredCode(
            code=StabilizerCode.from_paulis(paulis),
            encoder=encoder,
            gate_count=gates,
            two_qubit_gate_count=gates,
            target_distance=1,
            step=step,
            attributes={"bit_flip_distance": n},
        )
