"""The vectorised environment over the compiled kernels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import gymnasium
import numba
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, TableauSubject
from qecforge.contracts import (
    Environment,
    Reward,
    RewardBuffers,
    SequenceTrials,
    StepBuffers,
    closing_on_error,
    require_valid,
)
from qecforge.errors import ConfigurationError
from qecforge.learning.generators import generator_state, restored_generator
from qecforge.learning.restoring import restored_int
from qecforge_code_discovery import _canonical, _kernels, _setup
from qecforge_code_discovery._buffers import buffers, checked_actions
from qecforge_code_discovery._groups import GroupStarts
from qecforge_code_discovery._layout import Shown, restored_arrays
from qecforge_code_discovery._lookahead import LookAhead
from qecforge_code_discovery._peek import Peek
from qecforge_code_discovery._trials import Trials
from qecforge_code_discovery.config import CodeDiscoveryConfig
from qecforge_code_discovery.filing.archive import Archive, discovered_code
from qecforge_code_discovery.filing.keeping import Solved, keep
from qecforge_code_discovery.filing.superfluous import Pruning
from qecforge_code_discovery.noise import PerQubit

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode

__all__ = ["CodeDiscovery"]

_MIN_CHUNK = 256
"""Members that are worth a thread: below, waking it up takes longer than their steps."""


class CodeDiscovery(Environment):
    """B encoders under construction.

    Observations are flat. Bit (2 q + t) (n - k) + i says whether generator i has an X part (t = 0) or a Z part
    (t = 1) on qubit q, so `observations.reshape(B, n, 2, n - k)` is the check matrix, transposed, with each qubit's two
    columns side by side. They are uint8; where noise (`noise_aware`), look-ahead (`show_lookahead`) or progress
    (`show_progress`) is shown, all is float32 and these features follow the bits: each noise parameter (for
    `per_qubit`, the probabilities of X, Y, Z of each qubit), the look-ahead, then the fraction of steps used. A
    probability p is shown as 1 + log10(p)/6, clipped to [0, 1], and `eta` as log10(eta)/6: scales that do not depend on
    a configuration's ranges, so that a policy can be evaluated on noise it never saw.

    The look-ahead has one feature for each action, masked or not: the value that the reward gives the code after it,
    less that of the present code, divided by `lookahead_scale` and clipped to [-1, 1]. Costs of gates, check-weight
    penalties and the success reward are not part of it. It is 0 for stop and for gates that the rules forbid. Every
    step then scores a code for each action besides its own.

    `infos` also holds `success` and `gate_count`, (B,), valid where an episode ended. Without `out`, arrays are fresh;
    with it, those in `infos` are overwritten by the next step.

    `action_masking` masks gates that would cancel with an earlier one, everything in between commuting with them; such
    a gate still acts when it is taken. One that the rules of `css_only` or `check_weight_rule: mask` forbid has no
    effect, but uses up a step.
    """

    can_peek = True

    def __init__(self, config: CodeDiscoveryConfig, *, num_envs: int, seed: int, reward: Reward | None) -> None:
        if num_envs < 1:
            raise ConfigurationError(f"num_envs is {num_envs}: give 1 or more")
        if reward is None:
            raise ConfigurationError("code_discovery has no reward of its own: give one, such as knill_laflamme")
        self.config = config
        self.num_envs = num_envs
        self.table = config.actions()
        noise = config.noise
        self._ranges = _setup.parameter_ranges(config, num_envs)
        self._parameter_names = tuple(noise.parameters) if noise is not None else ()
        base = noise.probabilities if isinstance(noise, PerQubit) else np.zeros((config.n, 3))
        self._base = np.array(base, np.float64)
        self._masks = config.action_masking or config.css_only or config.check_weight_rule == "mask"
        self._allocate()
        subject = TableauSubject(
            n=config.n,
            k=config.k,
            target_distance=config.target_distance,
            num_envs=num_envs,
            noise=None if noise is None else "per_env" if self._rules.sampled else "shared",
            uniform=not isinstance(noise, PerQubit),
        )
        self._reward = reward.compile(subject)
        self._lookahead: LookAhead | None = None
        self._groups: GroupStarts | None = None
        with closing_on_error(self, "code_discovery"):
            if config.show_lookahead:
                self._lookahead = self._make_lookahead(reward, subject)
            self._peek = Peek(
                actions=self._actions,
                rules=self._rules,
                base=self._base,
                score=self._score,
                noise=None if self._rules.sampled else self._noise,
                solved=self._solved,
                batch=num_envs,
            )
            self._trials = Trials(
                self._actions, self._rules, self._initial, self._noise, self._score, self._solved, num_envs
            )
            self._scores = RewardBuffers(np.zeros(num_envs, np.float32), np.zeros(num_envs, np.bool_))
            self.reset(seed=seed)

    def _allocate(self) -> None:
        config, B = self.config, self.num_envs
        self._rules = _setup.rules(config)
        self._actions = _setup.actions(config, self.table)
        self._episode = _setup.episode(config, self._ranges, len(self.table))
        space = _setup.observation_space(config, len(self.table))
        self._shown = Shown(
            observations=np.zeros((B, *space.shape), space.dtype),
            mask=np.ones((B, len(self.table) if self._masks else 0), np.bool_),
            masked=np.zeros(B, np.int32),
        )
        self._initial = _setup.trivial_words(config.n, config.k)
        self._stabilizer_rows = _setup.stabilizer_rows(config.n, config.k)
        self._blank = np.zeros(space.shape, space.dtype)
        bits = _setup.trivial_bits(config.n, config.k)
        self._blank[: len(bits)] = bits
        self._uniforms = np.zeros(self._ranges.shape[:2], np.float64)
        self._noise: NDArray[np.float64] | None = None
        if config.noise is not None:
            fixed = {name: float(self._ranges[0, j, 1]) for j, name in enumerate(self._parameter_names)}
            self._noise = self._episode.channel if self._rules.sampled else config.noise.channel(fixed, config.n)
        self._ended = {
            "episode_return": np.zeros(B, np.float64),
            "episode_length": np.zeros(B, np.int32),
            "gate_count": np.zeros(B, np.int32),
            "success": np.zeros(B, np.bool_),
        }
        self._steps = 0
        self._tried = 0
        self.can_try = not self._rules.sampled
        self._pruning = Pruning(self._actions, self._rules, self._initial, self._stabilizer_rows)
        self._archive = Archive(config.max_discoveries)
        self._chunk = max(_MIN_CHUNK, -(-B // numba.get_num_threads()))
        self.single_observation_space = space
        self.single_action_space = gymnasium.spaces.Discrete(len(self.table))
        self.observation_space = batch_space(self.single_observation_space, B)
        self.action_space = batch_space(self.single_action_space, B)

    def _make_lookahead(self, reward: Reward, subject: TableauSubject) -> LookAhead:
        at = len(self._blank) - len(self.table) - self._rules.progress
        scale = self.config.lookahead_scale
        return LookAhead(reward, subject, self._actions, self._rules, scale=scale, at=at)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the compiled rewards."""
        with ExitStack() as compiled:
            compiled.callback(self._reward.close)
            if self._lookahead is not None:
                compiled.callback(self._lookahead.close)

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does, such as "cx 0 1"."""
        return self.table.names

    @property
    def noise_parameters(self) -> dict[str, NDArray[np.float64]]:
        """Name -> (B,) values in the running episodes."""
        return {name: self._episode.parameters[:, j].copy() for j, name in enumerate(self._parameter_names)}

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        out: StepBuffers | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start every member anew; discoveries and their step count go on.

        Args:
            seed: Restarts the generator that noise parameters are drawn from.
            options: `{"noise": {name: value}}` fixes parameters, a number or one for each member, until the next reset
                with `"noise"`; `{"noise": {}}` goes back to the configuration's ranges. Only where the noise has some.
                `{"group_size": G}` as in `Environment.reset`: the k-th episodes of a group have the same noise.
            out: As in `Environment.reset`.

        Raises:
            ConfigurationError: An unknown option, noise outside its limits or otherwise within a group, or a group size
                that does not divide B.
            InfrastructureError: The reward could not score.
        """
        size, self._ranges[...] = _setup.taken_options(options or {}, self.config, self._rules, self._ranges)
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._groups = None
        if size > 1 and self._rules.sampled:
            key = int(self._rng.integers(2**64, dtype=np.uint64))
            self._groups = GroupStarts(key, self.num_envs, size)
        observations, mask, *_ = buffers(out, self._shown)
        self._draw()
        _kernels.begin_all(self._start(), self._actions, self._rules, self._episode, self._shown, observations, mask)
        if self._groups is not None:
            self._groups.begin(np.ones(self.num_envs, np.bool_))
        if self._rules.difference or self._lookahead:
            scores = self._score(TableauBatch(self._episode.words, self._noise), self._scores)
            self._episode.value[:] = scores.values[: self.num_envs]
        if self._lookahead:
            self._lookahead.write(self._episode, self._noise, self._shown.observations, observations)
        return observations, {"action_mask": mask} if self._masks else {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Append a gate to every member's encoder, or stop.

        Args:
            actions: (B,) integers.
            out: As in `Environment.step`.

        Raises:
            ConfigurationError: Actions of a wrong shape or kind, or out of range; nothing has changed then.
            InfrastructureError: The reward could not score; the environment is not to be used any more.
        """
        taken = checked_actions(actions, (self.num_envs,))
        bad = _kernels.append_gates(self._chunk, taken, self._actions, self._rules, self._episode, self._shown)
        if bad >= 0:
            raise ConfigurationError(
                f"action {taken[bad]} of member {bad} is out of range: give 0..{len(self.table) - 1}"
            )
        self._steps += 1
        scores = self._score(TableauBatch(self._episode.words, self._noise), self._scores)
        solved = self._solved(scores, self._episode.words)
        if solved.any():
            self._keep(Solved(solved, self._episode.words, self._episode.history, self._episode.gates))
        observations, mask, rewards, terminated, truncated = buffers(out, self._shown)
        infos = self._infos(fresh=out is None)
        self._draw()
        _kernels.end_steps(
            self._chunk,
            scores.values,
            solved,
            self._start(),
            self._actions,
            self._rules,
            self._episode,
            self._shown,
            (
                observations,
                mask,
                rewards,
                terminated,
                infos["episode_return"],
                infos["episode_length"],
                infos["gate_count"],
                infos["success"],
            ),
        )
        if self._groups is not None:
            self._groups.begin(terminated)
        if self._rules.difference or self._lookahead:
            self._value_begun(terminated)
        if self._lookahead:
            self._lookahead.write(self._episode, self._noise, self._shown.observations, observations)
        truncated[:] = False
        if self._masks:
            infos["action_mask"] = mask
        return observations, rewards, terminated, truncated, infos

    def observe(self, out: StepBuffers | None = None) -> tuple[NDArray[Any], dict[str, Any]]:
        """What `reset` and `step` last showed: observations, and the mask in `infos`."""
        observations, mask, *_ = buffers(out, self._shown)
        _kernels.show_all(self._shown, observations, mask)
        return observations, {"action_mask": mask} if self._masks else {}

    def take_discoveries(self) -> Sequence[DiscoveredCode]:
        """Codes that came into the archive of the best since the last call, and are still there; oldest first.

        A code comes again when an encoder of fewer gates is found for it.
        """
        return [
            discovered_code(
                found,
                self.table,
                n=self.config.n,
                k=self.config.k,
                target_distance=self.config.target_distance,
                parameters=self._parameter_names,
            )
            for found in self._archive.take()
        ]

    def compact_states(self) -> NDArray[np.uint64]:
        """(B, 2 n W + 1 + P) uint64: the words, the steps used, and the bits of the noise parameters as float64."""
        return np.concatenate(
            [
                self._episode.words.reshape(self.num_envs, -1),
                self._episode.steps.astype(np.uint64)[:, None],
                self._episode.parameters.view(np.uint64),
            ],
            axis=1,
        )

    def peek(self, actions: NDArray[Any], states: NDArray[Any] | None = None) -> dict[str, NDArray[np.float64]]:
        """The reward that each candidate would bring, and the reward's components after it.

        Args:
            actions: (M, K) candidates; M is B where `states` is None.
            states: (M, ...) rows of `compact_states`, of any time and in any number.

        Returns:
            `"reward"` and each component (M, K), `"now_value"`, `"now_" + component` (M,). A gate that the rules forbid
            brings what no gate would.
        """
        states = self.compact_states() if states is None else np.ascontiguousarray(states, dtype=np.uint64)
        width = 2 * self.config.n * self._initial.shape[2] + 1 + len(self._parameter_names)
        if states.ndim != 2 or states.shape[1] != width:
            raise ConfigurationError(
                f"states have shape {states.shape}: give rows of compact_states(), {width} words each"
            )
        actions = np.asarray(actions)
        if actions.ndim != 2:
            raise ConfigurationError(f"candidates have shape {actions.shape}: give (members, candidates)")
        taken = checked_actions(actions, (len(states), actions.shape[1]))
        if taken.size and not (taken.min() >= 0 and taken.max() < len(self.table)):
            raise ConfigurationError(f"a candidate action is out of range: give 0..{len(self.table) - 1}")
        return self._peek(states, taken)

    @property
    def action_factors(self) -> NDArray[np.int64]:
        """(A, 3): the gate, its first and its second qubit."""
        return np.stack([self.table.opcode.astype(np.int64), self.table.first, self.table.second], axis=1)

    def try_sequences(self, actions: NDArray[Any], lengths: NDArray[Any]) -> SequenceTrials:
        """See `Environment.try_sequences`. A sequence counts as many steps as it is long; `stop` ends it.

        Raises:
            ConfigurationError: The noise is drawn for each episode, lengths are beyond `max_gates`, and as there.
            InfrastructureError: The reward could not score.
        """
        if not self.can_try:
            raise ConfigurationError(
                "code_discovery: sequences cannot be tried where each episode draws its noise: give `noise` fixed "
                "numbers, or leave it out"
            )
        before, self._tried = self._tried, self._tried + int(np.sum(lengths, dtype=np.int64))
        try:
            return self._trials(actions, lengths, self._keep)
        except ConfigurationError:
            self._tried = before
            raise

    def _score(self, batch: TableauBatch, out: RewardBuffers | None = None) -> RewardBuffers:
        return require_valid(self._reward.score(batch, out), "code_discovery")

    def state_dict(self) -> dict[str, Any]:
        """Running episodes, generator, counters and archive: what comes next depends on nothing else."""
        return {
            "fingerprint": self._fingerprint(),
            "episode": {name: np.copy(array) for name, array in self._episode._asdict().items()},
            "observations": self._shown.observations.copy(),
            "mask": self._shown.mask.copy(),
            "masked": self._shown.masked.copy(),
            "ranges": self._ranges.copy(),
            "steps": self._steps,
            "tried": self._tried,
            "archive": self._archive.state_dict(),
            "groups": None if self._groups is None else self._groups.state_dict(),
            "generator": generator_state(self._rng),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`.

        Raises:
            CheckpointError: It comes from another configuration or number of members.
        """
        state = _setup.checked_state(state, self._fingerprint())
        arrays = restored_arrays(state, self._episode, self._shown, self._ranges, self.single_observation_space)
        _setup.check_episode(arrays, self.config, len(self.table))
        archive = self._archive.checked(state["archive"], self.config.max_gates, len(self.table), self._ranges.shape[1])
        tried = restored_int(state.get("tried", 0), "code_discovery: tried")  # states from before trials have none
        groups = GroupStarts.from_state_dict(state.get("groups"), self.num_envs)
        steps, rng = restored_int(state["steps"], "code_discovery: steps"), restored_generator(state["generator"])
        for array, found in arrays.values():
            array[...] = found
        self._archive.load_state_dict(archive)
        self._steps, self._tried, self._groups, self._rng = steps, tried, groups, rng

    def _fingerprint(self) -> str:
        text = f"{self.num_envs} {self.config.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _start(self) -> tuple[NDArray[Any], ...]:
        return self._initial, self._blank, self._uniforms, self._ranges, self._base

    def _draw(self) -> None:
        if self._groups is not None:
            self._groups.draw(self._uniforms)
        elif self._rules.sampled:
            self._rng.random(out=self._uniforms)

    def _solved(self, scores: RewardBuffers, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        if scores.solved is not None:
            return scores.solved
        solved = np.empty(len(words), np.bool_)
        _canonical.detects_errors(words, self._stabilizer_rows, self.config.target_distance, solved)
        return solved

    def _keep(self, batch: Solved) -> None:
        fixed = self._ranges[:1, :, 1]
        keep(
            self._archive,
            batch,
            self._rules,
            self._pruning,
            self._stabilizer_rows,
            step=self._steps * self.num_envs + self._tried,
            parameters=self._episode.parameters if batch.words is self._episode.words else fixed,
        )

    def _value_begun(self, begun: NDArray[np.bool_]) -> None:
        """Differences of values, and the look-ahead, start from the trivial code under the new episode's noise."""
        members = np.flatnonzero(begun)
        if len(members):
            noise = self._noise[members] if self._rules.sampled and self._noise is not None else self._noise
            scores = self._score(TableauBatch(self._episode.words[members], noise))
            self._episode.value[members] = scores.values[: len(members)]

    def _infos(self, *, fresh: bool) -> dict[str, Any]:
        return {name: np.zeros_like(array) if fresh else array for name, array in self._ended.items()}
