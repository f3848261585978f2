"""Contract suites: what every plugin, store and executor must keep, ours or a third party's, as pytest classes.

    from qecforge.testing.agents import AgentContract
    from qecforge.testing.continuous import ContinuousAgentContract
    from qecforge.testing.environments import EnvironmentContract
    from qecforge.testing.evaluations import EvaluationContract
    from qecforge.testing.executors import ExecutorContract
    from qecforge.testing.quantizers import QuantizerContract
    from qecforge.testing.reproductions import ReproductionContract
    from qecforge.testing.rewards import RewardContract
    from qecforge.testing.store import StoreContract
    from qecforge.testing.text import TextAgentContract, TextEnvironmentContract

Subclass one, give the fixtures that it names, and run pytest. `qecforge.testing.contexts` holds a
`TrainingContext` and an `EvaluationContext` in memory. Needs pytest.
"""

import importlib.util

if importlib.util.find_spec("pytest"):
    import pytest

    for _suite in (
        "_agents",
        "agents",
        "checks._bad_actions",
        "checks.closing",
        "checks.environments",
        "checks.groups",
        "checks.play",
        "continuous",
        "environments",
        "evaluations",
        "executors",
        "executors._example",
        "executors._failures",
        "executors._records",
        "executors._sharing",
        "executors._stopping",
        "parameters",
        "quantizers",
        "reproductions",
        "rewards",
        "store",
        "text.agents",
        "text.environments",
        "store._codes",
        "store._locks",
        "store._runs",
        "store._sharing",
        "checks.views",
    ):
        pytest.register_assert_rewrite(f"{__name__}.{_suite}")
