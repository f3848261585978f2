"""The environment: candidates for all control parameters, scored by the detection events that they leave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import stim
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.hookspecs import ParameterEnvironment, Reward, StepBuffers
from qecforge_surface_steering import _kernels, _memory
from qecforge_surface_steering.closed_form import ClosedForm
from qecforge_surface_steering.config import SurfaceSteeringConfig
from qecforge_surface_steering.engine import Device, Engine
from qecforge_surface_steering.stim_engine import StimEngine

__all__ = ["SurfaceSteering"]

_ENGINES: Mapping[str, type[Engine]] = {"closed_form": ClosedForm, "stim": StimEngine}


class SurfaceSteering(ParameterEnvironment):
    """A memory experiment on a drifting processor, steered by whole vectors of control parameters.

    An action is one vector for each of the K candidates, float32 or float64; an engine works in the precision that it
    is given. All candidates of an epoch meet the same optimum. The reward of objective j is minus its measured
    detection rate, 0..1; `infos["true_cost"]` is the mean exact rate. Parameters whose square overflows are refused.

    Everything random is a function of the seed, of how often `reset` was called without one, and of the epoch.

    Attributes:
        config: As given.
        model: Detection rates as a function of gate errors, and the objectives' names and places.
        landscape: The gates' errors as a function of parameters.
        drift: What moves the optimum.
        circuits: The experiments, gates tagged.
        trials: (m,) int64, detector outcomes that each rate of a candidate is measured from.
    """

    def __init__(
        self, config: SurfaceSteeringConfig, *, num_envs: int, seed: int, reward: Reward | None = None
    ) -> None:
        if num_envs < 1:
            raise ConfigurationError(f"num_envs is {num_envs}: give 1 or more candidates")
        if reward is not None:
            raise ConfigurationError("surface_steering brings its own reward, the detection rates: leave reward out")
        self.config, self.num_envs = config, num_envs
        self.circuits = config.circuits()
        self.model = config.model(self.circuits)
        self.parameter_names = config.parameter_names()
        self._vector = config.reward == "vector"
        self.factor_graph = self.model.factor_graph(config.parameters_per_gate) if self._vector else None
        self._new_device(seed)
        self._make_spaces()

    def _new_device(self, seed: int) -> None:
        self._seed, self._resets, self._epoch = seed, 0, 0
        self.landscape = self.config.landscape(seed)
        self.drift = self.config.compiled_drift(seed)
        self.initial_parameters = self.config.initial_parameters(seed)
        self.exploration_scale = np.repeat(self.landscape.natural_scale, self.config.parameters_per_gate)
        for array in (self.initial_parameters, self.exploration_scale):
            array.flags.writeable = False
        device = Device(self.circuits, self.model, self.landscape, self.config.shots)
        kind = _ENGINES[self.config.engine]
        self._check_memory(kind, device)
        self.trials = device.trials
        self._engine = kind(device, self.num_envs)
        self._measured = np.zeros((self.num_envs, self.model.num_objectives), np.float32)

    def _check_memory(self, kind: type[Engine], device: Device) -> None:
        """Actions in float64, rewards twice, and what the engine takes."""
        K, P, m = self.num_envs, len(self.parameter_names), self.model.num_objectives
        needed = K * (8 * P + 8 * m) + kind.bytes_needed(device, K)
        given = self.config.max_memory_gib
        limit = _memory.free_bytes() if given is None else int(given * 2**30)
        if limit is not None and needed > limit:
            what = "are free" if given is None else "are allowed"
            raise ConfigurationError(
                f"num_envs: {K} candidates of {P} parameters need {_memory.shown(needed)}, {_memory.shown(limit)} "
                f"{what}: give fewer candidates" + (" or cycles" if kind is StimEngine else "")
            )

    def _make_spaces(self) -> None:
        P, m = len(self.parameter_names), self.model.num_objectives
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(-np.inf, np.inf, (P,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.reward_space = gymnasium.spaces.Box(-1, 0, (m if self._vector else 1,), np.float32)

    @property
    def epoch(self) -> int:
        """Epochs since the clock started: the number of the one that the next step measures."""
        return self._epoch

    def optimum(self, epoch: int | None = None) -> NDArray[np.float64]:
        """(G·P,) where each parameter's optimum is in an epoch; None for the present one."""
        return self.landscape.optimum + self.drift.offset(self._epoch if epoch is None else epoch)

    def gate_errors(self, parameters: ArrayLike, epoch: int | None = None) -> NDArray[np.float64]:
        """(..., G) error probabilities with (..., G·P) parameters in an epoch; None for the present one."""
        return self.landscape.errors(parameters, self.optimum(epoch))

    def true_rates(self, parameters: ArrayLike, epoch: int | None = None) -> NDArray[np.float64]:
        """(..., m) exact detection rates with (..., G·P) parameters in an epoch; None for the present one."""
        return self.model.rates(self.gate_errors(parameters, epoch))

    def noisy_circuits(self, parameters: ArrayLike, epoch: int | None = None) -> tuple[stim.Circuit, ...]:
        """The experiments with the noise that (G·P,) parameters bring in an epoch; None for the present one."""
        errors = self.gate_errors(parameters, epoch)
        number = {gate.name: g for g, gate in enumerate(self.model.gates)}
        return tuple(
            circuit.with_noise(errors[[number[gate.name] for gate in circuit.gates]]) for circuit in self.circuits
        )

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        out: StepBuffers | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start the clock anew.

        Args:
            seed: Draws the device (where the configuration has no `device_seed`) and all noise from it. Without one the
                device stays, and the noise is new.
            options: `{"epoch": t}` starts at epoch t instead of 0.
            out: As in `Environment.reset`.

        Raises:
            ConfigurationError: An unknown option, or an epoch below 0 or after the end of a drift table.
        """
        start = self._start_epoch(options or {})
        observations = self._observation_buffer(out)
        if seed is None:
            self._resets += 1
        elif seed == self._seed:
            self._resets = 0
        else:
            self._new_device(seed)
        self.drift.offset(start)
        self._epoch = start
        observations[...] = self._time()
        return observations, {}

    def step(
        self, actions: Any, out: StepBuffers | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Measure every candidate in one epoch.

        Args:
            actions: (K, G·P) float32 or float64.
            out: As in `Environment.step`.

        Returns:
            Observations (K, 1) float32: epoch / horizon, 1 after it. Rewards (K, m) float32, or (K,) their mean.
            `terminated`, `truncated`: False. `infos`: `detection_rate` and `true_cost`, floats.

        Raises:
            ConfigurationError: Actions of another shape or kind, not finite or too large, or a drift table that has
                ended; nothing has changed then.
        """
        x = self._checked(actions)
        observations, rewards, terminated, truncated = self._buffers(out)
        measured = rewards if self._vector else self._measured
        key = _kernels.stream_key(self._seed, self._resets, self._epoch)
        cost = self._engine.measure(x, self.optimum(), key, measured)
        if not self._vector:
            np.mean(measured, axis=1, out=rewards)
        self._epoch += 1
        observations[...] = self._time()
        terminated[...] = truncated[...] = False
        infos = {"detection_rate": -float(measured.mean(dtype=np.float64)), "true_cost": cost}
        return observations, rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Seed, resets and epoch: all else follows from them."""
        return {
            "fingerprint": self._fingerprint(),
            "seed": str(self._seed),
            "resets": self._resets,
            "epoch": self._epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`.

        Raises:
            CheckpointError: It comes from another configuration or number of candidates.
        """
        if state.get("fingerprint") != self._fingerprint():
            raise CheckpointError(
                "this state of surface_steering comes from another configuration or number of candidates: "
                "load it into an environment made like the one that saved it"
            )
        if int(state["seed"]) != self._seed:
            self._new_device(int(state["seed"]))
        self._resets, self._epoch = int(state["resets"]), int(state["epoch"])

    def _fingerprint(self) -> str:
        text = f"{self.num_envs} {self.config.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _time(self) -> np.float32:
        return np.float32(min(1.0, self._epoch / self.config.horizon))

    def _start_epoch(self, options: dict[str, Any]) -> int:
        unknown = [name for name in options if name != "epoch"]
        if unknown:
            raise ConfigurationError(f"unknown reset option {unknown[0]!r}: surface_steering takes 'epoch'")
        start = options.get("epoch", 0)
        if not isinstance(start, (int, np.integer)) or start < 0:
            raise ConfigurationError(f"option 'epoch': {start!r} is no epoch: give an integer from 0")
        return int(start)

    def _checked(self, actions: Any) -> NDArray[Any]:
        array = np.asarray(actions)
        shape = (self.num_envs, len(self.parameter_names))
        if array.shape != shape or array.dtype not in (np.float32, np.float64):
            raise ConfigurationError(
                f"actions are {array.dtype} of shape {array.shape}: give float32 or float64 of shape {shape}"
            )
        return array

    def _observation_buffer(self, out: StepBuffers | None) -> NDArray[Any]:
        if out is None:
            return np.empty((self.num_envs, 1), np.float32)
        return _fitting("observations", out.observations, (self.num_envs, 1), np.float32)

    def _buffers(self, out: StepBuffers | None) -> tuple[NDArray[Any], ...]:
        """Observations, rewards, terminated, truncated: of `out`, checked, or fresh ones."""
        K = self.num_envs
        shape = self._measured.shape if self._vector else (K,)
        observations = self._observation_buffer(out)
        if out is None:
            return observations, np.empty(shape, np.float32), np.empty(K, np.bool_), np.empty(K, np.bool_)
        return (
            observations,
            _fitting("rewards", out.rewards, shape, np.float32),
            _fitting("terminated", out.terminated, (K,), np.bool_),
            _fitting("truncated", out.truncated, (K,), np.bool_),
        )


def _fitting(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        raise ConfigurationError(
            f"out.{name} is {array.dtype} of shape {array.shape}: "
            f"give a C-contiguous {np.dtype(dtype)} array of shape {shape}"
        )
    return array
