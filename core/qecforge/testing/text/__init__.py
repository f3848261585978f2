"""What every environment of text and every agent for text must do, and a trivial task to show it on.

from qecforge.testing.text import TextAgentContract, TextEnvironmentContract

class TestMyTasks(TextEnvironmentContract):
    spec = my_spec                       # qecforge.hookspecs.EnvironmentSpec
    settings = {"tasks": "tasks.jsonl"}
    reward = None                        # a qecforge.contracts.Reward, where the environment has none of its own

    def solution(self, env, task_id):    # a completion that passes
        return env.reference(task_id)

class TestMyAgent(TextAgentContract):
    spec = my_spec                       # qecforge.hookspecs.AgentSpec
    settings = {"total_steps": 2_000}    # a configuration that learns to write a digit within seconds
"""

from __future__ import annotations

from qecforge.testing.text.agents import TextAgentContract
from qecforge.testing.text.environments import HOSTILE, DigitTask, TextEnvironmentContract

__all__ = ["HOSTILE", "DigitTask", "TextAgentContract", "TextEnvironmentContract"]
