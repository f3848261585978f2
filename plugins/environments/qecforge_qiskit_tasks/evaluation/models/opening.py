"""From a model's name to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qecforge.errors import ConfigurationError
from qecforge_qiskit_tasks.evaluation.models.asking import Model, Sampling
from qecforge_qiskit_tasks.evaluation.models.naming import ModelName

if TYPE_CHECKING:
    from qecforge.store import Store

__all__ = ["open_model"]


def open_model(name: ModelName, sampling: Sampling, store: Store) -> Model:
    """A model that answers, of any kind but `file`. The caller closes it.

    Raises:
        UserError: there is none of this name, or what it needs is not installed.
    """
    if name.kind == "server":
        from qecforge_qiskit_tasks.evaluation.models.server import Server

        return Server(name, sampling)
    if name.kind == "hf":
        from qecforge_qiskit_tasks.evaluation.models.local import LocalModel

        return LocalModel(name.place, sampling)
    if name.kind == "run":
        from qecforge_qiskit_tasks.evaluation.models.policy import PolicyOfRun

        return PolicyOfRun(name.place, sampling, store)
    raise ConfigurationError(f"--model: completions of {name.place} are there already")
