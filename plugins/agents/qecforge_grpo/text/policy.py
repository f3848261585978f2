"""The tiny model as a policy: weights and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from qecforge.contracts import Prompt, TextEnvironment, TextPolicy, plain_text
from qecforge.contracts.policy import WEIGHTS
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.restoring_torch import check_networks
from qecforge_grpo.text.completing import asked, complete
from qecforge_grpo.text.config import TextGRPOConfig
from qecforge_grpo.text.decoder import Decoder
from qecforge_grpo.text.tokenizer import FIRST_MERGE, Tokenizer, learn_merges

__all__ = ["TOKENIZER", "TinyPolicy", "tokenizer_for"]

TOKENIZER = "tokenizer.json"
_ROWS = 256
"""Prompts that are answered at once."""


class TinyPolicy(TextPolicy):
    """Answers prompts at temperature 1, or greedily."""

    def __init__(self, config: TextGRPOConfig, tokenizer: Tokenizer, generator: torch.Generator) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.model = Decoder(config.model, len(tokenizer), generator)

    def asked(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Tokens of prompts, with the mark of their end."""
        return [asked(self.tokenizer.encode(plain_text(each))) for each in prompts]

    def act(
        self, prompts: Sequence[Prompt], *, deterministic: bool = True, rng: np.random.Generator | None = None
    ) -> list[str]:
        """See `TextPolicy.act`."""
        generator = None
        if not deterministic:
            if rng is None:
                raise ConfigurationError("grpo_text: drawn completions need a generator, got none: give `rng`")
            generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self.model.eval()
        said: list[str] = []
        for start in range(0, len(prompts), _ROWS):
            tokens = self.asked(prompts[start : start + _ROWS])
            completed = complete(self.model, tokens, longest=self.config.longest_completion, generator=generator)
            said += [self.tokenizer.decode(each) for each in completed.texts()]
        return said

    def files(self) -> Mapping[str, bytes | Path]:
        """Weights and tokenizer."""
        weights = {name: each.detach().contiguous() for name, each in self.model.state_dict().items()}
        return {WEIGHTS: save(weights), TOKENIZER: self.tokenizer.to_bytes()}

    def load_files(self, files: Mapping[str, bytes]) -> None:
        """See `SavedPolicy.load_files`."""
        if set(files) != {WEIGHTS, TOKENIZER}:
            got = ", ".join(sorted(files)) or "none"
            raise CheckpointError(f"grpo_text: got the files {got}, expected {WEIGHTS} and {TOKENIZER}")
        tokenizer = Tokenizer.from_bytes(files[TOKENIZER])
        try:
            weights = load(files[WEIGHTS])
        except SafetensorError as error:
            raise CheckpointError(f"{WEIGHTS}: not a safetensors file ({error}): run its manifest anew") from error
        model = Decoder(self.config.model, len(tokenizer), torch.Generator().manual_seed(0))
        check_networks(weights, model, f"grpo_text: {WEIGHTS}")
        model.load_state_dict(weights)
        self.tokenizer, self.model = tokenizer, model


def tokenizer_for(env: TextEnvironment, vocabulary: int) -> Tokenizer:
    """Of the prompts and demonstrations of the split `train`."""
    texts = [plain_text(each) for each in env.prompts(env.splits["train"])]
    texts += [completion for _, completion in env.demonstrations("train")]
    return Tokenizer(learn_merges(texts, vocabulary - FIRST_MERGE))
