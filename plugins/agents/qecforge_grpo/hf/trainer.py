"""TRL's `GRPOTrainer`, whose loop is its own: it is told how to train, and reports each update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from qecforge.contracts import Prompt, plain_text
from qecforge.errors import QecforgeError
from qecforge_grpo.hf.config import HFGRPOConfig
from qecforge_grpo.hf.loading import quiet, without_warnings
from qecforge_grpo.hf.policy import HFPolicy

__all__ = ["Judge", "Report", "make_trainer", "restored_model"]

Judge: TypeAlias = Callable[[Sequence[str], Sequence[str]], Sequence[float | None]]
"""Ids of tasks and completions, in groups, to rewards; None where there is none."""
Report: TypeAlias = Callable[[Mapping[str, float]], bool]
"""What TRL logged of an update; whether to go on."""
_LOSSES = {"episode": "grpo", "step": "bnpo", "constant": "dr_grpo"}


def make_trainer(
    policy: HFPolicy,
    tasks: Mapping[str, Prompt],
    judge: Judge,
    report: Report,
    *,
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    updates: int,
    seed: int,
    folder: str,
) -> Any:
    """A trainer of the policy's additions.

    Args:
        tasks: Prompts by id.
        rate: Step size of each update, from 0 on.
        updates: How many it makes.
        folder: Where it may write; it does not need to.
    """
    from datasets import Dataset
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import PrinterCallback, TrainerCallback

    with without_warnings():
        from trl import GRPOConfig, GRPOTrainer

    config = policy.config

    class Reports(TrainerCallback):  # type: ignore[misc]
        """Hands over what was logged of each update, and stops where it is told to."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **rest: Any) -> Any:
            if "loss" in logs and not report(logs):
                control.should_training_stop = True
            return control

    def rewards(prompts: Sequence[Any], completions: Sequence[Any], task_id: Sequence[str], **rest: Any) -> list[Any]:
        check_groups(task_id, len(completions), config)
        texts = [each if isinstance(each, str) else str(each[-1]["content"]) for each in completions]
        return list(judge(task_id, texts))

    rewards.__name__ = "score"
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0  # the scheduler multiplies it
    # A generation draws whole groups: where there are fewer tasks than groups, they come again.
    rows = [
        {"prompt": [dict(message) for message in prompt] if policy.chats else plain_text(prompt), "task_id": task_id}
        for task_id, prompt in tasks.items()
    ] * -(-config.groups // len(tasks))
    with quiet():
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=rewards,
            processing_class=policy.tokenizer,
            train_dataset=Dataset.from_list(rows),
            optimizers=(optimizer, LambdaLR(optimizer, rate)),
            callbacks=[Reports()],
            args=GRPOConfig(
                output_dir=folder,
                seed=seed,
                max_steps=updates,
                num_generations=config.group_size,
                per_device_train_batch_size=config.minibatch,
                gradient_accumulation_steps=config.num_envs // config.minibatch,
                max_completion_length=config.longest_completion,
                temperature=1.0,
                top_p=1.0,
                top_k=0,
                beta=config.kl,
                epsilon=float(config.clip),
                loss_type=_LOSSES[config.loss_average],
                scale_rewards="group" if config.advantage_scale == "deviation" else "none",
                max_grad_norm=config.max_grad_norm or 0.0,
                gradient_checkpointing=config.gradient_checkpointing,
                use_cpu=policy.device.type == "cpu",
                bf16=False,  # the base has its type, and what is added is float32
                fp16=False,
                dataloader_pin_memory=False,
                logging_steps=1,
                logging_nan_inf_filter=False,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def check_groups(task_ids: Sequence[str], completions: int, config: HFGRPOConfig) -> None:
    """Raises `QecforgeError` where completions are not whole groups of one task each."""
    size = config.group_size
    whole = len(task_ids) == completions == config.num_envs
    if not whole or any(len(set(task_ids[at : at + size])) > 1 for at in range(0, completions, size)):
        raise QecforgeError(
            f"grpo_hf: TRL gave {completions} completions of {len(task_ids)} tasks, expected {config.groups} groups of "
            f"{size} of one task each: this version of TRL is not one that qecforge knows"
        )


def restored_model(policy: HFPolicy) -> None:
    """Take away what a trainer adds to the model: its own `forward`, and the reference."""
    base = policy.model.get_base_model()
    vars(base).pop("forward", None)
    if "ref" in policy.model.peft_config:
        policy.model.delete_adapter("ref")
        policy.model.set_adapter("default")
