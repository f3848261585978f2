from typing import ClassVar

from qecforge.testing.quantizers import QuantizerContract
from qecforge_smoothquant import qecforge_quantizers


class TestSmoothQuant(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {"granularity": "per_channel"}


class TestSmoothQuantSearch(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {"alpha": {"search": [0.3, 0.5, 0.7]}}
    agreement = 0.93
