from typing import ClassVar

from qecforge.testing.parameters import ParameterAgentContract
from qecforge_filter import qecforge_agents

(FILTER,) = qecforge_agents()


class TestParameterFilter(ParameterAgentContract):
    spec = FILTER
    settings: ClassVar = {"total_epochs": 40, "report_every": 5, "candidates": 40}
