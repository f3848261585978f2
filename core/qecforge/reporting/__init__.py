"""Results for people and programs: tables, figures, one HTML page, and the views of runs that plugins bring."""

from qecforge.reporting.tables import Column, Table, to_csv, to_json, to_text

__all__ = ["Column", "Table", "to_csv", "to_json", "to_text"]
