"""Compiled loops over the batch: append gates, end episodes, write observations and masks.

Layout as in `qecforge.codes.packed`: `words[b, q, 0]` is the column of X_q (bit i: row i has a Z part on q),
`words[b, q, 1]` that of Z_q (bit i: row i has an X part on q). Rows 0..2k-1 are the logical operators.

Every driver takes `chunk`, members per parallel task; a chunk of the whole batch runs in the calling thread.

Loops touch array elements alone: a slice, or an attribute of a tuple, costs numba an atomic reference count each time,
which is more than a gate. All is in one file, because numba's cache on disk notices changes in a kernel's own file, not
in what it calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "append_gates",
    "begin_all",
    "branch",
    "end_steps",
    "excess_weights",
    "peek_gates",
    "play_sequences",
    "show_all",
]

NONE = np.uint16(0xFFFF)
ONE = np.uint64(1)
STOP = 0
# By opcode: stop, h, s, sqrt_x, c_xyz, c_zyx, cx, cy, cz, swap, iswap. Bit 0: Z parts change, bit 1: X parts.
CHANGES_FIRST = np.array([0, 3, 1, 2, 3, 3, 1, 1, 1, 3, 3], np.uint8)
CHANGES_SECOND = np.array([0, 0, 0, 0, 0, 0, 2, 3, 1, 3, 3], np.uint8)
# Entry i holds the bits of i as eight bytes, in memory order.
SPREAD = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.uint8).view(np.uint64).reshape(-1)


def _store_eight_code(typingctx, array, offset, value):  # type: ignore[no-untyped-def]
    """Store a uint64 at a byte offset of an array, aligned or not."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.gep(builder.bitcast(start, ir.IntType(8).as_pointer()), [args[1]])
        store = builder.store(args[2], builder.bitcast(place, ir.IntType(64).as_pointer()))
        store.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


def _copy_bytes_code(typingctx, target, source, offset, count):  # type: ignore[no-untyped-def]
    """Copy `count` bytes at a byte offset from one C-contiguous array to another of the same layout."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        places = []
        for kind, array in zip(signature.args[:2], args[:2], strict=True):
            start = context.make_array(kind)(context, builder, array).data
            places.append(builder.gep(builder.bitcast(start, ir.IntType(8).as_pointer()), [args[2]]))
        cgutils.raw_memcpy(builder, places[0], places[1], args[3], 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(target, source, types.int64, types.int64), codegen


_store_eight: Any = intrinsic(_store_eight_code)
_copy_bytes: Any = intrinsic(_copy_bytes_code)


@njit(cache=True, nogil=True, inline="always")
def _write_column(observations, b, words, q, t, n, k):  # type: ignore[no-untyped-def]
    """Write the n - k stabilizer bits of words[b, q, t] to their place in observations[b]."""
    m = n - k
    at = (2 * q + 1 - t) * m
    W = words.shape[3]
    if W == 1 and observations.itemsize == 1:
        bits = words[b, q, t, 0] >> np.uint64(2 * k)
        start = b * observations.shape[1] + at
        if m < 8:
            for i in range(m):
                observations[b, at + i] = (bits >> np.uint64(i)) & ONE
        else:
            for i in range(0, m - 8, 8):
                _store_eight(observations, start + i, SPREAD[(bits >> np.uint64(i)) & np.uint64(255)])
            _store_eight(observations, start + m - 8, SPREAD[(bits >> np.uint64(m - 8)) & np.uint64(255)])
    else:
        for i in range(m):
            row = 2 * k + i
            observations[b, at + i] = (words[b, q, t, row >> 6] >> np.uint64(row & 63)) & ONE


@njit(cache=True, nogil=True, inline="always")
def _apply(words, m, opcode, a, b):  # type: ignore[no-untyped-def]
    """Conjugate all rows of words[m], (n, 2, W), by a gate on a (and b)."""
    for w in range(words.shape[3]):
        z, x = words[m, a, 0, w], words[m, a, 1, w]
        if opcode == 6:  # cx
            words[m, b, 1, w] ^= x
            words[m, a, 0, w] = z ^ words[m, b, 0, w]
        elif opcode == 1:  # h
            words[m, a, 0, w], words[m, a, 1, w] = x, z
        elif opcode == 2:  # s
            words[m, a, 0, w] = z ^ x
        elif opcode == 3:  # sqrt_x
            words[m, a, 1, w] = x ^ z
        elif opcode == 4:  # c_xyz
            words[m, a, 0, w], words[m, a, 1, w] = x, x ^ z
        elif opcode == 5:  # c_zyx
            words[m, a, 0, w], words[m, a, 1, w] = x ^ z, z
        elif opcode == 7:  # cy
            words[m, a, 0, w] = z ^ words[m, b, 0, w] ^ words[m, b, 1, w]
            words[m, b, 0, w] ^= x
            words[m, b, 1, w] ^= x
        elif opcode == 8:  # cz
            words[m, a, 0, w] = z ^ words[m, b, 1, w]
            words[m, b, 0, w] ^= x
        elif opcode == 9:  # swap
            words[m, a, 0, w], words[m, a, 1, w] = words[m, b, 0, w], words[m, b, 1, w]
            words[m, b, 0, w], words[m, b, 1, w] = z, x
        elif opcode == 10:  # iswap: s on both, cz, swap
            other_z, other_x = words[m, b, 0, w], words[m, b, 1, w]
            words[m, b, 0, w], words[m, b, 1, w] = z ^ x ^ other_x, x
            words[m, a, 0, w], words[m, a, 1, w] = other_z ^ other_x ^ x, other_x


@njit(cache=True, nogil=True)
def _limits(words, m, k, weight_limit, scratch):  # type: ignore[no-untyped-def]
    """Rows of words[m] that the rules look at, into scratch (4, W): the stabilizer rows (0), those of weight above 1
    (1), of weight weight_limit (2) and above it (3). Returns the weight above the limit, summed over rows."""
    n = words.shape[1]
    excess = 0
    for w in range(words.shape[3]):
        stabilizers = np.uint64(0)
        for i in range(max(2 * k, 64 * w), min(n + k, 64 * w + 64)):
            stabilizers |= ONE << np.uint64(i - 64 * w)
        once = twice = np.uint64(0)
        # Bit-sliced counters: bit i of c_j is binary digit j of the weight of row i.
        c0 = c1 = c2 = c3 = c4 = c5 = c6 = np.uint64(0)
        for q in range(n):
            touched = words[m, q, 0, w] | words[m, q, 1, w]
            twice |= once & touched
            once |= touched
            c0, touched = c0 ^ touched, c0 & touched
            c1, touched = c1 ^ touched, c1 & touched
            c2, touched = c2 ^ touched, c2 & touched
            c3, touched = c3 ^ touched, c3 & touched
            c4, touched = c4 ^ touched, c4 & touched
            c5, touched = c5 ^ touched, c5 & touched
            c6 ^= touched
        at = above = np.uint64(0)
        if weight_limit > 0:
            for i in range(64):
                s = np.uint64(i)
                if (stabilizers >> s) & ONE:
                    weight = (
                        ((c0 >> s) & ONE)
                        + (((c1 >> s) & ONE) << np.uint64(1))
                        + (((c2 >> s) & ONE) << np.uint64(2))
                        + (((c3 >> s) & ONE) << np.uint64(3))
                        + (((c4 >> s) & ONE) << np.uint64(4))
                        + (((c5 >> s) & ONE) << np.uint64(5))
                        + (((c6 >> s) & ONE) << np.uint64(6))
                    )
                    if weight == np.uint64(weight_limit):
                        at |= ONE << s
                    elif weight > np.uint64(weight_limit):
                        above |= ONE << s
                        excess += np.int64(weight) - weight_limit
        scratch[0, w], scratch[1, w], scratch[2, w], scratch[3, w] = stabilizers, twice & stabilizers, at, above
    return excess


@njit(cache=True, nogil=True)
def _allowed(words, m, opcode, a, b, css, weight_is_rule, limits, pair):  # type: ignore[no-untyped-def]
    """Whether the rules (CSS, check weight) allow a gate; `limits` from `_limits`, `pair` (1, 2, 2, W) is used up."""
    if css and opcode == 1:
        for w in range(words.shape[3]):
            if (words[m, a, 0, w] | words[m, a, 1, w]) & limits[1, w]:
                return False
    if weight_is_rule and opcode >= 6:
        for w in range(words.shape[3]):
            for t in range(2):
                pair[0, 0, t, w], pair[0, 1, t, w] = words[m, a, t, w], words[m, b, t, w]
        _apply(pair, 0, opcode, 0, 1)
        for w in range(words.shape[3]):
            before = (words[m, a, 0, w] | words[m, a, 1, w]) ^ (words[m, b, 0, w] | words[m, b, 1, w])
            after = (pair[0, 0, 0, w] | pair[0, 0, 1, w]) & (pair[0, 1, 0, w] | pair[0, 1, 1, w])
            if before & after & (limits[2, w] | limits[3, w]):
                return False
    return True


@njit(cache=True, nogil=True, inline="always")
def _note_undo(b, action, q, r, opcode, inverse, commute, undoing, mask, masked):  # type: ignore[no-untyped-def]
    """Keep the list and the mask of undoing actions up to date after `action` on qubits q and r."""
    undo = inverse[action]
    own = opcode[action]
    kept = 0
    for i in range(masked[b]):  # without branches: which entries stay is hard to predict
        entry = undoing[b, i]
        other = entry & np.uint32(0xFFFF)
        c, d = np.int64(entry >> np.uint32(16)) & 127, np.int64(entry >> np.uint32(23))
        meeting = (q == c) | ((q == d) << 1) | ((r == c) << 2) | ((r == d) << 3)
        stays = commute[own, opcode[other], meeting] & (other != action) & (other != undo)
        undoing[b, kept] = entry
        mask[b, other] = not stays
        kept += stays
    if undo != NONE:
        undoing[b, kept] = np.uint32(undo) | np.uint32(q << 16) | np.uint32(r << 23)
        kept += 1
        mask[b, undo] = False
    masked[b] = kept


@njit(cache=True, nogil=True)
def _append(lo, hi, taken, actions, rules, episode, shown):  # type: ignore[no-untyped-def]
    opcodes, first, second, inverse, costs, commute = actions
    words, steps, gates, stopped = episode.words, episode.steps, episode.gates, episode.stopped
    cost, history, undoing = episode.cost, episode.history, episode.undoing
    observations, mask, masked = shown
    n, k, css, masking = rules.n, rules.k, rules.css, rules.masking
    weight_limit, weight_is_rule = rules.weight_limit, rules.weight_is_rule
    hard = css or weight_is_rule
    limits = np.empty((4, words.shape[3]), np.uint64)
    pair = np.empty((1, 2, 2, words.shape[3]), np.uint64)
    for b in range(lo, hi):
        action = taken[b]
        opcode = opcodes[action]
        steps[b] += 1
        stopped[b] = opcode == STOP
        cost[b] = 0.0
        if opcode == STOP:
            continue
        q, r = first[action], second[action]
        if hard:
            _limits(words, b, k, weight_limit, limits)
            if not _allowed(words, b, opcode, q, r, css, weight_is_rule, limits, pair):
                continue
        _apply(words, b, opcode, q, r)
        cost[b] = costs[action]
        history[b, gates[b]] = action
        gates[b] += 1
        for t in range(2):
            if (CHANGES_FIRST[opcode] >> t) & 1:
                _write_column(observations, b, words, q, t, n, k)
            if (CHANGES_SECOND[opcode] >> t) & 1:
                _write_column(observations, b, words, r, t, n, k)
        if masking:
            _note_undo(b, action, q, r, opcodes, inverse, commute, undoing, mask, masked)


@njit(cache=True, nogil=True, parallel=True)
def append_gates(chunk, taken, actions, rules, episode, shown):  # type: ignore[no-untyped-def]
    """Append each member's gate to its encoder.

    Args:
        taken: (B,) int64 action indices.

    Returns:
        The first member whose action is out of range, nothing being changed; else -1.
    """
    B = taken.shape[0]
    total = actions.opcode.shape[0]
    for b in range(B):
        if taken[b] < 0 or taken[b] >= total:
            return b
    if chunk >= B:
        _append(0, B, taken, actions, rules, episode, shown)
    else:
        for c in prange((B + chunk - 1) // chunk):
            _append(c * chunk, min(B, c * chunk + chunk), taken, actions, rules, episode, shown)
    return -1


@njit(cache=True, nogil=True)
def _channel(code, parameters, m, base, channel):  # type: ignore[no-untyped-def]
    """Probabilities of (I, X, Y, Z) per qubit into channel[m], (n, 4), for parameters[m].

    `base` (n, 3) holds the probabilities of the per-qubit model.
    """
    for q in range(channel.shape[1]):
        if code == 0:
            x = y = z = parameters[m, 0] / 3
        elif code == 1:
            x = y = parameters[m, 0] / (parameters[m, 1] + 2)
            z = x * parameters[m, 1]
        elif code == 2:
            gamma = parameters[m, 0]
            x = y = gamma / 4
            z = max(0.0, 0.5 - gamma / 4 - np.sqrt(1 - gamma) / 2)
        else:
            scale = parameters[m, 0]
            x, y, z = base[q, 0] * scale, base[q, 1] * scale, base[q, 2] * scale
        channel[m, q, 0], channel[m, q, 1], channel[m, q, 2], channel[m, q, 3] = 1 - x - y - z, x, y, z


@njit(cache=True, nogil=True)
def _sample_noise(b, uniforms, ranges, parameters):  # type: ignore[no-untyped-def]
    """Draw one member's noise parameters.

    Args:
        uniforms: (B, P) in [0, 1).
        ranges: (B, P, 3): kind (0 fixed, 1 uniform, 2 log-uniform), lowest, highest.
        parameters: (B, P), written.
    """
    for j in range(parameters.shape[1]):
        kind, low, high = ranges[b, j, 0], ranges[b, j, 1], ranges[b, j, 2]
        if kind == 0:
            value = low
        elif kind == 1:
            value = low + (high - low) * uniforms[b, j]
        else:
            value = min(high, max(low, np.exp(np.log(low) + (np.log(high) - np.log(low)) * uniforms[b, j])))
        parameters[b, j] = value


@njit(cache=True, nogil=True)
def _shown_probability(p):  # type: ignore[no-untyped-def]
    """A probability on a scale that no configuration enters, so that policies carry over: 1e-6 -> 0, 1 -> 1."""
    return min(1.0, max(0.0, 1.0 + np.log10(max(p, 1e-12)) / 6.0))


@njit(cache=True, nogil=True)
def _write_noise(b, at, code, parameters, base, observations):  # type: ignore[no-untyped-def]
    """Write member b's noise features to observations[b, at:]."""
    if code == 3:
        for q in range(base.shape[0]):
            for p in range(3):
                observations[b, at + 3 * q + p] = _shown_probability(base[q, p] * parameters[b, 0])
        return
    for j in range(parameters.shape[1]):
        value = parameters[b, j]
        if code == 1 and j == 1:
            observations[b, at + j] = min(1.0, max(-1.0, np.log10(value) / 6.0))
        else:
            observations[b, at + j] = _shown_probability(value)


@njit(cache=True, nogil=True, inline="always")
def _clear(b, initial, blank, words, observations, mask):  # type: ignore[no-untyped-def]
    """Bring back the trivial code `initial` (n, 2, W), its observation `blank` (D,), and a mask that allows all."""
    for q in range(words.shape[1]):
        for t in range(2):
            for w in range(words.shape[3]):
                words[b, q, t, w] = initial[q, t, w]
    for i in range(blank.shape[0]):
        observations[b, i] = blank[i]
    for a in range(mask.shape[1]):
        mask[b, a] = True


@njit(cache=True, nogil=True)
def _rule_mask(b, rules, opcodes, first, second, words, undoing, masked, mask, limits, pair):  # type: ignore[no-untyped-def]
    """Write member b's whole mask where CSS or check-weight rules forbid gates."""
    _limits(words, b, rules.k, rules.weight_limit, limits)
    free = 0
    for a in range(mask.shape[1]):
        ok = opcodes[a] == STOP or _allowed(
            words, b, opcodes[a], first[a], second[a], rules.css, rules.weight_is_rule, limits, pair
        )
        mask[b, a] = ok
        free += ok
    if rules.masking:
        for i in range(masked[b]):
            undo = undoing[b, i] & np.uint32(0xFFFF)
            if mask[b, undo] and free > 1:
                mask[b, undo] = False
                free -= 1


@njit(cache=True, nogil=True, inline="always")
def _give(b, own_observations, own_mask, masked, observations, mask):  # type: ignore[no-untyped-def]
    """Copy what member b is shown; where nothing is left but undoing, undoing is allowed."""
    size = observations.shape[1] * observations.itemsize
    _copy_bytes(observations, own_observations, b * size, size)
    A = mask.shape[1]
    if A:
        _copy_bytes(mask, own_mask, b * A, A)
        if masked[b] == A:
            for a in range(A):
                mask[b, a] = True


@njit(cache=True, nogil=True)
def _end(lo, hi, values, solved, start, actions, rules, episode, shown, out):  # type: ignore[no-untyped-def]
    initial, blank, uniforms, ranges, base = start
    observations, mask, rewards, terminated, returns, lengths, gate_counts, success = out
    opcodes, first, second = actions.opcode, actions.first, actions.second
    words, steps, gates, stopped, cost = episode.words, episode.steps, episode.gates, episode.stopped, episode.cost
    undoing, previous, total = episode.undoing, episode.value, episode.total
    parameters, channel = episode.parameters, episode.channel
    own_observations, own_mask, masked = shown
    k, max_steps, difference, weight_limit = rules.k, rules.max_steps, rules.difference, rules.weight_limit
    weight_penalty, success_reward, progress = rules.weight_penalty, rules.success_reward, rules.progress
    hard = rules.css or rules.weight_is_rule
    noise_at = 2 * rules.n * (rules.n - k)
    limits = np.empty((4, words.shape[3]), np.uint64)
    pair = np.empty((1, 2, 2, words.shape[3]), np.uint64)
    weighed = weight_limit > 0 and (weight_penalty > 0 or not rules.weight_is_rule)
    for b in range(lo, hi):
        won = solved[b]
        penalty = cost[b]
        if weighed and (won or weight_penalty > 0):
            excess = _limits(words, b, k, weight_limit, limits)
            won = won and excess == 0
            penalty += weight_penalty * excess
        value = np.float64(values[b])
        reward = value - np.float64(previous[b]) if difference else value
        previous[b] = values[b]
        left = max_steps - steps[b]
        if stopped[b]:
            if not difference:
                reward *= left + 1
            penalty *= left + 1
        if won:
            reward += success_reward
        rewards[b] = reward - penalty
        total[b] += np.float64(rewards[b])
        done = won or stopped[b] or left <= 0
        terminated[b] = done
        success[b] = won
        if done:
            returns[b] = total[b]
            lengths[b] = steps[b]
            gate_counts[b] = gates[b]
            total[b], steps[b], gates[b], masked[b] = 0.0, 0, 0, 0
            _clear(b, initial, blank, words, own_observations, own_mask)
            if rules.sampled:
                _sample_noise(b, uniforms, ranges, parameters)
                _channel(rules.noise_code, parameters, b, base, channel)
            if rules.aware:
                _write_noise(b, noise_at, rules.noise_code, parameters, base, own_observations)
        if progress:
            own_observations[b, own_observations.shape[1] - 1] = np.float64(steps[b]) / max_steps
        if hard:
            _rule_mask(b, rules, opcodes, first, second, words, undoing, masked, own_mask, limits, pair)
        _give(b, own_observations, own_mask, masked, observations, mask)


@njit(cache=True, nogil=True, parallel=True)
def end_steps(chunk, values, solved, start, actions, rules, episode, shown, out):  # type: ignore[no-untyped-def]
    """Turn values into rewards, end episodes, begin the next ones and write what agents see.

    Args:
        values: (B,) float32, the reward's value of each code.
        solved: (B,) bool.
        start: (initial, blank) as in `_clear`, (uniforms, ranges) as in `_sample_noise`, base as in `_channel`.
        out: (observations, mask, rewards, terminated, returns, lengths, gates, success), written.
    """
    B = values.shape[0]
    if chunk >= B:
        _end(0, B, values, solved, start, actions, rules, episode, shown, out)
    else:
        for c in prange((B + chunk - 1) // chunk):
            _end(c * chunk, min(B, c * chunk + chunk), values, solved, start, actions, rules, episode, shown, out)


@njit(cache=True, nogil=True)
def begin_all(start, actions, rules, episode, shown, observations, mask):  # type: ignore[no-untyped-def]
    """Begin an episode in every member and write what agents see; arguments as in `end_steps`."""
    initial, blank, uniforms, ranges, base = start
    own_observations, own_mask, masked = shown
    limits = np.empty((4, initial.shape[2]), np.uint64)
    pair = np.empty((1, 2, 2, initial.shape[2]), np.uint64)
    for b in range(episode.words.shape[0]):
        episode.total[b], episode.steps[b], episode.gates[b], masked[b] = 0.0, 0, 0, 0
        _clear(b, initial, blank, episode.words, own_observations, own_mask)
        if rules.sampled:
            _sample_noise(b, uniforms, ranges, episode.parameters)
            _channel(rules.noise_code, episode.parameters, b, base, episode.channel)
        if rules.aware:
            _write_noise(
                b, 2 * rules.n * (rules.n - rules.k), rules.noise_code, episode.parameters, base, own_observations
            )
        if rules.css or rules.weight_is_rule:
            _rule_mask(
                b,
                rules,
                actions.opcode,
                actions.first,
                actions.second,
                episode.words,
                episode.undoing,
                masked,
                own_mask,
                limits,
                pair,
            )
        _give(b, own_observations, own_mask, masked, observations, mask)


@njit(cache=True, nogil=True)
def show_all(shown, observations, mask):  # type: ignore[no-untyped-def]
    """Write what agents see at present."""
    own_observations, own_mask, masked = shown
    for b in range(observations.shape[0]):
        _give(b, own_observations, own_mask, masked, observations, mask)


@njit(cache=True, nogil=True)
def peek_gates(words, taken, actions, rules, base, parameters, out, channel, cost, stopped, excess):  # type: ignore[no-untyped-def]
    """Append a gate to M codes that are not the environment's own.

    Args:
        words: (M, n, 2, W), not changed.
        taken: (M,) int64 actions, in range; -1 leaves the code as it is.
        base: (n, 3) probabilities of the per-qubit model.
        parameters: (M, P) noise parameters.
        out: (M, n, 2, W), written.
        channel: (M, n, 4), written where noise is sampled.
        cost, stopped, excess: (M,) cost of the gate, whether it is stop, weight above the limit; written.
    """
    opcodes, first, second, _, costs, _ = actions
    W = words.shape[3]
    limits = np.empty((4, W), np.uint64)
    pair = np.empty((1, 2, 2, W), np.uint64)
    hard = rules.css or rules.weight_is_rule
    for m in range(words.shape[0]):
        for q in range(rules.n):
            for t in range(2):
                for w in range(W):
                    out[m, q, t, w] = words[m, q, t, w]
        action = taken[m]
        cost[m] = 0.0
        stopped[m] = action >= 0 and opcodes[action] == STOP
        if action >= 0 and not stopped[m]:
            opcode, q, r = opcodes[action], first[action], second[action]
            if hard:
                _limits(words, m, rules.k, rules.weight_limit, limits)
            if not hard or _allowed(words, m, opcode, q, r, rules.css, rules.weight_is_rule, limits, pair):
                _apply(out, m, opcode, q, r)
                cost[m] = costs[action]
        excess[m] = _limits(out, m, rules.k, rules.weight_limit, limits) if rules.weight_limit > 0 else 0
        if rules.sampled:
            _channel(rules.noise_code, parameters, m, base, channel)


@njit(cache=True, nogil=True)
def _branch(b, at, actions, rules, words, channel, out, noise):  # type: ignore[no-untyped-def]
    opcodes, first, second = actions.opcode, actions.first, actions.second
    W = words.shape[3]
    limits = np.empty((4, W), np.uint64)
    pair = np.empty((1, 2, 2, W), np.uint64)
    n, css, weight_is_rule, sampled = rules.n, rules.css, rules.weight_is_rule, rules.sampled
    hard = css or weight_is_rule
    if hard:
        _limits(words, b, rules.k, rules.weight_limit, limits)
    for a in range(opcodes.shape[0]):
        m = at + a
        for q in range(n):
            for t in range(2):
                for w in range(W):
                    out[m, q, t, w] = words[b, q, t, w]
            if sampled:
                for p in range(4):
                    noise[m, q, p] = channel[b, q, p]
        opcode, q, r = opcodes[a], first[a], second[a]
        if opcode == STOP:
            continue
        if not hard or _allowed(words, b, opcode, q, r, css, weight_is_rule, limits, pair):
            _apply(out, m, opcode, q, r)


@njit(cache=True, nogil=True, parallel=True)
def branch(lo, members, actions, rules, episode, out, noise):  # type: ignore[no-untyped-def]
    """Every action on each of the members lo..lo + members - 1, whose own codes stay as they are.

    Args:
        out: (>= members A, n, 2, W), written: action a on member lo + i comes to i A + a; what the rules forbid leaves
            the code as it is, and so does stop.
        noise: (>= members A, n, 4), written where noise is sampled: each member's channel, A times.
    """
    A = actions.opcode.shape[0]
    for i in prange(members):
        _branch(lo + i, i * A, actions, rules, episode.words, episode.channel, out, noise)


@njit(cache=True, nogil=True)
def excess_weights(words, rules, out):  # type: ignore[no-untyped-def]
    """Weight of generators above the limit, summed, of each code (M, n, 2, W), into out (M,)."""
    limits = np.empty((4, words.shape[3]), np.uint64)
    for m in range(words.shape[0]):
        out[m] = _limits(words, m, rules.k, rules.weight_limit, limits)


@njit(cache=True, nogil=True)
def _play(lo, hi, sequences, lengths, actions, rules, initial, words, history, gates):  # type: ignore[no-untyped-def]
    opcodes, first, second = actions.opcode, actions.first, actions.second
    n, k, W = rules.n, rules.k, initial.shape[2]
    css, weight_limit, weight_is_rule = rules.css, rules.weight_limit, rules.weight_is_rule
    hard = css or weight_is_rule
    limits = np.empty((4, W), np.uint64)
    pair = np.empty((1, 2, 2, W), np.uint64)
    for m in range(lo, hi):
        for q in range(n):
            for t in range(2):
                for w in range(W):
                    words[m, q, t, w] = initial[q, t, w]
        kept = 0
        for i in range(lengths[m]):
            action = sequences[m, i]
            opcode, q, r = opcodes[action], first[action], second[action]
            if opcode == STOP:
                break
            if hard:
                _limits(words, m, k, weight_limit, limits)
                if not _allowed(words, m, opcode, q, r, css, weight_is_rule, limits, pair):
                    continue
            _apply(words, m, opcode, q, r)
            history[m, kept] = action
            kept += 1
        gates[m] = kept


@njit(cache=True, nogil=True, parallel=True)
def play_sequences(chunk, sequences, lengths, actions, rules, initial, words, history, gates):  # type: ignore[no-untyped-def]
    """Append whole sequences of gates to trivial codes, as episodes would.

    Args:
        sequences: (M, L) int64 actions, in range; lengths: (M,) int64, how many of each row count.
        initial: (n, 2, W), the trivial code.
        words: (M, n, 2, W), written; history: (M, L) uint16, the gates that had an effect; gates: (M,) int32, how many.
    """
    M = sequences.shape[0]
    if chunk >= M:
        _play(0, M, sequences, lengths, actions, rules, initial, words, history, gates)
    else:
        for c in prange((M + chunk - 1) // chunk):
            lo, hi = c * chunk, min(M, c * chunk + chunk)
            _play(lo, hi, sequences, lengths, actions, rules, initial, words, history, gates)
