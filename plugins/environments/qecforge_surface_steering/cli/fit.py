"""`qecforge decoders fit`: gate errors and a decoder's prior from recorded detection events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qecforge.cli._output import Format, FormatOption, emit, say
from qecforge.errors import ConfigurationError, one_line
from qecforge.reporting.tables import Column, Table
from qecforge_surface_steering.cli._circuits import read_circuit, write_file

if TYPE_CHECKING:
    from qecforge.evaluation import RecordedEvents
    from qecforge_surface_steering.decoding.fitting import FittedErrors
    from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["fit"]

MAX_SPREAD = 1000.0


def fit(
    circuit: Annotated[
        Path, typer.Argument(metavar="CIRCUIT", help="The circuit that was run, in stim's format. Gates need no tags.")
    ],
    events: Annotated[
        Path, typer.Argument(metavar="EVENTS", help="Recorded detection events: .b8, .01, .dets, .hits, .r8 or .npy.")
    ],
    observables: Annotated[
        Path | None,
        typer.Option(
            "--observables", metavar="FILE", help="Recorded logical observables, if they are in another file."
        ),
    ] = None,
    appended: Annotated[
        bool, typer.Option("--appended", help="EVENTS has the observables too, after the events of each shot.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--events-format", metavar="NAME", help="Format of both files, if their names do not end in it."),
    ] = None,
    one_qubit: Annotated[
        float, typer.Option("--one-qubit", metavar="P", help="Nominal error of one-qubit gates.")
    ] = 1e-3,
    two_qubit: Annotated[
        float, typer.Option("--two-qubit", metavar="P", help="Nominal error of two-qubit gates.")
    ] = 5e-3,
    measurement: Annotated[
        float, typer.Option("--measurement", metavar="P", help="Probability of a wrong measurement result.")
    ] = 0.0,
    reset: Annotated[
        float, typer.Option("--reset", metavar="P", help="Probability that a reset gives the wrong state.")
    ] = 0.0,
    spread: Annotated[
        float,
        typer.Option(
            "--spread",
            metavar="SHARE",
            help="Prior width: gate errors differ from the nominal ones by this fraction of them.",
        ),
    ] = 0.5,
    decoder: Annotated[
        str, typer.Option("--decoder", metavar="NAME", help="Decoder that compares the nominal with the fitted prior.")
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.dem", help="Write the fitted prior here, as a detector error model."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Fit the error of each gate to recorded detection events, as a prior for a decoder.

    Noise instructions of the circuit are kept as they are. If logical observables were recorded, the logical error rate
    of the second half of the shots is given with the nominal prior and with a prior fitted to the first half.
    """
    from qecforge_surface_steering.decoding.fitting import fit_gate_errors
    from qecforge_surface_steering.decoding.priors import nominal_by_family
    from qecforge_surface_steering.device.families import FAMILIES, READOUT, RESET
    from qecforge_surface_steering.device.tagged import TaggedCircuit
    from qecforge_surface_steering.device.tagging import tag_circuit

    _check_numbers(one_qubit, two_qubit, measurement, reset, spread)
    if decoder != "auto" and observables is None and not appended:
        raise ConfigurationError(
            f"--decoder: got {one_line(decoder, 60)!r}, but it is only used with recorded observables: give "
            "--observables or --appended, or leave --decoder out"
        )
    tagging = tag_circuit(read_circuit(circuit))
    ran = TaggedCircuit(tagging.circuit, measurement_error=measurement, reset_error=reset)
    recorded = _recorded(ran, events, observables, appended, form)
    if tagging.given:
        say(f"{circuit}: gates without a tag are named by kind and qubits, such as cx0-1")
    say(f"{events}: {len(recorded)} shots of {ran.circuit.num_detectors} detectors")
    believed = {READOUT: measurement, RESET: reset}
    for family, option in ((READOUT, "--measurement"), (RESET, "--reset")):
        if family in ran.family and not believed[family] > 0:
            raise ConfigurationError(
                f"{option}: got 0, but the circuit names {FAMILIES[family]}s, whose error is fitted: give a "
                "probability above 0"
            )
    nominal = nominal_by_family(ran.family, one_qubit=one_qubit, two_qubit=two_qubit, readout=measurement, reset=reset)
    found = fit_gate_errors(ran, recorded, nominal, spread=spread, decoder=decoder)
    columns = (
        Column("gate"),
        Column("nominal", show=_short, justify="right"),
        Column("fitted", show=_short, justify="right"),
        Column("ratio", show=lambda value: f"{value:.2f}", justify="right"),
    )
    rows = [
        {"gate": gate.name, "nominal": float(before), "fitted": float(after), "ratio": float(after / before)}
        for gate, before, after in zip(ran.gates, found.nominal, found.errors, strict=True)
    ]
    emit(Table(columns, rows, "Gate errors"), output)
    if found.improvement is not None:
        say(_judged(found))
    if out is not None:
        model = ran.with_noise(found.errors).detector_error_model(approximate_disjoint_errors=True)
        write_file(out, f"{model}\n")
        say(f"the fitted prior is in {out}")


def _check_numbers(one_qubit: float, two_qubit: float, measurement: float, reset: float, spread: float) -> None:
    """Refuse numbers that are no probabilities, before any file is read."""
    for option, value, bound, shown in (
        ("--one-qubit", one_qubit, 3 / 4, "above 0 and below 3/4, where the qubit is fully depolarized"),
        ("--two-qubit", two_qubit, 15 / 16, "above 0 and below 15/16, where both qubits are fully depolarized"),
    ):
        if not 0 < value < bound:
            raise ConfigurationError(f"{option}: got {value:g}, expected a probability {shown}")
    for option, value in (("--measurement", measurement), ("--reset", reset)):
        if not 0 <= value < 0.5:
            raise ConfigurationError(f"{option}: got {value:g}, expected a probability from 0, below 1/2")
    if not 0 < spread <= MAX_SPREAD:
        raise ConfigurationError(
            f"--spread: got {spread:g}, expected a fraction above 0, at most {MAX_SPREAD:g}, such as 0.5"
        )


def _recorded(
    ran: TaggedCircuit, events: Path, observables: Path | None, appended: bool, form: str | None
) -> RecordedEvents:
    from qecforge.evaluation import RecordedEvents, read_events, read_observables

    detectors, flips = ran.circuit.num_detectors, ran.circuit.num_observables
    if observables is not None and appended:
        raise ConfigurationError("--observables and --appended: give only the one that says where the observables are")
    if (observables is not None or appended) and not flips:
        raise ConfigurationError("CIRCUIT has no logical observable: leave --observables and --appended out")
    recorded = read_events(events, detectors=detectors, observables=flips if appended else 0, form=form)
    if observables is None:
        return recorded
    return RecordedEvents(
        recorded.events, read_observables(observables, observables=flips, shots=len(recorded), form=form)
    )


def _judged(found: FittedErrors) -> str:
    rates = found.improvement
    assert rates is not None
    before, after, lower = rates.rate(0), rates.rate(1), rates.reduction(1)
    return (
        f"{found.decoder}, {rates.shots} shots that the fit has not seen: {rates.failing[0]} fail with the nominal "
        f"prior ({before.estimate:.4g} [{before.low:.4g}, {before.high:.4g}] per shot), {rates.failing[1]} with the "
        f"fitted one ({after.estimate:.4g} [{after.low:.4g}, {after.high:.4g}]): {100 * lower.estimate:.1f} % fewer "
        f"[{100 * lower.low:.1f}, {100 * lower.high:.1f}]"
    )


def _short(value: float) -> str:
    return f"{value:.2e}"
