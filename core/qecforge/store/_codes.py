"""Codes: discovered or imported, merged by stabilizer group."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from sqlalchemy import Connection, Row, Select, case, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from qecforge.errors import ConfigurationError, StoreError
from qecforge.store import _sql
from qecforge.store._base import StoreBase
from qecforge.store._rows import checked, checked_rows
from qecforge.store.models import CodeRow, DiscoveryRow, RunRow
from qecforge.store.records import CodeRecord, Discovery

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode, Distance, StabilizerCode

__all__ = ["CodeOrder", "CodeStore"]

CodeOrder: TypeAlias = Literal[
    "n", "k", "distance", "gate_count", "two_qubit_gate_count", "created_at", "-n", "-k", "-distance", "-gate_count",
    "-two_qubit_gate_count", "-created_at",
]  # fmt: skip


_MANY = 1000
_Record = TypeVar("_Record", CodeRecord, Discovery)


class CodeStore(StoreBase):
    """The part of `Store` that keeps codes."""

    def add_discovery(
        self,
        run_id: str,
        discovered: DiscoveredCode,
        distance: Distance,
        *,
        wall_time: float,
        proof: Mapping[str, Any],
    ) -> CodeRecord:
        """File what a run found. Of several encoders for one code in one run the one with the fewest gates is kept,
        then the one found first; so filing again, in any order, changes nothing.

        Args:
            wall_time: Seconds since the run began.
            proof: How distance and encoder were checked; JSON values.

        Raises:
            StoreError: no such run; or the distance contradicts what was proved of this code before.
        """
        row = {
            "encoder": discovered.encoder,
            "gate_count": discovered.gate_count,
            "two_qubit_gate_count": discovered.two_qubit_gate_count,
            "target_distance": discovered.target_distance,
            "step": discovered.step,
            "wall_time": float(wall_time),
            "attributes": _sql.json_object(discovered.attributes, "attributes"),
            "proof": _sql.json_object(proof, "proof"),
        }
        definition = discovered.code.to_json()
        with self._database.writing() as connection:
            run_id = _sql.find_id(connection, RunRow, run_id)
            code_id = self._file_code(connection, discovered.code, definition, distance, source=None)
            self._file_encoder(connection, {**row, "run_id": run_id, "code_id": code_id})
            return self._load_code(connection, code_id)

    def add_code(self, code: StabilizerCode, distance: Distance, *, source: str) -> CodeRecord:
        """File a code that comes from elsewhere; `source` says from where (a file name, a paper).

        A code that is there already keeps its id and its first source, and gains what the distance adds.

        Raises:
            StoreError: the distance contradicts what was proved of this code before.
        """
        definition = code.to_json()
        with self._database.writing() as connection:
            code_id = self._file_code(connection, code, definition, distance, source=source)
            return self._load_code(connection, code_id)

    def code(self, reference: str) -> CodeRecord:
        """The code with this id or digest, or the only one that begins so. Raises `StoreError` where there is none."""
        with self._database.reading() as connection:
            return self._load_code(connection, _sql.find_id(connection, CodeRow, reference))

    def codes(
        self,
        *,
        n: int | None = None,
        k: int | None = None,
        min_distance: int | None = None,
        include_upper_bounds: bool = False,
        exact_only: bool = False,
        max_gate_count: int | None = None,
        run: str | None = None,
        order_by: CodeOrder | Sequence[CodeOrder] = "created_at",
        limit: int | None = None,
    ) -> list[CodeRecord]:
        """Codes that match every filter given.

        Args:
            min_distance: Least *proved* distance: exact ones and lower bounds count. A code of which only an upper
                bound is known may have any smaller distance, so it is left out,
            include_upper_bounds: unless this is set: then an upper bound alone counts as if it were the distance.
            exact_only: Only codes whose distance is proved exactly.
            max_gate_count: Only codes with an encoder of at most this many gates.
            run: Only codes that this run found; encoder and gate count are then this run's.
            order_by: One key or several, `-` for descending; what has no value comes last. Ties are broken by gate
                count, then id.
        """
        with self._database.reading() as connection:
            run_id = None if run is None else _sql.find_id(connection, RunRow, run)
            gates, distance = _gates("gate_count", run_id), _shown_distance()
            chosen = exact_only or (n, k, min_distance, max_gate_count) != (None,) * 4
            query = select(CodeRow.id)
            if run_id is not None:
                query = query.join(DiscoveryRow, DiscoveryRow.code_id == CodeRow.id)
                query = query.where(DiscoveryRow.run_id == run_id)
            if n is not None:
                query = query.where(CodeRow.n == n)
            if k is not None:
                query = query.where(CodeRow.k == k)
            if min_distance is not None:
                query = query.where((distance if include_upper_bounds else CodeRow.distance_lower) >= min_distance)
            if exact_only:
                query = query.where(CodeRow.distance_kind == "exact")
            if max_gate_count is not None:
                query = query.where(gates <= max_gate_count)
            ids = connection.scalars(_ordered(query, run_id, distance, order_by, chosen=chosen).limit(limit)).all()
            with _uncollected() if len(ids) > _MANY else nullcontext():
                return _records(connection, ids, run_id)

    def discoveries(self, *, run: str | None = None, code: str | None = None) -> list[Discovery]:
        """Which run found which code, oldest first."""
        query = select(DiscoveryRow.__table__).order_by(
            DiscoveryRow.found_at, DiscoveryRow.run_id, DiscoveryRow.code_id
        )
        with self._database.reading() as connection:
            if run is not None:
                query = query.where(DiscoveryRow.run_id == _sql.find_id(connection, RunRow, run))
            if code is not None:
                query = query.where(DiscoveryRow.code_id == _sql.find_id(connection, CodeRow, code))
            return [_made(Discovery, values) for values in checked_rows(DiscoveryRow, connection.execute(query).all())]

    @staticmethod
    def _load_code(connection: Connection, code_id: str) -> CodeRecord:
        (record,) = _records(connection, [code_id], None)
        return record

    @staticmethod
    def _file_code(
        connection: Connection, code: StabilizerCode, definition: str, distance: Distance, *, source: str | None
    ) -> str:
        """Insert the code or merge what is new into its row; returns its id."""
        same = select(CodeRow.__table__).where(CodeRow.digest == code.digest).with_for_update()
        bounds = _bounds(distance)
        while (known := connection.execute(same).one_or_none()) is None:  # on a server others write meanwhile
            row = {
                "id": _sql.new_id(connection, CodeRow, code.digest),
                "digest": code.digest,
                "n": code.n,
                "k": code.k,
                **bounds,
                "definition": definition,
                "source": source,
                "created_at": _sql.now(),
            }
            _sql.insert_ignore(connection, CodeRow, [row])
        checked(CodeRow, known)
        changes = _sharper_bounds(known, bounds)
        if known.source is None and source is not None:
            changes["source"] = source
        if changes:
            connection.execute(update(CodeRow).where(CodeRow.id == known.id).values(changes))
        return str(known.id)

    @staticmethod
    def _file_encoder(connection: Connection, row: dict[str, Any]) -> None:
        """Insert the discovery, or let it replace one with a longer encoder."""
        _sql.insert_ignore(connection, DiscoveryRow, [{**row, "found_at": _sql.now()}])
        key = (DiscoveryRow.run_id == row["run_id"]) & (DiscoveryRow.code_id == row["code_id"])
        kept = connection.execute(select(DiscoveryRow.__table__).where(key).with_for_update()).one()
        if _rank(row) < _rank(checked(DiscoveryRow, kept)):
            connection.execute(update(DiscoveryRow).where(key).values({**row, "found_at": _sql.now()}))
        _sql.count_gates(connection, row["code_id"])


def _rank(discovery: Mapping[Any, Any]) -> tuple[int, int, str]:
    return discovery["gate_count"], discovery["step"], discovery["encoder"]


def _bounds(distance: Distance) -> dict[str, Any]:
    """The columns that say what a `Distance` proves."""
    value, upper = distance.value, distance.upper
    lower = value if distance.kind != "upper_bound" else max(1, distance.lower)
    if distance.kind != "lower_bound":
        upper = value
    if distance.kind not in ("exact", "lower_bound", "upper_bound") or lower < 1 or (upper or lower) < lower:
        raise ConfigurationError(
            f"distance: got {distance}, expected an exact value or bounds with 1 <= lower <= upper"
        )
    return {
        "distance_kind": "exact" if lower == upper else distance.kind,
        "distance_lower": lower,
        "distance_lower_method": distance.method,
        "distance_upper": upper,
        "distance_upper_method": None if upper is None else distance.method,
        "distance_witness": distance.witness,
    }


def _sharper_bounds(known: Row[Any], bounds: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the new bounds that say more than the known ones."""
    changes: dict[str, Any] = {}
    if bounds["distance_lower"] > known.distance_lower:
        changes.update({key: bounds[key] for key in ("distance_lower", "distance_lower_method")})
    if (bounds["distance_upper"] or known.n + 1) < (known.distance_upper or known.n + 1):
        changes.update({key: bounds[key] for key in ("distance_upper", "distance_upper_method", "distance_witness")})
    after = {**known._mapping, **changes}
    lower, upper = after["distance_lower"], after["distance_upper"]
    if upper is not None and lower > upper:
        raise StoreError(
            f"code {known.id}: distance >= {lower} ({after['distance_lower_method']}) contradicts distance <= {upper} "
            f"({after['distance_upper_method']}): one of the two proofs is wrong; nothing was stored"
        )
    if lower == upper:
        changes["distance_kind"] = "exact"
    elif bounds["distance_kind"] == "lower_bound" and "distance_lower" in changes:
        changes["distance_kind"] = "lower_bound"
    elif bounds["distance_kind"] == "upper_bound" and "distance_upper" in changes:
        changes["distance_kind"] = "upper_bound"
    return {key: value for key, value in changes.items() if value != known._mapping[key]}


def _gates(name: str, run_id: str | None) -> ColumnElement[Any]:
    """The fewest gates of each code; where a run is named, of its encoder, whose row is joined."""
    column: ColumnElement[Any] = (CodeRow if run_id is None else DiscoveryRow).__table__.c[name]
    return column


def _shown_distance() -> ColumnElement[Any]:
    """`CodeRecord.distance` in SQL."""
    return case((CodeRow.distance_kind == "upper_bound", CodeRow.distance_upper), else_=CodeRow.distance_lower)


def _ordered(
    query: Select[Any], run_id: str | None, distance: ColumnElement[Any], order_by: str | Sequence[str], *, chosen: bool
) -> Select[Any]:
    """Sorted. Of codes that are `chosen` few may be left, and to read all rows by the index of their order until there
    are enough would be slow: an expression has no index."""
    columns: dict[str, ColumnElement[Any]] = {
        "n": CodeRow.__table__.c.n,
        "k": CodeRow.__table__.c.k,
        "distance": distance,
        "gate_count": _gates("gate_count", run_id),
        "two_qubit_gate_count": _gates("two_qubit_gate_count", run_id),
        "created_at": CodeRow.__table__.c.created_at,
    }
    for key in [order_by] if isinstance(order_by, str) else order_by:
        column = columns.get(key.removeprefix("-"))
        if column is None:
            raise ConfigurationError(
                f"order_by: got {key!r}, expected one of {', '.join(columns)}, with - in front for descending order"
            )
        if chosen:
            column = case((column.is_not(None), column))
        ordered = column.desc() if key.startswith("-") else column.asc()
        # Where no value can be missing, `NULLS LAST` only keeps an index from being used.
        query = query.order_by(ordered.nulls_last() if "gate_count" in key else ordered)
    return query.order_by(columns["gate_count"].asc().nulls_last(), CodeRow.id)


_OF_RECORD = [column for column in CodeRow.__table__.c if column.name not in ("gate_count", "two_qubit_gate_count")]
"""Columns of `CodeRecord`: gates it has from its discoveries."""


def _records(connection: Connection, ids: Sequence[str], run_id: str | None) -> list[CodeRecord]:
    """Codes with their discoveries, in the order of their ids."""
    found = select(DiscoveryRow.__table__)
    if run_id is not None:
        found = found.where(DiscoveryRow.run_id == run_id)
    records: list[CodeRecord] = []
    for batch in _batches(connection, ids):
        wanted, its = select(*_OF_RECORD), found
        if batch is not None:
            wanted, its = wanted.where(CodeRow.id.in_(batch)), found.where(DiscoveryRow.code_id.in_(batch))
        codes = {values["id"]: values for values in checked_rows(CodeRow, connection.execute(wanted).all())}
        discoveries: dict[str, list[Discovery]] = {}
        for values in checked_rows(DiscoveryRow, connection.execute(its).all()):
            discoveries.setdefault(values["code_id"], []).append(_made(Discovery, values))
        for code_id in ids if batch is None else batch:
            values = codes[code_id]
            values["discoveries"] = tuple(sorted(discoveries.get(code_id, ()), key=_shortest_first))
            records.append(_made(CodeRecord, values))
    return records


def _batches(connection: Connection, ids: Sequence[str], size: int = 500) -> Iterable[Sequence[str] | None]:
    """Ids in parts that fit into a query; one None where so many are wanted that reading all rows is faster."""
    if len(ids) > _MANY and 2 * len(ids) >= (connection.scalar(select(func.count()).select_from(CodeRow)) or 0):
        return [None]
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _shortest_first(discovery: Discovery) -> tuple[int, int, datetime, str]:
    return discovery.gate_count, discovery.step, discovery.found_at, discovery.run_id


def _made(kind: type[_Record], values: dict[str, Any]) -> _Record:
    """A frozen dataclass of these values, all that it has. Its own constructor sets each by itself, which takes three
    times as long."""
    record = object.__new__(kind)
    object.__setattr__(record, "__dict__", values)
    return record


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without searches for circles among the many objects that are made, of which none is in a circle: a third of the
    time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
