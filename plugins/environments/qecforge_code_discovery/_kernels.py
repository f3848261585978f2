"""Compiled loops over the batch: append gates, end episodes, write observations and masks.

Layout as in `qecforge.codes.packed`: `words[b, q, 0]` is the column of X_q (bit i: row i has a Z part on q),
`words[b, q, 1]` that of Z_q (bit i: row i has an X part on q). Rows 0..2k-1 are the logical operators.

Every driver takes `chunk`, members per parallel task; a chunk of the whole batch runs in the calling thread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["Actions", "Episode", "Rules", "Shown", "append_gates", "begin_all", "end_steps", "peek_gates"]

NONE = np.uint16(0xFFFF)
ONE = np.uint64(1)
STOP = 0


class Rules(NamedTuple):
    """Constants of an environment, as kernels take them.

    Attributes:
        n, k: Qubits, logical qubits.
        max_steps: Steps per episode.
        css: Whether h is bound to qubits in a product state.
        weight_limit: Largest weight of a generator, 0 for none.
        weight_is_rule: Whether gates that would exceed it are forbidden.
        weight_penalty: Cost of each unit above it, per step.
        masking: Whether gates that undo the last one are masked.
        difference: Whether rewards are differences of values.
        success_reward: Extra reward of a success.
        features: Entries of an observation after its bits.
        progress: Whether the last feature is the fraction of steps used.
        noise_code, noise_parameters: Model number and parameters (see `_sample_noise`).
        sampled: Whether every member has noise of its own.
        aware: Whether noise is among the features.
    """

    n: int
    k: int
    max_steps: int
    css: bool
    weight_limit: int
    weight_is_rule: bool
    weight_penalty: float
    masking: bool
    difference: bool
    success_reward: float
    features: int
    progress: bool
    noise_code: int
    noise_parameters: int
    sampled: bool
    aware: bool


class Actions(NamedTuple):
    """`gates.ActionTable` as kernels take it, with the cost of each action, float64."""

    opcode: NDArray[np.uint8]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    inverse: NDArray[np.uint16]
    cost: NDArray[np.float64]


class Episode(NamedTuple):
    """State of the running episodes, one entry per member.

    Attributes:
        words: (B, n, 2, W) uint64.
        steps, gates: (B,) int32; gates leaves out actions that had no effect.
        stopped: (B,) bool, whether the last action was stop.
        cost: (B,) float64, cost of the last action.
        history: (B, max_gates) uint16, actions that had an effect.
        last: (B, n) uint16, the last action on each qubit, `NONE` at first.
        value: (B,) float32, value before the last action.
        total: (B,) float64, rewards so far.
        parameters: (B, P) float64, noise parameters.
        channel: (B, n, 4) float64, noise per qubit where it is sampled, else (0, 0, 0).
    """

    words: NDArray[np.uint64]
    steps: NDArray[np.int32]
    gates: NDArray[np.int32]
    stopped: NDArray[np.bool_]
    cost: NDArray[np.float64]
    history: NDArray[np.uint16]
    last: NDArray[np.uint16]
    value: NDArray[np.float32]
    total: NDArray[np.float64]
    parameters: NDArray[np.float64]
    channel: NDArray[np.float64]


class Shown(NamedTuple):
    """What agents see, kept up to date in place.

    Attributes:
        observations: (B, D), uint8 or float32.
        mask: (B, A) bool, or (0, 0) where nothing is masked.
        masked: (B,) int32, how many actions are masked for having been undone.
    """

    observations: NDArray[np.uint8] | NDArray[np.float32]
    mask: NDArray[np.bool_]
    masked: NDArray[np.int32]


@njit(cache=True, nogil=True, inline="always")
def _stabilizer_word(words, w, shift):  # type: ignore[no-untyped-def]
    """Word w of a column (W,) with the logical rows shifted out: bit i is stabilizer 64 w + i."""
    count = words.shape[0]
    whole = shift >> 6
    part = np.uint64(shift & 63)
    source = w + whole
    if source >= count:
        return np.uint64(0)
    value = words[source] >> part
    if part > 0 and source + 1 < count:
        value |= words[source + 1] << (np.uint64(64) - part)
    return value


@njit(cache=True, nogil=True, inline="always")
def _write_column(row, at, words, n, k):  # type: ignore[no-untyped-def]
    """Write a column's n - k stabilizer bits to row[at:]."""
    m = n - k
    if words.shape[0] == 1:
        bits = words[0] >> np.uint64(2 * k)
        for i in range(m):
            row[at + i] = (bits >> np.uint64(i)) & ONE
    else:
        for start in range(0, m, 64):
            bits = _stabilizer_word(words, start >> 6, 2 * k)
            for i in range(min(64, m - start)):
                row[at + start + i] = (bits >> np.uint64(i)) & ONE


@njit(cache=True, nogil=True)
def _write_qubit(row, q, words, n, k):  # type: ignore[no-untyped-def]
    at = 2 * q * (n - k)
    _write_column(row, at, words[q, 1], n, k)
    _write_column(row, at + n - k, words[q, 0], n, k)


@njit(cache=True, nogil=True)
def _apply(words, opcode, a, b):  # type: ignore[no-untyped-def]
    """Conjugate all rows of one member, words (n, 2, W), by a gate on a (and b)."""
    for w in range(words.shape[2]):
        z, x = words[a, 0, w], words[a, 1, w]
        if opcode == 6:  # cx
            words[b, 1, w] ^= x
            words[a, 0, w] = z ^ words[b, 0, w]
        elif opcode == 1:  # h
            words[a, 0, w], words[a, 1, w] = x, z
        elif opcode == 2:  # s
            words[a, 0, w] = z ^ x
        elif opcode == 3:  # sqrt_x
            words[a, 1, w] = x ^ z
        elif opcode == 4:  # c_xyz
            words[a, 0, w], words[a, 1, w] = x, x ^ z
        elif opcode == 5:  # c_zyx
            words[a, 0, w], words[a, 1, w] = x ^ z, z
        elif opcode == 7:  # cy
            words[a, 0, w] = z ^ words[b, 0, w] ^ words[b, 1, w]
            words[b, 0, w] ^= x
            words[b, 1, w] ^= x
        elif opcode == 8:  # cz
            words[a, 0, w] = z ^ words[b, 1, w]
            words[b, 0, w] ^= x
        elif opcode == 9:  # swap
            words[a, 0, w], words[a, 1, w] = words[b, 0, w], words[b, 1, w]
            words[b, 0, w], words[b, 1, w] = z, x
        elif opcode == 10:  # iswap: s on both, cz, swap
            other_z, other_x = words[b, 0, w], words[b, 1, w]
            words[b, 0, w], words[b, 1, w] = z ^ x ^ other_x, x
            words[a, 0, w], words[a, 1, w] = other_z ^ other_x ^ x, other_x


@njit(cache=True, nogil=True)
def _limits(words, rules, scratch):  # type: ignore[no-untyped-def]
    """Rows that the rules look at, into scratch (4, W): the stabilizer rows (0), those of weight above 1 (1), of weight
    weight_limit (2) and above it (3). Returns the weight above the limit, summed over rows."""
    n, k = rules.n, rules.k
    excess = 0
    for w in range(words.shape[2]):
        stabilizers = np.uint64(0)
        for i in range(max(2 * k, 64 * w), min(n + k, 64 * w + 64)):
            stabilizers |= ONE << np.uint64(i - 64 * w)
        once = twice = np.uint64(0)
        # Bit-sliced counters: bit i of c_j is binary digit j of the weight of row i.
        c0 = c1 = c2 = c3 = c4 = c5 = c6 = np.uint64(0)
        for q in range(n):
            touched = words[q, 0, w] | words[q, 1, w]
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
        if rules.weight_limit > 0:
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
                    if weight == np.uint64(rules.weight_limit):
                        at |= ONE << s
                    elif weight > np.uint64(rules.weight_limit):
                        above |= ONE << s
                        excess += np.int64(weight) - rules.weight_limit
        scratch[0, w], scratch[1, w], scratch[2, w], scratch[3, w] = stabilizers, twice & stabilizers, at, above
    return excess


@njit(cache=True, nogil=True)
def _allowed(words, opcode, a, b, rules, limits, pair):  # type: ignore[no-untyped-def]
    """Whether the rules (CSS, check weight) allow a gate; `limits` as from `_limits`, `pair` (2, 2, W) is used up."""
    if rules.css and opcode == 1:
        for w in range(words.shape[2]):
            if (words[a, 0, w] | words[a, 1, w]) & limits[1, w]:
                return False
    if rules.weight_is_rule and opcode >= 6:
        for w in range(words.shape[2]):
            for t in range(2):
                pair[0, t, w], pair[1, t, w] = words[a, t, w], words[b, t, w]
        _apply(pair, opcode, 0, 1)
        for w in range(words.shape[2]):
            before = (words[a, 0, w] | words[a, 1, w]) ^ (words[b, 0, w] | words[b, 1, w])
            after = (pair[0, 0, w] | pair[0, 1, w]) & (pair[1, 0, w] | pair[1, 1, w])
            if before & after & (limits[2, w] | limits[3, w]):
                return False
    return True


@njit(cache=True, nogil=True)
def _mark_undo(episode, shown, actions, b, action):  # type: ignore[no-untyped-def]
    """Note `action` as the last one on its qubits and keep the mask of undoing gates up to date."""
    q, r = actions.first[action], actions.second[action]
    for qubit in (q, r):
        old = episode.last[b, qubit]
        if old != NONE:
            undo = actions.inverse[old]
            if undo != NONE and not shown.mask[b, undo]:
                shown.mask[b, undo] = True
                shown.masked[b] -= 1
    episode.last[b, q] = action
    episode.last[b, r] = action
    undo = actions.inverse[action]
    if undo != NONE:
        shown.mask[b, undo] = False
        shown.masked[b] += 1


@njit(cache=True, nogil=True)
def _append(lo, hi, taken, actions, rules, episode, shown):  # type: ignore[no-untyped-def]
    hard = rules.css or rules.weight_is_rule
    W = episode.words.shape[3]
    limits = np.empty((4, W), np.uint64)
    pair = np.empty((2, 2, W), np.uint64)
    redundancy = rules.masking and not hard
    for b in range(lo, hi):
        action = taken[b]
        opcode = actions.opcode[action]
        episode.steps[b] += 1
        episode.stopped[b] = opcode == STOP
        episode.cost[b] = 0.0
        if opcode == STOP:
            continue
        q, r = actions.first[action], actions.second[action]
        words = episode.words[b]
        if hard:
            _limits(words, rules, limits)
            if not _allowed(words, opcode, q, r, rules, limits, pair):
                continue
        _apply(words, opcode, q, r)
        episode.cost[b] = actions.cost[action]
        episode.history[b, episode.gates[b]] = action
        episode.gates[b] += 1
        row = shown.observations[b]
        _write_qubit(row, q, words, rules.n, rules.k)
        if r != q:
            _write_qubit(row, r, words, rules.n, rules.k)
        if redundancy:
            _mark_undo(episode, shown, actions, b, action)
        elif rules.masking:
            episode.last[b, q] = action
            episode.last[b, r] = action


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
def _channel(code, parameters, base, out):  # type: ignore[no-untyped-def]
    """Probabilities of (I, X, Y, Z) per qubit into out (n, 4); `base` (n, 3) is the per-qubit model's."""
    n = out.shape[0]
    for q in range(n):
        if code == 0:
            x = y = z = parameters[0] / 3
        elif code == 1:
            x = y = parameters[0] / (parameters[1] + 2)
            z = x * parameters[1]
        elif code == 2:
            gamma = parameters[0]
            x = y = gamma / 4
            z = max(0.0, 0.5 - gamma / 4 - np.sqrt(1 - gamma) / 2)
        else:
            x, y, z = base[q, 0] * parameters[0], base[q, 1] * parameters[0], base[q, 2] * parameters[0]
        out[q, 0], out[q, 1], out[q, 2], out[q, 3] = 1 - x - y - z, x, y, z


@njit(cache=True, nogil=True)
def _sample_noise(b, uniforms, ranges, base, rules, episode):  # type: ignore[no-untyped-def]
    """Draw one member's noise parameters and fill its channel.

    Args:
        uniforms: (B, P) in [0, 1).
        ranges: (B, P, 3): kind (0 fixed, 1 uniform, 2 log-uniform), lowest, highest.
        base: (n, 3) probabilities of the per-qubit model.
    """
    for j in range(rules.noise_parameters):
        kind, low, high = ranges[b, j, 0], ranges[b, j, 1], ranges[b, j, 2]
        if kind == 0:
            value = low
        elif kind == 1:
            value = low + (high - low) * uniforms[b, j]
        else:
            value = min(high, max(low, np.exp(np.log(low) + (np.log(high) - np.log(low)) * uniforms[b, j])))
        episode.parameters[b, j] = value
    _channel(rules.noise_code, episode.parameters[b], base, episode.channel[b])


@njit(cache=True, nogil=True)
def _shown_probability(p):  # type: ignore[no-untyped-def]
    """A probability on a scale that no configuration enters, so that policies carry over: 1e-6 -> 0, 1 -> 1."""
    return min(1.0, max(0.0, 1.0 + np.log10(max(p, 1e-12)) / 6.0))


@njit(cache=True, nogil=True)
def _write_noise(b, base, rules, episode, shown):  # type: ignore[no-untyped-def]
    at = 2 * rules.n * (rules.n - rules.k)
    if rules.noise_code == 3:
        scale = episode.parameters[b, 0]
        for q in range(rules.n):
            for p in range(3):
                shown.observations[b, at + 3 * q + p] = _shown_probability(base[q, p] * scale)
        return
    for j in range(rules.noise_parameters):
        value = episode.parameters[b, j]
        if rules.noise_code == 1 and j == 1:
            shown.observations[b, at + j] = min(1.0, max(-1.0, np.log10(value) / 6.0))
        else:
            shown.observations[b, at + j] = _shown_probability(value)


@njit(cache=True, nogil=True)
def _begin(b, initial, blank, uniforms, ranges, base, rules, episode, shown):  # type: ignore[no-untyped-def]
    """Start member b's next episode; `initial` (n, 2, W) is the trivial code, `blank` (D,) its observation."""
    episode.steps[b] = 0
    episode.gates[b] = 0
    episode.total[b] = 0.0
    for q in range(rules.n):
        for t in range(2):
            for w in range(initial.shape[2]):
                episode.words[b, q, t, w] = initial[q, t, w]
    for i in range(blank.shape[0]):
        shown.observations[b, i] = blank[i]
    for q in range(episode.last.shape[1]):
        episode.last[b, q] = NONE
    for a in range(shown.mask.shape[1]):
        shown.mask[b, a] = True
    shown.masked[b] = 0
    if rules.sampled:
        _sample_noise(b, uniforms, ranges, base, rules, episode)
    if rules.aware:
        _write_noise(b, base, rules, episode, shown)


@njit(cache=True, nogil=True)
def _rule_mask(b, actions, rules, episode, shown, limits, pair):  # type: ignore[no-untyped-def]
    """Write member b's whole mask where CSS or check-weight rules forbid gates."""
    words = episode.words[b]
    _limits(words, rules, limits)
    free = 0
    for a in range(shown.mask.shape[1]):
        opcode, q, r = actions.opcode[a], actions.first[a], actions.second[a]
        ok = opcode == STOP or _allowed(words, opcode, q, r, rules, limits, pair)
        shown.mask[b, a] = ok
        free += ok
    if not rules.masking:
        return
    for q in range(rules.n):
        a = episode.last[b, q]
        if (
            a != NONE
            and actions.inverse[a] != NONE
            and actions.first[a] == q
            and episode.last[b, actions.second[a]] == a
        ):
            undo = actions.inverse[a]
            if shown.mask[b, undo] and free > 1:
                shown.mask[b, undo] = False
                free -= 1


@njit(cache=True, nogil=True)
def _give(b, shown, observations, mask):  # type: ignore[no-untyped-def]
    for i in range(observations.shape[1]):
        observations[b, i] = shown.observations[b, i]
    if mask.shape[1]:
        A = mask.shape[1]
        for a in range(A):
            mask[b, a] = shown.mask[b, a]
        if shown.masked[b] == A:  # nothing left but undoing: undoing is then allowed
            for a in range(A):
                mask[b, a] = True


@njit(cache=True, nogil=True)
def _end(lo, hi, values, solved, start, actions, rules, episode, shown, out):  # type: ignore[no-untyped-def]
    initial, blank, uniforms, ranges, base = start
    observations, mask, rewards, terminated, returns, lengths, gates, success = out
    hard = rules.css or rules.weight_is_rule
    W = episode.words.shape[3]
    limits = np.empty((4, W), np.uint64)
    pair = np.empty((2, 2, W), np.uint64)
    weighed = rules.weight_limit > 0 and (rules.weight_penalty > 0 or not rules.weight_is_rule)
    for b in range(lo, hi):
        won = solved[b]
        penalty = episode.cost[b]
        if weighed and (won or rules.weight_penalty > 0):
            excess = _limits(episode.words[b], rules, limits)
            won = won and excess == 0
            penalty += rules.weight_penalty * excess
        value = np.float64(values[b])
        reward = value - np.float64(episode.value[b]) if rules.difference else value
        episode.value[b] = values[b]
        left = rules.max_steps - episode.steps[b]
        if episode.stopped[b]:
            if not rules.difference:
                reward *= left + 1
            penalty *= left + 1
        if won:
            reward += rules.success_reward
        rewards[b] = reward - penalty
        episode.total[b] += np.float64(rewards[b])
        done = won or episode.stopped[b] or left <= 0
        terminated[b] = done
        if done:
            returns[b] = episode.total[b]
            lengths[b] = episode.steps[b]
            gates[b] = episode.gates[b]
            success[b] = won
            _begin(b, initial, blank, uniforms, ranges, base, rules, episode, shown)
        else:
            success[b] = False
        if rules.progress:
            at = shown.observations.shape[1] - 1
            shown.observations[b, at] = np.float64(episode.steps[b]) / rules.max_steps
        if hard:
            _rule_mask(b, actions, rules, episode, shown, limits, pair)
        _give(b, shown, observations, mask)


@njit(cache=True, nogil=True, parallel=True)
def end_steps(chunk, values, solved, start, actions, rules, episode, shown, out):  # type: ignore[no-untyped-def]
    """Turn values into rewards, end episodes, begin the next ones and write what agents see.

    Args:
        values: (B,) float32, the reward's value of each code.
        solved: (B,) bool.
        start: (initial, blank, uniforms, ranges, base) as in `_begin`.
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
    """Begin an episode in every member and write what agents see."""
    initial, blank, uniforms, ranges, base = start
    for b in range(episode.words.shape[0]):
        _begin(b, initial, blank, uniforms, ranges, base, rules, episode, shown)
        if rules.css or rules.weight_is_rule:
            limits = np.empty((4, episode.words.shape[3]), np.uint64)
            pair = np.empty((2, 2, episode.words.shape[3]), np.uint64)
            _rule_mask(b, actions, rules, episode, shown, limits, pair)
        _give(b, shown, observations, mask)


@njit(cache=True, nogil=True)
def show_all(shown, observations, mask):  # type: ignore[no-untyped-def]
    """Write what agents see at present."""
    for b in range(observations.shape[0]):
        _give(b, shown, observations, mask)


@njit(cache=True, nogil=True)
def show_words(episode, rules, shown):  # type: ignore[no-untyped-def]
    """Write every bit of every observation from the words (after they were loaded, say)."""
    for b in range(episode.words.shape[0]):
        for q in range(rules.n):
            _write_qubit(shown.observations[b], q, episode.words[b], rules.n, rules.k)


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
    W = words.shape[3]
    limits = np.empty((4, W), np.uint64)
    pair = np.empty((2, 2, W), np.uint64)
    for m in range(words.shape[0]):
        for q in range(rules.n):
            for t in range(2):
                for w in range(W):
                    out[m, q, t, w] = words[m, q, t, w]
        action = taken[m]
        cost[m] = 0.0
        stopped[m] = action >= 0 and actions.opcode[action] == STOP
        if action >= 0 and not stopped[m]:
            opcode, q, r = actions.opcode[action], actions.first[action], actions.second[action]
            _limits(words[m], rules, limits)
            if _allowed(words[m], opcode, q, r, rules, limits, pair):
                _apply(out[m], opcode, q, r)
                cost[m] = actions.cost[action]
        excess[m] = _limits(out[m], rules, limits) if rules.weight_limit > 0 else 0
        if rules.sampled:
            _channel(rules.noise_code, parameters[m], base, channel[m])
