"""What every evaluation that a plugin brings must do.

from qecforge.testing.evaluations import EvaluationContract

class TestMyEvaluation(EvaluationContract):
    spec = my_spec                  # qecforge.hookspecs.EvaluationSpec
    settings = {"trials": 3}        # a configuration that is evaluated within seconds

    def subject(self):
        return my_environment(num_envs=4, seed=0), my_policy()
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from qecforge.contracts.closing import closing
from qecforge.contracts.environment import BaseEnvironment
from qecforge.contracts.policy import SavedPolicy
from qecforge.errors import Interrupted
from qecforge.hookspecs import EvaluationSpec
from qecforge.testing.contexts import RecordingEvaluation

__all__ = ["EvaluationContract"]

_FIRST_CALLS = 5
"""Of an evaluation's calls of its context, those at which the suite cancels the run; and the last."""


class EvaluationContract:
    """Runs as a pytest class: subclass it, set `spec` and `settings`, and give `subject`.

    Attributes:
        spec: The evaluation.
        settings: Fields of its configuration.
    """

    spec: ClassVar[EvaluationSpec]
    settings: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def subject(self) -> tuple[BaseEnvironment, SavedPolicy]:
        """A fresh environment, of arrays or of text, always made alike, and a policy such as a run leaves."""

    def evaluate(self, context: RecordingEvaluation) -> RecordingEvaluation:
        """One evaluation."""
        env, policy = self.subject()
        with closing(env, "the environment"):
            self.spec.evaluate(env, policy, self.spec.config.model_validate(dict(self.settings)), context)
        return context

    def test_spec(self) -> None:
        """The settings are valid, and every one is described."""
        self.spec.config.model_validate(dict(self.settings))
        for name, field in self.spec.config.model_fields.items():
            assert field.description, f"{name} has no description"

    def test_same_seed_same_findings(self) -> None:
        """Evaluated twice with one seed, it files the same to the bit; and it files something."""
        first, again = (self.evaluate(RecordingEvaluation(seed=3)) for _ in range(2))
        assert first.series or first.payloads or first.artifacts, "nothing was filed"
        assert str(first.series) == str(again.series)
        assert first.payloads == again.payloads
        assert first.artifacts == again.artifacts

    def test_the_policy_stays_as_it_is(self) -> None:
        """Its files are the run's result."""
        env, policy = self.subject()
        before = dict(policy.files())
        config = self.spec.config.model_validate(dict(self.settings))
        with closing(env, "the environment"):
            self.spec.evaluate(env, policy, config, RecordingEvaluation(seed=3))
        assert dict(policy.files()) == before

    def test_progress_goes_forward_to_its_end(self) -> None:
        """Where it is reported."""
        reports = self.evaluate(RecordingEvaluation(seed=3)).reports
        assert reports == sorted(reports)
        assert all(0 <= done <= total for done, total in reports)
        if reports:
            assert reports[-1][0] == reports[-1][1], "the last report does not say that all is done"

    def test_stops_when_cancelled(self) -> None:
        """Once the run is cancelled nothing more is filed, and what was filed before is as in the whole evaluation."""
        whole = self.evaluate(RecordingEvaluation(seed=3))
        for calls in sorted({*range(1, min(_FIRST_CALLS, whole.calls) + 1), whole.calls}):
            context = RecordingEvaluation(seed=3, cancel_after=calls)
            with suppress(Interrupted):
                self.evaluate(context)
            assert context.calls <= calls, "it went on after the run was cancelled"
            for metric, values in context.series.items():
                assert str(values) == str({step: whole.series[metric][step] for step in values}), metric
            assert all(whole.payloads[name] == found for name, found in context.payloads.items())
            assert all(whole.artifacts[name] == found for name, found in context.artifacts.items())
