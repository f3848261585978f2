"""A run of `grpo_hf` from its manifest to its policy, which answers by `run:ID`; with another base nothing goes on."""

import importlib.util

import pytest
from isolation import needs_isolation
from tiny_llama import save_tiny_llama

from qecforge import Registry, RunOptions, Store, load_manifest, run_manifest
from qecforge.errors import UserError
from qecforge_qiskit_tasks.evaluation.models import Question, Sampling, open_model, parse_model

MANIFEST = """
qecforge: 1
name: hf
environment: {{plugin: qiskit_tasks, generator: {{count: 12}}}}
agent:
  {{plugin: grpo_hf, base: {base}, device: cpu, dtype: float32, total_steps: 8, groups: 1, group_size: 4, minibatch: 4,
   longest_completion: 4, warm_start: {{completions: 4, batch: 2}}, lora: {{rank: 2}}}}
seeds: [0]
"""


@needs_isolation
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl is not installed: pip install qecforge[llm]")
@pytest.mark.filterwarnings("ignore")
def test_a_run_leaves_a_policy_that_answers_and_its_base_is_checked(tmp_path):
    base = save_tiny_llama(tmp_path / "base", context=1024)
    manifest = load_manifest(MANIFEST.format(base=base), registry=Registry.load())
    url = f"sqlite:///{tmp_path}/results.db"
    (outcome,) = run_manifest(manifest, options=RunOptions(url))
    assert outcome.status == "finished"
    name, sampling = parse_model(f"run:{outcome.run_id}"), Sampling(temperature=0)
    with Store(url) as store:
        assert list(store.metrics(outcome.run_id, "episode_return").step) == [4, 8]
        model = open_model(name, sampling, store)
        questions = [Question("a", 0, [{"role": "user", "content": "Write h on 0."}], 0)]
        ((_, answer),) = model.answers(questions)
        assert isinstance(answer.text, str)
        save_tiny_llama(base, context=1024, seed=1)
        with pytest.raises(UserError, match=r"base_sha256: .* is of \w{12}\.\.\., not of \w{12}") as refused:
            open_model(name, sampling, store)
        assert "\n" not in str(refused.value)
