"""What a manifest may say about `knill_laflamme`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from qecforge.contracts import PluginConfig

if TYPE_CHECKING:
    pass

__all__ = ["KnillLaflammeConfig", "Method"]

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
