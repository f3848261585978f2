from typing import ClassVar

from qecforge.testing.quantizers import QuantizerContract
from qecforge_ptq import qecforge_quantizers


class TestPtq(QuantizerContract):
    spec = qecforge_quantizers()[0]
    agreement = 0.93


class TestPtqPerChannel(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {"granularity": "per_channel", "range": "mse"}


class TestPtqPercentile(QuantizerContract):
    spec = qecforge_quantizers()[0]
    settings: ClassVar = {"granularity": "per_channel", "range": "percentile"}
