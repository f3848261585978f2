"""Thousands of tasks, composed of families of operations."""

from __future__ import annotations

from qecforge_qiskit_tasks.generator.composing import Composition, GeneratedTasks, generate_tasks
from qecforge_qiskit_tasks.generator.config import GeneratorConfig

__all__ = ["Composition", "GeneratedTasks", "GeneratorConfig", "generate_tasks"]
