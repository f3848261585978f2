"""Codes as people see them: tables of many, and one in full as lines of text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qecforge.cli._output import store_option
from qecforge.evaluation.built_in import RETURNS, SEARCH
from qecforge.machine.masking import masked
from qecforge.reporting.layout import wrapped
from qecforge.reporting.tables import (
    Column,
    Table,
    bound,
    duration,
    interval,
    number,
    percent,
    plain,
    point,
    to_json_object,
    to_text,
)

if TYPE_CHECKING:
    from qecforge.manifest import RunPlan
    from qecforge.store import CodeRecord, ErrorRate, PolicyEvaluation

__all__ = [
    "circuit_lines",
    "code_document",
    "code_lines",
    "codes_table",
    "parameters",
    "policies_table",
    "query_lines",
    "rates_table",
]

CODES = (
    Column("id", "code"),
    Column("parameters"),
    Column("distance_kind", "distance known as", show=lambda kind: kind.replace("_", " ")),
    Column("gate_count", "gates"),
    Column("two_qubit_gate_count", "two-qubit"),
    Column("step", "found at step"),
    Column("runs"),
    Column("source"),
    Column("n", detail=True),
    Column("k", detail=True),
    Column("distance", detail=True),
    Column("distance_method", detail=True),
    Column("wall_time", detail=True),
    Column("run_id", detail=True),
    Column("first_found_at", detail=True),
    Column("digest", detail=True),
)

POLICIES = (
    Column("run"),
    Column("name"),
    Column("seed", show=plain, justify="right"),
    Column("sweep", show=point),
    Column("quantizer", show=lambda name: name or "none"),
    Column("top1_agreement", "top-1 %", show=percent, justify="right"),
    Column("kendall_tau", "Kendall tau", show=number, justify="right"),
    Column("flips_from_0", "flips below margin 0.1", show=percent, justify="right"),
    Column("logit_noise_mean", "logit noise", show=number, justify="right"),
    Column("return_mean", "return", show=number, justify="right"),
    Column("return_interval", "95 % interval", show=interval),
    Column("success_rate", "success", show=percent, justify="right"),
    Column("codes_found", "codes found", show=number, justify="right"),
    Column("seconds_to_first_code", "first after", show=duration, justify="right"),
    Column("codes_per_hour", "codes per hour", show=number, justify="right"),
    Column("steps_per_second", "steps per second", show=number, justify="right"),
    Column("runtime"),
)

RATES = (
    Column("p"),
    Column("rate", "logical error rate"),
    Column("interval", "95 % interval", show=interval),
    Column("shots"),
    Column("errors"),
    Column("discards"),
    Column("noise_model", "noise"),
    Column("experiment", show=lambda value: value.replace("_", " ")),
    Column("extraction"),
    Column("basis"),
    Column("decoder"),
    Column("circuit_distance_words", "circuit distance"),
    Column("code_id", detail=True),
    Column("noise", detail=True),
    Column("low", detail=True),
    Column("high", detail=True),
    Column("rounds", detail=True),
    Column("circuit_distance", detail=True),
    Column("circuit_distance_kind", detail=True),
    Column("seconds", detail=True),
    Column("task_id", detail=True),
)


def parameters(record: CodeRecord) -> str:
    """`[[n,k,d]]`; a distance that is only bounded says so."""
    return f"[[{record.n},{record.k},{bound(record.distance_kind)}{record.distance}]]"


def codes_table(records: Sequence[CodeRecord]) -> Table:
    """A row for each code."""
    return Table(CODES, [{**record.row(), "parameters": parameters(record)} for record in records])


def rates_table(rates: Sequence[ErrorRate]) -> Table:
    """A row for each measured point, by noise and p."""
    rows = []
    for rate in sorted(rates, key=lambda rate: (rate.task.experiment, rate.task.noise, rate.task.extraction, rate.p)):
        row = rate.row()
        distance, kind = row["circuit_distance"], row["circuit_distance_kind"]
        words = "" if distance is None else f"{bound(kind)}{distance}"
        model = json.loads(rate.task.noise).get("model")
        rows.append(
            {**row, "noise_model": model, "interval": [row["low"], row["high"]], "circuit_distance_words": words}
        )
    return Table(RATES, rows)


def policies_table(
    runs: Sequence[tuple[str, RunPlan, Sequence[PolicyEvaluation]]],
) -> Table:
    """A row for each run: how faithful its policy is to the teacher (on the teacher's states), and what it finds.

    Args:
        runs: Id, plan and evaluations of each. Columns in which no run has a value are left out.
    """
    rows = []
    for run_id, plan, evaluations in runs:
        row: dict[str, Any] = {"run": run_id, "name": plan.name, "seed": plan.seed}
        row["sweep"] = dict(plan.sweep_point) or None
        row["quantizer"] = plan.quantization.quantizer.spec.name if plan.quantization else None
        for each in evaluations:
            row |= each.values
            if each.name == RETURNS.name and "return_low" in each.values:
                row["return_interval"] = [each.values["return_low"], each.values["return_high"]]
            if each.name == SEARCH.name and each.payload is not None:
                row["runtime"] = each.payload["runtime"]["runtime"]
        rows.append(row)
    columns = tuple(column for column in POLICIES if any(row.get(column.key) is not None for row in rows))
    return Table(columns, [{column.key: row.get(column.key) for column in columns} for row in rows])


def code_lines(
    record: CodeRecord, rates: Sequence[ErrorRate], *, width: int | None = None, circuit: bool = True
) -> list[str]:
    """Everything about one code: parameters, proof, stabilizers, logical operators, encoder, error rates.

    Args:
        width: Columns of the terminal; None where lines may be of any length.
        circuit: Whether the encoder is drawn.
    """
    from qecforge.codes._pauli import format_pauli

    lines = [f"{parameters(record)}  code {record.id}", *_distance_lines(record), *_literature_lines(record)]
    lines += _labelled("stabilizers", list(record.code.stabilizers))
    lines += _labelled("logical X", [format_pauli(row) for row in record.code.logical_x])
    lines += _labelled("logical Z", [format_pauli(row) for row in record.code.logical_z])
    if circuit:
        lines += _encoder_lines(record, width)
    if rates:
        lines += ["", "logical error rates", *to_text(rates_table(rates), width).split("\n")]
        notes = (rate.task.lost_distance(record.distance) for rate in rates)
        lines += dict.fromkeys(note for note in notes if note is not None)
    return lines


def circuit_lines(encoder: str, width: int | None = None) -> list[str]:
    """A stim circuit as a drawing, or as a list of its gates where the drawing is wider than `width`."""
    from qecforge.codes.encoders import parsed_circuit

    circuit = parsed_circuit(encoder)
    drawn = [line.rstrip() for line in str(circuit.diagram("timeline-text")).split("\n")]
    while drawn and not drawn[-1]:
        drawn.pop()
    if width is None or max(map(len, drawn), default=0) <= width:
        return drawn
    gates = " | ".join(
        f"{instruction.name} {' '.join(str(target.value) for target in group)}"
        for instruction in circuit.flattened()
        for group in instruction.target_groups()
    )
    return textwrap.wrap(gates.replace(" ", "\0").replace("\0|\0", " | "), width, break_on_hyphens=False)


def query_lines(record: CodeRecord, store_url: str) -> list[str]:
    """Python and shell that give this code back."""
    option = store_option(store_url)
    return [
        "in Python",
        "    from qecforge import Store",
        f"    with Store({json.dumps(masked(store_url), ensure_ascii=False)}) as store:",
        f'        record = store.code("{record.id}")   # record.code, .encoder, .distance',
        "        rates = store.error_rates(record.id)",
        f"        similar = store.codes(n={record.n}, k={record.k}, min_distance={record.distance}, "
        'order_by="gate_count")',
        "in the shell",
        f"    qecforge codes show {record.id}{option}",
        f"    qecforge codes export {record.id} --format qasm3 --out code.qasm{option}",
        f"    qecforge codes list --n {record.n} --k {record.k} --min-distance {record.distance}{option}",
    ]


def _distance_lines(record: CodeRecord) -> list[str]:
    lower = f"at least {record.distance_lower}" if record.distance_lower > 1 else "no lower bound"
    words = {
        "exact": "distance {} is proved: {}",
        "lower_bound": "distance is at least {}, more is not proved: {}",
        "upper_bound": f"distance is at most {{}}, {lower} is proved: {{}}",
    }
    lines = [words[record.distance_kind].format(record.distance, record.distance_method)]
    if record.distance_kind == "lower_bound" and record.distance_upper is not None:
        lines.append(f"distance is at most {record.distance_upper}: {record.distance_upper_method}")
    return lines


def _literature_lines(record: CodeRecord) -> list[str]:
    """Which code of the literature it is, or is not."""
    from qecforge.codes.equivalence import known_equivalents

    how = "up to the order of qubits and single-qubit Clifford gates"
    known = known_equivalents(record.code)
    same = [name for name, equivalent in known.items() if equivalent]
    if same:
        return [f"equivalent to {same[0]} {how}"]
    return [f"not equivalent to {' or '.join(known)} {how}"] if known else []


def _encoder_lines(record: CodeRecord, width: int | None) -> list[str]:
    if record.best is None:
        text, title = str(record.code.encoder()), "encoder, synthesised from the tableau"
    else:
        text = record.best.encoder
        gates = f"{record.best.gate_count} gates, {record.best.two_qubit_gate_count} of them on two qubits"
        when = "when it searched, " if record.best.attributes.get("found_in") == "search" else ""
        found = f"found by run {record.best.run_id} {when}at step {number(record.best.step)}"
        title = f"encoder, {gates}; {found}, {duration(record.best.wall_time)} after its start; checked by stim"
    inputs = "qubit 0 takes" if record.k == 1 else f"qubits 0..{record.k - 1} take"
    how = f"{inputs} the logical input, the others start in |0>" if record.k else "all qubits start in |0>"
    return ["", *wrapped(title, width), how, *circuit_lines(text, width)]


def _labelled(label: str, values: Sequence[str]) -> list[str]:
    """Values under each other, the label before the first."""
    return [f"{label if index == 0 else '':12} {value}" for index, value in enumerate(values)]


def code_document(record: CodeRecord, rates: Sequence[ErrorRate]) -> str:
    """Everything about one code as a JSON object."""
    from qecforge.codes._pauli import format_pauli

    document = {
        **record.row(),
        "stabilizers": list(record.code.stabilizers),
        "logical_x": [format_pauli(row) for row in record.code.logical_x],
        "logical_z": [format_pauli(row) for row in record.code.logical_z],
        "encoder": record.encoder,
        "discoveries": [found.row() for found in record.discoveries],
        "error_rates": [rate.row() for rate in rates],
    }
    return to_json_object(document)
