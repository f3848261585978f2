"""The environment keeps the contract, in each engine and form of reward."""

from qecforge.testing.environments import EnvironmentContract
from qecforge_surface_steering import qecforge_environments

SMALL = {"distance": 3, "rounds": 3, "parameters_per_gate": 2, "cycles": 60, "horizon": 100}
DRIFT = [{"profile": "sinusoid", "frequency": 0.05, "amplitude": 0.5}, {"profile": "random_walk", "step": 0.1}]


class TestClosedForm(EnvironmentContract):
    spec = qecforge_environments()[0]
    settings = SMALL | {"drift": DRIFT, "start": "calibrated"}


class TestStim(EnvironmentContract):
    spec = qecforge_environments()[0]
    settings = SMALL | {"engine": "stim", "measurement_error": 0.01, "drift": DRIFT[:1]}


class TestControls(EnvironmentContract):
    spec = qecforge_environments()[0]
    settings = SMALL | {
        "readout": True,
        "parameters": {"xy*": 1},
        "shared": [{"name": "line", "gates": ["cz0-*"], "kinds": ["strength"]}],
        "widen": {"pairs": [["xy0", "xy8"]]},
        "limits": [{"low": -9, "high": 9, "step": 1}],
        "drift": DRIFT[:1],
    }


class TestScalarReward(EnvironmentContract):
    spec = qecforge_environments()[0]
    settings = SMALL | {"reward": "scalar", "memory": "x", "start": {"kind": "miscalibrated", "sigma": 0.5}}
