"""Compiled: which codes are solved, and which solved ones are worth keeping."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["detects_errors", "group_hash", "screen"]

ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def _mix(value):  # type: ignore[no-untyped-def]
    """Finalizer of splitmix64 (Steele, Lea and Flood 2014)."""
    value += np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def group_hash(words, stabilizers, columns):  # type: ignore[no-untyped-def]
    """64-bit hash of a stabilizer group, up to signs: equal groups have equal hashes.

    Reduces the check matrix [X|Z] to its row echelon form, which is unique, working on columns of rows: adding the
    pivot row to the others is one XOR per column.

    Args:
        words: (n, 2, W), not changed.
        stabilizers: (W,) uint64, bits of the stabilizer rows; they are the highest of the rows.
        columns: (2n, W) uint64, used up.
    """
    n, _, W = words.shape
    top = 64 * W
    for q in range(n):
        for w in range(W):
            columns[q, w] = words[q, 1, w] & stabilizers[w]
            columns[n + q, w] = words[q, 0, w] & stabilizers[w]
    row = 0
    while not (stabilizers[row >> 6] >> np.uint64(row & 63)) & ONE:
        row += 1
    clear = np.empty(W, np.uint64)
    for c in range(2 * n):
        pivot = -1
        for i in range(row, top):
            if (columns[c, i >> 6] >> np.uint64(i & 63)) & ONE:
                pivot = i
                break
        if pivot < 0:
            continue
        p_word, p_bit, r_word, r_bit = pivot >> 6, np.uint64(pivot & 63), row >> 6, np.uint64(row & 63)
        if pivot != row:
            for other in range(c, 2 * n):
                if ((columns[other, p_word] >> p_bit) ^ (columns[other, r_word] >> r_bit)) & ONE:
                    columns[other, p_word] ^= ONE << p_bit
                    columns[other, r_word] ^= ONE << r_bit
        for w in range(W):
            clear[w] = columns[c, w]
        clear[r_word] ^= ONE << r_bit
        for other in range(c, 2 * n):
            if (columns[other, r_word] >> r_bit) & ONE:
                for w in range(W):
                    columns[other, w] ^= clear[w]
        row += 1
    digest = np.uint64(n)
    for c in range(2 * n):
        for w in range(W):
            digest = _mix(digest ^ columns[c, w])
    return digest


@njit(cache=True, nogil=True)
def _violates(error, stabilizers):  # type: ignore[no-untyped-def]
    """Whether an error's word is non-zero and its stabilizer bits all zero."""
    some = caught = np.uint64(0)
    for w in range(error.shape[0]):
        some |= error[w]
        caught |= error[w] & stabilizers[w]
    return some != 0 and caught == 0


@njit(cache=True, nogil=True)
def _detects(words, stabilizers, distance, sums, qubits, paulis):  # type: ignore[no-untyped-def]
    """Whether no error of weight 1..distance-1 violates the Knill-Laflamme conditions; stops at the first that does."""
    n, _, W = words.shape
    depth = 0
    qubits[0], paulis[0] = 0, 0
    while depth >= 0:
        # sums[depth] is the word of the first `depth` factors; try the next (qubit, Pauli) of the innermost one.
        q, p = qubits[depth], paulis[depth]
        if q >= n:
            depth -= 1
            continue
        for w in range(W):
            factor = words[q, 1, w] if p == 1 else words[q, 0, w]
            if p == 2:
                factor ^= words[q, 1, w]
            sums[depth + 1, w] = sums[depth, w] ^ factor
        if _violates(sums[depth + 1], stabilizers):
            return False
        if p == 2:
            qubits[depth], paulis[depth] = q + 1, 0
        else:
            paulis[depth] = p + 1
        if depth + 1 < distance - 1:
            depth += 1
            qubits[depth], paulis[depth] = q + 1, 0
    return True


@njit(cache=True, nogil=True)
def detects_errors(words, stabilizers, distance, out):  # type: ignore[no-untyped-def]
    """Whether each code (B, n, 2, W) has at least this distance, into out (B,) bool; errors are tried one by one.

    For rewards that do not decide it themselves.
    """
    sums = np.zeros((distance + 1, words.shape[3]), np.uint64)
    qubits = np.zeros(distance + 1, np.int64)
    paulis = np.zeros(distance + 1, np.int64)
    for b in range(words.shape[0]):
        out[b] = _detects(words[b], stabilizers, distance, sums, qubits, paulis)


@njit(cache=True, nogil=True)
def screen(solved, words, gates, stabilizers, most, known, known_gates, hashes):  # type: ignore[no-untyped-def]
    """Which solved members hold a code that an archive lacks, or has with more gates only.

    Args:
        solved: (B,) bool.
        words: (B, n, 2, W); gates: (B,), their number of gates.
        stabilizers: As in `group_hash`.
        most: Codes of this many gates or more are of no interest.
        known: Sorted hashes of the archive; known_gates: their gates.
        hashes: (B,) uint64, written for the members returned.

    Returns:
        Indices of the members, ascending.
    """
    found = np.empty(solved.shape[0], np.int64)
    count = 0
    columns = np.empty((2 * words.shape[1], words.shape[3]), np.uint64)
    for b in range(solved.shape[0]):
        if not solved[b] or gates[b] >= most:
            continue
        digest = group_hash(words[b], stabilizers, columns)
        at = np.searchsorted(known, digest)
        if at < known.shape[0] and known[at] == digest and known_gates[at] <= gates[b]:
            continue
        hashes[b] = digest
        found[count] = b
        count += 1
    return found[:count]
