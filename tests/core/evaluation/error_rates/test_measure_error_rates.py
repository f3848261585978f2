from __future__ import annotations

import subprocess
import sys
from collections import defaultdict

import pytest

from qecforge.codes import StabilizerCode
from qecforge.errors import CodeError, ConfigurationError, DecoderError
from qecforge.evaluation import (
    CircuitDistance,
    ErrorCounts,
    LogicalErrorRateConfig,
    chunk_shots,
    fit_slope,
    measure_error_rates,
    plan_error_rates,
)
from qecforge.evaluation.error_rates import measure


def configured(**values):
    return LogicalErrorRateConfig.model_validate({"p": [2e-3], "shots": 5000} | values)


def without_time(results):
    return [(task, (counts.shots, counts.errors, counts.discards)) for task, counts in results]


class Ledger:
    """Stands in for the store: chunks by task."""

    def __init__(self):
        self.chunks = defaultdict(dict)
        self.calls = []

    def known(self, task_id):
        return dict(self.chunks[task_id])

    def record(self, task, chunk, counts):
        assert chunk not in self.chunks[task.task_id]
        self.chunks[task.task_id][chunk] = counts
        self.calls.append((task.p, chunk, counts.shots))


def test_a_task_says_what_was_measured(steane):
    config = configured(p=[1e-3, 2e-3], shots=1000, extraction="flag")
    for (task, counts), p in zip(measure_error_rates(steane, config), (1e-3, 2e-3), strict=True):
        assert task.code_digest == steane.digest
        assert (task.p, task.rounds, task.basis, task.boundary) == (p, 3, "both", "ideal")
        assert (task.extraction, task.experiment, task.sampled) == ("flag", "memory", True)
        assert (task.circuit_distance, task.circuit_distance_kind) == (3, "exact")
        assert task.decoder == "ml_lookup"
        assert '"model":"depolarizing"' in task.noise
        assert (counts.shots, counts.discards) == (1000, 0)
        assert counts.seconds > 0


@pytest.mark.parametrize("decoder", ["auto", "pymatching", "tesseract", "bposd", "bplsd"])
def test_faults_that_always_happen_are_corrected(decoder):
    """All measurements read the opposite: infinite weights, for which matching and belief propagation had no number."""
    code = StabilizerCode.from_paulis(["ZZI", "IZZ"])
    noise = {"model": "custom", "measurement": 1.0}
    config = configured(p=[1.0], noise=noise, extraction="bare", rounds=2, shots=1000, decoder=decoder)
    ((_, counts),) = measure_error_rates(code, config)
    assert (counts.shots, counts.errors) == (1000, 0)


@pytest.mark.parametrize("noise", ["depolarizing", {"model": "biased", "eta": 30}, {"model": "biased", "eta": 0.5}])
def test_gates_that_always_fail_give_a_circuit_that_stim_reads(noise):
    """Fifteen times 0.0666667, as stim prints a fifteenth, is more than 1."""
    (planned,) = plan_error_rates(StabilizerCode.from_paulis(["XXXX", "ZZZZ"]), configured(p=[1.0], noise=noise))
    channels = [each for each in planned.experiments[0].circuit.flattened() if each.name == "PAULI_CHANNEL_2"]
    assert channels
    for channel in channels:
        assert channel.gate_args_copy() == pytest.approx(planned.channels.gate2, rel=1e-5)


def test_the_same_code_by_other_generators_is_the_same_task(five):
    other = StabilizerCode.from_paulis(["XZZXI", "XXXYX", "XIXZZ", "ZXIXZ"][:1] + ["IXZZX", "XIXZZ", "ZXIXZ"][::-1])
    assert other == five
    (ours,), (theirs,) = (plan_error_rates(code, configured()) for code in (five, other))
    assert ours.task == theirs.task


def test_counts_do_not_depend_on_workers_or_on_when_they_were_made(five, monkeypatch):
    monkeypatch.setattr(measure, "_SECONDS_BEFORE_POOL", 0.0)
    config = configured(p=[2e-3, 5e-3], shots=20_000)
    alone = measure_error_rates(five, config)
    together = measure_error_rates(five, config, workers=2)
    assert without_time(alone) == without_time(together)
    ledger = Ledger()
    measure_error_rates(five, configured(p=[5e-3], shots=3000), known=ledger.known, record=ledger.record)
    measure_error_rates(five, configured(p=[2e-3, 5e-3], shots=10_000), known=ledger.known, record=ledger.record)
    extended = measure_error_rates(five, config, known=ledger.known, record=ledger.record)
    assert without_time(extended) == without_time(alone)


def test_more_shots_add_chunks_and_nothing_is_drawn_twice(five):
    ledger = Ledger()
    measure_error_rates(five, configured(shots=5000), known=ledger.known, record=ledger.record)
    assert ledger.calls == [(2e-3, 0, 1000), (2e-3, 1, 1000), (2e-3, 2, 3000)]
    ((_, counts),) = measure_error_rates(five, configured(shots=6000), known=ledger.known, record=ledger.record)
    assert ledger.calls[3:] == [(2e-3, 3, 5000)]
    assert counts.shots == 10_000
    ((_, counts),) = measure_error_rates(five, configured(shots=1000), known=ledger.known, record=ledger.record)
    assert len(ledger.calls) == 4
    assert counts.shots == 10_000  # what is known counts


def test_a_hole_in_what_is_known_is_filled(five):
    ledger, whole = Ledger(), Ledger()
    measure_error_rates(five, configured(), known=whole.known, record=whole.record)
    ((task_id, chunks),) = whole.chunks.items()
    ledger.chunks[task_id] = {0: chunks[0], 2: chunks[2]}
    measure_error_rates(five, configured(), known=ledger.known, record=ledger.record)
    assert [chunk for _, chunk, _ in ledger.calls] == [1]
    assert ledger.chunks[task_id][1].errors == chunks[1].errors


@pytest.mark.parametrize("workers", [1, 2])
def test_sampling_goes_on_until_there_are_errors_enough(five, workers, monkeypatch):
    monkeypatch.setattr(measure, "_SECONDS_BEFORE_POOL", 0.0)
    config = configured(p=[5e-3, 1e-2], shots=1000, max_errors=60, max_shots=50_000)
    ledger = Ledger()
    for task, counts in measure_error_rates(five, config, workers=workers, known=ledger.known, record=ledger.record):
        chunks = ledger.chunks[task.task_id]
        assert sorted(chunks) == list(range(len(chunks)))
        assert counts.errors >= 60
        assert sum(chunks[i].errors for i in range(len(chunks) - 1)) < 60


def test_max_shots_ends_a_hopeless_search(five):
    config = configured(p=[1e-6], shots=1000, max_errors=10, max_shots=5000)
    ((_, counts),) = measure_error_rates(five, config)
    assert (counts.shots, counts.errors) == (5000, 0)


def test_a_stop_keeps_what_was_counted(five):
    ledger = Ledger()
    results = measure_error_rates(
        five, configured(), known=ledger.known, record=ledger.record, should_stop=lambda: len(ledger.calls) == 2
    )
    assert [counts.shots for _, counts in results] == [2000]
    finished = measure_error_rates(five, configured(), known=ledger.known, record=ledger.record)
    assert without_time(finished) == without_time(measure_error_rates(five, configured()))


def test_the_codes_distance_bounds_the_circuit_distance(five, monkeypatch):
    monkeypatch.setattr(measure, "circuit_distance", lambda circuit: CircuitDistance(2, 7))

    def known(**values):
        (planned,) = plan_error_rates(five, configured(**values), distance=3)
        return planned.task.circuit_distance, planned.task.circuit_distance_kind

    assert known() == (3, "upper_bound")
    assert known(basis="z") == (7, "upper_bound")
    assert known(noise={"model": "custom", "gate2": {"ZZ": 1}}) == (7, "upper_bound")
    monkeypatch.setattr(measure, "circuit_distance", lambda circuit: CircuitDistance(3, None))
    assert known() == (3, "exact")
    assert known(basis="x") == (3, "lower_bound")


def test_progress_reaches_one(five):
    seen = []
    measure_error_rates(five, configured(), progress=lambda task, counts, done: seen.append((counts.shots, done)))
    assert seen == [(1000, 0.2), (2000, 0.4), (5000, 1.0)]


def test_both_bases_are_half_each(smolin):
    plan = plan_error_rates(smolin, configured(basis="both", extraction="bare"), distance=2)[0]
    assert [experiment.basis for experiment in plan.experiments] == ["z", "x"]
    rates = {}
    for basis in ("x", "z", "both"):
        config = configured(basis=basis, extraction="bare", shots=20_000, p=[5e-3])
        ((_, counts),) = measure_error_rates(smolin, config, distance=2)
        rates[basis] = counts.rate
    assert rates["both"] == pytest.approx((rates["x"] + rates["z"]) / 2, rel=0.15)


def test_discards_are_counted_and_leave_the_rate_alone(steane):
    config = configured(extraction="shor", shots=20_000, p=[3e-3])
    ((_, discarding),) = measure_error_rates(steane, config)
    ((_, shown),) = measure_error_rates(steane, config.model_copy(update={"postselect": False}))
    assert 0.2 < discarding.discards / discarding.shots < 0.5
    assert shown.discards == 0
    assert discarding.rate < 1.3 * shown.rate


@pytest.mark.parametrize("noise", ["biased", "amplitude_damping", {"model": "custom", "gate2": {"XX": 1, "ZI": 1}}])
def test_every_noise_model_can_be_measured(five, noise):
    for decoder in ("ml_lookup", "bposd"):
        ((task, counts),) = measure_error_rates(five, configured(noise=noise, decoder=decoder, p=[1e-2], shots=5000))
        assert task.decoder == decoder
        assert 0.001 < counts.rate < 0.2


def test_transversal_and_ideal_boundaries_agree_in_order_of_magnitude(steane):
    rates = [
        measure_error_rates(steane, configured(boundary=b, shots=50_000, p=[3e-3]))[0][1].rate
        for b in ("ideal", "transversal")
    ]
    assert 0.4 < rates[0] / rates[1] < 2.5


def test_fault_tolerant_extraction_is_quadratic_where_bare_is_linear(steane):
    """The fast form of the law; `test_quadratic_law` draws enough shots to hold it to 0.15."""
    slopes = {}
    for extraction, strengths in (("flag", [5e-4, 1e-3, 2e-3]), ("bare", [3e-5, 1e-4, 3e-4])):
        results = measure_error_rates(steane, configured(p=strengths, shots=200_000, extraction=extraction))
        slopes[extraction] = fit_slope([(task.p, counts) for task, counts in results])
    assert slopes["flag"].low < 2.0 < slopes["flag"].high + 0.1
    assert slopes["flag"].slope == pytest.approx(2.0, abs=0.25)
    assert slopes["bare"].high < 1.6


@pytest.mark.slow
@pytest.mark.parametrize("extraction", ["flag", "shor"])
def test_quadratic_law(steane, extraction):
    """Steane code, ten values of p in 1e-4..3e-3: slope 2 +- 0.15, the interval within it too."""
    results = measure_error_rates(steane, LogicalErrorRateConfig.model_validate(
        {"shots": 1_000_000, "extraction": extraction}
    ), workers=2)  # fmt: skip
    fit = fit_slope([(task.p, counts) for task, counts in results])
    assert abs(fit.slope - 2) < 0.15
    assert abs(fit.low - 2) < 0.15
    assert abs(fit.high - 2) < 0.15


def test_refusals(five, steane):
    with pytest.raises(ConfigurationError, match="workers"):
        measure_error_rates(five, configured(), workers=0)
    with pytest.raises(DecoderError, match="use tesseract"):
        measure_error_rates(steane, configured(decoder="pymatching", extraction="bare"))
    with pytest.raises(ConfigurationError, match="transversal"):
        measure_error_rates(five, configured(boundary="transversal"))
    with pytest.raises(CodeError, match="k=0"):
        measure_error_rates(StabilizerCode.from_paulis(["XX", "ZZ"]), configured())


def test_chunk_counts_are_whole_chunks(five):
    ledger = Ledger()
    measure_error_rates(five, configured(shots=7000), known=ledger.known, record=ledger.record)
    assert [shots for _, _, shots in ledger.calls] == [chunk_shots(i) for i in range(4)]
    assert sum((c for chunks in ledger.chunks.values() for c in chunks.values()), ErrorCounts()).shots == 10_000


def test_importing_the_package_is_light():
    script = (
        "import sys, qecforge.evaluation, qecforge.evaluation.statistics as s; s.wilson_interval(1, 10);"
        "print([m for m in ('stim', 'sinter', 'scipy', 'numba', 'ldpc', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
