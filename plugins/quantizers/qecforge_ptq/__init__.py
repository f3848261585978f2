"""Quantizer `ptq`: post-training quantization with static ranges from calibration states."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Quantizer
from qecforge.hookspecs import QuantizerSpec, hookimpl
from qecforge_ptq.config import PtqConfig

__all__ = ["PtqConfig", "make_ptq", "qecforge_quantizers"]


def make_ptq(config: PtqConfig) -> Quantizer:
    """The quantizer that `config` describes."""
    from qecforge_ptq.quantizer import PostTraining

    return PostTraining(config)


@hookimpl
def qecforge_quantizers() -> Sequence[QuantizerSpec]:
    """`ptq`."""
    return [
        QuantizerSpec(
            name="ptq",
            summary="Post-training quantization with static ranges, per tensor or per channel",
            config=PtqConfig,
            make=make_ptq,
            kind="post_training",
            quantizes=frozenset({"discrete", "continuous"}),
        )
    ]
