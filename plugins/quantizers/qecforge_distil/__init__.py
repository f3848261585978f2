"""Quantizers `distil` and `auto`: an integer network that learns what its teacher's gives, and which to use at a width.

`states.py` plays the teacher, `training.py` holds the loss and the loop, `quantizer.py` what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from qecforge.contracts import Quantizer
from qecforge.hookspecs import QuantizerSpec, hookimpl
from qecforge_distil.config import AutoConfig, DistilConfig

__all__ = ["AutoConfig", "DistilConfig", "make_auto", "make_distil", "qecforge_quantizers"]


def make_distil(config: DistilConfig) -> Quantizer:
    """The quantizer that `config` describes."""
    from qecforge_distil.quantizer import Distilling

    return Distilling(config)


def make_auto(config: AutoConfig) -> Quantizer:
    """What is best for these bits: ranges alone with 8, a distilled network with fewer."""
    from qecforge_distil.quantizer import Automatic

    return Automatic(config)


@hookimpl
def qecforge_quantizers() -> Sequence[QuantizerSpec]:
    """`distil` and `auto`."""
    return [
        QuantizerSpec(
            name="distil",
            summary="Distillation: integers that learn the float policy's logits or actions on states that it visits",
            config=DistilConfig,
            make=make_distil,
            kind="distillation",
            quantizes=frozenset({"discrete", "continuous"}),
        ),
        QuantizerSpec(
            name="auto",
            summary="What keeps most decisions at a width: best ranges with 8 bits, distillation with fewer",
            config=AutoConfig,
            make=make_auto,
            kind="distillation",
            quantizes=frozenset({"discrete", "continuous"}),
        ),
    ]
