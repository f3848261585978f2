from typing import ClassVar

from qecforge.testing.quantizers import QuantizerContract
from qecforge_distil import qecforge_quantizers

DISTIL, AUTO = qecforge_quantizers()


class TestDistil(QuantizerContract):
    spec = DISTIL
    settings: ClassVar = {"states": 60, "updates": 4, "minibatch_size": 8, "calibration_states": 64}


class TestAuto(QuantizerContract):
    spec = AUTO
