from typing import ClassVar

from qecforge.testing.contexts import RecordingContext
from qecforge.testing.text import DigitTask, TextAgentContract
from qecforge_grpo import qecforge_agents

LOOKS = {"warm_start", "held_out"}
MODEL = {"width": 32, "layers": 2, "heads": 2, "vocabulary": 300, "context": 64}


class TestTiny(TextAgentContract):
    """Half of what its warm start shows is right. It keeps a reference, learns twice from each completion, and looks at
    other tasks."""

    spec = qecforge_agents()[1]
    settings: ClassVar = {
        "total_steps": 30 * 80,
        "group_size": 16,
        "groups": 5,
        "model": MODEL,
        "warm_start": {"completions": 3200, "batch": 64},
        "longest_completion": 4,
        "learning_rate": 2e-3,
        "minibatch": 40,
        "kl": 0.001,
        "updates": 2,
        "held_out": {"every": 2, "samples": 6},
    }

    def test_looks_at_other_tasks(self) -> None:
        """After the warm start, after every second update, and after the last."""
        agent = self.spec.make(self.spec.config.model_validate({**self.settings, "total_steps": 3 * 80}))
        context = RecordingContext(DigitTask(agent.num_envs), 0)
        agent.train(context.env, context)
        looks = [sorted({name.partition("/")[0] for name in each.metrics} & LOOKS) for each in context.advances]
        assert looks == [[], ["warm_start"], ["held_out"], ["held_out"]]
        for name in LOOKS:
            assert 0 <= context.metrics[f"{name}/drawn"][0] <= 1
            assert 0 <= context.metrics[f"{name}/greedy"][0] <= 1
