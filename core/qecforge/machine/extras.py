"""What an optional package is needed for, and what to install where it is missing."""

from __future__ import annotations

import re
from importlib import metadata

from qecforge.errors import MissingDependency

__all__ = ["extra_requirements", "missing_dependency"]


def missing_dependency(where: str, package: str, extra: str, *, otherwise: str = "") -> MissingDependency:
    """The error to raise where an optional package cannot be imported.

    Args:
        where: What needs it, such as `figures`.
        package: Its name, as pip knows it.
        extra: The extra of qecforge that it belongs to; all of that is named, for some packages need others.
        otherwise: What can be done instead, such as `choose bposd`.
    """
    wanted = " ".join(f"'{each}'" for each in extra_requirements(extra) or [package])
    instead = f", or {otherwise}" if otherwise else ""
    return MissingDependency(f"{where}: {package} is not installed: pip install {wanted}{instead} (extra {extra!r})")


def extra_requirements(extra: str) -> list[str]:
    """The packages of an extra of qecforge, with their bounds, as pip takes them. Empty where there is none of this
    name, or qecforge itself is not installed."""
    try:
        lines = metadata.requires("qecforge") or []
    except metadata.PackageNotFoundError:
        return []
    split = [re.split(r"\s*;\s*", line, maxsplit=1) for line in lines]
    return [name for name, *marker in split if marker and re.search(rf"extra\s*==\s*[\"']{extra}[\"']", marker[0])]
