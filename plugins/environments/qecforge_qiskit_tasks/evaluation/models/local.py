"""A causal language model on this machine, through `transformers`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qecforge.contracts.text import Prompt, plain_text
from qecforge.errors import ConfigurationError, one_line
from qecforge.machine.extras import missing_dependency
from qecforge_qiskit_tasks.evaluation.models.asking import Answer, Model, Question, Sampling

__all__ = ["LocalModel"]

_BLOCK = 1 << 22


class LocalModel(Model):
    """Weights and tokenizer of a folder, or of a Hugging Face id. Code of a repository is never run.

    Prompts are answered in batches of `Sampling.concurrency`, on a GPU where there is one.
    """

    def __init__(self, path: str, sampling: Sampling) -> None:
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise missing_dependency(f"hf:{path}", "transformers", "llm") from error
        import torch

        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, padding_side="left")
            model: Any = AutoModelForCausalLM.from_pretrained(path)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(
                f"--model: hf:{path} is no causal language model that can be loaded ({one_line(error, 160)})"
            ) from error
        self._model = model.to(self._device).eval()
        self._sampling = sampling
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        revision = _digest(Path(path)) if Path(path).is_dir() else getattr(model.config, "_commit_hash", None)
        self.identity = {"kind": "hf", "name": Path(path).name if Path(path).is_dir() else path, "revision": revision}
        self.says_errors = self._tokenizer.chat_template is not None

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, Answer]]:
        """See `Model.answers`."""
        for start in range(0, len(questions), self._sampling.concurrency):
            batch = questions[start : start + self._sampling.concurrency]
            yield from zip(batch, self._generated(batch), strict=True)

    def _generated(self, batch: Sequence[Question]) -> list[Answer]:
        import torch

        torch.manual_seed(batch[0].seed)
        given = self._tokenizer(
            [self._text(question.prompt) for question in batch],
            return_tensors="pt",
            padding=True,
            add_special_tokens=self._tokenizer.chat_template is None,
        ).to(self._device)
        given.pop("token_type_ids", None)
        temperature = self._sampling.temperature
        drawing = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        with torch.inference_mode():
            tokens = self._model.generate(
                **given,
                **drawing,
                max_new_tokens=self._sampling.max_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        new = tokens[:, given["input_ids"].shape[1] :]
        texts = self._tokenizer.batch_decode(new, skip_special_tokens=True)
        ends = {self._tokenizer.eos_token_id, self._tokenizer.pad_token_id}
        cut = [len(row) >= self._sampling.max_tokens and int(row[-1]) not in ends for row in new]
        return [Answer(text, was_cut) for text, was_cut in zip(texts, cut, strict=True)]

    def _text(self, prompt: Prompt) -> str:
        if self._tokenizer.chat_template is None:
            return plain_text(prompt)
        text: str = self._tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
        return text


def _digest(folder: Path) -> str:
    """SHA-256 of the names and contents of a model's files."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
