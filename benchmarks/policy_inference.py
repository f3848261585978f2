"""INT8 policies: time of a forward pass beside the fastest float runtimes, at batch 1, 64 and 1,024.

Ours is the native runtime on a perceptron that `ptq` quantised per channel, and on one of `smoothquant`, whose tables
differ from output to output; both must give the logits of the numpy reference to the bit before any clock starts. It
reads observations as bytes; the float peers get theirs as floats, converted beforehand, and buffers bound beforehand
where they can be.

Peers: torch (eager), ONNX Runtime and OpenVINO (`pip install openvino`; left out where it is missing) in
float32 and bfloat16, of which the fastest counts; torch in float16, which a CPU without float16 arithmetic converts at
each step, so that being faster says little; ONNX Runtime in INT8, static and dynamic. Stretches of all runtimes take
turns, and each runtime's fastest stretch counts. Rows for one thread go by CPU time, others by the wall clock.

The peak is that of the dot product on registers alone, in the same run: products per second, times the threads. For a
single observation, whose weights are each used once, the limit is reading them from the cache instead.

    python benchmarks/policy_inference.py [--quick] [--threads N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HIDDEN = (512, 512, 256)
BATCHES = (1, 64, 1024)
WANTED = {"fp32": 2.5, "bf16": 1.5, "torch fp16": 3.8}
"""How many times as fast as the best of each kind of peer."""

Call = Callable[[], Any]


def shapes() -> dict[str, tuple[int, ...]]:
    """Units of each layer: the shape of the earlier measurements, and E1's."""
    from qecforge_code_discovery import CodeDiscoveryConfig, make
    from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig

    config = CodeDiscoveryConfig(n=12, k=1, target_distance=3, max_gates=40, gates=("h", "s", "cx", "swap"))
    env = make(config, num_envs=1, seed=0, reward=KnillLaflamme(KnillLaflammeConfig()))
    inputs = int(np.prod(env.single_observation_space.shape))
    return {"264-512-512-256-290": (264, *HIDDEN, 290), "E1": (inputs, *HIDDEN, int(env.single_action_space.n))}


def make_module(sizes: tuple[int, ...]) -> Any:
    """A GELU perceptron with torch's initial weights."""
    import torch

    torch.manual_seed(0)
    parts: list[Any] = []
    for fan_in, fan_out in pairwise(sizes):
        parts += [torch.nn.Linear(fan_in, fan_out), torch.nn.GELU()]
    return torch.nn.Sequential(*parts[:-1]).eval()


class Calls:
    """For one shape, batch and number of threads: a call for each runtime, by name."""

    def __init__(self, sizes: tuple[int, ...], threads: int) -> None:
        from qecforge.contracts import Policy
        from qecforge_ptq import PtqConfig, make_ptq
        from qecforge_smoothquant import SmoothQuantConfig, make_smoothquant

        self.threads = threads
        self.module = make_module(sizes)
        self.rng = np.random.default_rng(0)
        states = self.rng.integers(0, 2, (1024, sizes[0])).astype(np.uint8)

        class Float(Policy):
            """What a quantizer reads of a policy."""

            module = self.module
            start = 0

            def act(self, *_: Any, **__: Any) -> NDArray[Any]:
                raise NotImplementedError

            def state_dict(self) -> dict[str, Any]:
                return {}

            def load_state_dict(self, state: Any) -> None:
                raise NotImplementedError

        ptq = make_ptq(PtqConfig(granularity="per_channel"))
        smooth = make_smoothquant(SmoothQuantConfig())
        self.plain = ptq.quantize(Float(), states).mlp  # type: ignore[attr-defined]
        self.smooth = smooth.quantize(Float(), states).mlp  # type: ignore[attr-defined]

    def make(self, batch: int) -> dict[str, Call]:
        """All of them."""
        x = self.rng.integers(0, 2, (batch, self.plain.num_inputs)).astype(np.uint8)
        calls = {"native": self._native(self.plain, x), "native, a table for each output": self._native(self.smooth, x)}
        calls.update(self._torch(x.astype(np.float32)))
        calls.update(self._onnxruntime(x))
        calls.update(self._openvino(x))
        return calls

    def _native(self, mlp: Any, x: NDArray[np.uint8]) -> Call:
        from qecforge.inference.integer import run_reference
        from qecforge.inference.runtimes.choice import make_runtime

        runtime = make_runtime("native", mlp, threads=self.threads)
        out = np.empty((len(x), mlp.num_outputs), np.float32)
        if not np.array_equal(runtime.logits(x, out), run_reference(mlp, x)):
            raise SystemExit("the native runtime differs from the reference: no time counts")
        return lambda: runtime.logits(x, out)

    def _torch(self, x: NDArray[np.float32]) -> dict[str, Call]:
        import copy

        import torch

        def call(dtype: Any) -> Call:
            module, tensor = copy.deepcopy(self.module).to(dtype), torch.from_numpy(x).to(dtype)

            def forward() -> Any:
                with torch.inference_mode():
                    return module(tensor)

            return forward

        kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        return {f"torch {name}": call(dtype) for name, dtype in kinds.items()}

    def _onnxruntime(self, x: NDArray[np.uint8]) -> dict[str, Call]:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        from qecforge.inference.runtimes.onnx_model import float_model, qdq_model

        model = float_model(self.module)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "dynamic.onnx"
            quantize_dynamic(model, path, per_channel=True, weight_type=QuantType.QInt8)
            dynamic = path.read_bytes()
        floats = x.astype(np.float32)
        return {
            "ONNX Runtime fp32": self._session(model.SerializeToString(), floats),
            "ONNX Runtime INT8 dynamic": self._session(dynamic, floats),
            "ONNX Runtime INT8 static (QDQ)": self._session(qdq_model(self.plain).SerializeToString(), x),
        }

    def _session(self, model: bytes, x: NDArray[Any]) -> Call:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        out = np.empty((len(x), self.plain.num_outputs), np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input("observations", x)
        binding.bind_output("logits", "cpu", 0, np.float32, out.shape, out.ctypes.data)
        kept = (x, out)
        return lambda: (session.run_with_iobinding(binding), kept)

    def _openvino(self, x: NDArray[np.uint8]) -> dict[str, Call]:
        try:
            import openvino
        except ImportError:
            return {}
        from qecforge.inference.runtimes.onnx_model import float_model

        core = openvino.Core()

        def call(precision: str) -> Call:
            model = core.read_model(float_model(self.module).SerializeToString())
            model.reshape([len(x), self.plain.num_inputs])
            options = {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": self.threads,
                "PERFORMANCE_HINT": "LATENCY",
            }
            request = core.compile_model(model, "CPU", options).create_infer_request()
            request.set_input_tensor(openvino.Tensor(x.astype(np.float32)))
            return lambda: request.infer()

        return {"OpenVINO fp32": call("f32"), "OpenVINO bf16": call("bf16")}


def fastest(calls: dict[str, Call], seconds: float, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Microseconds of each call: the fastest of `rounds` stretches of `seconds`, which take turns."""
    repeats = {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        start = clock()
        call()
        repeats[name] = max(1, round(seconds / max(clock() - start, 1e-6)))
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            start = clock()
            for _ in range(repeats[name]):
                call()
            best[name] = min(best[name], (clock() - start) / repeats[name] * 1e6)
    return best


def measure(quick: bool, threads: int) -> list[dict[str, Any]]:
    """The rows for a number of threads, measured in this process."""
    import torch
    from _machine_limits import integer_peak, read_rate

    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    peak = integer_peak() * threads
    seconds, rounds = (0.02, 3) if quick else (0.05, 12)
    rows = []
    for shape, sizes in shapes().items():
        products = sum(a * b for a, b in pairwise(sizes))
        calls = Calls(sizes, threads)
        for batch in BATCHES:
            took = fastest(calls.make(batch), seconds, rounds, clock)
            limits = {"of_peak": products * batch / peak}
            if batch == 1:
                limits["of_reading"] = products / read_rate(products)  # a weight is a byte; one thread reads them
            rows += _rows(shape, batch, threads, took, limits)
    return rows


def _rows(
    shape: str, batch: int, threads: int, took: dict[str, float], limits: dict[str, float]
) -> list[dict[str, Any]]:
    ours = took["native"]
    fractions = {name: seconds / (ours * 1e-6) for name, seconds in limits.items()}
    where = f"{shape}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
    rows = []
    for kind, wanted in WANTED.items():
        peer = min((name for name in took if name.endswith(kind)), key=took.__getitem__)
        note = " (weak: no float16 arithmetic)" if kind == "torch fp16" else f", the fastest {kind}"
        rows.append(_row(where, "INT8", ours, took[peer], peer + note, took[peer] / wanted) | fractions)
    for peer in ("ONNX Runtime INT8 static (QDQ)", "ONNX Runtime INT8 dynamic"):
        rows.append(_row(where, "INT8", ours, took[peer], peer, None))
    name = "native, a table for each output"
    rows.append(_row(where, "INT8 smoothquant", took[name], ours, "one table for all outputs", None))
    rows[0]["microseconds"] = {name: round(value, 1) for name, value in took.items()}
    return rows


def _row(where: str, what: str, ours: float, peer: float, name: str, target: float | None) -> dict[str, Any]:
    return {
        "claim": f"{what}, {where}",
        "ours": ours,
        "peer": peer,
        "peer_name": name,
        "ratio": peer / ours,
        "target": target,
        "unit": "µs (less is better)",
    }


def run(quick: bool, threads: int | None = None) -> list[dict[str, Any]]:
    """Rows for all cores and for one thread. Measured in a process of its own, whose threads wait as their libraries
    have it: those of the command line do not spin, which would slow the peers."""
    from qecforge.machine.cores import available_cores

    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    rows = []
    for count in [threads] if threads else sorted({1, available_cores()}, reverse=True):
        command = [sys.executable, __file__, "--json", "--threads", str(count), *(["--quick"] if quick else [])]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
        rows += json.loads(done.stdout.splitlines()[-1])
    return rows


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, help="all cores, and one, by default")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.json:
        print(json.dumps(measure(arguments.quick, arguments.threads)))
        return
    print(f"{'claim':56} {'ours, µs':>9} {'target':>9} {'peer, µs':>9} {'ratio':>6} {'of limit':>8}  peer")
    for row in run(arguments.quick, arguments.threads):
        target = "" if row["target"] is None else f"{row['target']:,.1f}"
        of_limit = f"{row.get('of_reading', row['of_peak']):.0%}" if "of_peak" in row else ""
        print(
            f"{row['claim']:56} {row['ours']:>9,.1f} {target:>9} {row['peer']:>9,.1f} {row['ratio']:>6.2f} "
            f"{of_limit:>8}  {row['peer_name']}"
        )
        if "microseconds" in row:
            print(f"{'':56} " + ", ".join(f"{name} {value:,}" for name, value in row["microseconds"].items()))


if __name__ == "__main__":
    main()
