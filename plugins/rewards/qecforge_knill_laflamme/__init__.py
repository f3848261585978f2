"""Reward `knill_laflamme`: how far a stabilizer code is from satisfying the Knill-Laflamme conditions up to distance d.

`KnillLaflammeConfig` is what a manifest may say; the formulas are in `reward.py`, the error classes in `_classes.py`,
and the ways to count violations (each a numba kernel) in `_direct.py`, `_enumerator.py` and `_meet.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from qecforge.codes.packed import TABLEAU
from qecforge.hookspecs import PluginConfig, RewardSpec, hookimpl

if TYPE_CHECKING:
    from qecforge_knill_laflamme.reward import KnillLaflamme, violates_below

__all__ = ["KnillLaflamme", "KnillLaflammeConfig", "Method", "violates_below"]

Method = Literal["auto", "direct", "enumerator", "meet_in_the_middle"]


class KnillLaflammeConfig(PluginConfig):
    """Configuration of `knill_laflamme`."""

    form: Literal["penalty", "log_penalty", "residual"] = Field(
        "penalty",
        description="penalty: -scale * sum of p(E) over violating errors E of weight 1..d-1 (Olle et al. 2024). "
        "log_penalty: -scale * log(1 + that sum / u), u the least p(E) > 0 among all E of weight 1..d-1 [ours]: steps "
        "towards a code weigh alike whether many errors violate or few. "
        "residual: -scale * rho, rho of eq. (4) of the APQ paper for the set {E_i} of all Paulis of weight "
        "<= floor((d-1)/2).",
    )
    error_probability: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Probability that a qubit suffers an error, per use of the channel, where the environment declares "
        "no noise (qdx: 0.1).",
    )
    bias: float = Field(
        1.0,
        gt=0,
        description="p_Z / p_X of that channel, with p_Y = p_X; 1 is depolarizing. No effect where the environment "
        "declares its noise.",
    )
    scale: float = Field(10.0, gt=0, description="Factor in front of the sum, dimensionless (qdx: 10).")
    weighted: bool = Field(
        False,
        description="Residual form only: weigh a pair by p(E_i) p(E_j), that is take the channel's Kraus operators "
        "sqrt(p_i) E_i as the error set; false counts pairs alike, as eq. (4) has it.",
    )
    method: Method = Field(
        "auto",
        description="How violations are counted; every method gives the same numbers. auto takes the cheapest by "
        "estimate.",
    )


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
