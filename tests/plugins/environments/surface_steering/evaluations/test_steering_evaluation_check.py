"""What an evaluation of steering refuses before anything runs."""

import pytest

from qecforge import Registry, load_manifest
from qecforge.errors import ManifestError

PARTS = {"distance": "distance: 3", "agent": "total_epochs: 20", "evaluation": "steering: {ler_epochs: 2}"}
WALK = "profile: random_walk, step: 1"


def load(**parts):
    filled = PARTS | parts
    return load_manifest(
        f"qecforge: 1\nname: n\nenvironment: {{plugin: surface_steering, rounds: 4, {filled['distance']}}}\n"
        f"agent: {{plugin: parameter_ppo, {filled['agent']}}}\nevaluation: {{{filled['evaluation']}}}",
        registry=Registry.load(),
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"agent": "total_epochs: 20, snapshots: 0"},
            r"evaluation\.steering: the agent keeps no snapshots.* set agent",
        ),
        ({"evaluation": "steering: {settle: 20}"}, r"settle: 20 epochs are all of a run of 20: give fewer"),
        (
            {"distance": "code: color, distance: 5", "evaluation": "steering: {decoder: pymatching}"},
            r"evaluation\.steering: decoder pymatching: the error model has a fault that flips .* use tesseract",
        ),
        (
            {"distance": "code: color, distance: 3", "evaluation": "gradient_relation: {decoder: pymatching}"},
            r"evaluation\.gradient_relation: decoder pymatching: the error model has a fault",
        ),
        (
            {"distance": "distance: 3, horizon: 10, drift: [{profile: table, every: 19, values: [[0.1]]}]"},
            r"4:\d+ agent: the table of environment\.drift\[0\] ends at epoch 19 of the agent's 20: add rows, or set",
        ),
        (
            {"distance": 'code: circuit, circuit: "R 0\\nH[h{}] 0\\nH[h{}] 0\\nM 0\\nDETECTOR rec[-1]"'},
            r"evaluation\.steering: circuit: it has no logical observable",
        ),
        (
            {"distance": f"distance: 3, drift: [{{{WALK}}}, {{{WALK}, gates: [q]}}]"},
            r"3:\d+ environment\.drift\[1\]: 'q' matches no gate: there are xy0, xy1, …, cz0-9, cz0-10, …",
        ),
    ],
)
def test_one_line_says_what_does_not_fit(parts, message):
    with pytest.raises(ManifestError, match=message) as caught:
        load(**parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"evaluation": "steering: {decoder: pymatching}"},
        {"distance": "code: color, distance: 5"},
        {"distance": "code: color, distance: 5", "evaluation": "steering: {decoder: pymatching, ler_epochs: 0}"},
        {"distance": "distance: 3, horizon: 10, drift: [{profile: table, every: 20, values: [[0.1]]}]"},
        {"distance": "distance: 3, horizon: 1, drift: [{profile: table, beyond: hold, values: [[0.1]]}]"},
        {"distance": "distance: 5, drift: [{profile: step, begins: 3, amplitude: 1, gates: [xy24]}]"},
        {"distance": "code: color, distance: 5, drift: [{profile: step, begins: 3, amplitude: 1, gates: [xy24]}]"},
    ],
)
def test_what_fits_passes(parts):
    assert len(load(**parts).runs()) == 1


SHORT = "{plugin: surface_steering, distance: 3, horizon: 10, drift: [{profile: table, every: 19, values: [[0.1]]}]}"


@pytest.mark.parametrize("agent", ["parameter_ppo", "spsa", "cma_es"])
def test_a_search_that_outlasts_the_drifts_table_is_refused_before_it_begins(agent):
    text = f"qecforge: 1\nname: n\nenvironment: {SHORT}\nagent: {{plugin: {agent}, total_epochs: %s}}\n"
    assert load_manifest(text % 19, registry=Registry.load()).runs()
    with pytest.raises(ManifestError) as caught:
        load_manifest(text % 20, registry=Registry.load())
    assert str(caught.value) == (
        "4:17 agent: the table of environment.drift[0] ends at epoch 19 of the agent's 20: add rows, or set beyond to "
        "hold or repeat"
    )
