"""Native runtime: an integer perceptron as one compiled pass, with nothing but bytes between its layers.

Weights are laid out once for the CPU's dot product, activations stay levels, tables are looked up in registers where
the CPU can, and a batch is split over threads.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import numba
import numpy as np
from numba.np.ufunc.parallel import get_thread_count, threading_layer
from numpy.typing import NDArray

from qecforge.errors import ConfigurationError
from qecforge.inference.integer import IntegerLayer, IntegerMlp
from qecforge.inference.runtimes._native_cpu import KERNELS, Kernel, cpu_features, packed_order
from qecforge.inference.runtimes._native_kernels import INPUT, RECORD, compiled
from qecforge.inference.runtimes.base import RuntimeReport, check_runtime, flat_observations
from qecforge.machine.cores import available_cores

__all__ = ["NativeRuntime", "pack", "usable_kernels"]

_ROWS_PER_THREAD = 16
"""Waking a thread takes as long as several observations, and on a busy machine longer."""

_LINE = 64
"""Bytes of a cache line and of the widest register."""


_ALONE = Lock()


def usable_kernels() -> tuple[str, ...]:
    """Names of the kernels that this CPU can run, best first."""
    features = cpu_features()
    return tuple(kernel.name for kernel in KERNELS if kernel.runs_on(features))


class NativeRuntime:
    """Logits by the compiled pass, equal to those of `run_reference` to the bit.

    Python threads may share one. On numba's layer `workqueue` (what is left where neither TBB nor OpenMP is there)
    calls that use several threads wait for each other; other parallel functions of numba must not run beside them.

    Args:
        mlp: The policy.
        threads: Largest number for one call, limited by numba's; None: the cores that the process may use.
        kernel: One of `usable_kernels()`; None for the first of them.

    Raises:
        ConfigurationError: `threads` is below 1, this CPU cannot run `kernel`, or a scale of the policy is no float32.
    """

    name = "native"

    def __init__(self, mlp: IntegerMlp, *, threads: int | None = None, kernel: str | None = None) -> None:
        check_runtime(self.name, threads)
        usable = usable_kernels()
        if kernel is not None and kernel not in usable:
            raise ConfigurationError(f"kernel: got {kernel!r}, expected one that runs here: {', '.join(usable)}")
        self._kernel = next(one for one in KERNELS if one.name == (kernel or usable[0]))
        self._mlp = mlp
        self._inputs, self._outputs = mlp.num_inputs, mlp.num_outputs
        self._threads = min(threads or available_cores(), get_thread_count())  # type: ignore[no-untyped-call]
        self._program = pack(mlp, self._kernel)
        self._serial, self._threaded = compiled[self._kernel.name]

    def logits(self, observations: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """See `Runtime.logits`. Observations of bytes are read as they are, others as float32."""
        x = observations
        if not (
            type(x) is np.ndarray
            and x.dtype == np.uint8
            and x.ndim == 2
            and x.shape[1] == self._inputs
            and x.flags.c_contiguous
        ):
            x = self._readable(observations)
        if out is None:
            out = np.empty((len(x), self._outputs), np.float32)
        elif out.shape != (len(x), self._outputs) or out.dtype != np.float32 or not out.flags.c_contiguous:
            flat_observations(self._mlp, x, out)  # refuses it
        tasks = min(self._threads, len(x) // _ROWS_PER_THREAD)
        if tasks > 1:
            with _parallel_region():
                self._threaded(self._program, x, out, tasks)
        else:
            self._serial(self._program, x, out)
        return out

    def _readable(self, observations: NDArray[Any]) -> NDArray[Any]:
        """(B, D) contiguous uint8 or float32, as the compiled pass reads them."""
        x = flat_observations(self._mlp, observations)
        if x.dtype == np.bool_:
            x = x.view(np.uint8)
        elif x.dtype != np.uint8:
            x = x.astype(np.float32, copy=False)
        return np.ascontiguousarray(x)

    def report(self) -> RuntimeReport:
        """See `Runtime.report`."""
        version = f"numba {numba.__version__}"
        return RuntimeReport(self.name, version, self._kernel.name, self._kernel.instruction_set, self._threads)


def _parallel_region() -> AbstractContextManager[Any]:
    """What a call on numba's threads is made in: numba's layer `workqueue` ends the process where Python threads make
    two at once, so there they wait for each other."""
    try:
        waits = threading_layer() == "workqueue"  # type: ignore[no-untyped-call]
    except ValueError:  # not chosen before the first region
        waits = True
    return _ALONE if waits else nullcontext()


def pack(mlp: IntegerMlp, kernel: Kernel) -> NDArray[np.int64]:
    """A program: all that the compiled pass reads, in one array on a boundary of 64 bytes.

    Its head is described by `INPUT` and `RECORD`. Between layers the bytes of a row lie as `packed_order` says, and the
    weights of the next layer accordingly; what pads a row has weight 0.

    Raises:
        ConfigurationError: A scale of the policy is no finite float32.
    """
    width = 4 * kernel.lanes
    head = np.zeros(INPUT + RECORD * len(mlp.layers), np.int64)
    parts = _Parts(head.nbytes)
    first = mlp.layers[0].inputs
    level_of_byte = first.quantize(np.arange(256, dtype=np.float32))
    places = np.arange(mlp.num_inputs)  # which byte of a row holds each input
    row_bytes = _padded(mlp.num_inputs, 8)
    widest = row_bytes
    for number, layer in enumerate(mlp.layers):
        outputs = len(layer.weight)
        panels = -(-outputs // width)
        panel = _panels(layer, panels, width, places, row_bytes)
        if not np.isfinite(panel[:, 4 * width : 8 * width].copy().view(np.float32)).all():
            raise ConfigurationError(f"layer {number}: its scales do not fit in a float32: calibrate the policy anew")
        record = head[INPUT + RECORD * number :][:RECORD]
        record[:3] = row_bytes // 4, panels, parts.add(panel)
        record[7:] = outputs, panel.shape[1]
        if layer.outputs is not None and layer.table is not None:
            byte = np.arange(panels * width)
            output_in = byte // width * width + packed_order(kernel.lanes)[byte % width]
            table = layer.table
            if table.ndim == 2:
                padded = np.zeros((panels * width, 256), np.uint8)
                padded[:outputs] = table
                table = padded[output_in].reshape(panels, width, 256).transpose(0, 2, 1)
            zero_point = layer.outputs.zero_point
            record[3:7] = parts.add(table), layer.table.ndim == 2, zero_point, layer.outputs.highest - zero_point
            places = np.argsort(output_in)[:outputs]
            row_bytes = panels * width
            widest = max(widest, row_bytes)
    exact = np.array_equal(level_of_byte, np.arange(256))
    scale_bits = np.float32(first.scale).view(np.int32)
    head[:INPUT] = (
        len(mlp.layers),
        _padded(widest, _LINE),
        parts.add(level_of_byte),
        exact,
        scale_bits,
        first.zero_point,
        first.highest,
    )
    return parts.program(head)


def _panels(
    layer: IntegerLayer, panels: int, width: int, places: NDArray[np.int64], row_bytes: int
) -> NDArray[np.uint8]:
    """(panels, bytes of a panel): offsets, scales, weights, as `RECORD` says."""
    outputs = len(layer.weight)
    offset = np.zeros(panels * width, np.int32)
    offset[:outputs] = layer.offset
    scale = np.zeros(panels * width, np.float32)
    with np.errstate(over="ignore"):
        scale[:outputs] = layer.sum_scale if layer.outputs is None else layer.multiplier
    weight = np.zeros((panels * width, row_bytes), np.int8)
    weight[:outputs, places] = layer.weight
    groups = weight.reshape(panels, width, row_bytes // 4, 4).transpose(0, 2, 1, 3)
    parts = [np.ascontiguousarray(part).view(np.uint8).reshape(panels, -1) for part in (offset, scale, groups)]
    return np.concatenate(parts, axis=1)


def _padded(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


class _Parts:
    """Blocks of bytes after a head, each on a boundary of 64 bytes."""

    def __init__(self, head_bytes: int) -> None:
        self._blocks: list[tuple[int, NDArray[np.uint8]]] = []
        self._end = _padded(head_bytes, _LINE)

    def add(self, block: NDArray[Any]) -> int:
        """Where it will lie, bytes from the start of the program."""
        place = self._end
        self._blocks.append((place, np.ascontiguousarray(block).reshape(-1).view(np.uint8)))
        self._end = _padded(place + block.nbytes, _LINE)
        return place

    def program(self, head: NDArray[np.int64]) -> NDArray[np.int64]:
        """Head and blocks together."""
        room = np.zeros(self._end + _LINE, np.uint8)
        start = -room.ctypes.data % _LINE
        raw = room[start : start + self._end]
        raw[: head.nbytes] = head.view(np.uint8)
        for place, block in self._blocks:
            raw[place : place + len(block)] = block
        return raw.view(np.int64)
