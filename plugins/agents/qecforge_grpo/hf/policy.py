"""A pretrained model with low-rank additions as a policy: the additions and the tokenizer are its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from qecforge.contracts import Prompt, TextPolicy, plain_text
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.restoring import restored_array, restored_parts
from qecforge.learning.torch_state import torch_device
from qecforge_grpo.hf.base import located, sha256_of
from qecforge_grpo.hf.config import HFGRPOConfig
from qecforge_grpo.hf.loading import (
    TOKENIZER,
    load_model,
    load_tokenizer,
    own_randomness,
    quiet,
    tokenizer_files,
    tokenizer_of,
)

__all__ = ["ADAPTER", "ADAPTER_CONFIG", "HFPolicy"]

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""As PEFT names them: with the tokenizer's, the files of a folder that `PeftModel.from_pretrained` takes."""
_ROWS = 64
"""Prompts that are answered at once."""


class HFPolicy(TextPolicy):
    """Answers prompts at temperature 1, or greedily.

    Attributes:
        model: The base with its additions (`PeftModel`); only these have gradients.
        tokenizer: Of transformers.
    """

    def __init__(self, config: HFGRPOConfig, seed: int) -> None:
        from peft import LoraConfig, get_peft_model

        self.config = config
        base = located(config.base)
        self.base_sha256 = config.base_sha256 or sha256_of(base)
        self.tokenizer = load_tokenizer(base)
        self._tokenizer_files = tokenizer_files(self.tokenizer)
        self.device = torch_device(config.device)
        model = load_model(base, getattr(torch, config.dtype), self.device)
        additions = LoraConfig(
            task_type="CAUSAL_LM",
            r=config.lora.rank,
            lora_alpha=config.lora.scale,
            target_modules=list(config.lora.targets) or "all-linear",
        )
        try:
            with own_randomness(seed), quiet():
                self.model: Any = get_peft_model(model, additions)
        except ValueError as error:
            raise ConfigurationError(
                f"agent.lora.targets: {', '.join(config.lora.targets)} fit no module of {config.base}: expected names "
                "such as q_proj, or none for all linear ones"
            ) from error
        self.model.config.pad_token_id = self.tokenizer.pad_token_id

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and completion; None where the model does not say."""
        found: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return found

    @property
    def ends(self) -> list[int]:
        """Tokens that end a completion, the tokenizer's first."""
        given = self.model.generation_config.eos_token_id
        listed = [given] if isinstance(given, int) else list(given or ())
        return [self.tokenizer.eos_token_id, *(each for each in listed if each != self.tokenizer.eos_token_id)]

    @property
    def chats(self) -> bool:
        """Whether prompts are put into a chat template; else `plain_text` of them is continued."""
        return self.tokenizer.chat_template is not None

    def asked(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Tokens of prompts, as TRL's trainer makes them."""
        if not prompts:
            return []
        if self.chats:
            found = self.tokenizer.apply_chat_template(
                [list(each) for each in prompts], add_generation_prompt=True, tokenize=True, return_dict=True
            )
        else:
            found = self.tokenizer(text=[plain_text(each) for each in prompts])
        return [list(each) for each in found["input_ids"]]

    def answer(self, completion: str) -> list[int]:
        """Tokens of a completion, with its end."""
        return [*self.tokenizer(text=completion, add_special_tokens=False)["input_ids"], self.tokenizer.eos_token_id]

    def act(
        self, prompts: Sequence[Prompt], *, deterministic: bool = True, rng: np.random.Generator | None = None
    ) -> list[str]:
        """See `TextPolicy.act`."""
        if not deterministic and rng is None:
            raise ConfigurationError("grpo_hf: drawn completions need a generator, got none: give `rng`")
        seed = 0 if rng is None else int(rng.integers(2**63))
        tokens = self.asked(prompts)
        longest = max(map(len, tokens), default=0)
        if self.context is not None and longest >= self.context:
            raise ConfigurationError(
                f"grpo_hf: a prompt has {longest} tokens, and the context of {self.config.base} is {self.context}: ask "
                "for less, or take another model"
            )
        said: list[str] = []
        with own_randomness(seed):
            for start in range(0, len(tokens), _ROWS):
                said += self._completed(tokens[start : start + _ROWS], deterministic)
        return said

    def _completed(self, tokens: Sequence[Sequence[int]], deterministic: bool) -> list[str]:
        from transformers import GenerationConfig

        given = self.tokenizer.pad({"input_ids": tokens}, return_tensors="pt", padding_side="left").to(self.device)
        length = given["input_ids"].shape[1]
        room = self.config.longest_completion
        drawing: dict[str, Any] = {} if deterministic else {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
        how = GenerationConfig(
            do_sample=not deterministic,
            max_new_tokens=room if self.context is None else min(room, self.context - length),
            eos_token_id=self.ends,
            pad_token_id=self.tokenizer.pad_token_id,
            **drawing,
        )
        self.model.eval()
        with torch.no_grad():
            found = self.model.generate(
                input_ids=given["input_ids"], attention_mask=given["attention_mask"], generation_config=how
            )
        texts: list[str] = self.tokenizer.batch_decode(found[:, length:], skip_special_tokens=True)
        return texts

    def additions(self, adapter: str = "default") -> dict[str, Tensor]:
        """Parameters of an adapter by name, those that are trained of `default`; the names are the same for each."""
        mark = f".{adapter}."
        return {name.replace(mark, "."): each for name, each in self.model.named_parameters() if mark in name}

    def load_additions(self, given: Mapping[str, Any], what: str, adapter: str = "default") -> None:
        """Copy parameters into an adapter. Raises `CheckpointError` where names, types or shapes differ."""
        own = self.additions(adapter)
        found = restored_parts(given, tuple(own), what)
        if foreign := sorted(set(found) - set(own)):
            raise CheckpointError(f"{what}: {foreign[0]} is foreign to {self.config.base}: run its manifest anew")
        arrays = {
            name: restored_array(found[name], np.float32, each.shape, f"{what}: {name}") for name, each in own.items()
        }
        with torch.no_grad():
            for name, each in own.items():
                each.copy_(torch.from_numpy(arrays[name]))

    def files(self) -> Mapping[str, bytes | Path]:
        """The additions and their configuration, as PEFT keeps them, and the tokenizer."""
        weights = {name: each.detach().cpu().contiguous() for name, each in self.additions().items()}
        return {
            ADAPTER: save(weights, metadata={"base_sha256": self.base_sha256}),
            ADAPTER_CONFIG: self._adapter_config(),
            **self._tokenizer_files,
        }

    def load_files(self, files: Mapping[str, bytes]) -> None:
        """See `SavedPolicy.load_files`."""
        if set(files) != (expected := {ADAPTER, ADAPTER_CONFIG, *TOKENIZER}):
            got = ", ".join(sorted(files)) or "none"
            raise CheckpointError(f"grpo_hf: got the files {got}, expected {', '.join(sorted(expected))}")
        try:
            weights, base = load(files[ADAPTER]), _metadata(files[ADAPTER]).get("base_sha256")
        except (SafetensorError, ValueError) as error:
            raise CheckpointError(f"{ADAPTER}: not a safetensors file ({error}): run its manifest anew") from error
        if base != self.base_sha256:
            raise CheckpointError(
                f"{ADAPTER}: it belongs to the base {str(base)[:12]}..., and {self.config.base} is "
                f"{self.base_sha256[:12]}...: restore that base"
            )
        if files[ADAPTER_CONFIG] != self._adapter_config():
            raise CheckpointError(f"{ADAPTER_CONFIG}: got other settings than agent.lora: run its manifest anew")
        tokenizer = tokenizer_of(files)
        self.load_additions(weights, f"grpo_hf: {ADAPTER}")
        self.tokenizer, self._tokenizer_files = tokenizer, {name: files[name] for name in TOKENIZER}

    def _adapter_config(self) -> bytes:
        """What PEFT needs to know; sets and versions, which differ from one process to another, are left out."""
        additions = self.model.peft_config["default"]
        said = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.config.base,
            "r": additions.r,
            "lora_alpha": additions.lora_alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": sorted(additions.target_modules),
            "inference_mode": True,
        }
        return json.dumps(said, indent=2).encode()


def _metadata(content: bytes) -> Mapping[str, str]:
    """Of a safetensors file, whose header is JSON after its length."""
    length = int.from_bytes(content[:8], "little")
    found = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return found if isinstance(found, dict) else {}
