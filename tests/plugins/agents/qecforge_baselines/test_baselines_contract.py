from typing import ClassVar

from qecforge.testing.parameters import ParameterAgentContract
from qecforge_baselines import qecforge_agents

CMA_ES, SPSA = qecforge_agents()


class TestCMAES(ParameterAgentContract):
    spec = CMA_ES
    settings: ClassVar = {"total_epochs": 150, "report_every": 15}


class TestDiagonalCMAESOnAScalar(ParameterAgentContract):
    spec = CMA_ES
    settings: ClassVar = {"total_epochs": 150, "report_every": 15, "diagonal": True, "min_sigma": 0.05}
    scalar = True


class TestSPSA(ParameterAgentContract):
    spec = SPSA
    settings: ClassVar = {"total_epochs": 200, "report_every": 20}


class TestSPSAOnAScalar(ParameterAgentContract):
    spec = SPSA
    settings: ClassVar = {"total_epochs": 200, "report_every": 20, "step_decay": 0.0, "first_step": 0.05}
    scalar = True
