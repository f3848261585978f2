"""README and docs: their Python runs, their manifests are valid, generated pages are current, links lead somewhere."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from isolation import why_not_isolated
from pages import blocks

from qecforge import Registry, RunOptions, StabilizerCode, Store, load_manifest, run_manifest
from qecforge.cli._reference import PAGES
from qecforge.codes import DiscoveredCode
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask
from qecforge.parameters import GaussianParameters
from qecforge.testing.checks.views import check_view
from qecforge.testing.contexts import RecordingEvaluation
from qecforge.testing.environments import check_environment
from qecforge.testing.parameters import QuadraticEnvironment

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FILLED = {
    "README.md": "steane_store",
    "store.md": "steane_store",
    "quantization.md": "quantized_store",
    "steering.md": "steered_store",
}


@pytest.fixture(scope="module")
def steane_store(tmp_path_factory):
    """A `results.db` such as `qecforge run examples/steane.yaml` leaves."""
    folder = tmp_path_factory.mktemp("store")
    code = StabilizerCode.from_paulis(["XXXXIII", "XXIIXXI", "XIXIXIX", "ZZZZIII", "ZZIIZZI", "ZIZIZIZ"])
    encoder = str(code.encoder())
    plan = load_manifest(ROOT / "examples/steane.yaml", registry=Registry.load()).runs()[0]
    with Store(f"sqlite:///{folder}/results.db") as store:
        run = store.begin_run(
            plan.identity,
            name=plan.name,
            seed=plan.seed,
            manifest=plan.canonical,
            manifest_source=plan.source_text,
            environment="code_discovery",
            reward="knill_laflamme",
            agent="ppo",
            provenance={"git": None, "dependencies": {"stim": "1.16.0"}},
        )
        store.mark_run(run.id, "running")
        store.add_metrics(run.id, [("episode_return", step, -1.0 / step, 0.1) for step in (100, 200)])
        found = DiscoveredCode(
            code=code, encoder=encoder, gate_count=20, two_qubit_gate_count=11, target_distance=3, step=200
        )
        record = store.add_discovery(run.id, found, code.distance(), wall_time=0.2, proof={"encoder": "stim.Tableau"})
        task = ErrorRateTask(
            code_digest=code.digest,
            experiment="code_capacity",
            noise='{"model":"depolarizing"}',
            p=0.01,
            extraction="none",
            rounds=0,
            basis="none",
            boundary="none",
            decoder="ml_lookup",
        )
        store.add_error_counts(record.id, task, 0, ErrorCounts(shots=1000, errors=3, seconds=0.1))
        store.mark_run(run.id, "finished")
    return folder


@pytest.fixture(scope="module")
def quantized_store(tmp_path_factory):
    """A `results.db` such as the first manifest of docs/quantization.md leaves, but for its length."""
    folder = tmp_path_factory.mktemp("quantized")
    (_, text), *_ = blocks(ROOT / "docs" / "quantization.md", "yaml")
    shorter = ["agent.total_steps=5120", "agent.policy={hidden_sizes: [16]}", "quantizer.fine_tune.total_steps=5120"]
    shorter += ["evaluation.decision_fidelity.states=200", "evaluation.search.episodes=16"]
    manifest = load_manifest(text, registry=Registry.load(), overrides=shorter)
    (outcome,) = run_manifest(manifest, options=RunOptions(f"sqlite:///{folder}/results.db"))
    assert outcome.status == "finished"
    return folder


@pytest.fixture(scope="module")
def steered_store(tmp_path_factory):
    """A `results.db` such as the first manifest of docs/steering.md leaves, but for its length."""
    folder = tmp_path_factory.mktemp("steered")
    (_, text), *_ = blocks(ROOT / "docs" / "steering.md", "yaml")
    shorter = ["agent.total_epochs=400", "evaluation.steering.ler_epochs=3", "evaluation.steering.shots=500"]
    manifest = load_manifest(text, registry=Registry.load(), overrides=shorter)
    (outcome,) = run_manifest(manifest, options=RunOptions(f"sqlite:///{folder}/results.db"))
    assert outcome.status == "finished"
    return folder


def pages_with(language):
    return [pytest.param(path, id=path.name) for path in TEXTS if any(not title for title, _ in blocks(path, language))]


@pytest.mark.parametrize("path", pages_with("python"))
def test_python_blocks_run(path, folder, request, capsys):
    if path.name in FILLED:
        shutil.copytree(request.getfixturevalue(FILLED[path.name]), folder, dirs_exist_ok=True)
    if path.name == "sandbox.md" and why_not_isolated():
        pytest.skip(f"programs cannot be isolated here: {why_not_isolated()}")
    names = {"__name__": "__main__"}
    for title, text in blocks(path, "python"):
        if not title:
            exec(compile(text, str(path), "exec"), names)  # blocks of one page follow on each other
    if path.name == "README.md":
        assert "('XXXXIII', 'XXIIXXI'," in capsys.readouterr().out
        assert names["best"].distance == 3
    if path.name == "quantization.md":
        assert names["fidelity"].states == 200
        assert len(names["actions"]) == names["env"].num_envs
        assert "RuntimeReport(runtime='native'" in capsys.readouterr().out
    if path.name == "text.md":
        assert names["policy"].act(names["env"].prompts(["pauli_x", "pauli_z", "pauli_y"])) == [
            "bit flip",
            "phase flip",
            "both",
        ]
        assert "['passed', 'failed']" in capsys.readouterr().out
        assert names["context"].metrics["episode_return"][-1] > 0.9
    if path.name == "sandbox.md":
        assert "['passed', 'failed', 'error', 'timeout']\n0.5 test_adds: line 6: " in capsys.readouterr().out
    if path.name == "plugin.md":
        check_view(names["VIEW"])
        best, states = names["policy"].act(names["states"]), names["states"]
        assert (names["integer"].act(states) == best).mean() > 0.97
        assert len(set(best.tolist())) > 1
        check_recovery(names["evaluate_recovery"])
        check_pole(names["POLE"])
    if path.name == "steering.md":
        assert {policy: len(series) for policy, series in names["error_rates"].items()} == dict.fromkeys(
            ("fixed", "steered", "optimal"), 3
        )
        assert (folder / "factor_graph.png").exists()
        assert (names["candidates"].shape, names["search"].epoch) == ((8, 1290), 1)
        drawn = ["learning_curve", "stabilizers", "traces", "detection_rate", "logical_error_rate", "search"]
        assert list(names["written"]) == drawn
        assert all(path.exists() for path in names["written"].values())


def check_pole(spec):
    """The environment of the page on plugins keeps the contract."""
    config = spec.config(max_steps=30)
    found = check_environment(lambda num_envs, seed: spec.make(config, num_envs=num_envs, seed=seed, reward=None))
    assert {name: error for name, error in found.items() if error} == {}


def check_recovery(evaluate):
    """The evaluation of the page on plugins, on parameters that are as good as they get."""
    env = QuadraticEnvironment(4, noise=0.0)
    policy, context = GaussianParameters(env.optimum, np.ones(len(env.optimum))), RecordingEvaluation(seed=3)
    evaluate(env, policy, SimpleNamespace(kicks=3), context)
    assert context.series == {"recovery/reward": dict.fromkeys(range(3), pytest.approx(-env.floor, rel=1e-6))}
    assert context.reports == [(1, 3), (2, 3), (3, 3)]
    assert context.payloads["course"][1] == {"recovered": pytest.approx(-env.floor, rel=1e-6)}
    assert len(context.artifacts["course.bin"]) == 24


@pytest.mark.parametrize("path", pages_with("yaml"))
def test_manifests_are_valid(path):
    for title, text in blocks(path, "yaml"):
        if not title:
            assert load_manifest(text, registry=Registry.load()).runs()


def test_readme_opens_with_the_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").split("\n")
    assert [text for _, text in blocks(ROOT / "README.md", "bash")][:2] == [
        "pip install -c constraints.txt -e . && qecforge run examples/steane.yaml\n",
        'pip install -c constraints.txt -e ".[test]" && pytest -n 2 --dist loadfile\n',
    ]
    assert lines[:10] == [
        "# qecforge",
        "",
        "```bash",
        "pip install -c constraints.txt -e . && qecforge run examples/steane.yaml",
        "```",
        "",
        "```bash",
        'pip install -c constraints.txt -e ".[test]" && pytest -n 2 --dist loadfile',
        "```",
        "",
    ]


def test_readme_explains_the_example_as_it_is():
    ((_, shown),) = blocks(ROOT / "README.md", "yaml")
    assert shown == (ROOT / "examples" / "steane.yaml").read_text(encoding="utf-8")
    assert all("#" in line for line in shown.splitlines() if line.strip())


def test_readme_lists_the_built_in_plugins():
    rows = re.findall(
        r"^\| (\w+) \| `(\w+)` \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    built_in = {
        (kind, each.spec.name, each.spec.summary) for kind, each in Registry.load() if each.distribution == "qecforge"
    }
    assert set(rows) == built_in


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_are_current(page):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert text == PAGES[page](), f"python -m qecforge.cli._reference {page} > docs/{page}.md"


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in TEXTS])
def test_shell_lines_name_commands_and_options_that_exist(path):
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    shell = "".join(text for _, text in blocks(path, "bash"))
    text = shell + "\n".join(re.findall(r"`(qecforge [^`]*)`", path.read_text(encoding="utf-8")))
    groups = {group for group, _ in re.findall(r"^## qecforge ([a-z-]+) ([a-z-]+)$", reference, re.MULTILINE)}
    for command in re.findall(rf"qecforge ((?:{'|'.join(groups)}) [a-z-]+|[a-z]+)\b", text):
        assert f"## qecforge {command}\n" in reference, command
    for option in re.findall(r"qecforge [^\n`]*?(--[a-z-]+)", text):
        assert f"`{option}" in reference, option


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in TEXTS])
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_navigation_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"([a-z_]+\.md)", text)) == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_usage_lines_have_single_brackets_and_arguments_in_capitals():
    usages = [line for title, line in re.findall(r"```(text)\n(qecforge .*)\n```", PAGES["cli"]())]
    assert len(usages) > 20
    for usage in usages:
        assert not re.search(r"\[\[|\{\{|\]\]|\.\.\.\S*\.\.\.", usage), usage
        for argument in re.findall(r"[\[{]([^\]}]+)[\]}]", usage):
            assert argument == argument.upper(), usage
