"""What one thread of this machine can do at most: products of bytes on registers, and bytes read from its caches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from qecforge.inference.runtimes._native_cpu import KERNELS
from qecforge.inference.runtimes._native_kernels import dot
from qecforge.inference.runtimes.native import usable_kernels

__all__ = ["integer_peak", "read_rate"]

I32, I64 = ir.IntType(32), ir.IntType(64)
KERNEL = next(kernel for kernel in KERNELS if kernel.name == usable_kernels()[0])
REGISTER = ir.VectorType(I32, KERNEL.lanes)
REGISTER_BYTES = 4 * KERNEL.lanes
SUMS = 4 * KERNEL.rows


def _loop(builder: Any, count: Any, step: int, sums: int, body: Callable[[Any, int, Any], Any]) -> Any:
    """Sum `sums[j] = body(i, j, sums[j])` over i = 0, step, ... below count; then all sums as one number."""
    entry, loop, end = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    at = builder.phi(I64)
    totals = [builder.phi(REGISTER) for _ in range(sums)]
    following = [body(at, j, total) for j, total in enumerate(totals)]
    more = builder.add(at, I64(step))
    at.add_incoming(I64(0), entry)
    at.add_incoming(more, loop)
    for total, after in zip(totals, following, strict=True):
        total.add_incoming(ir.Constant(REGISTER, None), entry)
        total.add_incoming(after, loop)
    builder.cbranch(builder.icmp_signed("<", more, count), loop, end)
    builder.position_at_end(end)
    result = following[0]
    for after in following[1:]:
        result = builder.xor(result, after)
    return builder.zext(builder.extract_element(result, I32(0)), I64)


def _products_code(typing_context: Any, times: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words = ir.Constant(ir.VectorType(I64, KERNEL.lanes // 2), None)
        operand = builder.bitcast(builder.insert_element(words, arguments[0], I32(0)), REGISTER)
        return _loop(builder, arguments[0], 1, SUMS, lambda at, j, total: dot(builder, KERNEL, total, operand, operand))

    return types.int64(types.int64), build


def _reads_code(typing_context: Any, address: Any, size: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def body(at: Any, j: int, total: Any) -> Any:
            place = builder.add(arguments[0], builder.add(at, I64(j * REGISTER_BYTES)))
            pointer = builder.inttoptr(place, REGISTER.as_pointer())
            return builder.xor(total, builder.load(pointer, align=REGISTER_BYTES))

        return _loop(builder, arguments[1], 8 * REGISTER_BYTES, 8, body)

    return types.int64(types.int64, types.int64), build


_products: Any = intrinsic(_products_code)
_reads: Any = intrinsic(_reads_code)


@njit
def _multiply(times):  # type: ignore[no-untyped-def]
    return _products(times)


@njit
def _read(address, size, times):  # type: ignore[no-untyped-def]
    found = 0
    for _ in range(times):
        found ^= _reads(address, size)
    return found


def _least(call: Callable[[], Any]) -> float:
    call()
    best = float("inf")
    for _ in range(30):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def integer_peak() -> float:
    """Products per second, by CPU time: the native kernel's dot product on registers and nothing else."""
    times = 500_000
    return times * SUMS * REGISTER_BYTES / _least(lambda: _multiply(times))


def read_rate(size: int) -> float:
    """Bytes per second, by CPU time: about `size` bytes read again and again, from whatever cache holds them."""
    step = 8 * REGISTER_BYTES
    size = -(-size // step) * step
    block = np.zeros(size + 4096, np.uint8)
    start, times = -(-block.ctypes.data // 4096) * 4096, 100
    rate = size * times / _least(lambda: _read(start, size, times))
    block[0] = 1  # held until here
    return rate
