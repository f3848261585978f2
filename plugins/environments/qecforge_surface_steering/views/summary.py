"""What steering was worth, in a few rows: control and decoder priors of runs, each with its rates over the epochs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qecforge.reporting.tables import Column, Table

if TYPE_CHECKING:
    from qecforge.store import Store

__all__ = ["steering_summary"]

_CONTROL = re.compile(r"steering/([^/]+)/total")
_ERROR_RATE = re.compile(r"(?:steering/([^/]+)|decoder_priors)/([^/]+)/ler")
_ORDER = ("fixed", "steered", "optimal", "nominal", "start", "tuned", "learned", "true")


def steering_summary(store: Store, run_ids: Sequence[str]) -> Table:
    """A row for each control and prior that the evaluations `steering` and `decoder_priors` recorded, run after run.

    `rate` is the exact mean detection rate over the epochs, `ler` the mean logical error rate per cycle over those at
    which it was measured, and `errors` how many logical errors that rests on. No rows where nothing was recorded.
    """
    columns = (
        Column("run"),
        Column("control"),
        Column("rate", "detection rate, mean"),
        Column("prior", "decoder's prior"),
        Column("ler", "LER per cycle, mean"),
        Column("errors", "from errors"),
    )
    return Table(columns, [row for run_id in run_ids for row in _rows(store, run_id)])


def _rows(store: Store, run_id: str) -> Iterator[dict[str, Any]]:
    names = store.metric_names(run_id)
    rates = {found[1]: store.metrics(run_id, name).last for name in names if (found := _CONTROL.fullmatch(name))}
    measured = [(found[1], found[2], name) for name in names if (found := _ERROR_RATE.fullmatch(name))]
    pairs = [(control, prior) for control, prior, _ in measured]
    pairs += [(control, None) for control in rates if all(control != known for known, _ in pairs)]
    ler = {(control, prior): name for control, prior, name in measured}
    for control, prior in sorted(
        pairs, key=lambda pair: [_ORDER.index(name) if name in _ORDER else -1 for name in pair]
    ):
        row: dict[str, Any] = {"run": run_id, "control": control, "rate": rates.get(control or ""), "prior": prior}
        if prior is not None:
            name = ler[control, prior]
            errors = store.metrics(run_id, f"{name.removesuffix('ler')}errors").value
            row |= {"ler": float(store.metrics(run_id, name).value.mean()), "errors": int(errors.sum())}
        yield row
