"""Tasks: what they are, and the files that they are read from."""

from __future__ import annotations

from qecforge_qiskit_tasks.tasks.loading import SHIPPED, load_shipped, load_tasks
from qecforge_qiskit_tasks.tasks.task import Level, Task

__all__ = ["SHIPPED", "Level", "Task", "load_shipped", "load_tasks"]
