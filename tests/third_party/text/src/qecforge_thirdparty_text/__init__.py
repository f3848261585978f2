"""Numbers written as words: a task of text, a reward for it, and an agent that learns it with a table."""

from __future__ import annotations

from pydantic import Field

from qecforge.contracts import COMPLETIONS, PluginConfig, read_named_file
from qecforge.errors import ConfigurationError
from qecforge.hookspecs import AgentSpec, EnvironmentSpec, EvaluationSpec, RewardSpec, hookimpl

__all__ = ["AGENT", "DIGITS", "ENVIRONMENT", "REWARD", "AccuracyConfig", "LettersConfig", "TableConfig", "WordsConfig"]

DIGITS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


class WordsConfig(PluginConfig):
    """Which number is 3? Three."""

    numbers: int = Field(5, ge=2, le=10, description="Numbers to train on, from 0 on.")
    held_out: int = Field(2, ge=1, le=3, description="Numbers after them, for evaluations alone.")


class LettersConfig(PluginConfig):
    """How much of the word is there."""

    case: bool = Field(False, description="Whether capital letters count as other letters.")


class TableConfig(PluginConfig):
    """REINFORCE with groups of completions of one prompt."""

    words: tuple[str, ...] = Field(DIGITS, min_length=2, description="All that the agent can say.")
    base: str | None = Field(
        None, description="Path of a JSON file of words and their first preferences; null: `words`."
    )
    base_sha256: str | None = Field(None, description="SHA-256 of that file; filled in while the manifest is read.")
    total_steps: int = Field(1280, ge=1, description="Completions to train for.")
    prompts: int = Field(4, ge=1, description="Prompts asked together.")
    group_size: int = Field(8, ge=2, description="Completions of each.")
    step_size: float = Field(2.0, gt=0, description="Step size of the preferences.")


class AccuracyConfig(PluginConfig):
    """How often the policy passes."""

    samples: int = Field(8, ge=1, description="Completions of each prompt that are drawn.")


def _make_words(config, *, num_envs, seed, reward):
    from qecforge_thirdparty_text.environment import NumberWords

    return NumberWords(config, num_envs=num_envs, reward=reward)


def _make_letters(config):
    from qecforge_thirdparty_text.reward import Letters

    return Letters(config)


def _make_table(config):
    from qecforge_thirdparty_text.agent import WordTable

    return WordTable(config)


def _accuracy(env, policy, config, context):
    from qecforge_thirdparty_text.environment import accuracy

    accuracy(env, policy, config, context)


def pin_base(config: TableConfig) -> TableConfig:
    """With the hash of the base. Raises `ValueError` where it is missing, or another than the one that stands there."""
    if config.base is None:
        if config.base_sha256 is not None:
            raise ValueError("base_sha256: there is no base: name its file, or remove the hash")
        return config
    try:
        file = read_named_file(config.base, sha256=config.base_sha256)
    except ConfigurationError as error:
        raise ValueError(f"base: {error}") from error
    return config.model_copy(update={"base": str(file.path), "base_sha256": file.sha256})


ENVIRONMENT = EnvironmentSpec(
    name="number_words",
    summary="Which number is this? Answer with the word",
    config=WordsConfig,
    make=_make_words,
    actions="text",
    shows=COMPLETIONS,
    native_reward=True,
    evaluations=(
        EvaluationSpec(
            name="accuracy", summary="How often each split passes", config=AccuracyConfig, evaluate=_accuracy
        ),
    ),
)
REWARD = RewardSpec(
    name="letters",
    summary="The share of the word's letters that are in place",
    config=LettersConfig,
    make=_make_letters,
    scores=COMPLETIONS,
)
AGENT = AgentSpec(
    name="word_table",
    summary="A table of words for each prompt, trained by REINFORCE with groups",
    config=TableConfig,
    make=_make_table,
    trains_on=frozenset({"text"}),
    pin=pin_base,
)


@hookimpl
def qecforge_environments():
    """The numbers."""
    return [ENVIRONMENT]


@hookimpl
def qecforge_rewards():
    """The letters."""
    return [REWARD]


@hookimpl
def qecforge_agents():
    """The table."""
    return [AGENT]
