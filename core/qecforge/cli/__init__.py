"""The command line: parsing and rendering over public functions, no logic.

Exit codes: 0 done, 1 a run failed, 2 bad input (one line on stderr that says what to do; `--debug` for the traceback),
130 interrupted (state saved), 141 the reader of the output went away.
"""

__all__ = ["main"]

import faulthandler
import os


def main() -> None:
    """The `qecforge` command. Ends the process with one of the exit codes above."""
    # Threads of numba and torch that spin while they wait starve each other, and whatever else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    from typer.main import get_command

    from qecforge.cli._app import app
    from qecforge.machine.signals import interrupt_on_sigterm
    from qecforge.machine.streams import prepare_streams

    prepare_streams()
    interrupt_on_sigterm()
    faulthandler.enable(2)
    get_command(app).main(prog_name="qecforge")
