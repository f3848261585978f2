"""Compiled forward pass of an integer perceptron, on the CPU's dot products of bytes where it has them.

A tile of a few observations (six with AVX-512) goes through all layers before the next one starts, so that a few
kilobytes of levels are all that is written between layers, and the weights stream from the second-level cache. A panel
is 4 W outputs, four registers of W lanes of 32 bits; the innermost instruction multiplies four levels with four weights
in each lane and adds them to the lane's sum.

The sums of a panel are packed to bytes in the order that costs no shuffle: the output of register j, lane 4 l + b goes
to byte 16 l + 4 j + b (`packed_order`); the next layer's weights are laid out for it beforehand.

All is in one file, because numba's cache on disk notices changes in a kernel's own file, not in what it calls.
"""
# mypy: disable-error-code="no-any-return, no-untyped-call, no-untyped-def, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from qecforge.inference.runtimes._native_cpu import KERNELS, Kernel, packed_order

__all__ = ["INPUT", "RECORD", "compiled", "dot"]

INPUT = 7
"""int64 words at the head of a program: number of layers, bytes of the widest row of levels, where the level of each
byte is, whether that is the byte itself, scale (the bits of a float32), zero point and highest level of the inputs.
Places are bytes from the start of the program."""

RECORD = 9
"""Words of each layer, after these: groups of four inputs, panels, where the panels are, where the table is, whether it
has its own column for each output, zero point of the pre-activation, its highest level less that, outputs, bytes of a
panel. A panel is 4 W int32 offsets, 4 W float32 scales, then for each group the four weights of each output."""

REGISTERS = 4
I8, I16, I32, I64, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Call an LLVM intrinsic, declared in the module on first use."""
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


def _vector(kind: Any, lanes: int) -> Any:
    return ir.VectorType(kind, lanes)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    first = builder.insert_element(ir.Constant(_vector(value.type, lanes), ir.Undefined), value, I32(0))
    return builder.shuffle_vector(first, first, ir.Constant(_vector(I32, lanes), [0] * lanes))


def _shuffle(builder: Any, first: Any, second: Any, order: Any) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(_vector(I32, len(order)), [int(i) for i in order]))


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: Any, address: Any, kind: Any, align: int = 1) -> Any:
    return builder.load(_pointer(builder, address, kind), align=align)


def _store(builder: Any, address: Any, value: Any) -> None:
    builder.store(value, _pointer(builder, address, value.type), align=1)


def _plus(builder: Any, address: Any, offset: int) -> Any:
    return builder.add(address, I64(offset))


def dot(builder: Any, kernel: Kernel, total: Any, levels: Any, weights: Any) -> Any:
    """Add to each lane of `total` the products of its four unsigned `levels` and signed `weights` (all <W x i32>)."""
    lanes = kernel.lanes
    if kernel.multiplies_bytes:
        name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
        return _call(builder, name, total.type, [total, levels, weights])
    wide = _vector(I16, 4 * lanes)
    left = builder.zext(builder.bitcast(levels, _vector(I8, 4 * lanes)), wide)
    right = builder.sext(builder.bitcast(weights, _vector(I8, 4 * lanes)), wide)
    for part in range(4):
        pair = [
            builder.sext(_shuffle(builder, side, side, range(part, 4 * lanes, 4)), total.type) for side in (left, right)
        ]
        total = builder.add(total, builder.mul(*pair))
    return total


def _sums(builder: Any, kernel: Kernel, rows: int, x: Any, stride: Any, panel: Any, groups: Any) -> list[list[Any]]:
    """Integer sums of a panel for `rows` observations: a loop over groups of four inputs, an even number of them.

    One or two observations get a second set of sums, so that each addition need not wait for the one before it.
    """
    lanes, kind = kernel.lanes, _vector(I32, kernel.lanes)
    size, sets = 4 * lanes, 2 if rows <= 2 else 1
    starts = [_load(builder, _plus(builder, panel, j * size), kind) for j in range(REGISTERS)]
    entry, loop, end = builder.block, builder.append_basic_block("groups"), builder.append_basic_block("summed")
    builder.branch(loop)
    builder.position_at_end(loop)
    at = builder.phi(I64)
    at.add_incoming(I64(0), entry)
    sums = [[[builder.phi(kind) for _ in range(REGISTERS)] for _ in range(rows)] for _ in range(sets)]
    for s, one_set in enumerate(sums):
        for row in one_set:
            for j, total in enumerate(row):
                total.add_incoming(starts[j] if s == 0 else ir.Constant(kind, None), entry)
    weights_at = builder.add(panel, builder.mul(at, I64(REGISTERS * size)))
    levels_at = builder.add(x, builder.mul(at, I64(4)))
    following: list[list[list[Any]]] = []
    for s in range(sets):
        weights = [
            _load(builder, _plus(builder, weights_at, 2 * REGISTERS * size + (s * REGISTERS + j) * size), kind)
            for j in range(REGISTERS)
        ]
        following.append([])
        for r in range(rows):
            address = builder.add(levels_at, builder.add(builder.mul(stride, I64(r)), I64(4 * s)))
            levels = _splat(builder, _load(builder, address, I32), lanes)
            following[s].append([dot(builder, kernel, sums[s][r][j], levels, weights[j]) for j in range(REGISTERS)])
    for s in range(sets):
        for r in range(rows):
            for j in range(REGISTERS):
                sums[s][r][j].add_incoming(following[s][r][j], loop)
    more = builder.add(at, I64(sets))
    at.add_incoming(more, loop)
    builder.cbranch(builder.icmp_signed("<", more, groups), loop, end)
    builder.position_at_end(end)
    if sets == 1:
        return following[0]
    return [[builder.add(*pair) for pair in zip(*both, strict=True)] for both in zip(*following, strict=True)]


def _scales(builder: Any, kernel: Kernel, panel: Any) -> list[Any]:
    size = 4 * kernel.lanes
    kind = _vector(F32, kernel.lanes)
    return [_load(builder, _plus(builder, panel, (REGISTERS + j) * size), kind) for j in range(REGISTERS)]


def _packed_levels(builder: Any, kernel: Kernel, sums: list[Any], scales: list[Any], zero: Any, room: Any) -> Any:
    """<4 W x i8> levels of the pre-activation: clip(round(sum scale), -zero, room) + zero, in `packed_order`.

    Clipping to an integer commutes with rounding, so the order of the reference's operations is kept to the bit.
    """
    lanes = kernel.lanes
    floats, whole = _vector(F32, lanes), _vector(I32, lanes)
    highest = _splat(builder, builder.sitofp(room, F32), lanes)
    rounded = []
    for total, scale in zip(sums, scales, strict=True):
        scaled = builder.fmul(builder.sitofp(total, floats), scale)
        scaled = builder.select(builder.fcmp_ordered("<", scaled, highest), scaled, highest)
        if not kernel.multiplies_bytes:
            lowest = _splat(builder, builder.fneg(builder.sitofp(zero, F32)), lanes)
            scaled = builder.select(builder.fcmp_ordered(">", scaled, lowest), scaled, lowest)
            scaled = _call(builder, f"llvm.rint.v{lanes}f32", floats, [scaled])
            level = builder.add(builder.fptosi(scaled, whole), _splat(builder, builder.trunc(zero, I32), lanes))
            rounded.append(builder.trunc(level, _vector(I8, lanes)))
        elif lanes == 16:
            name = "llvm.x86.avx512.mask.cvtps2dq.512"
            arguments = [scaled, ir.Constant(whole, None), ir.Constant(I16, -1), I32(4)]
            rounded.append(_call(builder, name, whole, arguments))
        else:
            rounded.append(_call(builder, "llvm.x86.avx.cvt.ps2dq.256", whole, [scaled]))
    if not kernel.multiplies_bytes:
        low, high = (_shuffle(builder, rounded[i], rounded[i + 1], range(2 * lanes)) for i in (0, 2))
        return _shuffle(builder, low, high, packed_order(lanes))
    # what was too low for an int32 became the lowest one, and the packing clips it at zero
    prefix, suffix = ("llvm.x86.avx512", ".512") if lanes == 16 else ("llvm.x86.avx2", "")
    words, levels = _vector(I16, 2 * lanes), _vector(I8, 4 * lanes)
    zeros = _splat(builder, builder.trunc(zero, I16), 2 * lanes)
    pairs = []
    for i in (0, 2):
        pair = _call(builder, f"{prefix}.packssdw{suffix}", words, rounded[i : i + 2])
        pairs.append(_call(builder, f"llvm.sadd.sat.v{2 * lanes}i16", words, [pair, zeros]))
    return _call(builder, f"{prefix}.packuswb{suffix}", levels, pairs)


def _tiles(builder: Any, kernel: Kernel, rows: Any, emit: Any) -> None:
    """Code for each number of observations that a tile can have, chosen by `rows`."""
    end = builder.append_basic_block("tile_done")
    cases = [builder.append_basic_block(f"tile_{count}") for count in range(1, kernel.rows + 1)]
    choice = builder.switch(rows, cases[-1])
    for count, case in enumerate(cases, start=1):
        choice.add_case(I64(count), case)
        builder.position_at_end(case)
        emit(count)
        builder.branch(end)
    builder.position_at_end(end)


def _hidden_panel_code(typing_context, kernel, rows, x, stride, panel, groups, zero, room, table, y):
    """Levels `x` (rows of `stride` bytes) -> levels of one panel's activation at `y` (rows of `stride` bytes).

    `table` is the address of one table for all outputs, or 0 to leave the levels of the pre-activation.
    """
    chosen = KERNELS[kernel.literal_value]

    def build(context, builder, signature, arguments):
        _, rows, x, stride, panel, groups, zero, room, table, y = arguments

        def emit(count: int) -> None:
            sums = _sums(builder, chosen, count, x, stride, panel, groups)
            scales = _scales(builder, chosen, panel)
            packed = [_packed_levels(builder, chosen, row, scales, zero, room) for row in sums]
            targets = [builder.add(y, builder.mul(stride, I64(r))) for r in range(count)]
            for levels, target in zip(packed, targets, strict=True):
                _store(builder, target, levels)
            if not chosen.permutes:
                return
            with builder.if_then(builder.icmp_signed("!=", table, I64(0))):
                kind = _vector(I8, 64)
                parts = [_load(builder, _plus(builder, table, 64 * part), kind) for part in range(4)]
                for levels, target in zip(packed, targets, strict=True):
                    halves = [
                        _call(builder, "llvm.x86.avx512.vpermi2var.qi.512", kind, [parts[i], levels, parts[i + 1]])
                        for i in (0, 2)
                    ]
                    low = builder.icmp_signed(">=", levels, ir.Constant(kind, None))
                    _store(builder, target, builder.select(low, *halves))

        _tiles(builder, chosen, rows, emit)
        return context.get_dummy_value()

    return types.void(kernel, *(types.int64,) * 9), build


def _last_panel_code(typing_context, kernel, rows, x, stride, panel, groups, count, y, row_bytes):
    """Levels `x` -> logits of the first `count` outputs of one panel, at `y` (rows of `row_bytes` bytes)."""
    chosen = KERNELS[kernel.literal_value]

    def build(context, builder, signature, arguments):
        _, rows, x, stride, panel, groups, count, y, row_bytes = arguments
        lanes = chosen.lanes
        floats = _vector(F32, lanes)

        def emit(number: int) -> None:
            sums = _sums(builder, chosen, number, x, stride, panel, groups)
            scales = _scales(builder, chosen, panel)
            left = _splat(builder, builder.trunc(count, I32), lanes)
            for j in range(REGISTERS):
                places = ir.Constant(_vector(I32, lanes), list(range(j * lanes, (j + 1) * lanes)))
                mask = builder.icmp_signed("<", places, left)
                for r in range(number):
                    logits = builder.fmul(builder.sitofp(sums[r][j], floats), scales[j])
                    address = _plus(builder, builder.add(y, builder.mul(row_bytes, I64(r))), 4 * j * lanes)
                    arguments = [logits, _pointer(builder, address, floats), I32(4), mask]
                    _call(builder, f"llvm.masked.store.v{lanes}f32.p0", ir.VoidType(), arguments)

        _tiles(builder, chosen, rows, emit)
        return context.get_dummy_value()

    return types.void(kernel, *(types.int64,) * 8), build


def _byte_at_code(typing_context, address):
    def build(context, builder, signature, arguments):
        return _load(builder, arguments[0], I8)

    return types.uint8(types.int64), build


def _put_byte_code(typing_context, address, value):
    def build(context, builder, signature, arguments):
        _store(builder, arguments[0], arguments[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.uint8), build


def _look_up_eight_code(typing_context, place, table, width):
    """Replace eight levels at `place` by what `table` has for them: byte i of row `level`, rows of `width` bytes."""

    def build(context, builder, signature, arguments):
        place, table, width = arguments
        word = _load(builder, place, I64)
        levels = [builder.and_(builder.lshr(word, I64(8 * i)), I64(255)) for i in range(8)]
        found = [
            _load(builder, builder.add(_plus(builder, table, i), builder.mul(level, width)), I8)
            for i, level in enumerate(levels)
        ]
        for i, byte in enumerate(found):
            _store(builder, _plus(builder, place, i), byte)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


def _copy_code(typing_context, target, source, count):
    def build(context, builder, signature, arguments):
        target, source = (_pointer(builder, address, I8) for address in arguments[:2])
        cgutils.raw_memcpy(builder, target, source, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


def _float_of_bits_code(typing_context, bits):
    def build(context, builder, signature, arguments):
        return builder.bitcast(builder.trunc(arguments[0], I32), F32)

    return types.float32(types.int64), build


_hidden_panel: Any = intrinsic(prefer_literal=True)(_hidden_panel_code)
_last_panel: Any = intrinsic(prefer_literal=True)(_last_panel_code)
_byte_at: Any = intrinsic(_byte_at_code)
_put_byte: Any = intrinsic(_put_byte_code)
_look_up_eight: Any = intrinsic(_look_up_eight_code)
_copy: Any = intrinsic(_copy_code)
_float_of_bits: Any = intrinsic(_float_of_bits_code)


@njit(inline="always")
def _levels_of(program, base, observations, b, x):
    """Write the input levels of observation b to address x."""
    D = observations.shape[1]
    if observations.itemsize == 1:
        source = observations.ctypes.data + b * D
        if program[3]:
            _copy(x, source, D)
        else:
            for i in range(D):
                _put_byte(x + i, _byte_at(base + program[2] + np.int64(_byte_at(source + i))))
    else:
        scale, zero = _float_of_bits(program[4]), np.float32(program[5])
        highest = np.float32(program[6])
        for i in range(D):
            level = np.rint(np.float32(observations[b, i]) / scale) + zero
            _put_byte(x + i, np.uint8(min(max(level, np.float32(0)), highest)))


@njit(inline="always")
def _some(program, observations, out, begin, end, kernel, lanes, tile):
    """Logits of observations begin..end-1, tile by tile, the tiles as even as can be."""
    base = program.ctypes.data
    layers, stride = program[0], program[1]
    scratch = np.empty(2 * tile * stride + 64, np.uint8)
    start = (scratch.ctypes.data + 63) // 64 * 64
    tiles = (end - begin + tile - 1) // tile
    for t in range(tiles):
        first = begin + (end - begin) * t // tiles
        rows = begin + (end - begin) * (t + 1) // tiles - first
        x, y = start, start + tile * stride
        for r in range(rows):
            _levels_of(program, base, observations, first + r, x + r * stride)
        for layer in range(layers):
            at = INPUT + layer * RECORD
            groups, panels, panel, table = program[at], program[at + 1], base + program[at + 2], program[at + 3]
            by_output, zero, room, outputs = program[at + 4], program[at + 5], program[at + 6], program[at + 7]
            size = program[at + 8]
            if layer == layers - 1:
                target = out.ctypes.data + first * outputs * 4
                for p in range(panels):
                    count = outputs - p * 4 * lanes
                    _last_panel(
                        kernel, rows, x, stride, panel + p * size, groups, count, target + p * 16 * lanes, 4 * outputs
                    )
                continue
            shared = 0 if by_output else base + table
            for p in range(panels):
                _hidden_panel(kernel, rows, x, stride, panel + p * size, groups, zero, room, shared, y + p * 4 * lanes)
            if by_output:
                for p in range(panels):
                    place, row = y + p * 4 * lanes, base + table + p * 1024 * lanes
                    for _ in range(rows):
                        for i in range(0, 4 * lanes, 8):
                            _look_up_eight(place + i, row + i, 4 * lanes)
                        place += stride
            elif kernel != 0:
                for r in range(rows):
                    for place in range(y + r * stride, y + r * stride + panels * 4 * lanes):
                        _put_byte(place, _byte_at(base + table + np.int64(_byte_at(place))))
            x, y = y, x
    scratch[0] = 0  # numba frees an array after its last use, and does not see that of its address


def _compile(kernel: Kernel) -> tuple[Any, Any]:
    # numba's cache tells the kernels apart by the values that these functions close over
    number, lanes, tile = kernel.number, kernel.lanes, kernel.rows

    @njit(cache=True, nogil=True, error_model="numpy")
    def serial(program, observations, out):
        _some(program, observations, out, 0, out.shape[0], number, lanes, tile)

    @njit(cache=True, nogil=True, error_model="numpy", parallel=True)
    def threaded(program, observations, out, tasks):
        for task in prange(tasks):
            rows = out.shape[0]
            _some(program, observations, out, rows * task // tasks, rows * (task + 1) // tasks, number, lanes, tile)

    return serial, threaded


compiled = {kernel.name: _compile(kernel) for kernel in KERNELS}
"""By a kernel's name: `serial(program, observations, out)` and `threaded(program, observations, out, tasks)`.

program: int64, on a boundary of 64 bytes, as `native.pack` makes it. observations: (B, D) uint8 or float32,
C-contiguous. out: (B, N) float32, C-contiguous, overwritten. tasks: parts of the batch, at most one for each thread.
"""
