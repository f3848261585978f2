"""Updates of `grpo_text` beside those of TRL's GRPOTrainer, models of one size: completion tokens per CPU second.

Each update draws 8 completions of 12 prompts of 21 tokens, at most 32 tokens, scores them by a function that costs next
to nothing, and takes one gradient step. TRL's model is a Llama of the same width, layers, heads and vocabulary, and of
as many parameters to the per cent. They take turns in one process, on one thread: an update each. Figures are medians
over the rounds, the ratio the median of each round's (other work on the machine slows both).

    python benchmarks/grpo_text_speed.py [--quick]          # TRL's, where the extra llm is installed
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from qecforge.contracts import Prompt, TextEnvironment, TextOutcome, Verdict
from qecforge.machine.threads import compute_on
from qecforge_grpo.text.agent import _Training
from qecforge_grpo.text.config import TextGRPOConfig
from qecforge_grpo.text.policy import TinyPolicy

GROUPS, GROUP_SIZE, LONGEST, VOCABULARY = 12, 8, 32, 1024
PROMPT = 21
WIDTH, LAYERS, HEADS, CONTEXT = 128, 4, 4, 96
ROUNDS = 12
TARGET = 3.0
"""Times the tokens per second of TRL."""


class Sums(TextEnvironment):
    """A completion scores by the sum of its letters, so that each group varies: none is left out of an update."""

    num_envs = GROUPS * GROUP_SIZE

    @property
    def splits(self) -> dict[str, Sequence[str]]:
        """One."""
        return {"train": tuple(f"task_{number}" for number in range(256))}

    def prompt(self, task_id: str) -> Prompt:
        """Its tokens are drawn in place of it."""
        return [{"role": "user", "content": task_id}]

    def judge(self, task_ids: Sequence[str], completions: Sequence[str]) -> list[TextOutcome]:
        """By the sum."""
        return [TextOutcome(verdict=Verdict.FAILED, score=sum(each.encode()) % 7 / 7) for each in completions]


class Letters:
    """In place of a tokenizer: says any of the tokens."""

    def __len__(self) -> int:
        return VOCABULARY

    def decode(self, tokens: Sequence[int]) -> str:
        """A letter for each."""
        return "".join(chr(97 + token % 26) for token in tokens)


def drawn_prompt(vocabulary: int) -> list[int]:
    """Its tokens, none of which is a mark."""
    return [random.randrange(2, vocabulary) for _ in range(PROMPT)]


def ours() -> tuple[Callable[[], int], int]:
    """An update, which returns the tokens that it drew, and the model's parameters."""
    config = TextGRPOConfig.model_validate(
        {
            "total_steps": 10**6,
            "groups": GROUPS,
            "group_size": GROUP_SIZE,
            "longest_completion": LONGEST,
            "model": {
                **{"width": WIDTH, "layers": LAYERS, "heads": HEADS, "context": CONTEXT},
                "vocabulary": VOCABULARY,
            },
            "warm_start": {"completions": 0},
        }
    )
    policy: Any = TinyPolicy(config, Letters(), torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    policy.asked = lambda prompts: [drawn_prompt(VOCABULARY) for _ in prompts]
    training = _Training(config, Sums(), 0, policy)

    def update() -> int:
        training.update()
        return round(training.metrics["completion_tokens"] * GROUPS * GROUP_SIZE)

    return update, sum(each.numel() for each in training.model.parameters())


def trl(rounds: int, beside: Callable[[], int]) -> tuple[list[tuple[float, float]], int] | None:
    """Tokens per CPU second of each round, ours and TRL's, and the parameters of its model; None where TRL is not
    installed. TRL owns its loop: ours takes its turn after each step of it."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from datasets import Dataset
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
        from trl import GRPOConfig, GRPOTrainer
    except ImportError:
        return None
    words = {"<pad>": 0, "<eos>": 1, **{chr(0x4E00 + number): number for number in range(2, VOCABULARY)}}
    by_character = Tokenizer(models.WordLevel(words, unk_token="<eos>"))  # noqa: S106
    by_character.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=by_character,
        pad_token="<pad>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        padding_side="left",
    )
    # A Llama's perceptron has three matrices: two thirds of the width of ours make as many parameters.
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=WIDTH, intermediate_size=round(8 * WIDTH / 3), num_hidden_layers=LAYERS,
            num_attention_heads=HEADS, vocab_size=VOCABULARY, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
            bos_token_id=None, max_position_embeddings=CONTEXT,
        )
    )  # fmt: skip
    prompts = [{"prompt": "".join(chr(0x4E00 + token) for token in drawn_prompt(VOCABULARY))} for _ in range(256)]
    tokens = {"drawn": 0}

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        tokens["drawn"] = sum(map(len, completion_ids))
        return [sum(each) % 7 / 7 for each in completion_ids]

    pairs: list[tuple[float, float]] = []

    class Turns(TrainerCallback):  # type: ignore[misc]
        begun = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            Turns.begun = Turns.begun or time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            theirs = tokens["drawn"] / (time.process_time() - Turns.begun)
            pairs.append((speed(beside), theirs))
            Turns.begun = time.process_time()

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=GRPOConfig(
                output_dir=folder, per_device_train_batch_size=GROUPS * GROUP_SIZE, num_generations=GROUP_SIZE,
                max_completion_length=LONGEST, max_steps=rounds + 1, beta=0.0, temperature=1.0, use_cpu=True,
                bf16=False, gradient_checkpointing=False, report_to="none", logging_steps=10**6, save_strategy="no",
                disable_tqdm=True, learning_rate=5e-4,
            ),
            train_dataset=Dataset.from_list(prompts),
            processing_class=tokenizer,
            callbacks=[Turns()],
        )  # fmt: skip
        compute_on(1)
        trainer.train()
    return pairs[1:], model.num_parameters()


def speed(update: Callable[[], int]) -> float:
    """Tokens per CPU second of one update."""
    begun = time.process_time()
    drawn = update()
    return drawn / (time.process_time() - begun)


def run(quick: bool) -> list[dict[str, Any]]:
    """One row."""
    compute_on(1)
    rounds = 3 if quick else ROUNDS
    update, parameters = ours()
    update()
    found = trl(rounds, update)
    pairs = [(speed(update), float("nan")) for _ in range(rounds)] if found is None else found[0]
    row: dict[str, Any] = {
        "claim": f"an update of {GROUPS} x {GROUP_SIZE} completions, {parameters / 1e6:.2f} M parameters",
        "ours": float(np.median([mine for mine, _ in pairs])),
        "unit": "completion tokens per CPU second",
        "target": TARGET,
    }
    if found is not None:
        row |= {
            "peer": float(np.median([theirs for _, theirs in pairs])),
            "peer_name": f"TRL's GRPOTrainer, {found[1] / 1e6:.2f} M parameters",
            "ratio": float(np.median([mine / theirs for mine, theirs in pairs])),
        }
    return [row]


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    for row in run(parser.parse_args(argv).quick):
        beside = f"{row['peer_name']} {row['peer']:7.1f}, ratio {row['ratio']:.2f}" if "peer" in row else "no peer"
        rest = "".join(f", {each:.2f} of {name}'s" for name, each in row.get("ratios", {}).items())
        print(f"{row['claim']:45} {row['ours']:7.1f} {row['unit']}, {beside}, target {row['target']}{rest}")


if __name__ == "__main__":
    main()
