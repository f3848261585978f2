from typing import ClassVar

from qecforge.testing.quantizers import QuantizerContract
from qecforge_lsq import qecforge_quantizers


class TestLsq(QuantizerContract):
    spec = qecforge_quantizers()[0]
    steers = False


class TestLsqWithOutliers(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {
        "granularity": "per_tensor",
        "weight_range": "minmax",
        "outlier_factor": 1.2,
        "rescale_every": 2,
        "observe_until": 0.8,
    }
    steers = False
    agreement = 0.93
