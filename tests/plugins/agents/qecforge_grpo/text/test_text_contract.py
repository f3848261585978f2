from typing import ClassVar

from qecforge.testing.text import TextAgentContract
from qecforge_grpo import qecforge_agents

MODEL = {"width": 32, "layers": 2, "heads": 2, "vocabulary": 300, "context": 64}


class TestTiny(TextAgentContract):
    """Half of what its warm start shows is right."""

    spec = qecforge_agents()[1]
    settings: ClassVar = {
        "total_steps": 50 * 80,
        "group_size": 16,
        "groups": 5,
        "model": MODEL,
        "warm_start": {"completions": 3200, "batch": 64},
        "longest_completion": 4,
        "learning_rate": 2e-3,
        "minibatch": 40,
    }


class TestTinyWithReference(TestTiny):
    settings: ClassVar = {
        **TestTiny.settings,
        "kl": 0.001,
        "updates": 2,
        "advantage_scale": "none",
        "loss_average": "step",
        "held_out": {"every": 2, "samples": 6},
    }
