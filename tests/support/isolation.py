"""Whether programs can be isolated on this machine, asked once."""

from functools import cache

import as_user
import pytest

from qecforge.errors import InfrastructureError, MissingDependency
from qecforge.sandbox import Program, Sandbox, SandboxConfig, Tier

__all__ = ["needs_isolation", "why_not_isolated"]

SCRIPT = """
from qecforge.sandbox import Program, Sandbox, SandboxConfig, Tier
with Sandbox(SandboxConfig(cells=1, tiers=(Tier("bare"),))) as sandbox:
    print(sandbox.run([Program("x = 1")])[0].verdict.value)
"""


@cache
def why_not_isolated(*, as_a_user=False):
    """Empty where programs can be isolated, else what stands against it."""
    if as_a_user and as_user.cannot():
        return as_user.cannot()
    if as_a_user:
        done = as_user.run_as_user("-c", SCRIPT)
        return "" if done.stdout.strip() == "passed" else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    try:
        with Sandbox(SandboxConfig(cells=1, tiers=(Tier("bare"),))) as sandbox:
            sandbox.run([Program("x = 1")])
    except (InfrastructureError, MissingDependency) as error:
        return str(error)
    return ""


needs_isolation = pytest.mark.skipif(
    bool(why_not_isolated()), reason=f"programs cannot be isolated here: {why_not_isolated()}"
)
