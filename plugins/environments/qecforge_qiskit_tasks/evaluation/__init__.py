"""Evaluating models on tasks: completions drawn, judged, counted with intervals, filed and compared."""

from qecforge_qiskit_tasks.evaluation.evaluating import Plan, evaluate
from qecforge_qiskit_tasks.evaluation.report import Report, read_report
from qecforge_qiskit_tasks.evaluation.statistics import mean_pass_at_k, paired_difference, pass_at_k

__all__ = ["Plan", "Report", "evaluate", "mean_pass_at_k", "paired_difference", "pass_at_k", "read_report"]
