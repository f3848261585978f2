"""Thousands of tasks, composed of families of operations."""

from __future__ import annotations

from qecforge_qiskit_tasks.generator.composing import Composition, GeneratedTasks, GeneratorConfig, generate_tasks

__all__ = ["Composition", "GeneratedTasks", "GeneratorConfig", "generate_tasks"]
