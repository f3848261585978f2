"""`qecforge steering tag`: a circuit whose gates have names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import say
from qecforge_surface_steering.cli._circuits import read_circuit, write_file

__all__ = ["tag"]


def tag(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A circuit in stim's format.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File for the same circuit with tagged gates.")],
    readout: Annotated[
        bool, typer.Option("--readout", help="Name the readouts and resets of MR too, such as m3 and r3.")
    ] = False,
) -> None:
    """Tag each gate of a circuit with its kind and qubits, such as `cx0-1`.

    Operations of one kind on the same qubits are one gate: they share its control parameters and its error. Existing
    tags are kept.
    """
    from qecforge_surface_steering.device.tagged import TaggedCircuit
    from qecforge_surface_steering.device.tagging import name_readouts, tag_circuit

    circuit = read_circuit(source)
    done = tag_circuit(name_readouts(circuit) if readout else circuit)
    gates = TaggedCircuit(done.circuit).gates
    write_file(target, f"{done.circuit}\n")
    kinds = ", ".join(f"{name} on {count}" for name, count in done.given.items())
    say(
        f"{target}: {len(gates)} gates; tags given: {kinds or 'none'} (instructions)"
        + (f"; {done.kept} instructions had a tag before" if done.kept else "")
    )
