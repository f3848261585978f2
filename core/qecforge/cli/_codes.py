"""`qecforge codes`: codes in the store, in and out, proved again."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qecforge.cli._output import (
    DEFAULT_STORE,
    Format,
    FormatOption,
    StoreOption,
    emit,
    emit_json,
    on_terminal,
    open_store,
    put,
    say,
    terminal_width,
    working,
    write,
)
from qecforge.errors import ConfigurationError, RunFailed, printable
from qecforge.machine.files import write_whole
from qecforge.reporting.tables import Column, Table, duration

if TYPE_CHECKING:
    from qecforge.store import CodeRecord
    from qecforge.store._codes import CodeOrder

__all__ = ["app"]

app = typer.Typer(help="List, show, export, verify and import codes.", no_args_is_help=True, rich_markup_mode=None)

CHECKS = (
    Column("check"),
    Column("result"),
    Column("ok"),
    Column("seconds", "took", show=duration, justify="right"),
)


class CodeFormat(StrEnum):
    """How a code is written."""

    STIM = "stim"
    QASM2 = "qasm2"
    QASM3 = "qasm3"
    ALIST = "alist"
    JSON = "json"
    PAULIS = "paulis"
    CHECK_MATRIX = "check_matrix"
    MTX = "mtx"


class ReadableFormat(StrEnum):
    """How a code is written that can be read."""

    STIM = "stim"
    QASM2 = "qasm2"
    QASM3 = "qasm3"
    ALIST = "alist"
    JSON = "json"
    PAULIS = "paulis"
    CHECK_MATRIX = "check_matrix"
    MTX = "mtx"
    NPY = "npy"
    NPZ = "npz"


class Order(StrEnum):
    """What a listing is sorted by: distance and age falling, the rest rising."""

    BEST = "best"
    N = "n"
    K = "k"
    DISTANCE = "distance"
    GATE_COUNT = "gate_count"
    TWO_QUBIT_GATE_COUNT = "two_qubit_gate_count"
    CREATED_AT = "created_at"


ORDERS: Mapping[Order, CodeOrder] = {
    Order.N: "n",
    Order.K: "k",
    Order.DISTANCE: "-distance",
    Order.GATE_COUNT: "gate_count",
    Order.TWO_QUBIT_GATE_COUNT: "two_qubit_gate_count",
    Order.CREATED_AT: "-created_at",
}

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="Id of the code, or its first characters.")]
BudgetOption = Annotated[
    float,
    typer.Option(
        "--budget", min=0.0, metavar="SECONDS", help="Time limit for proving the distance; 0: a quick bound only."
    ),
]


@app.command("list")
def list_codes(
    store: StoreOption = DEFAULT_STORE,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Only codes with this number of physical qubits.")] = None,
    k: Annotated[int | None, typer.Option("--k", min=0, help="Only codes with this number of logical qubits.")] = None,
    min_distance: Annotated[
        int | None, typer.Option("--min-distance", min=1, help="Only codes whose proved distance is at least this.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Only codes whose distance is known exactly.")] = False,
    max_gates: Annotated[
        int | None, typer.Option("--max-gates", min=0, help="Only codes with an encoder of at most this many gates.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only codes found by this run.")] = None,
    order_by: Annotated[
        Order, typer.Option("--order-by", help="Order of the rows. best: greatest distance first, then fewest gates.")
    ] = Order.BEST,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Maximum number of rows.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the codes in the store."""
    from qecforge.cli._render import codes_table

    with open_store(store) as opened:
        found = opened.codes(
            n=n,
            k=k,
            min_distance=min_distance,
            exact_only=exact,
            max_gate_count=max_gates,
            run=run,
            order_by=ORDERS.get(order_by, ("-distance", "gate_count")),
            limit=limit,
        )
    emit(codes_table(found), form, empty="no code matches")


@app.command("show")
def show_code(code: CodeArgument, store: StoreOption = DEFAULT_STORE, form: FormatOption = Format.TABLE) -> None:
    """Show one code: distance, stabilizers, logical operators, encoder, error rates.

    --format csv writes its error rates only."""
    from qecforge.cli._render import code_document, code_lines, query_lines, rates_table

    with open_store(store) as opened:
        record = opened.code(code)
        rates = opened.error_rates(record.id)
    if form is Format.JSON:
        emit_json(code_document(record, rates))
    elif form is Format.CSV:
        emit(rates_table(rates), form)
    else:
        lines = code_lines(record, rates, width=terminal_width())
        write("\n".join([*lines, "", *query_lines(record, store)]))


@app.command("export")
def export_code(
    code: CodeArgument,
    form: Annotated[
        CodeFormat,
        typer.Option("--format", help="stim, qasm2, qasm3: the encoding circuit; the others: the stabilizers."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write. Default: standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Export a code: its shortest known encoder, its stabilizer generators or its check matrix."""
    from qecforge.codes import dump_code

    with open_store(store) as opened:
        record = opened.code(code)
    text = dump_code(record.code, form.value, encoder=record.encoder)
    if out is None:
        put(printable(text) if on_terminal() else text, nl=False)
        return
    try:
        write_whole(out, text.encode(), replace=force)
    except FileExistsError:
        raise ConfigurationError(f"--out: {out} exists; replace it with --force, or name another file") from None
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({error.strerror}); name another file") from error
    say(f"{out}: {form.value} of code {record.id}")


@app.command("verify")
def verify_code(
    code: CodeArgument,
    budget: BudgetOption = 600.0,
    store: StoreOption = DEFAULT_STORE,
    form: FormatOption = Format.TABLE,
) -> None:
    """Prove the distance of a code again, and check each of its encoders with stim. Exit code 1 if a check fails."""
    with open_store(store) as opened:
        record = opened.code(code)
    with working("proving the distance"):
        checks = [_check_distance(record, budget), *_check_encoders(record)]
    emit(Table(CHECKS, checks), form)
    wrong = [check["check"] for check in checks if not check["ok"]]
    if wrong:
        raise RunFailed(f"code {record.id} failed these checks: {', '.join(wrong)}")


@app.command("import")
def import_code(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="File with a code; - for standard input.")] = None,
    hx: Annotated[
        Path | None,
        typer.Option("--hx", metavar="FILE", help="Instead of FILE: X checks of a CSS code, a matrix of n columns."),
    ] = None,
    hz: Annotated[
        Path | None, typer.Option("--hz", metavar="FILE", help="Z checks of the CSS code; needs --hx.")
    ] = None,
    form: Annotated[
        ReadableFormat | None,
        typer.Option("--format", help="Format of the file. Default: recognised from its content."),
    ] = None,
    symplectic: Annotated[
        bool,
        typer.Option("--symplectic", help="Read a matrix as [X | Z] with 2n columns, not as one half of a CSS code."),
    ] = False,
    k: Annotated[
        int | None,
        typer.Option(
            "--k", min=0, help="Number of logical qubits of an encoding circuit, if its comment does not give it."
        ),
    ] = None,
    drop_redundant: Annotated[
        bool, typer.Option("--drop-redundant", help="Drop generators that are products of others.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="TEXT", help="Where the code comes from. Default: the name of the file."),
    ] = None,
    budget: BudgetOption = 600.0,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Check a code, prove its distance and store it. Nothing is stored if it is not a code."""
    from qecforge.cli._render import code_lines
    from qecforge.codes import load_code, load_css
    from qecforge.store import Store

    started = time.perf_counter()
    if file is not None and hx is None and hz is None:
        given = _stdin() if str(file) == "-" else file
        loaded = load_code(
            given, form.value if form else None, k=k, drop_redundant=drop_redundant, symplectic=symplectic
        )
        origin = "stdin" if str(file) == "-" else file.name
    elif file is None and hx is not None and hz is not None:
        loaded = load_css(hx, hz, form.value if form else None, drop_redundant=drop_redundant)
        if k is not None and k != loaded.k:
            raise ConfigurationError(f"--k {k}: {hx} and {hz} are a code of k = {loaded.k}; leave the option out")
        origin = f"{hx.name}, {hz.name}"
    else:
        raise ConfigurationError("codes import: expected FILE, or both --hx FILE and --hz FILE")
    with working("proving the distance"):
        distance = loaded.distance(budget_seconds=max(0.0, budget - (time.perf_counter() - started)))
    with Store(store) as opened:
        record = opened.add_code(loaded, distance, source=source or origin)
    write("\n".join(code_lines(record, [], circuit=False)))


def _stdin() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise ConfigurationError(f"stdin cannot be read ({error.strerror}); name a file") from error


def _check_distance(record: CodeRecord, budget: float) -> dict[str, Any]:
    """Whether a fresh proof agrees with the stored bounds; a bound agrees where it does not contradict them."""
    proved = record.filed.distance(budget_seconds=budget)
    lower = proved.value if proved.kind != "upper_bound" else None
    upper = proved.value if proved.kind != "lower_bound" else None
    ok = not (
        (lower is not None and record.distance_upper is not None and lower > record.distance_upper)
        or (upper is not None and record.distance_lower is not None and upper < record.distance_lower)
    )
    if record.distance_kind == "exact":
        ok = ok and (proved.kind != "exact" or proved.value == record.distance)
    words = {"exact": "proved", "upper_bound": "upper bound", "lower_bound": "lower bound"}[proved.kind]
    stored = {"exact": "exactly ", "upper_bound": "at most ", "lower_bound": "at least "}[record.distance_kind]
    return {
        "check": f"distance, stored as {stored}{record.distance}",
        "result": f"{proved.value}, {words} by {proved.method}",
        "ok": ok,
        "seconds": proved.seconds,
    }


def _check_encoders(record: CodeRecord) -> list[dict[str, Any]]:
    """Each distinct encoder against the code, by stim; each has signs of its own."""
    from qecforge.codes import verify_encoder
    from qecforge.errors import CodeError

    checks = []
    for found in {found.encoder: found for found in reversed(record.discoveries)}.values():
        started = time.perf_counter()
        try:
            verify_encoder(record.filed.with_signs(None), found.encoder)
            result, ok = "encodes this code", True
        except CodeError as error:
            result, ok = str(error), False
        checks.append(
            {
                "check": f"encoder of run {found.run_id}, {found.gate_count} gates",
                "result": result,
                "ok": ok,
                "seconds": time.perf_counter() - started,
            }
        )
    return checks
