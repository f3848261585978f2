"""A data set of the Hugging Face hub, by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qecforge.errors import ConfigurationError, one_line
from qecforge.machine.extras import missing_dependency

__all__ = ["read_data_set"]


def read_data_set(name: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Its rows, of the split `test` or of the only one, with their places.

    Raises:
        MissingDependency: the package `datasets` is not installed.
        ConfigurationError: there is no such data set, or it cannot be reached.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise missing_dependency(
            f"{name}: there is no such file, and reading it from a hub", "datasets", "llm", otherwise="give a file"
        ) from error
    try:
        splits = load_dataset(name)
    except Exception as error:
        raise ConfigurationError(
            f"{name}: neither a file nor a data set that can be loaded ({one_line(error, 200)})"
        ) from error
    split = "test" if "test" in splits else next(iter(splits))
    return [(f" {split} {number}", dict(row)) for number, row in enumerate(splits[split], 1)]
