"""Bad manifests: each one gets one line that says where, what was got, what was expected and what to do."""

from __future__ import annotations

import re

import pytest
from manifest_fakes import MANIFEST

from qecforge.errors import ManifestError, PluginError
from qecforge.manifest import MAX_RUNS, load_manifest


def refusal(text: str, registry, **options) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_manifest(text, registry=registry, **options)
    message = str(caught.value)
    assert "\n" not in message
    return caught.value


def edited(old: str, new: str) -> str:
    """The example manifest with one change."""
    assert MANIFEST.count(old) == 1, old
    return MANIFEST.replace(old, new)


ENVIRONMENT = "environment: {plugin: codes, n: 7, gates: [h, cx, s]}"
REWARD = "reward: {plugin: knill, scale: 10}"
AGENT = "agent:\n  plugin: chooser\n  total_steps: 500_000"
LER = "{p: [1.0e-3, 1e-2], shots: 1000}"
SWEEP = "{agent.learning_rate: [3.0e-4, 1.0e-3]}"

CASES = [
    # the frame
    ("qecforge: 1\n", "", "1:1 qecforge: is missing: add `qecforge: 1`"),
    ("qecforge: 1", "qecforge: 2", "1:11 qecforge: got manifest version 2, this qecforge reads version 1: install a"),
    ("qecforge: 1", "qecforge: 0", "1:11 qecforge: got manifest version 0, this qecforge reads version 1: write"),
    ("qecforge: 1", "qecforge: true", "got manifest version true"),
    ("qecforge: 1", "qecforge: '1'", "got manifest version '1'"),
    ("qecforge: 1", "qecforge: 1.0", "got manifest version 1.0"),
    ("qecforge: 1", "qecforge: [1]", "got manifest version [1]"),
    ("name: steane\n", "", "1:1 name: is missing: add a name"),
    ("name: steane", "name: 7", "2:7 name: got 7, expected at most 100 letters"),
    ("name: steane", "name: ../up", "2:7 name: got '../up', expected at most 100 letters"),
    ("name: steane", "name: ''", "2:7 name: got '', expected"),
    ("name: steane", f"name: {'x' * 101}", "2:7 name: got 'xxx"),
    ("seeds:", "seed:", "10:1 seed: unknown key. Did you mean 'seeds' or 'sweep'? Known: qecforge, name, environment"),
    ("seeds: [0, 1]", "seeds: 3", "10:8 seeds: got 3, expected a list such as [0, 1, 2]"),
    ("seeds: [0, 1]", "seeds: []", "10:8 seeds: the list is empty"),
    ("seeds: [0, 1]", "seeds:", "seeds: got null, expected a list"),
    ("seeds: [0, 1]", "seeds: [0, -1]", "10:12 seeds[1]: got -1, expected a whole number from 0 to 4294967295"),
    ("seeds: [0, 1]", "seeds: [0, 1.5]", "10:12 seeds[1]: got 1.5, expected a whole number"),
    ("seeds: [0, 1]", "seeds: [0, true]", "10:12 seeds[1]: got true, expected a whole number"),
    ("seeds: [0, 1]", "seeds: [4294967296]", "10:9 seeds[0]: got 4294967296, expected a whole number"),
    ("seeds: [0, 1]", "seeds: [3, 1, 3]", "10:15 seeds[2]: the seed 3 is given twice"),
    # plugins
    (ENVIRONMENT + "\n", "", "1:1 environment: is missing: add it, such as `environment: {plugin: body}`"),
    ("plugin: codes, ", "", "3:14 environment.plugin: is missing: name the plugin"),
    ("plugin: codes", "plugin: code", "3:23 environment.plugin: unknown environment 'code'. Did you mean 'codes'?"),
    ("plugin: codes", "plugin: chooser", "3:23 environment.plugin: unknown environment 'chooser': 'chooser' is an a"),
    ("plugin: codes", "plugin: 3", "3:23 environment.plugin: got 3, expected the name of a plugin"),
    (ENVIRONMENT, "environment: cods", "3:14 environment: unknown environment 'cods'. Did you mean 'codes'?"),
    (ENVIRONMENT, "environment: [codes]", "3:14 environment: got ['codes'], expected a mapping such as"),
    (ENVIRONMENT, "environment:", "environment: got null, expected a mapping such as"),
    (ENVIRONMENT, "environment: codes", "3:14 environment.n: is missing (Physical qubits): add it"),
    # settings
    ("n: 7", "n: 1", "3:33 environment.n: got 1, expected 2 or more (Physical qubits)"),
    ("n: 7", "n: seven", "3:33 environment.n: got 'seven', expected a whole number (Physical qubits)"),
    ("n: 7", "n: '7'", "3:33 environment.n: got the text '7', expected a number: remove the quotes"),
    ("n: 7", "n: true", "3:33 environment.n: got true, expected a number"),
    ("n: 7", "n: 7, k: true", "3:39 environment.k: got true, expected a number"),
    ("n: 7", "n: 7.5", "3:33 environment.n: got 7.5, expected a whole number"),
    ("n: 7", "n: [7]", "3:33 environment.n: got [7], expected a whole number"),
    ("n: 7", "n: null", "environment.n: got null, expected a whole number"),
    ("n: 7", "nn: 7", "3:30 environment.nn: unknown key. Did you mean 'n'? Known: n, k, gates, edges, noise"),
    ("n: 7, ", "", "3:14 environment.n: is missing (Physical qubits): add it"),
    ("n: 7", "n: 7, k: 7", "3:39 environment.k: 7 is too large: a code needs n > k (n is 7). Set k below 7"),
    ("n: 7", "n: 7, masked: 1", "3:44 environment.masked: got 1, expected true or false"),
    ("n: 7", "n: 7, masked: yes", "3:44 environment.masked: got 'yes', expected true or false"),
    ("n: 7", "n: 7, label: 5", "3:43 environment.label: got 5, expected text (Free text)"),
    ("n: 7", "n: 7, label: abcdef", "3:43 environment.label: got 'abcdef', expected text of at most 5 characters"),
    ("n: 7", "n: 7, weights: {h: x}", "3:49 environment.weights.h: got 'x', expected a number"),
    ("n: 7", "n: 7, weights: [1]", "3:45 environment.weights: got [1], expected a mapping"),
    ("n: 7", "n: 7, edges: [[0, 1], [2, x]]", "3:56 environment.edges[1][1]: got 'x', expected a whole number"),
    ("n: 7", "n: 7, edges: [[0, 1], [2]]", "3:52 environment.edges[1]: got [2], expected more items (item 1 is miss"),
    ("[h, cx, s]", "[h, cnot]", "3:47 environment.gates[1]: got 'cnot', expected 'h' or 's' or 'cx' or 'cz'"),
    ("[h, cx, s]", "h", "3:43 environment.gates: got 'h', expected a list without repetitions"),
    ("n: 7", "n: 7, noise: loud", "3:43 environment.noise: got 'loud', expected a number or a mapping or 'none'"),
    ("n: 7", "n: 7, noise: {low: x}", "3:49 environment.noise.low: got 'x', expected a number (Least value)"),
    ("n: 7", "n: 7, noise: {lo: 1}", "3:44 environment.noise.lo: unknown key. Did you mean 'low'? Known: low, high"),
    ("  total_steps: 500_000", "  total_steps: 0\n  steps: 1", "7:16 agent.total_steps: got 0, expected 1 or more ("),
    ("total_steps: 500_000", "layers: []", "7:11 agent.layers: got [], expected 1 or more items, got 0 (Widths)"),
    # rewards, agents, quantizers that do not fit
    (REWARD + "\n", "", "3:23 reward: environment codes has no reward of its own: use knill"),
    (REWARD, "reward: native", "4:9 reward: environment codes has no reward of its own: use knill"),
    ("plugin: knill", "plugin: pose", "4:18 reward.plugin: pose scores pose, but environment codes shows tableau: u"),
    (REWARD, "reward: pose", "4:9 reward.plugin: pose scores pose"),
    (REWARD, "reward: null", "reward: got null, expected a mapping such as `reward: {plugin: knill}`"),
    ("plugin: chooser", "plugin: mover", "6:11 agent.plugin: mover trains on continuous actions or parameters, but envi"
        "ronment codes takes discrete actions: use chooser or"),
    ("seeds", "quantizer: round_body\nseeds", "10:12 quantizer.plugin: round_body quantizes policies for continuous "
        "actions, but environment codes takes discrete actions: use round"),
    ("seeds", "quantizer: {plugin: round, teacher: {}}\nseeds", "10:37 quantizer.teacher: got {}, expected either {"),
    ("seeds", "quantizer: {plugin: round, teacher: {run: a, manifest: b}}\nseeds", "expected either {run: ID} or"),
    ("seeds", "quantizer: {plugin: round, teacher: x}\nseeds", "10:37 quantizer.teacher: got 'x', expected a mapping"),
    ("seeds", "quantizer: {plugin: round, bits: 5}\nseeds", "10:34 quantizer.bits: got 5, expected 4 or 8"),
    ("seeds", "quantizer: {plugin: round, fine_tune: {}}\nseeds", "10:28 quantizer.fine_tune: quantizer round is post_"
        "training, the agent trains nothing for it: remove it"),
    ("seeds", "quantizer: {plugin: steps, fine_tune: 3}\nseeds", "10:39 quantizer.fine_tune: got 3, expected settings"),
    ("seeds", "quantizer: {plugin: steps, fine_tune: {total_step: 3}}\nseeds", "10:40 quantizer.fine_tune.total_step: "
        "unknown key. Did you mean 'total_steps'"),
    ("seeds", "quantizer: {plugin: steps, fine_tune: {total_steps: 0}}\nseeds", "10:53 quantizer.fine_tune.total_steps:"
        " got 0, expected 1 or more (Environment steps)"),
    ("seeds", "quantizer: {plugin: steps, teacher: {manifest: no.yaml}}\nseeds", "10:48 quantizer.teacher.manifest: "
        "'no.yaml' cannot be read (No such file or directory): give the path of a file"),
    # evaluation
    ("logical_error_rate", "decision_fidelity", "9:3 evaluation.decision_fidelity: the manifest has no quantizer"),
    (f"logical_error_rate: {LER}", "search: {episodes: 0}", "9:22 evaluation.search.episodes: got 0, expected 1"),
    (LER, "{p: [2], shots: 1}", "9:28 evaluation.logical_error_rate.p[0]: got 2, expected 1 or less"),
    (LER, "{shots: 0}", "9:31 evaluation.logical_error_rate.shots: got 0, expected 1 or more"),
    (LER, "{p: {log_spac: [1, 2, 3]}}", "9:28 evaluation.logical_error_rate.p.log_spac: unknown key. Did you mean 'lo"),
    (LER, "{decoder: magic}", "9:33 evaluation.logical_error_rate.decoder: got 'magic', expected 'auto' or 'pymatch"),
    (LER, "", "evaluation.logical_error_rate: got null, expected a mapping: {} takes the defaults"),
    ("logical_error_rate", "logical_error", "9:3 evaluation.logical_error: environment codes: unknown key. Did you me"),
    ("evaluation:\n", "evaluation: [1]\nx:\n", "x: unknown key"),
    # sweep
    (SWEEP, "{}", "11:8 sweep: the sweep is empty"),
    (SWEEP, "", "sweep: got null, expected a mapping such as"),
    (SWEEP, "[1]", "11:8 sweep: got [1], expected a mapping such as"),
    (SWEEP, "{agent.learning_rate: []}", "11:30 sweep.agent.learning_rate: the list is empty"),
    (SWEEP, "{agent.learning_rate: 3}", "11:30 sweep.agent.learning_rate: got 3, expected a list of values"),
    (SWEEP, "{agent.learning_rat: [0.1]}", "11:9 agent.learning_rat: unknown key. Did you mean 'learning_rate'"),
    (SWEEP, "{agnt.learning_rate: [0.1]}", "11:9 sweep.agnt.learning_rate: unknown key. Did you mean 'agent'"),
    (SWEEP, "{agent.learning_rate: [0.1, 2]}", "11:36 agent.learning_rate: got 2, expected less than 1 (Step size)"),
    (SWEEP, "{agent.learning_rate: [0.1, fast]}", "11:36 agent.learning_rate: got 'fast', expected a number"),
    (SWEEP, "{agent.learning_rate: [0.1, 1.0e-1]}", "11:36 sweep: the combination {agent.learning_rate: 0.1} is the"),
    (SWEEP, "{seeds: [[1], [2]]}", "11:9 sweep.seeds: seeds are not swept: list them under `seeds`"),
    (SWEEP, "{name: [a, b]}", "11:9 sweep.name: unknown key"),
    (SWEEP, "{agent: [chooser], agent.layers: [[1]]}", "11:27 sweep.agent.layers: overlaps with sweep.agent"),
    (SWEEP, "{agent.: [1]}", "11:9 agent.: the path has an empty part"),
    (SWEEP, "{agent.total_steps.x: [1]}", "11:9 agent.total_steps.x: total_steps is 500000, which has no keys"),
    (SWEEP, "{agent.plugin: [chooser, mover]}", "11:33 agent.plugin: mover trains on continuous actions or parameters"),
    (SWEEP, "{environment.n: [5, 1]}", "11:28 environment.n: got 1, expected 2 or more"),
    # budget and checkpoint
    ("seeds", "budget: {seconds: 0}\nseeds", "10:19 budget.seconds: got 0, expected more than 0 (Training stops"),
    ("seeds", "budget: {second: 1}\nseeds", "10:10 budget.second: unknown key. Did you mean 'seconds'"),
    ("seeds", "budget: 3\nseeds", "10:9 budget: got 3, expected a mapping"),
    ("seeds", "checkpoint: {every_seconds: soon}\nseeds", "10:29 checkpoint.every_seconds: got 'soon', expected a n"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), CASES)
def test_a_bad_manifest_is_refused_in_one_line_that_says_where(registry, old, new, message):
    error = refusal(edited(old, new), registry)
    assert message in str(error)
    assert error.line is not None
    assert error.path is not None


def test_what_a_message_quotes_cannot_break_the_line_or_the_terminal(registry):
    error = refusal(edited("n: 7", 'n: 7, "a\\nb\\x1b[31m": 1'), registry)
    assert "environment.a b\\u001b[31m: unknown key" in str(error)
    assert str(error).isprintable()
    long = refusal(edited("n: 7", f"n: 7, {'x' * 10_000}: 1"), registry)
    assert len(str(long)) < 500


def test_the_message_starts_with_the_file(registry, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(edited("n: 7", "n: 1"))
    error = refusal(path, registry)
    assert str(error) == f"{path}:3:33 environment.n: got 1, expected 2 or more (Physical qubits)"
    assert (error.source, error.line, error.column, error.path) == (str(path), 3, 33, "environment.n")


def test_the_first_of_several_errors_counts_the_others(registry):
    error = refusal(edited("n: 7, gates: [h, cx, s]", "gates: [q], n: 1, masked: 3"), registry)
    assert str(error).startswith("3:38 environment.gates[0]: got 'q', expected")
    assert str(error).endswith("(and 2 more)")


def test_nothing_but_a_mapping_is_a_manifest(registry):
    assert "1:1 got text, expected a mapping" in str(refusal("steane.yaml", registry))
    assert "1:1 got [1, 2], expected a mapping" in str(refusal("[1, 2]", registry))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"No such file or directory\): give the path of a manifest"),
        (b"a: \xff", r":1:4 is not UTF-8 text"),
        (b"a: 1\nb: \xc3\x28", r":2:4 is not UTF-8 text"),
        (b"\xff\xfea\x00", r":1:1 is not UTF-8 text"),
        (b"x" * 1_000_001, "has 1,000,001 bytes, expected at most 1 MB: is it a manifest?"),
        (b"x" * 2_345_000, "has 2.35 MB, expected at most 1 MB: is it a manifest?"),
    ],
)
def test_a_file_that_cannot_be_read(registry, tmp_path, content, message):
    path = tmp_path / "manifest.yaml"
    if content is not None:
        path.write_bytes(content)
    assert re.search(message, str(refusal(path, registry)))


def test_a_folder_is_no_manifest(registry, tmp_path):
    assert "cannot be read (Is a directory)" in str(refusal(tmp_path, registry))


def test_evaluations_must_fit_the_environment(registry):
    text = "qecforge: 1\nname: m\nenvironment: both\nagent: chooser\nevaluation: {%s: {}}"
    message = str(refusal(text % "logical_error_rate", registry))
    assert message == (
        "5:14 evaluation.logical_error_rate: environment both finds no codes: use returns or agreement"
    )  # fmt: skip
    assert "Did you mean 'agreement'" in str(refusal(text % "agrement", registry))
    body = text.replace("both", "body").replace("chooser", "mover")
    assert "body finds no codes: use returns" in str(refusal(body % "logical_error_rate", registry))
    assert "environment body: unknown key. Known: returns" in str(refusal(body % "agreement", registry))
    field = text.replace("both", "field").replace("chooser", "mover")
    assert "field finds no codes: remove it" in str(refusal(field % "logical_error_rate", registry))
    assert "none is known here" in str(refusal(field % "agreement", registry))
    assert "episodes: got 0" in str(refusal((text % "agreement").replace("{}", "{episodes: 0}"), registry))
    assert "expected a mapping" in str(refusal(text.replace("{%s: {}}", "7"), registry))


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("treadmill", "5:14 evaluation.returns: the episodes of environment treadmill never end: remove it"),
        (
            "field",
            "5:14 evaluation.returns: environment field takes parameters, scored whole: it has no episodes: remove it",
        ),
    ],
)
def test_returns_need_episodes_that_end(registry, environment, message):
    text = f"qecforge: 1\nname: m\nenvironment: {environment}\nagent: mover\nevaluation: {{returns: {{}}}}"
    assert str(refusal(text, registry)) == message


LIMBS = "qecforge: 1\nname: m\nenvironment: {plugin: both, limbs: 20}\nagent: {plugin: coach, total_steps: %s}\n"


def test_an_agent_may_refuse_the_environment(registry):
    message = str(refusal(LIMBS % 5, registry))
    assert message == "4:17 agent: total_steps: 5 is too few for 20 limbs: give a step to each"
    assert load_manifest(LIMBS % 20, registry=registry).runs()
    swept = LIMBS % 20 + "sweep: {environment.limbs: [20, 30]}\n"
    assert "too few for 30 limbs" in str(refusal(swept, registry))


def test_an_agent_is_asked_about_the_settings_of_a_fine_tuning_too(registry):
    text = LIMBS % 20 + "quantizer: {plugin: steps, fine_tune: {total_steps: 19}}\n"
    message = str(refusal(text, registry))
    assert message.startswith("5:")
    assert "quantizer.fine_tune: total_steps: 19 is too few for 20 limbs" in message
    assert load_manifest(text.replace("19", "21"), registry=registry).runs()


def test_a_check_that_fails_itself_is_the_plugins_fault(registry):
    with pytest.raises(PluginError) as caught:
        load_manifest(LIMBS % 13, registry=registry)
    assert str(caught.value) == (
        "coach (fake-science 1.2.3) failed while it checked `agent`: ZeroDivisionError: 13 is no number. Report it to "
        "the plugin's authors."
    )


def test_an_evaluation_that_environment_and_agent_both_bring_is_refused_where_it_is_asked_for(registry):
    text = LIMBS % 20 + "evaluation: {%s: {}}\n"
    assert str(refusal(text % "agreement", registry)) == (
        "5:14 evaluation.agreement: environment both and agent coach both bring an evaluation of this name: remove it, "
        "or use another agent"
    )
    assert load_manifest(text % "posture", registry=registry).runs()


def test_stopping_at_the_first_code_needs_an_environment_that_finds_some(registry):
    text = "qecforge: 1\nname: m\nenvironment: both\nagent: chooser\nbudget: {stop_at_first_code: true}"
    assert "5:30 budget.stop_at_first_code: environment both finds no codes" in str(refusal(text, registry))


def test_a_reward_for_an_environment_that_shows_nothing(registry):
    text = "qecforge: 1\nname: m\nenvironment: body\nagent: mover\nreward: knill"
    expected = "reward.plugin: knill scores tableau, but environment body shows nothing to rewards: use native"
    assert expected in str(refusal(text, registry))


def test_too_many_runs(registry):
    values = list(range(1, 101))
    sweep = f"{{agent.total_steps: {values}, environment.n: {values}, environment.k: {values}}}"
    message = str(refusal(edited(SWEEP, sweep), registry))
    assert "11:1 sweep: gives 1000000 combinations for each seed, expected at most 5000" in message
    message = str(refusal(edited("seeds: [0, 1]", f"seeds: {list(range(MAX_RUNS + 1))}"), registry))
    assert f"seeds: got {MAX_RUNS + 1} seeds, expected at most {MAX_RUNS}" in message


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("crashing", "crashing (fake-science 1.2.3) failed while it checked `agent`: ZeroDivisionError"),
        ("endless", "endless (fake-science 1.2.3): its configuration has no canonical JSON form"),
        ("{plugin: forgetful, value: 3, other: 1}", "forgetful (fake-science 1.2.3): its configuration cannot be read"),
        ("drifting", "drifting (fake-science 1.2.3): its configuration changes when read back"),
    ],
)
def test_a_plugin_whose_configuration_is_at_fault_is_named(registry, agent, message):
    if agent in ("crashing", "drifting"):
        agent = f"{{plugin: {agent}, value: 1}}"
    text = f"qecforge: 1\nname: m\nenvironment: both\nagent: {agent}"
    with pytest.raises(PluginError) as caught:
        load_manifest(text, registry=registry)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_validator_may_raise_any_error_of_qecforge(registry):
    text = "qecforge: 1\nname: m\nenvironment: both\nagent: {plugin: refusing, value: 1}"
    assert str(refusal(text, registry)) == "4:8 agent: the value is not to be had"
