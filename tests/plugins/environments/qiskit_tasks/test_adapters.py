"""The reward in other trainers: a number for each completion, and no number where nothing could be judged."""

import importlib.util
from pathlib import Path

import pytest
from isolation import needs_isolation

from qecforge.errors import ConfigurationError, InfrastructureError
from qecforge_qiskit_tasks import load_tasks
from qecforge_qiskit_tasks.adapters import said, trl_reward, trl_rows, verl_reward

TASKS = load_tasks(Path(__file__).parent / "assets" / "small.yaml")
ADD = next(task for task in TASKS if task.id == "small/adds")
HALF = "def add(a, b):\n    return 5\n"


@needs_isolation
def test_trl_takes_texts_and_chats():
    rows = trl_rows(TASKS[:2], chat=True)
    assert [row["task_id"] for row in rows] == ["small/bell", "small/adds"]
    with trl_reward(TASKS, score="fraction") as reward:
        chat = [{"role": "assistant", "content": ADD.reference}]
        ids = ["small/adds"] * 4
        scores = reward(prompts=[""] * 4, completions=[ADD.reference, HALF, "", "\0"], task_id=ids, step=[0] * 4)
        assert scores == [1.0, 0.5, 0.0, 0.0]
        assert reward(prompts=[rows[0]["prompt"]], completions=[chat]) == [0.0]
        bell = [TASKS[0].reference]
        assert reward(prompts=[rows[0]["prompt"]], completions=bell) == [1.0]
        assert reward(completions=[], task_id=[]) == []


@needs_isolation
def test_verl_takes_ground_truths_or_extra_infos():
    with verl_reward(TASKS) as reward:
        assert reward(["d"] * 2, [ADD.reference, HALF], ["small/adds"] * 2, [None, None]) == [1.0, 0.0]
        assert reward(["d"], [ADD.reference], [""], [{"task_id": "small/adds"}]) == [1.0]


def test_what_does_not_fit_is_refused():
    with trl_reward(TASKS) as reward:
        with pytest.raises(ConfigurationError, match="1 task ids and 2 completions"):
            reward(completions=["a", "b"], task_id=["small/adds"])
        with pytest.raises(ConfigurationError, match="there is no task 'small/add'"):
            reward(completions=["a"], task_id=["small/add"])
        with pytest.raises(ConfigurationError, match="no task has the prompt 'Hello'"):
            reward(prompts=["Hello"], completions=["a"])
    with pytest.raises(ConfigurationError, match="score: got 'half'"):
        trl_reward(TASKS, score="half")
    with pytest.raises(ConfigurationError, match="a completion is NoneType"):
        said(None)


@pytest.mark.parametrize("make", [trl_reward, verl_reward])
def test_an_infrastructure_failure_is_raised(make, monkeypatch):
    with make(TASKS) as reward:
        monkeypatch.setattr(
            reward._judge, "judge_programs", lambda *_: (_ for _ in ()).throw(InfrastructureError("no"))
        )
        with pytest.raises(InfrastructureError):
            reward.scores(["small/adds"], [HALF])


@pytest.mark.slow
@needs_isolation
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl is not installed: pip install qecforge[llm]")
@pytest.mark.filterwarnings("ignore")
def test_a_real_trainer_of_trl_is_given_rewards(tmp_path, monkeypatch):
    """A randomly initialised model of bytes, trained for two steps; it cannot write Python, so that what it says is
    mostly refused, and the reward is called with what a trainer really hands over."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {each: i for i, each in enumerate(["<pad>", "<eos>", *letters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", padding_side="left")
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=1,
        )
    )
    before = [each.detach().clone() for each in model.parameters()]
    calls = []
    with trl_reward([ADD]) as reward:

        def favoured(prompts, completions, **columns):
            """The reward, with every second completion replaced by one that passes, so that groups have a variance."""
            mixed = [ADD.reference if i % 2 else each for i, each in enumerate(completions)]
            calls.append(reward(prompts, mixed, **columns))
            return calls[-1]

        trainer = GRPOTrainer(
            model=model,
            reward_funcs=favoured,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(trl_rows([ADD]) * 4),
            args=GRPOConfig(
                output_dir=str(tmp_path),
                use_cpu=True,
                bf16=False,
                max_steps=2,
                per_device_train_batch_size=4,
                num_generations=4,
                max_completion_length=8,
                learning_rate=1e-2,
                report_to=[],
                save_strategy="no",
                seed=0,
            ),
        )
        trainer.train()
    assert calls
    assert all(each == [0.0, 1.0, 0.0, 1.0] for each in calls)
    rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert rewards
    assert all(each == 0.5 for each in rewards)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
