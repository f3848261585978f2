"""Tokenizer and weights of a base, from this machine's files alone."""

from __future__ import annotations

import io
import json
import random
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qecforge.errors import CheckpointError, ConfigurationError, one_line
from qecforge.machine.extras import missing_dependency
from qecforge_grpo.hf.base import Base

__all__ = [
    "TOKENIZER",
    "check_installed",
    "load_model",
    "load_tokenizer",
    "own_randomness",
    "quiet",
    "tokenizer_files",
    "tokenizer_of",
    "without_warnings",
]

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_OF_ITS_PLACE = ("is_local", "local_files_only", "name_or_path", "gguf_file")
"""What a tokenizer's configuration says of where it was read."""


def check_installed(base: Base) -> None:
    """Raises `MissingDependency` where a package of the extra `llm` is missing."""
    needed = ["transformers", "trl", "peft", "datasets", "accelerate", *(["gguf"] if base.gguf is not None else [])]
    for package in needed:
        if find_spec(package) is None:
            raise missing_dependency("agent grpo_hf", package, "llm")


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """In the block, the global generators of torch, numpy and Python, which libraries draw from, begin with `seed`;
    afterwards they are as they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


@contextmanager
def without_warnings() -> Iterator[None]:
    """In the block, what libraries warn of among themselves is not shown."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(transformers|trl|peft|accelerate|datasets|torch)\b")
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """In the block, transformers and its readers show no bars, one of which cannot be turned off, and warn of
    nothing."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()), without_warnings():
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_tokenizer(base: Base) -> Any:
    """Raises `ConfigurationError` where there is none."""
    from transformers import AutoTokenizer

    options = {} if base.gguf is None else {"gguf_file": base.gguf}
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True, **options)
    except Exception as error:  # tokenizers raises no narrower one
        raise ConfigurationError(
            f"agent.base: {base.name} has no tokenizer that can be loaded ({one_line(error, 160)}): save one there "
            "with `tokenizer.save_pretrained`"
        ) from error
    return _ready(tokenizer, base.name)


def tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    """The tokenizer as files, chat template included, without what its configuration says of where it was read."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder, save_jinja_files=False)
        files = {name: Path(folder, name).read_bytes() for name in TOKENIZER if Path(folder, name).is_file()}
    if len(files) != len(TOKENIZER):
        raise ConfigurationError(
            f"agent.base: its tokenizer cannot be written as {TOKENIZER[0]}: take a model with a fast tokenizer"
        )
    config = {key: value for key, value in json.loads(files[TOKENIZER[1]]).items() if key not in _OF_ITS_PLACE}
    return files | {TOKENIZER[1]: json.dumps(config, indent=2, sort_keys=True).encode()}


def tokenizer_of(files: Mapping[str, bytes]) -> Any:
    """From what `tokenizer_files` gave. Raises `CheckpointError` for anything else."""
    from transformers import AutoTokenizer

    try:
        for name in TOKENIZER:
            if not isinstance(json.loads(files[name]), dict):
                raise ValueError(f"{name} is no JSON object")
        with tempfile.TemporaryDirectory() as folder, quiet():
            for name in TOKENIZER:
                Path(folder, name).write_bytes(files[name])
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises no narrower one
        raise CheckpointError(
            f"grpo_hf: the tokenizer's files cannot be read ({one_line(error, 160)}): run its manifest anew"
        ) from error
    return _ready(tokenizer, "the policy")


def load_model(base: Base, dtype: torch.dtype, device: torch.device) -> Any:
    """The base, frozen. Raises `ConfigurationError` where it is no causal language model that can be loaded."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    options: dict[str, Any] = {"use_safetensors": True}
    if base.gguf is not None:
        from transformers import GgufConfig

        options = {"gguf_file": base.gguf, "quantization_config": GgufConfig(dequantize=True)}
    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype, local_files_only=True, **options)
    except Exception as error:  # safetensors and readers of GGUF raise what they like
        raise ConfigurationError(
            f"agent.base: {base.name} is no causal language model that can be loaded ({one_line(error, 160)})"
        ) from error
    # Only what ends a completion is the base's to say: it may ask for other temperatures, or forbid repetitions.
    model.generation_config = GenerationConfig(eos_token_id=model.generation_config.eos_token_id)
    return model.to(device).eval().requires_grad_(False)


def _ready(tokenizer: Any, name: str) -> Any:
    """With a token that pads, on the left."""
    if tokenizer.eos_token_id is None:
        raise ConfigurationError(
            f"agent.base: the tokenizer of {name} has no token that ends a text (eos_token): name it in its "
            "tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer
