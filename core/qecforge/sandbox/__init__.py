"""Running programs that nobody trusts, and judging them from outside.

    with Sandbox(SandboxConfig(cells=2)) as sandbox:
        outcomes = sandbox.run([Program("def add(a, b): return a + b", tests=TESTS)])     # in order

A *cell* is one bubblewrap with a fork server that has everything imported; each program is a child of it with layers of
its own. The verdict comes from another process, in another cell, which calls the program's functions.

Names are imported when first used: the fork server imports this package too, and stays small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qecforge.sandbox.config import Profile, SandboxConfig, Tier
    from qecforge.sandbox.inside.calls import ProgramError
    from qecforge.sandbox.inside.codec import Bounds, CodecError, CodecType
    from qecforge.sandbox.outcome import CallResult, Outcome, TestResult, Verdict
    from qecforge.sandbox.program import Call, Limits, Program
    from qecforge.sandbox.sandbox import Sandbox

__all__ = [
    "Bounds",
    "Call",
    "CallResult",
    "CodecError",
    "CodecType",
    "Limits",
    "Outcome",
    "Profile",
    "Program",
    "ProgramError",
    "Sandbox",
    "SandboxConfig",
    "TestResult",
    "Tier",
    "Verdict",
]

_HOME = {
    **dict.fromkeys(["Profile", "SandboxConfig", "Tier"], "config"),
    **dict.fromkeys(["CallResult", "Outcome", "TestResult", "Verdict"], "outcome"),
    **dict.fromkeys(["Call", "Limits", "Program"], "program"),
    **dict.fromkeys(["Bounds", "CodecError", "CodecType"], "inside.codec"),
    "ProgramError": "inside.calls",
    "Sandbox": "sandbox",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"qecforge.sandbox.{_HOME[name]}"), name)
    raise AttributeError(f"module 'qecforge.sandbox' has no attribute {name!r}")
