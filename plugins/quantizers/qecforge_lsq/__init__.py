"""Quantizer `lsq`: quantisation-aware fine-tuning with learned step sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qecforge.contracts import Quantizer
from qecforge.hookspecs import QuantizerSpec, hookimpl
from qecforge_lsq.config import LsqConfig

if TYPE_CHECKING:
    from qecforge_lsq.quantizer import CalibrationSchedule, LearnedStepSizes

__all__ = ["CalibrationSchedule", "LearnedStepSizes", "LsqConfig", "make_lsq", "qecforge_quantizers"]


def make_lsq(config: LsqConfig) -> Quantizer:
    """The quantizer that `config` describes."""
    from qecforge_lsq.quantizer import LearnedStepSizes

    return LearnedStepSizes(config)


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


def __getattr__(name: str) -> Any:
    if name not in ("CalibrationSchedule", "LearnedStepSizes"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qecforge_lsq import quantizer

    return getattr(quantizer, name)
