"""Reward `knill_laflamme`: how far a stabilizer code is from satisfying the Knill-Laflamme conditions up to distance d.

`KnillLaflammeConfig` is what a manifest may say; the formulas are in `reward.py`, the error classes in `_classes.py`,
and the ways to count violations (each a numba kernel) in `_direct.py`, `_enumerator.py` and `_meet.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qecforge.codes.packed import TABLEAU
from qecforge.hookspecs import RewardSpec, hookimpl
from qecforge_knill_laflamme.config import KnillLaflammeConfig, Method

if TYPE_CHECKING:
    from qecforge_knill_laflamme.reward import KnillLaflamme, violates_below

__all__ = ["KnillLaflamme", "KnillLaflammeConfig", "Method", "violates_below"]


def _make(config: KnillLaflammeConfig) -> KnillLaflamme:
    from qecforge_knill_laflamme.reward import KnillLaflamme

    return KnillLaflamme(config)


@hookimpl
def qecforge_rewards() -> Sequence[RewardSpec]:
    """The one reward of this plugin."""
    return [
        RewardSpec(
            name="knill_laflamme",
            summary="Knill-Laflamme penalty (or residual) of stabilizer codes, degeneracy exact",
            config=KnillLaflammeConfig,
            make=_make,
            scores=TABLEAU,
        )
    ]


def __getattr__(name: str) -> Any:
    if name in ("KnillLaflamme", "violates_below"):
        from qecforge_knill_laflamme import reward

        return getattr(reward, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
