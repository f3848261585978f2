"""`grpo_hf` keeps the contract of agents for text, on a random model of a few thousand parameters."""

import importlib.util
from typing import ClassVar

import pytest
from tiny_llama import save_tiny_llama

from qecforge.testing.text import TextAgentContract
from qecforge_grpo import qecforge_agents

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("trl") is None, reason="trl is not installed: pip install qecforge[llm]"
    ),
    pytest.mark.filterwarnings("ignore"),
]


class TestHF(TextAgentContract):
    """Half of what its warm start shows is right. It keeps a reference, and looks at other tasks."""

    spec = qecforge_agents()[2]
    settings: ClassVar = {
        "dtype": "float32",
        "device": "cpu",
        "total_steps": 8 * 80,
        "group_size": 16,
        "groups": 5,
        "minibatch": 80,
        "lora": {"rank": 8, "scale": 32},
        "warm_start": {"completions": 2400, "batch": 80, "report_every": 100, "learning_rate": 5e-3},
        "longest_completion": 4,
        "learning_rate": 4e-3,
        "kl": 0.0005,
        "held_out": {"every": 4, "samples": 6},
    }

    @pytest.fixture(autouse=True, scope="class")
    def _base(self, tmp_path_factory):
        base = save_tiny_llama(tmp_path_factory.mktemp("base"), width=96, spread=0.15)
        type(self).settings = {**type(self).settings, "base": str(base)}
