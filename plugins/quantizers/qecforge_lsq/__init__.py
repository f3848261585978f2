"""Quantizer `lsq`: quantisation-aware fine-tuning with learned step sizes."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.hookspecs import PluginConfig, Quantizer, QuantizerSpec, hookimpl
from qecforge_lsq.config import LsqConfig

__all__ = ["LsqConfig", "make_lsq", "qecforge_quantizers"]


def make_lsq(config: PluginConfig) -> Quantizer:
    """The quantizer that `config`, an `LsqConfig`, describes."""
    from qecforge_lsq.quantizer import LearnedStepSizes

    return LearnedStepSizes(LsqConfig.model_validate(config))


@hookimpl
def qecforge_quantizers() -> Sequence[QuantizerSpec]:
    """`lsq`."""
    return [
        QuantizerSpec(
            name="lsq",
            summary="Quantisation-aware fine-tuning with learned step sizes (LSQ)",
            config=LsqConfig,
            make=make_lsq,
            kind="training_aware",
        )
    ]
