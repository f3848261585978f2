"""Where completions come from: a server, a model on this machine, a run of the store, or a file."""

from qecforge_qiskit_tasks.evaluation.models.asking import Answer, Model, Question, Sampling
from qecforge_qiskit_tasks.evaluation.models.naming import ModelName, parse_model
from qecforge_qiskit_tasks.evaluation.models.opening import open_model
from qecforge_qiskit_tasks.evaluation.models.samples import read_samples

__all__ = ["Answer", "Model", "ModelName", "Question", "Sampling", "open_model", "parse_model", "read_samples"]
