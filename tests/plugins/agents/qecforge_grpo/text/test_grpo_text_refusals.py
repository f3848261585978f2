"""One clear line for each bad input."""

import logging

import pytest
import test_text_contract as contract

from qecforge import Registry, load_manifest
from qecforge.contracts import TextOutcome, Verdict
from qecforge.errors import CheckpointError, ConfigurationError, UserError
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.text import DigitTask
from qecforge_grpo.text.agent import TextGRPO
from qecforge_grpo.text.config import TextGRPOConfig

SHORT = {**contract.TestTiny.settings, "warm_start": {"completions": 64, "batch": 32}}


def trained(env=None, *, stop_after=2, policy=None, extra_loss=None, **settings):
    agent = TextGRPO(TextGRPOConfig.model_validate({**SHORT, **settings}))
    context = RecordingContext(env or DigitTask(), 0, stop_after=stop_after)
    return agent.train(context.env, context, policy=policy, extra_loss=extra_loss)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"group_size": 1}, "greater than or equal to 2"),
        ({"model": {"width": 30, "heads": 4}}, "expected an even number for width / heads"),
        ({"longest_completion": 200}, "expected less than the 160 tokens of model.context"),
        ({"backend": "other"}, "tiny"),
        ({"backend": "hf"}, "an agent of its own: set plugin to grpo_hf"),
        ({"kl": -1}, "greater than or equal to 0"),
    ],
)
def test_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        TextGRPOConfig.model_validate(settings)


def test_a_context_shorter_than_a_prompt():
    with pytest.raises(
        ConfigurationError, match=r"agent.model.context: got 8, and the prompt of digit_0 has \d+ tokens"
    ):
        trained(model={**contract.MODEL, "vocabulary": 258, "context": 8})


def test_a_split_that_is_not_there():
    with pytest.raises(ConfigurationError, match=r"agent.held_out.split: got 'exam', expected one of train, test"):
        trained(held_out={"split": "exam"})


def test_a_policy_without_tokenizer():
    policy = TextGRPO(TextGRPOConfig.model_validate(SHORT)).build_policy(DigitTask())
    with pytest.raises(CheckpointError, match=r"got the files policy.safetensors, expected .* and tokenizer.json"):
        policy.load_files({"policy.safetensors": policy.files()["policy.safetensors"]})


def test_a_quantizer_is_refused():
    with pytest.raises(ConfigurationError, match="extra loss of a quantizer"):
        trained(extra_loss=object())
    manifest = """
qecforge: 1
name: x
environment: {plugin: qiskit_tasks, generator: {count: 4}}
agent: {plugin: grpo_text}
quantizer: {plugin: ptq}
seeds: [0]
"""
    with pytest.raises(UserError, match="quantizer"):
        load_manifest(manifest, registry=Registry.load()).runs()


def test_another_agent_s_policy_is_refused():
    with pytest.raises(ConfigurationError, match="got the policy object, expected one of grpo_text"):
        trained(policy=object())


class Same(DigitTask):
    """All completions score the same."""

    def judge(self, task_ids, completions):
        return [TextOutcome(verdict=Verdict.FAILED, score=0.25) for _ in task_ids]


def test_groups_without_variance_are_counted_and_said(caplog):
    env = Same()
    context = RecordingContext(env, 0, stop_after=5)
    with caplog.at_level(logging.WARNING):
        TextGRPO(TextGRPOConfig.model_validate({**SHORT, "warn_after": 2})).train(env, context)
    assert context.metrics["groups_without_variance"] == [1.0] * 4
    assert [record.getMessage().partition(" (step")[0] for record in caplog.records] == [
        "grpo_text: nothing was learned in the last 2 updates",
        "grpo_text: nothing was learned in the last 4 updates",
    ]


def test_the_warm_start_is_resumed_to_the_bit():
    """Interrupted between two of its reports, before there is any score."""
    settings = {**SHORT, "kl": 0.01, "warm_start": {"completions": 200, "batch": 32, "report_every": 2}}
    agent = TextGRPO(TextGRPOConfig.model_validate(settings))
    whole = RecordingContext(DigitTask(), 0, stop_after=6)
    expected = agent.train(whole.env, whole).files()
    assert [each.step for each in whole.advances] == [0, 0, 0, 0, 80, 160]
    for after in (2, 3, 5):
        first = RecordingContext(DigitTask(), 0, stop_after=after)
        agent.train(first.env, first)
        rest = RecordingContext(DigitTask(), 0, checkpoint=first.checkpoint, stop_after=6 - after + 1)
        assert agent.train(rest.env, rest).files() == expected
