"""Searching a space of parameters: the Gaussian that such agents leave behind, and the loop that they share.

    from qecforge.parameters import AskTell, ParameterAgent, ParameterAgentConfig

    class MyAgent(ParameterAgent):
        name = "my_agent"
        initial_sigma = 0.5

        def search(self, env, seed):
            return MySearch(...)            # an AskTell: ask for candidates, tell their rewards

`ParameterAgent.train` is all else: log, checkpoints, snapshots of the mean, assessments. `check_search` is the `check`
of such agents' specs.
"""

from __future__ import annotations

from qecforge.parameters.agent import AskTell, ParameterAgent
from qecforge.parameters.check import CountedEpochs, check_search
from qecforge.parameters.config import ParameterAgentConfig
from qecforge.parameters.policy import GaussianParameters, ParameterTrajectory

__all__ = [
    "AskTell",
    "CountedEpochs",
    "GaussianParameters",
    "ParameterAgent",
    "ParameterAgentConfig",
    "ParameterTrajectory",
    "check_search",
]
