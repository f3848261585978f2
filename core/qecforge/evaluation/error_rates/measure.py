"""From a code and a configuration to tasks, and from tasks to counts."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal, TypeAlias

from qecforge.codes import StabilizerCode
from qecforge.errors import ConfigurationError, RunFailed
from qecforge.evaluation.error_rates.circuits.distance import CircuitDistance, circuit_distance
from qecforge.evaluation.error_rates.circuits.extraction import ExtractionRound, extraction_round
from qecforge.evaluation.error_rates.circuits.generators import MeasuredCode, coupled_qubits, measured_code
from qecforge.evaluation.error_rates.circuits.memory import MemoryExperiment, memory_experiment
from qecforge.evaluation.error_rates.circuits.schedule import best_round, given_round, natural_schedule, proved_distance
from qecforge.evaluation.error_rates.code_capacity import (
    EXACT_BITS,
    code_capacity_experiment,
    decoder_rate,
    maximum_likelihood_rate,
)
from qecforge.evaluation.error_rates.config import LogicalErrorRateConfig
from qecforge.evaluation.error_rates.decoders import compile_decoder, decoder_for_hyperedges, resolve_decoder
from qecforge.evaluation.error_rates.noise import Channels, canonical_noise, data_channels
from qecforge.evaluation.error_rates.pools import ChunkPool, Drawing, process_pool
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask, chunk_shots
from qecforge.evaluation.error_rates.sampling import Chunk, draw_chunk

__all__ = ["PlannedTask", "measure_error_rates", "plan_error_rates"]

KnownCounts: TypeAlias = Callable[[str], Mapping[int, ErrorCounts]]
Record: TypeAlias = Callable[[ErrorRateTask, int, ErrorCounts], None]
Progress: TypeAlias = Callable[[ErrorRateTask, ErrorCounts, float], None]

_MOST_EXACT_SYNDROMES = 4096
_LARGE_MODEL = 1500


@dataclass(frozen=True)
class PlannedTask:
    """A task with what is needed to carry it out.

    Attributes:
        task: The task.
        experiments: Its circuits, one for each basis.
        code: The code as measured.
        channels: The noise at the task's strength.
    """

    task: ErrorRateTask
    experiments: tuple[MemoryExperiment, ...]
    code: MeasuredCode
    channels: Channels

    @cached_property
    def task_id(self) -> str:
        """The task's id."""
        return self.task.task_id

    def chunk(self, index: int) -> Chunk:
        """Chunk `index` as plain data."""
        return Chunk(self.task_id, index, self.experiments, self.task.decoder)

    def exact_counts(self) -> ErrorCounts:
        """The exact rate of a task that is not sampled."""
        if self.task.decoder == "ml_lookup":
            return ErrorCounts(exact_rate=maximum_likelihood_rate(self.code, self.channels.data))
        decoder = compile_decoder(self.task.decoder, self.experiments[0].circuit)
        return ErrorCounts(exact_rate=decoder_rate(self.code, self.channels.data, decoder))


def plan_error_rates(
    code: StabilizerCode, config: LogicalErrorRateConfig, *, distance: int | None = None
) -> list[PlannedTask]:
    """One task for each strength of the noise, in the configuration's order.

    Args:
        code: The code.
        config: What to measure.
        distance: The code's distance (or an upper bound) where it is known already; sets the default number of rounds,
            how much the flags and cat-state checks must stand up to, and bounds the circuit distance from above. None:
            it is computed.

    Raises:
        CodeError: k = 0.
        ConfigurationError: a transversal boundary on a code that is not CSS, or a memory without stabilizers (k = n).
        DecoderError, MissingDependency: as `resolve_decoder`.
    """
    measured = measured_code(code, config.generators)
    if config.experiment == "code_capacity":
        return [_plan_code_capacity(code, measured, config, p) for p in config.strengths]
    if code.k == code.n:
        raise ConfigurationError(
            f"memory: got a code with n = k = {code.n}, which has no stabilizers to measure round after round, "
            "expected "
            "n > k; measure it with experiment: code_capacity"
        )
    bound = distance
    if distance is None:
        proved = code.distance()
        distance = proved.value
        bound = None if proved.kind == "lower_bound" else proved.value
    coupled = sorted(coupled_qubits(measured))
    reachable = len(coupled) == code.n
    protected = distance if reachable else _distance_on(measured, coupled)
    extraction = _extraction(code, measured, config, protected)
    rounds = distance if config.rounds is None else config.rounds
    bases: tuple[Literal["x", "z"], ...] = ("z", "x") if config.basis == "both" else (config.basis,)
    planned = []
    known_distance: CircuitDistance | None = None
    for p in config.strengths:
        channels = config.noise.channels(p)
        experiments = tuple(
            memory_experiment(
                measured,
                extraction,
                channels=channels,
                rounds=rounds,
                basis=basis,
                boundary=config.boundary,
                postselect=config.postselect and config.extraction == "shor",
            )
            for basis in bases
        )
        if known_distance is None:
            kept = proved_distance(measured, extraction, config.extraction, protected) if reachable else 1
            known_distance = _circuit_distance(experiments, bound if reachable else None, channels, kept)
        task = ErrorRateTask(
            code_digest=code.digest,
            experiment="memory",
            noise=canonical_noise(config.noise),
            p=p,
            extraction=config.extraction,
            rounds=rounds,
            basis=config.basis,
            boundary=config.boundary,
            decoder=_resolve(config.decoder, experiments),
            circuit_distance=known_distance.value,
            circuit_distance_kind=known_distance.kind,
            circuit_digest="+".join(experiment.digest for experiment in experiments),
        )
        planned.append(PlannedTask(task, experiments, measured, channels))
    return planned


def _extraction(
    code: StabilizerCode, measured: MeasuredCode, config: LogicalErrorRateConfig, distance: int
) -> ExtractionRound:
    kind = config.extraction
    if isinstance(config.order, list):
        return given_round(measured, [s.lstrip("+-") for s in code.stabilizers], config.order, kind, distance)
    if config.order == "ascending":
        return extraction_round(measured.stabilizers, natural_schedule(measured), kind, distance)
    return best_round(measured, kind, distance=distance, boundary=config.boundary, seed=config.schedule_seed)


def _distance_on(code: MeasuredCode, coupled: Sequence[int]) -> int:
    """The distance of what the code is on the qubits that its generators act on: the others' faults, if they have any,
    meet no gate. 1 where nothing is encoded there."""
    part = StabilizerCode.from_paulis(["".join(pauli[qubit] for qubit in coupled) for pauli in code.stabilizers])
    return part.distance().value if part.k else 1


def _circuit_distance(
    experiments: Sequence[MemoryExperiment], distance: int | None, channels: Channels, proved: int
) -> CircuitDistance:
    """Of both bases together.

    A logical operator of least weight, put between two rounds, is a set of `distance` data faults that at least one
    basis sees, provided that a two-qubit gate can fail by any Pauli and that each data qubit meets one. Of large
    circuits what the order of gates proves comes first.
    """
    each = [_distance_of(experiment, proved) for experiment in experiments]
    uppers = [one.upper for one in each if one.upper is not None]
    if distance is not None and len(experiments) == 2 and min(channels.gate2) > 0.0:
        uppers.append(distance)
    return CircuitDistance(min(one.lower for one in each), min(uppers, default=None))


def _distance_of(experiment: MemoryExperiment, proved: int) -> CircuitDistance:
    circuit = experiment.circuit
    if proved > 1 and len(experiment.detector_error_model) > _LARGE_MODEL:
        with contextlib.suppress(ValueError):  # stim's answer where there is no graph-like logical error
            if len(circuit.shortest_graphlike_error(ignore_ungraphlike_errors=True)) == proved:
                return CircuitDistance(proved, proved)
    return circuit_distance(circuit)


def _resolve(name: str, experiments: Sequence[MemoryExperiment]) -> str:
    """One decoder for all bases: where `auto` would take several, matching if it can do all of them."""
    circuits = [experiment.circuit for experiment in experiments]
    resolved = {resolve_decoder(name, circuit) for circuit in circuits}
    if len(resolved) == 1:
        return resolved.pop()
    if "pymatching" in resolved and all(
        resolve_decoder(name, circuit, matching_first=True) == "pymatching" for circuit in circuits
    ):
        return "pymatching"
    return decoder_for_hyperedges()


def _plan_code_capacity(
    code: StabilizerCode, measured: MeasuredCode, config: LogicalErrorRateConfig, p: float
) -> PlannedTask:
    channels = data_channels(config.noise, p)
    experiment = code_capacity_experiment(measured, channels.data)
    exact = measured.n + measured.k <= EXACT_BITS
    decoder = "ml_lookup" if config.decoder == "auto" and exact else resolve_decoder(config.decoder, experiment.circuit)
    if decoder != "ml_lookup" and 2 ** (measured.n - measured.k) > _MOST_EXACT_SYNDROMES:
        exact = False
    task = ErrorRateTask(
        code_digest=code.digest,
        experiment="code_capacity",
        noise=canonical_noise(config.noise),
        p=p,
        extraction="none",
        rounds=0,
        basis="none",
        boundary="none",
        decoder=decoder,
        sampled=not exact,
        circuit_digest=experiment.digest,
    )
    return PlannedTask(task, (experiment,), measured, channels)


def measure_error_rates(
    code: StabilizerCode,
    config: LogicalErrorRateConfig,
    *,
    known: KnownCounts | None = None,
    record: Record | None = None,
    workers: int = 1,
    pool: Callable[[], AbstractContextManager[ChunkPool]] | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    distance: int | None = None,
) -> list[tuple[ErrorRateTask, ErrorCounts]]:
    """Measure the logical error rate of `code` at every strength of the noise.

    Each task's chunks are counted in order 0, 1, ... until there are at least `config.shots` shots and, where
    `config.max_errors` is set, that many errors or `config.max_shots` shots. Chunks that `known` has are not drawn
    again; chunks beyond the end that `known` has are counted too. The counts do not depend on `workers` and `pool`.

    Args:
        code: The code.
        config: What to measure.
        known: `known(task_id)`: the chunks counted before, by index.
        record: `record(task, chunk, counts)`: called in this process for each new chunk, in order within a task.
        workers: Processes that draw chunks, once this one has drawn for five seconds; 1 draws all of them here.
        pool: Opens what draws chunks in place of processes on this machine.
        progress: `progress(task, counts so far, fraction of that task)`, after each chunk.
        should_stop: Asked between chunks; once it says yes, what is counted so far is returned.
        distance: The code's distance where known, see `plan_error_rates`.

    Returns:
        Each task with its counts, in the order of `config.strengths`; after a stop also those cut short.

    Raises:
        ConfigurationError: workers below 1; also all that `plan_error_rates` raises.
    """
    if workers < 1:
        raise ConfigurationError(f"workers: got {workers}, expected 1 or more")
    tallies = [
        _Tally(planned, config, dict(known(planned.task_id)) if known is not None else {}, record, progress)
        for planned in plan_error_rates(code, config, distance=distance)
    ]
    stop = should_stop or (lambda: False)
    for tally in tallies:
        if not tally.planned.task.sampled and tally.wanted() is not None and not stop():
            tally.add(0, tally.planned.exact_counts())
    sampled = [tally for tally in tallies if tally.planned.task.sampled]
    if pool is None and workers > 1:
        pool = partial(process_pool, workers)
    _draw_here(sampled, stop, math.inf if pool is None else _SECONDS_BEFORE_POOL)
    if pool is not None and any(tally.wanted() is not None for tally in sampled) and not stop():
        with pool() as opened:
            _draw_in_pool(sampled, stop, opened)
    return [(tally.planned.task, tally.total) for tally in tallies]


_SECONDS_BEFORE_POOL = 5.0
"""What is drawn within this time does not repay starting processes."""
_SECONDS_BETWEEN_SIGNALS = 1.0
"""A signal to a group reaches its processes one after the other; this one may be the last."""


class _Tally:
    """The chunks of one task: which are there, and which is wanted next."""

    def __init__(
        self,
        planned: PlannedTask,
        config: LogicalErrorRateConfig,
        chunks: dict[int, ErrorCounts],
        record: Record | None,
        progress: Progress | None,
    ) -> None:
        self.planned = planned
        self.config = config
        self.chunks = chunks
        self._record = record
        self._progress = progress

    @property
    def total(self) -> ErrorCounts:
        return sum(self.chunks.values(), ErrorCounts())

    def wanted(self) -> int | None:
        """The first chunk that the stopping rule asks for and that is missing, or None."""
        if not self.planned.task.sampled:
            return None if 0 in self.chunks else 0
        prefix = ErrorCounts()
        index = 0
        while not self._enough(prefix):
            if index not in self.chunks:
                return index
            prefix += self.chunks[index]
            index += 1
        return None

    def upcoming(self) -> Iterator[int]:
        """Missing chunks that may be wanted, in order, without end where the rule depends on errors."""
        shots, index = 0, 0
        while shots < (self.config.shots if self.config.max_errors is None else self.config.max_shots):
            if index not in self.chunks:
                yield index
            shots += chunk_shots(index)
            index += 1

    def _enough(self, counts: ErrorCounts) -> bool:
        if counts.shots < self.config.shots:
            return False
        if self.config.max_errors is None:
            return True
        return counts.errors >= self.config.max_errors or counts.shots >= self.config.max_shots

    def add(self, index: int, counts: ErrorCounts) -> None:
        self.chunks[index] = counts
        if self._record is not None:
            self._record(self.planned.task, index, counts)
        if self._progress is not None:
            total = self.total
            done = 1.0 if self.wanted() is None else self._fraction(total)
            self._progress(self.planned.task, total, done)

    def _fraction(self, total: ErrorCounts) -> float:
        parts = [total.shots / self.config.shots]
        if self.config.max_errors is not None:
            parts.append(max(total.errors / self.config.max_errors, total.shots / self.config.max_shots))
        return min(1.0, *parts)


def _draw_here(tallies: Sequence[_Tally], stop: Callable[[], bool], seconds: float) -> None:
    """Draw chunks in this process until all are there, `stop` says so, or the time is up."""
    end = time.monotonic() + seconds
    for tally in tallies:
        while (index := tally.wanted()) is not None:
            if stop() or time.monotonic() >= end:
                return
            tally.add(index, draw_chunk(tally.planned.chunk(index)))


def _draw_in_pool(tallies: Sequence[_Tally], stop: Callable[[], bool], pool: ChunkPool) -> None:
    """As `_draw_here`, with chunks drawn ahead of their turn elsewhere.

    Raises:
        RunFailed: a process of the pool was ended by others. A signal to stop, which every process of a group gets,
            ends them too: then what is counted so far stands.
    """
    try:
        _draw_ahead(tallies, stop, pool)
    except BrokenExecutor as error:
        end = time.monotonic() + _SECONDS_BETWEEN_SIGNALS
        while not stop():
            if time.monotonic() > end:
                raise RunFailed("a process that draws shots was killed, perhaps for lack of memory") from error
            time.sleep(0.01)


def _draw_ahead(tallies: Sequence[_Tally], stop: Callable[[], bool], pool: ChunkPool) -> None:
    """Draw until all chunks are there or `stop` says so.

    Chunks are taken in the same order all the same; one that the stopping rule turns out not to want is thrown away
    unrecorded.
    """
    pending: dict[tuple[int, int], Drawing] = {}
    places = ((place, index) for place, tally in enumerate(tallies) for index in tally.upcoming())
    for place, tally in enumerate(tallies):
        while (index := tally.wanted()) is not None:
            if stop():
                return
            while (place, index) not in pending or len(pending) < 2 * pool.width:
                following = next((ahead for ahead in places if ahead[0] >= place), None)
                if following is None:
                    break
                pending[following] = pool.submit(tallies[following[0]].planned.chunk(following[1]))
            tally.add(index, pending.pop((place, index)).result())
        for unwanted in [key for key in pending if key[0] == place]:
            pending.pop(unwanted).cancel()
