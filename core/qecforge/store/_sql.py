"""What the parts of the store share: insert-or-ignore, references by unique prefix, JSON values, the time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from qecforge.errors import ConfigurationError, StoreError
from qecforge.store._rows import identifier
from qecforge.store.models import Base, CodeRow, DiscoveryRow, RunRow

__all__ = ["count_gates", "find_id", "insert_ignore", "json_object", "new_id", "now", "upsert"]

_ID_DIGITS = 12


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def insert_ignore(connection: Connection, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, passing over those whose key is there already."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(model).on_conflict_do_nothing(), list(rows))
        return
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(model).on_conflict_do_nothing(), list(rows))
        return
    for row in rows:
        try:
            with connection.begin_nested():
                connection.execute(insert(model), row)
        except IntegrityError:
            continue


def upsert(connection: Connection, model: type[Base], key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Insert the row of this key, or give the one that is there these values."""
    insert_ignore(connection, model, [{**key, **values}])
    connection.execute(update(model).filter_by(**key).values(**values))


def count_gates(connection: Connection, code_id: str) -> None:
    """File with a code the fewest gates of the encoders that runs found for it."""
    fewest = {
        name: select(func.min(DiscoveryRow.__table__.c[name])).where(DiscoveryRow.code_id == code_id).scalar_subquery()
        for name in ("gate_count", "two_qubit_gate_count")
    }
    connection.execute(update(CodeRow).where(CodeRow.id == code_id).values(fewest))


def new_id(connection: Connection, model: type[RunRow] | type[CodeRow], digest: str) -> str:
    """The shortest prefix of `digest`, of at least 12 digits, that no other row has."""
    for digits in range(_ID_DIGITS, len(digest) + 1):
        prefix = digest[:digits]
        if connection.scalar(select(model.id).where(model.id == prefix)) is None:
            return prefix
    raise StoreError(f"{digest}: is in the store already")


def find_id(connection: Connection, model: type[RunRow] | type[CodeRow], reference: str) -> str:
    """The id that `reference` stands for: an id, or a prefix of one or of the whole hash that only one row has.

    Raises:
        StoreError: none has it, or several have.
    """
    noun, listing, digest = (
        ("run", "qecforge runs list", RunRow.identity)
        if model is RunRow
        else ("code", "qecforge codes list", CodeRow.digest)
    )
    if not isinstance(reference, str) or not reference:
        raise StoreError(f"{noun} {reference!r}: not an id: `{listing}` shows them")
    exact = connection.scalar(select(model.id).where((model.id == reference) | (digest == reference)))
    if exact is not None:
        return identifier(model, exact)
    found = connection.scalars(select(model.id).where(digest.startswith(reference, autoescape=True)).limit(4)).all()
    if not found:
        raise StoreError(f"{noun} {reference!r}: there is none of this id in the store: `{listing}` shows them")
    if len(found) > 1:
        raise StoreError(f"{noun} {reference!r}: several begin so ({', '.join(sorted(found))}): give more digits")
    return identifier(model, found[0])


def json_object(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A plain copy of a mapping that JSON can hold.

    Raises:
        ConfigurationError: it holds something else, NaN included.
    """
    try:
        copy = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{what}: cannot be kept as JSON ({error}): give numbers, strings, lists, mappings"
        ) from error
    assert isinstance(copy, dict)
    return copy
