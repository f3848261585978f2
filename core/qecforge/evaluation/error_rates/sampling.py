"""Shots in chunks that are the same whoever draws them, and when.

Chunk i of a task is seeded from (task id, i), so a measurement that was interrupted, extended or spread over processes
equals one made in one go. (`sinter.collect` cannot be seeded; its decoders are used, its workers are not.) stim's
samples depend on the machine's instruction set, so this holds on one kind of machine.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qecforge.evaluation.error_rates.circuits.memory import MemoryExperiment
from qecforge.evaluation.error_rates.decoders import compile_decoder
from qecforge.evaluation.error_rates.records import ErrorCounts, chunk_shots

if TYPE_CHECKING:
    import sinter

__all__ = ["Chunk", "draw_chunk"]


@dataclass(frozen=True)
class Chunk:
    """One chunk of one task; plain data, so that any process can draw it.

    Attributes:
        task_id: `ErrorRateTask.task_id`.
        index: Number of the chunk; its size is `chunk_shots(index)`.
        experiments: One for each basis; shots are shared out equally, the first ones getting what is left over.
        decoder: A resolved decoder name.
    """

    task_id: str
    index: int
    experiments: tuple[MemoryExperiment, ...]
    decoder: str


def draw_chunk(chunk: Chunk) -> ErrorCounts:
    """Draw and decode the shots of a chunk."""
    total = ErrorCounts()
    shots = chunk_shots(chunk.index)
    parts = len(chunk.experiments)
    for number, experiment in enumerate(chunk.experiments):
        decoder = _compiled(chunk.decoder, experiment)
        started = time.process_time()
        seed = int.from_bytes(hashlib.sha256(f"{chunk.task_id}:{chunk.index}:{number}".encode()).digest()[:8], "big")
        share = shots // parts + (number < shots % parts)
        errors, discards = _sample(experiment, decoder, share, seed)
        total += ErrorCounts(shots=share, errors=errors, discards=discards, seconds=time.process_time() - started)
    return total


@lru_cache(maxsize=64)
def _compiled(decoder: str, experiment: MemoryExperiment) -> sinter.CompiledDecoder:
    return compile_decoder(decoder, experiment.circuit)


def _sample(experiment: MemoryExperiment, decoder: sinter.CompiledDecoder, shots: int, seed: int) -> tuple[int, int]:
    """(errors, discards) of seeded shots. Each distinct syndrome is decoded once."""
    sampler = experiment.circuit.compile_detector_sampler(seed=seed)
    syndromes, observables = sampler.sample(shots, separate_observables=True, bit_packed=True)
    discards = 0
    if experiment.postselected.any():
        mask = np.packbits(experiment.postselected, bitorder="little")
        kept = ~(syndromes & mask).any(axis=1)
        discards = shots - int(np.count_nonzero(kept))
        syndromes, observables = syndromes[kept], observables[kept]
    if not len(syndromes):
        return 0, discards
    distinct, which = _distinct_rows(syndromes)
    predictions = decoder.decode_shots_bit_packed(bit_packed_detection_event_data=distinct)
    wrong = (predictions[which] != observables).any(axis=1)
    return int(np.count_nonzero(wrong)), discards


def _distinct_rows(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """(distinct rows, index of each row among them). Rows of up to eight bytes are compared as one integer."""
    width = rows.shape[1]
    if width > 8:
        distinct, which = np.unique(rows, axis=0, return_inverse=True)
        return np.ascontiguousarray(distinct), which.ravel()
    padded = np.zeros((len(rows), 8), dtype=np.uint8)
    padded[:, :width] = rows
    words, which = np.unique(padded.view("<u8").ravel(), return_inverse=True)
    return np.ascontiguousarray(words[:, None].view(np.uint8)[:, :width]), which
