"""A policy whose network is an `IntegerMlp`: acts, is saved and loaded, and says what its integers run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.policy import Policy
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference._acting import choose_actions
from qecforge.inference.integer import IntegerMlp
from qecforge.inference.runtimes.base import DEFAULT_RUNTIME, Runtime, RuntimeReport, check_runtime
from qecforge.inference.runtimes.choice import make_runtime

if TYPE_CHECKING:
    import torch

__all__ = ["QuantizedPolicy", "load_quantized"]


class QuantizedPolicy(Policy):
    """A softmax policy over N actions in integers.

    The runtime is made when it is first needed; a copy, pickled or deep, makes its own.

    Args:
        mlp: The network.
        runtime: What executes it, one of `qecforge.inference.runtimes.base.RUNTIMES`.
        threads: Largest number for one call; None: the cores that the process may use.
        start: First action's number in the environment's action space.

    Raises:
        ConfigurationError: There is no such runtime, or `threads` is below 1.
    """

    def __init__(
        self, mlp: IntegerMlp, *, runtime: str = DEFAULT_RUNTIME, threads: int | None = None, start: int = 0
    ) -> None:
        check_runtime(runtime, threads)
        self._mlp = mlp
        self._runtime_name = runtime
        self._threads = threads
        self.start = start
        self._runtime: Runtime | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._mlp, self._runtime_name, self._threads, self.start)

    @property
    def mlp(self) -> IntegerMlp:
        """The network in integers."""
        return self._mlp

    @property
    def runtime(self) -> Runtime:
        """What executes the network."""
        if self._runtime is None:
            self._runtime = make_runtime(self._runtime_name, self._mlp, threads=self._threads)
        return self._runtime

    @property
    def module(self) -> NoReturn:
        """Refused: integers have no network that could be quantized again."""
        raise ConfigurationError(
            f"this policy is quantized already (by {self._mlp.method}, {self._mlp.bits} bits): quantize the float one"
        )

    def with_runtime(self, runtime: str, *, threads: int | None = None) -> QuantizedPolicy:
        """The same network on another runtime. Raises `ConfigurationError` where there is none of this name."""
        return QuantizedPolicy(self._mlp, runtime=runtime, threads=threads, start=self.start)

    def runtime_report(self) -> RuntimeReport:
        """Runtime, version, kernel, instruction set and threads that the integers run on."""
        return self.runtime.report()

    def logits(self, observations: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(B, *observation_shape) -> (B, N) float32, into `out` where it is given.

        Raises:
            ConfigurationError: The observations are not of this policy's environment, or `out` does not fit.
        """
        return self.runtime.logits(observations, out)

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions (B,) int64: the most likely ones, or drawn with `rng` (Gumbel-max)."""
        return choose_actions(
            self.logits(observations),
            action_mask=action_mask,
            deterministic=deterministic,
            rng=rng,
            start=self.start,
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """`IntegerMlp.tensors` and `start`, (1,) int64."""
        import torch

        tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in self._mlp.tensors().items()}
        return {**tensors, "start": torch.tensor([self.start])}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a network of the same inputs and outputs.

        Raises:
            CheckpointError: It is no integer policy, damaged, or one for other observations or actions.
        """
        mlp, start = _from_state(state)
        own, got = ((each.num_inputs, each.num_outputs) for each in (self._mlp, mlp))
        if own != got:
            raise CheckpointError(
                f"policy: got {got[0]} inputs and {got[1]} actions, expected {own[0]} and {own[1]}: "
                "load what was quantized for this environment"
            )
        self._mlp, self.start, self._runtime = mlp, start, None


def load_quantized(content: bytes, *, runtime: str = DEFAULT_RUNTIME, threads: int | None = None) -> QuantizedPolicy:
    """The policy whose `state_dict` was written as safetensors.

    Args:
        content: The file's bytes.
        runtime, threads: As `QuantizedPolicy` takes them.

    Raises:
        CheckpointError: They are no safetensors file, or hold no integer policy of qecforge, or a damaged one.
        ConfigurationError: There is no such runtime, or `threads` is below 1.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"integer policy: not a safetensors file ({error}): give one that a run with a quantizer left"
        ) from error
    mlp, start = _from_state(state)
    return QuantizedPolicy(mlp, runtime=runtime, threads=threads, start=start)


def _from_state(state: Mapping[str, torch.Tensor]) -> tuple[IntegerMlp, int]:
    if "format" not in state:
        IntegerMlp.from_tensors({})
    try:
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    except TypeError as error:  # a type that numpy lacks, bfloat16
        raise CheckpointError(f"this integer policy is damaged ({error}): quantize the policy anew") from error
    mlp = IntegerMlp.from_tensors(arrays)
    start = arrays.get("start")
    if start is None or start.shape != (1,) or start.dtype != np.int64:
        raise CheckpointError("this integer policy is damaged (start): quantize the policy anew")
    return mlp, int(start[0])


def _rebuild(mlp: IntegerMlp, runtime: str, threads: int | None, start: int) -> QuantizedPolicy:
    return QuantizedPolicy(mlp, runtime=runtime, threads=threads, start=start)
