from typing import ClassVar

from qecforge.testing.quantizers import QuantizerContract
from qecforge_apq import qecforge_quantizers

REWARD = {"residual_component": "reward"}  # what the identity task looks up


class TestApq(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = REWARD


class TestApqWithSensitivityAndSoftSort(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {
        **REWARD,
        "residual_change": "sensitivity",
        "residual_units": "typical",
        "ranking": "softsort",
        "gate": "both",
        "noise": "shift_free",
    }


class TestPtqRank(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {
        "mode": "ptq_rank",
        "safe": "none",
        "ranking": "permutahedron",
        "granularity": "per_tensor",
        "weight_range": "minmax",
    }
    agreement = 0.93
