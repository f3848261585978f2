"""How long one call of a policy's network takes, by precision, runtime and batch size.

For reports on trained policies; `benchmarks/policy_inference.py` compares runtimes with care for their limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from qecforge.machine.cores import available_cores
from qecforge.machine.threads import torch_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qecforge.contracts.environment import Environment
    from qecforge.contracts.policy import Policy

__all__ = ["BATCHES", "Latency", "measure_latency", "rollout_speed", "seconds_per_call"]

BATCHES = (1, 64, 1024)


@dataclass(frozen=True)
class Latency:
    """Median time of one call.

    Attributes:
        precision: `fp32`, `bf16`, `fp16`, or `int8` with the bits of the policy.
        runtime: `torch`, or one of `qecforge.inference.runtimes.base.RUNTIMES`.
        kernel: Operators or kernel and instruction set, where the runtime says.
    """

    precision: str
    runtime: str
    batch: int
    seconds: float
    kernel: str = ""

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def seconds_per_call(call: Callable[[], Any], *, budget: float = 0.3, repeats: int = 7) -> float:
    """Median over `repeats` blocks of calls, after one block of warming up; about `budget` seconds in all."""
    started = time.perf_counter()
    call()
    call()
    once = (time.perf_counter() - started) / 2
    calls = max(1, int(budget / (repeats + 1) / max(once, 1e-7)))
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - started) / calls)
    return median(times[1:])


def measure_latency(
    policy: Policy,
    observations: NDArray[Any],
    *,
    batches: Sequence[int] = BATCHES,
    threads: int | None = None,
    budget: float = 0.3,
) -> list[Latency]:
    """Latency of a policy on every runtime that executes it.

    A float policy runs in torch (fp32, bf16, fp16) and in ONNX Runtime (fp32); an integer one (`QuantizedPolicy`) in
    our own kernels and in ONNX Runtime. All are given observations as the environment makes them.

    Args:
        observations: At least one; repeated to the batch size.
        threads: For one call; None for the cores that the process may use.
        budget: Seconds for each number.
    """
    from qecforge.inference.policy import QuantizedPolicy

    threads = threads or available_cores()
    samples = {batch: np.resize(observations, (batch, *observations.shape[1:])) for batch in batches}
    if isinstance(policy, QuantizedPolicy):
        return list(_integer(policy, samples, threads, budget))
    return list(_float(policy, samples, threads, budget))


def rollout_speed(env: Environment, policy: Policy, *, seconds: float = 1.0, seed: int = 0) -> float:
    """Environment steps per second, all members together, while the policy draws its actions on one thread.

    An integer policy (`QuantizedPolicy`) acts on our own kernels, a float one on torch: simulator, masks and drawing
    included, this is what a faster network is worth to a search.
    """
    from qecforge.inference.policy import QuantizedPolicy

    actor = policy.with_runtime("native", threads=1) if isinstance(policy, QuantizedPolicy) else policy
    rng = np.random.default_rng(seed)
    with torch_threads(1):
        observations, infos = env.reset(seed=seed)
        steps, started = -20, time.perf_counter()
        while steps <= 0 or time.perf_counter() - started < seconds:
            if steps == 0:
                started = time.perf_counter()  # 20 steps of warming up
            mask = infos.get("action_mask")
            actions = actor.act(observations, action_mask=mask, deterministic=False, rng=rng)
            observations, _, _, _, infos = env.step(actions)
            steps += 1
        return steps * env.num_envs / (time.perf_counter() - started)


def _integer(policy: Any, samples: dict[int, NDArray[Any]], threads: int, budget: float) -> Iterator[Latency]:
    from qecforge.inference.runtimes.choice import make_runtime

    for name in ("native", "onnxruntime"):
        runtime = make_runtime(name, policy.mlp, threads=threads)
        report = runtime.report()
        kernel = f"{report.kernel} ({report.instruction_set})"
        for batch, sample in samples.items():
            seconds = seconds_per_call(lambda run=runtime, x=sample: run.logits(x), budget=budget)  # type: ignore[misc]
            yield Latency(f"int{policy.mlp.bits}", name, batch, seconds, kernel)


def _float(policy: Policy, samples: dict[int, NDArray[Any]], threads: int, budget: float) -> Iterator[Latency]:
    import copy

    import torch

    session = _float_session(policy, threads)
    with torch_threads(threads), torch.inference_mode():
        for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            module = copy.deepcopy(policy.module).cpu().to(dtype)
            for batch, sample in samples.items():

                def call(module: Any = module, sample: NDArray[Any] = sample, dtype: Any = dtype) -> Any:
                    return module(torch.from_numpy(sample).to(dtype)).float().numpy()

                yield Latency(precision, "torch", batch, seconds_per_call(call, budget=budget))
    for batch, sample in samples.items():
        seconds = seconds_per_call(lambda x=sample: session(x), budget=budget)  # type: ignore[misc]
        yield Latency("fp32", "onnxruntime", batch, seconds)


def _float_session(policy: Policy, threads: int) -> Callable[[NDArray[Any]], Any]:
    import onnxruntime

    from qecforge.inference.runtimes.onnx_model import float_model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the integer session
    model = float_model(policy.module).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def call(x: NDArray[Any]) -> Any:
        return session.run(["logits"], {"observations": x.reshape(len(x), -1).astype(np.float32, copy=False)})

    return call
