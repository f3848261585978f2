"""Quantizer `smoothquant`: post-training W8A8 with the outliers of activations moved into the weights."""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Quantizer
from qecforge.hookspecs import QuantizerSpec, hookimpl
from qecforge_smoothquant.config import AlphaSearch, SmoothQuantConfig

__all__ = ["AlphaSearch", "SmoothQuantConfig", "make_smoothquant", "qecforge_quantizers"]


def make_smoothquant(config: SmoothQuantConfig) -> Quantizer:
    """The quantizer that `config` describes."""
    from qecforge_smoothquant.quantizer import SmoothQuant

    return SmoothQuant(config)


@hookimpl
def qecforge_quantizers() -> Sequence[QuantizerSpec]:
    """`smoothquant`."""
    return [
        QuantizerSpec(
            name="smoothquant",
            summary="SmoothQuant W8A8: scale moved from activation outliers into the weights",
            config=SmoothQuantConfig,
            make=make_smoothquant,
            kind="post_training",
        )
    ]
