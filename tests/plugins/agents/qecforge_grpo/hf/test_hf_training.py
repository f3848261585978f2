"""`grpo_hf` on a random model of a few thousand parameters: its files are PEFT's, its prompts TRL's, and one clear line
for bad input."""

import importlib.util
import json
import logging
import socket

import numpy as np
import pytest
import torch
from tiny_llama import save_tiny_llama

from qecforge.contracts import TextOutcome, Verdict
from qecforge.errors import CheckpointError, ConfigurationError, QecforgeError
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.text import DigitTask
from qecforge_grpo.hf.agent import HFGRPO
from qecforge_grpo.hf.config import HFGRPOConfig, pin_base
from qecforge_grpo.hf.policy import ADAPTER, ADAPTER_CONFIG

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("trl") is None, reason="trl is not installed: pip install qecforge[llm]"
    ),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_llama(tmp_path_factory.mktemp("base"), chat=True)


def config(base, **settings):
    short = {
        "dtype": "float32", "device": "cpu", "total_steps": 40, "group_size": 4, "groups": 2, "minibatch": 4,
        "warm_start": {"completions": 0}, "longest_completion": 3, "lora": {"rank": 2, "scale": 4},
    }  # fmt: skip
    return HFGRPOConfig.model_validate({"base": str(base), **short, **settings})


def trained(config, env=None, *, stop_after=2, **given):
    context = RecordingContext(env or DigitTask(), 0, stop_after=stop_after)
    return HFGRPO(config).train(context.env, context, **given), context


class Lengths(DigitTask):
    """A completion scores by its first letter, so that groups vary."""

    def judge(self, task_ids, completions):
        return [TextOutcome(verdict=Verdict.FAILED, score=ord(each[:1] or "a") % 7 / 7) for each in completions]


def test_nothing_reaches_the_network_and_files_are_those_of_peft(base, monkeypatch, tmp_path):
    def connect(*_):
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    policy, context = trained(pin_base(config(base, kl=0.1)), Lengths(), stop_after=4)
    assert len(context.metrics["policy_loss"]) == 3
    assert context.metrics["kl"][0] == pytest.approx(0, abs=1e-6)
    assert context.metrics["kl"][-1] > 0
    files = policy.files()
    assert sorted(files) == [ADAPTER_CONFIG, ADAPTER, "tokenizer.json", "tokenizer_config.json"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    asked = policy.asked(DigitTask().prompts(["digit_3"]))[0]
    assert tokenizer.decode(asked) == "user: Write the digit 3.\nassistant: "
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path)
    tokens = torch.tensor([asked])
    bare = AutoModelForCausalLM.from_pretrained(base)(tokens).logits
    with torch.no_grad():
        torch.testing.assert_close(theirs(tokens).logits, policy.model(tokens).logits)
        assert not torch.allclose(bare, policy.model(tokens).logits)


def test_the_loss_of_the_warm_start_is_that_of_the_answers_tokens(base):
    """Beside a row at a time, without padding."""
    from qecforge_grpo.hf.imitation import imitation_loss
    from qecforge_grpo.hf.policy import HFPolicy

    policy = HFPolicy(config(base), 0)
    prompts, answers = [[5, 6, 7], [8, 9]], [[10, 1], [11, 12, 13, 1]]
    expected = []
    for prompt, answer in zip(prompts, answers, strict=True):
        logits = policy.model(torch.tensor([[*prompt, *answer]])).logits.log_softmax(-1)[0]
        expected += [-logits[len(prompt) + at - 1, token] for at, token in enumerate(answer)]
    torch.testing.assert_close(imitation_loss(policy, prompts, answers), torch.stack(expected).mean())


def test_what_it_asks_is_what_the_trainer_asks(base, monkeypatch):
    """TRL's tokens of a prompt are those of the policy, with a chat template and without."""
    from trl import GRPOTrainer

    asked = []
    ours = GRPOTrainer._tokenize_prompts

    def tokenize(self, prompts):
        found = ours(self, prompts)
        asked.append(found[0])
        return found

    monkeypatch.setattr(GRPOTrainer, "_tokenize_prompts", tokenize)
    env = DigitTask()
    policy, _ = trained(config(base), env)
    known = policy.asked(env.prompts(list(env.splits["train"])))
    assert asked[0]
    assert all(list(each) in known for each in asked[0])


def test_a_context_shorter_than_a_prompt(base, tmp_path):
    short = save_tiny_llama(tmp_path / "short", context=8)
    with pytest.raises(
        ConfigurationError, match=r"agent.longest_completion: got 3, and the prompt of digit_0 has \d+ of the 8 tokens"
    ):
        trained(config(short))


def test_a_split_that_is_not_there(base):
    with pytest.raises(ConfigurationError, match=r"agent.held_out.split: got 'exam', expected one of train, test"):
        trained(config(base, held_out={"split": "exam"}))


def test_modules_that_are_not_there(base):
    with pytest.raises(ConfigurationError, match=r"agent.lora.targets: query fit no module"):
        trained(config(base, lora={"targets": ["query"]}))


def test_a_quantizer_and_another_agent_s_policy_are_refused(base):
    with pytest.raises(ConfigurationError, match="extra loss of a quantizer"):
        trained(config(base), extra_loss=object())
    with pytest.raises(ConfigurationError, match="got the policy object, expected one of grpo_hf"):
        trained(config(base), policy=object())


def test_a_tokenizer_that_cannot_be_read(tmp_path):
    base = save_tiny_llama(tmp_path / "base")
    (base / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="has no tokenizer that can be loaded"):
        trained(config(base))


def test_a_policy_of_another_base_is_refused(base, tmp_path):
    policy = HFGRPO(config(base)).build_policy(DigitTask())
    other = HFGRPO(config(save_tiny_llama(tmp_path / "other", seed=1, chat=True))).build_policy(DigitTask())
    with pytest.raises(CheckpointError, match=r"adapter_model.safetensors: it belongs to the base \w{12}\.\.\., and"):
        other.load_files(policy.files())
    without = {name: each for name, each in policy.files().items() if name != "tokenizer.json"}
    with pytest.raises(CheckpointError, match=r"got the files .*, expected .*tokenizer.json"):
        policy.load_files(without)
    files = dict(policy.files())
    files[ADAPTER_CONFIG] = json.dumps({**json.loads(files[ADAPTER_CONFIG]), "r": 3}).encode()
    with pytest.raises(CheckpointError, match=r"adapter_config.json: got other settings than agent.lora"):
        policy.load_files(files)


class Same(DigitTask):
    """All completions score the same."""

    def judge(self, task_ids, completions):
        return [TextOutcome(verdict=Verdict.FAILED, score=0.25) for _ in task_ids]


def test_groups_without_variance_are_counted_and_said(base, caplog):
    with caplog.at_level(logging.WARNING):
        _, context = trained(config(base, warn_after=2), Same(), stop_after=5)
    assert context.metrics["groups_without_variance"] == [1.0] * 4
    assert [
        each.getMessage().partition(" (step")[0] for each in caplog.records if each.name.startswith("qecforge")
    ] == [
        "grpo_hf: nothing was learned in the last 2 updates",
        "grpo_hf: nothing was learned in the last 4 updates",
    ]


class Short(DigitTask):
    """One outcome too few, past the contract's own check; or one that is not finite."""

    def __init__(self, *, infinite=False):
        super().__init__()
        self.infinite = infinite

    def score(self, task_ids, completions):
        outcomes = super().score(task_ids, completions)
        if not self.infinite:
            return outcomes[1:]
        object.__setattr__(outcomes[0], "score", float("inf"))
        return outcomes


@pytest.mark.parametrize(
    ("env", "said"),
    [(Short(), "got 7 rewards for 8 completions"), (Short(infinite=True), "grpo_hf: a reward is not finite")],
)
def test_rewards_that_cannot_be(base, env, said):
    with pytest.raises(QecforgeError, match=said):
        trained(config(base), env)


def test_completions_of_a_wrong_number():
    from qecforge_grpo.hf.trainer import check_groups

    settings = HFGRPOConfig.model_validate({"base": "x", "group_size": 2, "groups": 2, "minibatch": 4})
    check_groups(["a", "a", "b", "b"], 4, settings)
    for ids, completions in ((["a"] * 3, 3), (["a", "a", "b", "b"], 3), (["a", "b", "a", "b"], 4)):
        with pytest.raises(QecforgeError, match="expected 2 groups of 2 of one task each"):
            check_groups(ids, completions, settings)


def test_it_goes_on_from_where_it_was(base):
    """Interrupted and resumed: additions, moments, reference, counts and step size are those of the checkpoint."""
    settings = config(base, kl=0.1, learning_rate={"from": 1e-2, "to": 0, "shape": "linear"})
    policy, first = trained(settings, Lengths(), stop_after=3)
    kept = {name: np.array(each) for name, each in first.checkpoint["agent"]["additions"].items()}
    for name, each in policy.additions().items():
        np.testing.assert_array_equal(kept[name], each.detach().numpy())
    agent = HFGRPO(settings)
    rest = RecordingContext(Lengths(), 0, checkpoint=first.checkpoint)
    resumed = agent.train(rest.env, rest)
    assert [each.step for each in rest.advances] == [16, 24, 32, 40]
    assert rest.metrics["kl"][0] > 0, "the reference is that of the beginning"
    assert any(not np.array_equal(kept[name], each.detach().numpy()) for name, each in resumed.additions().items())
