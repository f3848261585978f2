"""Quantizer `apq`: argmax-preserving quantization, on top of learned step sizes.

`losses.py` holds eqs. (1), (2) and (5) and the near-tie gate, `ranking.py` what may replace eq. (2), `residuals.py` the
residual changes of eq. (5), `objective.py` their sum (eqs. 3 and 6) with its schedules. `reproduction/` carries out the
paper's experiments.
"""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Quantizer
from qecforge.hookspecs import QuantizerSpec, ReproductionSpec, hookimpl
from qecforge_apq.config import ApqConfig, check_components, needs_lookahead
from qecforge_apq.reproduction.spec import REPRODUCTION

__all__ = ["ApqConfig", "make_apq", "qecforge_quantizers", "qecforge_reproductions"]


def make_apq(config: ApqConfig) -> Quantizer:
    """The quantizer that `config` describes."""
    from qecforge_apq.quantizer import ArgmaxPreserving

    return ArgmaxPreserving(config)


@hookimpl
def qecforge_quantizers() -> Sequence[QuantizerSpec]:
    """`apq`."""
    return [
        QuantizerSpec(
            name="apq",
            summary="Argmax-preserving quantization (APQ): QAT that preserves the teacher's ranking of actions",
            config=ApqConfig,
            make=make_apq,
            kind="training_aware",
            check=check_components,
            needs_lookahead=needs_lookahead,
        )
    ]


@hookimpl
def qecforge_reproductions() -> Sequence[ReproductionSpec]:
    """`apq`."""
    return [REPRODUCTION]
