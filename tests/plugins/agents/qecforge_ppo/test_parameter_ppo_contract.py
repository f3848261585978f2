from typing import ClassVar

from qecforge.testing.parameters import ParameterAgentContract
from qecforge_ppo import qecforge_agents

SPEC = next(spec for spec in qecforge_agents() if spec.name == "parameter_ppo")


class TestCoordinateRatio(ParameterAgentContract):
    spec = SPEC
    settings: ClassVar = {"total_epochs": 300, "report_every": 30}


class TestObjectiveRatio(ParameterAgentContract):
    spec = SPEC
    settings: ClassVar = {"total_epochs": 300, "ratio": "objective", "report_every": 30, "replay": 2}


class TestScalarReward(ParameterAgentContract):
    spec = SPEC
    settings: ClassVar = {"total_epochs": 800, "report_every": 30}
    scalar = True


class TestLearnedBaseline(ParameterAgentContract):
    spec = SPEC
    settings: ClassVar = {
        "total_epochs": 400,
        "baseline": "learned",
        "optimizer": "sgd",
        "mirrored": True,
        "replay": 0,
        "report_every": 30,
    }
