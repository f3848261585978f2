"""`qecforge steering tag`: a circuit whose gates have names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qecforge.cli._output import say
from qecforge_surface_steering.cli._circuits import read_circuit, write_file

__all__ = ["tag"]


def tag(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A circuit of stim.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The same circuit, its gates tagged.")],
    readout: Annotated[
        bool, typer.Option("--readout", help="Name readouts and resets too, as m3 and r3, of qubits that MR measures.")
    ] = False,
) -> None:
    """Tag the gates of a circuit by kind and qubits, as `cx0-1`.

    A gate is one kind of operation on the same qubits, wherever it occurs; it has control parameters and an error of
    its own. Tags that are there stay.
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
        + (f"; {done.kept} instructions had one" if done.kept else "")
    )
