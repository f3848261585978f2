"""What a manifest may say wrongly about `grpo` and `grpo_text`: one line each, and exit code 2."""

import pytest
from cli_harness import invoke, one_line

TEXT = """\
qecforge: 1
name: text
environment: {plugin: qiskit_tasks, generator: {count: 4}}
agent: {plugin: grpo_text}
seeds: [0]
"""
CONTINUOUS = """\
qecforge: 1
name: swing
environment: {plugin: humanoid, id: Pendulum-v1}
agent: {plugin: grpo}
seeds: [0]
"""
DISCRETE = """\
qecforge: 1
name: code
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 3}
reward: {plugin: knill_laflamme}
agent: {plugin: grpo}
seeds: [0]
"""


@pytest.mark.parametrize(
    ("manifest", "setting", "said"),
    [
        (TEXT, "agent.group_size=1", "agent.group_size: got 1, expected 2 or more"),
        (DISCRETE, "agent.group_size=1", "agent.group_size: got 1, expected 2 or more"),
        (TEXT, "agent.groups=0", "agent.groups: got 0, expected 1 or more"),
        (TEXT, "agent.model.context=40", "longest_completion: got 96, expected less than the 40 tokens"),
        (TEXT, "agent.clip=-1", "agent.clip: got -1"),
        (TEXT, "quantizer.plugin=ptq", "but environment qiskit_tasks takes text: no installed quantizer fits"),
        (CONTINUOUS, "seeds=[1]", "grpo trains on discrete actions, but environment humanoid takes continuous actions"),
        (TEXT, "agent.plugin=grpo", "grpo trains on discrete actions, but environment qiskit_tasks takes text"),
        (DISCRETE, "agent.plugin=grpo_text", "grpo_text trains on text, but environment code_discovery takes discrete"),
    ],
)
def test_one_line(tmp_path, manifest, setting, said):
    path = tmp_path / "m.yaml"
    path.write_text(manifest)
    line = one_line(invoke("validate", path, "--set", setting))
    assert said in line
