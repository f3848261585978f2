"""The policy that a run left in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qecforge.contracts.closing import closing
from qecforge.contracts.text import TextPolicy
from qecforge.errors import ConfigurationError
from qecforge.registry import Registry
from qecforge.runs.policies import load_policy
from qecforge.store import Store
from qecforge_qiskit_tasks.evaluation.models.asking import Answer, Model, Question, Sampling

__all__ = ["PolicyOfRun"]


class PolicyOfRun(Model):
    """A trained `TextPolicy`. Temperature 0 asks for its likeliest completions, any other for drawn ones: how it draws
    is the policy's own.
    """

    says_errors = True

    def __init__(self, run_id: str, sampling: Sampling, store: Store) -> None:
        run = store.run(run_id)
        env, policy = load_policy(store, run.id, registry=Registry.load(), num_envs=1)
        with closing(env, f"environment {run.environment}"):
            if not isinstance(policy, TextPolicy):
                raise ConfigurationError(
                    f"--model: run {run.id} ({run.agent} on {run.environment}) left a policy that does not answer "
                    "prompts, expected a run on text"
                )
        self._policy, self._sampling = policy, sampling
        files = {each.name: each.sha256 for each in store.artifacts(run.id, kind="policy")}
        self.identity = {"kind": "run", "run": run.id, "name": run.name, "files": files}

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, Answer]]:
        """See `Model.answers`."""
        for start in range(0, len(questions), self._sampling.concurrency):
            batch = questions[start : start + self._sampling.concurrency]
            rng = np.random.default_rng(batch[0].seed)
            texts = self._policy.act(
                [question.prompt for question in batch], deterministic=self._sampling.temperature == 0, rng=rng
            )
            yield from ((question, Answer(text)) for question, text in zip(batch, texts, strict=True))
