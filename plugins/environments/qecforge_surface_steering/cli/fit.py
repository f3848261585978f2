"""`qecforge decoders fit`: gate errors and a decoder's prior from recorded detection events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qecforge.cli._output import Format, FormatOption, emit, say
from qecforge.errors import ConfigurationError
from qecforge.reporting.tables import Column, Table
from qecforge_surface_steering.cli._circuits import read_circuit, write_file

if TYPE_CHECKING:
    from qecforge.evaluation import RecordedEvents
    from qecforge_surface_steering.decoding.fitting import FittedErrors
    from qecforge_surface_steering.device.tagged import TaggedCircuit

__all__ = ["fit"]


def fit(
    circuit: Annotated[
        Path, typer.Argument(metavar="CIRCUIT", help="What ran, a circuit of stim: its gates tagged or not.")
    ],
    events: Annotated[
        Path, typer.Argument(metavar="EVENTS", help="Detection events: .b8, .01, .dets, .hits, .r8 or .npy.")
    ],
    observables: Annotated[
        Path | None, typer.Option("--observables", metavar="FILE", help="Logical observables, in a file of their own.")
    ] = None,
    appended: Annotated[
        bool, typer.Option("--appended", help="The observables follow the events of each shot, in the same file.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--events-format", metavar="NAME", help="Of the files, where their endings do not say."),
    ] = None,
    one_qubit: Annotated[
        float, typer.Option("--one-qubit", metavar="P", help="Error believed of a gate of one qubit.")
    ] = 1e-3,
    two_qubit: Annotated[float, typer.Option("--two-qubit", metavar="P", help="Likewise of two.")] = 5e-3,
    measurement: Annotated[
        float, typer.Option("--measurement", metavar="P", help="Probability that a measurement misreads.")
    ] = 0.0,
    reset: Annotated[float, typer.Option("--reset", metavar="P", help="Probability that a reset fails.")] = 0.0,
    spread: Annotated[
        float, typer.Option("--spread", metavar="SHARE", help="How far gates are believed to differ from that.")
    ] = 0.5,
    decoder: Annotated[str, typer.Option("--decoder", metavar="NAME", help="For the comparison of priors.")] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.dem", help="The fitted prior, a detector error model of stim.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Fit gate errors to recorded detection events, and make a decoder's prior of them.

    Noise that the circuit holds stays as it is. Where observables were recorded, the decoder is judged on the second
    half of the shots, with the nominal prior and with one that was fitted to the first half alone.
    """
    from qecforge_surface_steering.decoding.fitting import fit_gate_errors
    from qecforge_surface_steering.decoding.priors import nominal_by_family
    from qecforge_surface_steering.device.families import FAMILIES, READOUT, RESET, SATURATION
    from qecforge_surface_steering.device.tagged import TaggedCircuit
    from qecforge_surface_steering.device.tagging import tag_circuit

    tagging = tag_circuit(read_circuit(circuit))
    if tagging.given:
        say(f"{circuit}: gates without a tag are named by kind and qubits, such as cx0-1")
    if decoder != "auto" and observables is None and not appended:
        raise ConfigurationError(
            f"--decoder: got {decoder!r}, and priors are compared by recorded observables alone: give --observables or "
            "--appended, or leave --decoder out"
        )
    ran = TaggedCircuit(tagging.circuit, measurement_error=measurement, reset_error=reset)
    recorded = _recorded(ran, events, observables, appended, form)
    say(f"{events}: {len(recorded)} shots of {ran.circuit.num_detectors} detectors")
    believed = {1: one_qubit, 2: two_qubit, READOUT: measurement, RESET: reset}
    for family, option in ((1, "--one-qubit"), (2, "--two-qubit"), (READOUT, "--measurement"), (RESET, "--reset")):
        if family in ran.family and not 0 < believed[family] < SATURATION[family]:
            raise ConfigurationError(
                f"{option}: {believed[family]:g} is believed of {FAMILIES[family].replace('_', '-')} gates, expected a "
                f"probability above 0 and below {SATURATION[family]:g}: give one"
            )
    if not spread > 0:
        raise ConfigurationError(f"--spread: {spread:g} is not above 0: give a share such as 0.5")
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


def _recorded(
    ran: TaggedCircuit, events: Path, observables: Path | None, appended: bool, form: str | None
) -> RecordedEvents:
    from qecforge.evaluation import RecordedEvents, read_events, read_observables

    detectors, flips = ran.circuit.num_detectors, ran.circuit.num_observables
    if observables is not None and appended:
        raise ConfigurationError("--observables and --appended: observables are in one place: choose one of them")
    if (observables is not None or appended) and not flips:
        raise ConfigurationError("the circuit has no logical observable: leave --observables and --appended out")
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
