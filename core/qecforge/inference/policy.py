"""A policy whose network is an `IntegerMlp`: acts, is saved and loaded, and says what its integers run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from qecforge.contracts.policy import ActionHead, Policy
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.inference._acting import choose_actions
from qecforge.inference.integer import IntegerMlp
from qecforge.inference.runtimes.base import DEFAULT_RUNTIME, Runtime, RuntimeReport, check_runtime
from qecforge.inference.runtimes.choice import make_runtime

if TYPE_CHECKING:
    import torch

__all__ = ["QuantizedPolicy", "load_quantized"]


class QuantizedPolicy(Policy):
    """A softmax policy over N actions in integers or, with a `head`, one of continuous actions.

    The runtime is made when it is first needed; a copy, pickled or deep, makes its own.

    Args:
        mlp: The network.
        runtime: What executes it, one of `qecforge.inference.runtimes.base.RUNTIMES`.
        threads: Largest number for one call; None: the cores that the process may use.
        start: First action's number in the environment's action space.
        head: What makes actions of what the network gives, which is then the argument of tanh.

    Raises:
        ConfigurationError: There is no such runtime, `threads` is below 1, or `head` is of another number of actions.
    """

    def __init__(
        self,
        mlp: IntegerMlp,
        *,
        runtime: str = DEFAULT_RUNTIME,
        threads: int | None = None,
        start: int = 0,
        head: ActionHead | None = None,
    ) -> None:
        check_runtime(runtime, threads)
        if head is not None and head.low.size != mlp.num_outputs:
            raise ConfigurationError(
                f"integer policy: the network gives {mlp.num_outputs} numbers, but an action has {head.low.size}: "
                "quantize the policy of this environment"
            )
        self._mlp = mlp
        self._runtime_name = runtime
        self._threads = threads
        self.start = start
        self._head = head
        self._runtime: Runtime | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._mlp, self._runtime_name, self._threads, self.start, self._head)

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

    @property
    def head(self) -> ActionHead | None:
        """See `Policy.head`."""
        return self._head

    def with_runtime(self, runtime: str, *, threads: int | None = None) -> QuantizedPolicy:
        """The same network on another runtime. Raises `ConfigurationError` where there is none of this name."""
        return QuantizedPolicy(self._mlp, runtime=runtime, threads=threads, start=self.start, head=self._head)

    def runtime_report(self) -> RuntimeReport:
        """Runtime, version, kernel, instruction set and threads that the integers run on."""
        return self.runtime.report()

    def logits(self, observations: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(B, *observation_shape) -> (B, N) float32, into `out` where it is given; with a head the arguments of tanh.

        Raises:
            ConfigurationError: The observations are not of this policy's environment, or `out` does not fit.
        """
        return self.runtime.logits(observations if self._head is None else self._head.shown(observations), out)

    def act(
        self,
        observations: NDArray[Any],
        *,
        action_mask: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Actions (B,) int64: the most likely ones, or drawn with `rng` (Gumbel-max); with a head those of its box."""
        outputs = self.logits(observations)
        if self._head is not None:
            return self._head.actions(np.tanh(outputs), deterministic=deterministic, rng=rng)
        return choose_actions(
            outputs,
            action_mask=action_mask,
            deterministic=deterministic,
            rng=rng,
            start=self.start,
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """`IntegerMlp.tensors`, `start`, (1,) int64, and what the head has, as `head.NAME`."""
        import torch

        arrays = {**self._mlp.tensors(), **({} if self._head is None else _of_head(self._head))}
        tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
        return {**tensors, "start": torch.tensor([self.start])}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a network of the same inputs and outputs.

        Raises:
            CheckpointError: It is no integer policy, damaged, or one for other observations or actions.
        """
        mlp, start, head = _from_state(state)
        own, got = ((each.num_inputs, each.num_outputs) for each in (self._mlp, mlp))
        if own != got:
            raise CheckpointError(
                f"policy: got {got[0]} inputs and {got[1]} actions, expected {own[0]} and {own[1]}: "
                "load what was quantized for this environment"
            )
        if (head is None) != (self._head is None):
            kinds = ["continuous" if each is not None else "discrete" for each in (head, self._head)]
            raise CheckpointError(
                f"policy: got one of {kinds[0]} actions, expected {kinds[1]}: load what was quantized for this "
                "environment"
            )
        self._mlp, self.start, self._head, self._runtime = mlp, start, head, None


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
    mlp, start, head = _from_state(state)
    return QuantizedPolicy(mlp, runtime=runtime, threads=threads, start=start, head=head)


def _from_state(state: Mapping[str, torch.Tensor]) -> tuple[IntegerMlp, int, ActionHead | None]:
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
    return mlp, int(start[0]), _head_of(arrays, mlp)


def _of_head(head: ActionHead) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {"head.low": head.low, "head.high": head.high}
    found["head.noise"] = np.array([head.noise], np.float64)
    if head.mean is not None and head.scale is not None:
        found |= {"head.mean": head.mean, "head.scale": head.scale}
    if head.divisor is not None:
        found["head.divisor"] = head.divisor
    return found


def _head_of(arrays: Mapping[str, NDArray[Any]], mlp: IntegerMlp) -> ActionHead | None:
    """What `_of_head` wrote; None where the policy is of discrete actions."""
    if not any(name.startswith("head.") for name in arrays):
        return None
    try:
        of_inputs = [arrays.get(f"head.{name}") for name in ("mean", "scale", "divisor")]
        head = ActionHead(arrays["head.low"], arrays["head.high"], float(arrays["head.noise"].item()), *of_inputs)
        widths = [len(each) for each in of_inputs if each is not None]
        if head.low.size != mlp.num_outputs or any(width != mlp.num_inputs for width in widths):
            raise ValueError("its sizes are not the network's")
    except (KeyError, ValueError, TypeError, ConfigurationError) as error:
        raise CheckpointError(f"this integer policy is damaged (head: {error}): quantize the policy anew") from error
    return head


def _rebuild(
    mlp: IntegerMlp, runtime: str, threads: int | None, start: int, head: ActionHead | None = None
) -> QuantizedPolicy:
    return QuantizedPolicy(mlp, runtime=runtime, threads=threads, start=start, head=head)
