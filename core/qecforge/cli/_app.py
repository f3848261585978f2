"""The typer application: its groups, its exit codes, and the commands that plugins add."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError
from typer.core import TyperGroup
from typer.main import get_group

from qecforge.cli import _bench, _codes, _examples, _plugins, _report, _reproduce, _run, _run_figures, _runs, _sandbox
from qecforge.cli._output import in_options, say, shielded
from qecforge.contracts.refusals import refusal
from qecforge.errors import Interrupted, ManifestError, RunFailed, UserError, one_line
from qecforge.machine.files import why_not
from qecforge.machine.streams import mute, write_error

__all__ = ["BAD_INPUT", "DONE", "FAILED", "INTERRUPTED", "NO_READER", "app"]

logger = logging.getLogger(__name__)

DONE, FAILED, BAD_INPUT, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141

# The base of all that typer raises about a command line; in public typer names only this subclass of it.
_CommandLineError = cast("type[Exception]", typer.BadParameter.__mro__[2])


class Application(TyperGroup):
    """The root group: turns every error into one line and its exit code, and finds the commands of plugins."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line. In standalone mode the process ends with the exit code, else it is returned."""
        arguments, wanted = _take_general(sys.argv[1:] if args is None else args)
        debug = wanted.debug
        try:
            wanted.write_logs()
            code = super().main(arguments, prog_name, complete_var, False, windows_expand_args, **extra)
            code = code if isinstance(code, int) else DONE
            sys.stdout.flush()
        except (_CommandLineError, typer.Abort, UserError, RunFailed, Interrupted) as error:
            if debug:
                say("".join(traceback.format_exception(error)).rstrip("\n"))
            logger.debug("ends with an error", exc_info=error)
            code = _explain(error)
        except (OSError, SystemExit) as error:  # typer ends by itself where a pipe is closed
            lost = write_error(sys.stdout)
            if lost is not None:
                code = _lose_output(lost)
            elif isinstance(error, OSError) and error.filename is not None and not debug:
                logger.debug("ends with an error", exc_info=error)
                say(f"{os.fsdecode(error.filename)}: {why_not(error)}; --debug shows where")
                code = BAD_INPUT
            else:
                raise
        if standalone_mode:
            sys.exit(code)
        return code

    def invoke(self, ctx: Any) -> Any:
        """Invoke a command; what typer would turn into exit codes of its own leaves in our words."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted") from error

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; plugins are loaded only where the name is none of ours."""
        return super().get_command(ctx, cmd_name) or _plugin_commands().get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Our commands, then those of plugins."""
        ours = super().list_commands(ctx)
        return [*ours, *(name for name in _plugin_commands() if name not in ours)]


app = typer.Typer(
    cls=Application,
    name="qecforge",
    help="Optimise quantum error correction with reinforcement learning; verify, measure and store the results.",
    epilog="Exit codes: 0 done, 1 a run failed, 2 bad input, 130 interrupted.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error. May stand anywhere on the line.")
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, help="Log what happens to stderr; -vv each step; goes anywhere."),
    ] = 0,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", help="Append the whole log to a file; goes anywhere.")
    ] = None,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"qecforge {installed('qecforge')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


_run.register(app)
_examples.register(app)
app.add_typer(_plugins.app, name="plugins")
app.add_typer(_runs.app, name="runs")
_run_figures.register(_runs.app)
app.add_typer(_codes.app, name="codes")
app.add_typer(_reproduce.app, name="reproduce")
app.add_typer(_sandbox.app, name="sandbox")
_report.register(app)
_bench.register(app)
for _group in (app, *(each.typer_instance for each in app.registered_groups)):
    for _command in _group.registered_commands if _group is not None else ():
        if _command.callback is not None:
            _command.callback = shielded(_command.callback)


@cache
def _plugin_commands() -> Mapping[str, Any]:
    """Commands that plugins add through `qecforge_cli`. A plugin that fails there is named and left out."""
    from qecforge.registry import Registry

    extension = typer.Typer(add_completion=False, rich_markup_mode=None)
    for broken in Registry.load().extend_cli(extension):
        say(f"the commands of plugin {broken.name} ({broken.distribution}) are left out: {one_line(broken.error)}")
    if not (extension.registered_commands or extension.registered_groups):
        return {}
    return dict(get_group(extension).commands)


@dataclass
class _General:
    """Options that go anywhere on a command line."""

    debug: bool = False
    verbosity: int = 0
    log_file: str | None = None

    def write_logs(self) -> None:
        """Set up the log that they ask for. Raises `ConfigurationError` where the file cannot be written."""
        from qecforge.machine.logs import write_logs

        write_logs(self.verbosity, None if self.log_file is None else Path(self.log_file))


def _take_general(arguments: Sequence[str]) -> tuple[list[str], _General]:
    """The arguments without `--debug`, `-v`, `--verbose` and `--log-file`, wherever before a `--` they stood, and what
    they ask for."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before, found = [], _General()
    waiting = iter(arguments[:end])
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if argument == "--debug":
            found.debug = True
        elif argument == "--verbose":
            found.verbosity += 1
        elif re.fullmatch("-v+", argument):
            found.verbosity += argument.count("v")
        elif name == "--log-file" and (file := value if equals else next(waiting, None)):
            found.log_file = file
        else:
            before.append(argument)
    return [*before, *arguments[end:]], found


def _explain(error: Exception) -> int:
    """Print the one line of an error and give its exit code."""
    if isinstance(error, typer.Abort):
        say("nothing was changed")
        return INTERRUPTED
    if isinstance(error, _CommandLineError):
        context = getattr(error, "ctx", None)
        message = one_line(cast(typer.BadParameter, error).format_message())
        if isinstance(error.__cause__, ValidationError):  # of a value's kind or range
            message = f"{message.partition(': ')[0]}: {refusal(error.__cause__.errors()[0])}"
        say(f"{message.rstrip('. ')}; see `{context.command_path if context else 'qecforge'} --help`")
        return BAD_INPUT
    for each in error.all if isinstance(error, ManifestError) else (error,):
        say(in_options(each))
    return BAD_INPUT if isinstance(error, UserError) else FAILED if isinstance(error, RunFailed) else INTERRUPTED


def _lose_output(error: OSError) -> int:
    """Say why stdout takes no more, unless its reader has gone (`| head`), and write nothing more, not even at exit."""
    mute(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return NO_READER
    say(f"standard output cannot be written ({error.strerror}); send it elsewhere")
    return BAD_INPUT
