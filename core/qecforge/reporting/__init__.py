"""Tables of results, for people (rich) and for programs (JSON, CSV)."""

from qecforge.reporting.tables import Column, Table, to_csv, to_json, to_rich, to_text

__all__ = ["Column", "Table", "to_csv", "to_json", "to_rich", "to_text"]
