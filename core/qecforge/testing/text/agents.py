"""The suite of agents for text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from qecforge.contracts.metrics import EPISODE_RETURN, INVALID_REWARDS
from qecforge.contracts.text import TextAgent, TextPolicy
from qecforge.errors import CheckpointError, ConfigurationError, InfrastructureError, Interrupted
from qecforge.hookspecs import AgentSpec
from qecforge.testing.contexts import RecordingContext
from qecforge.testing.text.environments import DigitTask

__all__ = ["TextAgentContract"]


class TextAgentContract:
    """Runs as a pytest class: subclass it, set `spec` and `settings`.

    Attributes:
        spec: The agent.
        settings: A configuration that learns `DigitTask` within seconds, in at least four iterations.
        clock_prefix: Metrics with this prefix may differ between equal runs (clock times).
    """

    spec: ClassVar[AgentSpec]
    settings: ClassVar[Mapping[str, Any]] = {}
    clock_prefix: ClassVar[str] = "time/"

    def make(self) -> TextAgent:
        """The agent with `settings`."""
        return self.spec.make(self.spec.config.model_validate(dict(self.settings)))

    def train(
        self, *, seed: int = 0, stop_after: int | None = None, out_of_order: int = 0
    ) -> tuple[TextPolicy, RecordingContext]:
        """A fresh training on digits."""
        agent = self.make()
        env = DigitTask(agent.num_envs, out_of_order=out_of_order)
        context = RecordingContext(env, seed, stop_after=stop_after)
        return agent.train(env, context), context

    def timeless(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """`metrics` without clock times."""
        return {name: value for name, value in metrics.items() if not name.startswith(self.clock_prefix)}

    def test_spec(self) -> None:
        """The spec names an agent for text whose settings are valid, and every setting is described."""
        assert "text" in self.spec.trains_on
        assert self.make().num_envs >= 1
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{name} has no description"

    def test_learns_to_write_a_digit(self) -> None:
        """The policy passes the tasks of `train`, its likeliest completions all of them and drawn ones mostly."""
        policy, context = self.train()
        env = DigitTask()
        ids = list(env.splits["train"]) * 20
        for deterministic, least in ((True, 0.99), (False, 0.8)):
            completions = policy.act(env.prompts(ids), deterministic=deterministic, rng=np.random.default_rng(1))
            assert np.mean([outcome.score for outcome in env.score(ids, completions)]) > least
        returns = context.metrics[EPISODE_RETURN]
        assert returns[-1] > 0.8
        assert set(context.metrics[INVALID_REWARDS]) == {0.0}

    def test_same_seed_same_policy(self) -> None:
        """Two trainings from one seed agree bit for bit, from another seed they do not."""
        first, context = self.train(seed=3, stop_after=3)
        second, again = self.train(seed=3, stop_after=3)
        other, _ = self.train(seed=4, stop_after=3)
        assert _files(first) == _files(second)
        assert self.timeless(context.metrics) == self.timeless(again.metrics)
        assert _files(first) != _files(other)

    @pytest.mark.parametrize("after", [1, 2, 3])
    def test_resumed_equals_uninterrupted(self, after: int) -> None:
        """Interrupted at its n-th report, saved, restored in new objects: it goes on from there, to the same files and
        metrics where its spec says that it resumes to the bit."""
        whole, reference = self.train(seed=5, stop_after=4)
        agent = self.make()
        interrupted = RecordingContext(DigitTask(agent.num_envs), 5, interrupt_after=after)
        with pytest.raises(Interrupted):
            agent.train(interrupted.env, interrupted)
        agent = self.make()
        context = RecordingContext(
            DigitTask(agent.num_envs), 5, checkpoint=interrupted.checkpoint, stop_after=4 - after + 1
        )
        resumed = agent.train(context.env, context)
        assert context.advances[0].step == interrupted.advances[-1].step
        if self.spec.resumes != "to_the_bit":
            return
        assert _files(resumed) == _files(whole)
        for advance, expected in zip(context.advances[1:], reference.advances[after:], strict=True):
            assert advance.step == expected.step
            assert self.timeless(advance.metrics) == self.timeless(expected.metrics)

    def test_stops_when_told(self) -> None:
        """After `advance` said no, nothing more is trained; steps are completions that were scored."""
        _, context = self.train(stop_after=2)
        assert len(context.advances) == 2
        assert context.advances[0].step == 0
        assert context.advances[1].step > 0

    def test_reports_finite_metrics(self) -> None:
        """`episode_return`, `invalid_rewards` and all others are finite, whether or not there are scores."""
        for out_of_order in (0, 2):
            _, context = self.train(stop_after=3, out_of_order=out_of_order)
            assert {EPISODE_RETURN, INVALID_REWARDS} <= set(context.metrics)
            assert all(np.isfinite(values).all() for values in context.metrics.values())

    def test_learns_from_what_could_be_scored(self) -> None:
        """Where each second completion has no score, it learns all the same, and counts them."""
        policy, context = self.train(out_of_order=2)
        env = DigitTask()
        ids = list(env.splits["train"])
        assert all(
            outcome.score == 1 for outcome in env.score(ids, policy.act(env.prompts(ids), rng=np.random.default_rng(0)))
        )
        assert sum(context.metrics[INVALID_REWARDS]) == pytest.approx(context.advances[-1].step / 2, abs=1)
        assert context.metrics[EPISODE_RETURN][-1] > 0.8, "the mean score is of completions that have one"

    def test_nothing_is_learned_from_what_could_not_be_scored(self) -> None:
        """Where no completion has a score the policy stays as it was, or `InfrastructureError` ends the training."""
        untrained, _ = self.train(stop_after=1)
        try:
            policy, context = self.train(stop_after=4, out_of_order=1)
        except InfrastructureError:
            return
        assert _files(policy) == _files(untrained)
        assert sum(context.metrics[INVALID_REWARDS]) == context.advances[-1].step

    def test_policy_answers_prompts(self) -> None:
        """One text for each prompt, of any number of messages; greedy is greedy, and drawn is what `rng` draws."""
        policy, _ = self.train(stop_after=2)
        env = DigitTask()
        asked = env.prompts(list(env.splits["train"]) * 8)
        asked.append([{"role": "system", "content": "Be brief."}, *asked[0]])
        for deterministic in (True, False):
            answers = [
                policy.act(asked, deterministic=deterministic, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
            ]
            assert all(isinstance(answer, str) for answer in answers[0])
            assert len(answers[0]) == len(asked)
            assert answers[0] == answers[1]
            assert (answers[0] == answers[2]) == deterministic
            assert policy.act([], deterministic=deterministic, rng=np.random.default_rng(1)) == []
        one, all_of_them = (policy.act(each, rng=np.random.default_rng(0)) for each in (asked[:1], asked))
        assert one == all_of_them[:1]
        with pytest.raises(ConfigurationError):
            policy.act(asked, deterministic=False, rng=None)

    def test_policy_is_saved_and_loaded(self) -> None:
        """Its files in an untrained policy give the same answers; foreign, missing and damaged ones are refused."""
        policy, context = self.train(stop_after=3)
        files = _files(policy)
        assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name) for name in files)
        copy = self.make().build_policy(context.env)
        copy.load_files(files)
        assert _files(copy) == files
        asked = context.env.prompts(list(context.env.splits["train"]) * 8)
        for deterministic in (True, False):
            ours = policy.act(asked, deterministic=deterministic, rng=np.random.default_rng(1))
            assert copy.act(asked, deterministic=deterministic, rng=np.random.default_rng(1)) == ours
        bad = [{"foreign.bin": b""}, {**files, "foreign.bin": b""}, {}]
        bad += [{name: content for name, content in files.items() if name != without} for without in files]
        bad += [{**files, name: b"damaged"} for name in files]
        for each in bad:
            with pytest.raises(CheckpointError) as refused:
                self.make().build_policy(context.env).load_files(each)
            assert "\n" not in str(refused.value)


def _files(policy: TextPolicy) -> dict[str, bytes]:
    return {name: each if isinstance(each, bytes) else each.read_bytes() for name, each in policy.files().items()}
