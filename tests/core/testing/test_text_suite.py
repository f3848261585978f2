"""The suites of text pass what keeps the contracts (tests/third_party/text) and catch what does not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from qecforge_thirdparty_text import AGENT, ENVIRONMENT, REWARD, LettersConfig
from qecforge_thirdparty_text.agent import TablePolicy, WordTable
from qecforge_thirdparty_text.environment import WORDS, NumberWords

from qecforge.contracts import EPISODE_RETURN, CompiledTextReward, TextOutcome, Verdict
from qecforge.errors import CheckpointError
from qecforge.testing.text import TextAgentContract, TextEnvironmentContract


def suite_of(environment, *, reward=None):
    class Suite(TextEnvironmentContract):
        spec = replace(
            ENVIRONMENT, make=lambda config, *, num_envs, seed, reward: environment(config, num_envs, reward)
        )

        def solution(self, env, task_id):
            return WORDS[int(task_id.removeprefix("number_"))]

    Suite.reward = reward
    return Suite()


class Sound(NumberWords):
    def __init__(self, config, num_envs, reward):
        super().__init__(config, num_envs=num_envs, reward=reward)
        self.calls = 0


class Growing(Sound):
    """Harder with every call."""

    def judge(self, task_ids, completions):
        self.calls += 1
        return [replace(each, score=each.score / self.calls) for each in super().judge(task_ids, completions)]


class Ranked(Sound):
    """A share of what the batch has scored."""

    def judge(self, task_ids, completions):
        outcomes = super().judge(task_ids, completions)
        total = sum(each.score for each in outcomes) or 1.0
        return [replace(each, score=each.score / total) for each in outcomes]


class Lenient(Sound):
    def _outcome(self, task_id, completion):
        return TextOutcome(verdict=Verdict.PASSED, score=1.0)


class Fragile(Sound):
    def _outcome(self, task_id, completion):
        completion.encode()
        return super()._outcome(task_id, completion)


class Alternating(Sound):
    """A component that only some outcomes have."""

    def judge(self, task_ids, completions):
        outcomes = super().judge(task_ids, completions)
        return [replace(each, components={"odd": 1.0} if i % 2 else {}) for i, each in enumerate(outcomes)]


class Overlapping(Sound):
    @property
    def splits(self):
        return {**super().splits, "extra": super().splits["train"][:1]}


class NothingToTrainOn(Sound):
    @property
    def splits(self):
        return {"test": super().splits["test"]}


class Impatient(Sound):
    """Answers itself."""

    def prompt(self, task_id):
        return [*super().prompt(task_id), {"role": "assistant", "content": "Well,"}]


class Moody(Sound):
    """Asks otherwise in another environment."""

    def prompt(self, task_id):
        (message,) = super().prompt(task_id)
        return [message | {"content": f"{message['content']} {id(self)}"}]


class Leaking(Sound):
    def close_extras(self, **kwargs):
        pass


class Remembering(Growing):
    def state_dict(self):
        return {"calls": self.calls}


@pytest.mark.parametrize(
    ("broken", "test", "message"),
    [
        (Growing, "test_no_state_between_calls", "in another order"),
        (Remembering, "test_no_state_between_calls", "in another order"),
        (Ranked, "test_no_state_between_calls", "alone"),
        (Lenient, "test_solutions_pass_and_others_do_not", "number_0"),
        (Lenient, "test_any_text_is_judged", "passed"),
        (Alternating, "test_outcomes", "a component is missing somewhere"),
        (Overlapping, "test_splits", "an id is in two splits"),
        (NothingToTrainOn, "test_splits", "there is no task to train on"),
        (Impatient, "test_prompts", "assistant"),
        (Moody, "test_prompts", "Which number"),
    ],
)
def test_what_breaks_the_contract_of_environments_is_caught(broken, test, message):
    getattr(suite_of(Sound), test)()
    with pytest.raises(AssertionError, match=message):
        getattr(suite_of(broken), test)()


def test_an_environment_that_fails_on_what_a_completion_says_is_caught():
    suite_of(Sound).test_any_text_is_judged()
    with pytest.raises(UnicodeEncodeError):
        suite_of(Fragile).test_any_text_is_judged()


def test_a_reward_of_texts_that_is_never_closed_is_caught():
    reward = REWARD.make(LettersConfig())
    suite_of(Sound, reward=reward).test_closing()
    with pytest.raises(AssertionError, match="compiled reward 1 was closed 0 times"):
        suite_of(Leaking, reward=reward).test_closing()


def test_a_reward_of_texts_says_what_it_could_not_judge():
    class HalfDead(CompiledTextReward):
        components = ("length",)

        def judge(self, batch):
            return [
                TextOutcome(verdict=Verdict.PASSED, score=0.75, components={"length": float(len(each))})
                if each
                else TextOutcome.out_of_order("the device does not answer")
                for each in batch.completions
            ]

    class Batch:
        completions = ("abc", "", "ab")

    scores = HalfDead().score(Batch)
    assert scores.values.tolist() == [0.75, 0.0, 0.75]
    assert scores.solved.tolist() == [True, False, True]
    assert scores.valid.tolist() == [True, False, True]
    assert scores.components["length"].tolist() == [3.0, 0.0, 2.0]
    Batch.completions = ("a", "b")
    assert HalfDead().score(Batch, scores).valid is None
    assert scores.values.tolist() == [0.75, 0.75, 0.75]


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        (Verdict.PASSED, 1.5),
        (Verdict.FAILED, -0.1),
        (Verdict.FAILED, math.nan),
        (Verdict.PASSED, math.inf),
        (Verdict.INFRASTRUCTURE, 0.0),
    ],
)
def test_outcomes_that_cannot_be(verdict, score):
    with pytest.raises(ValueError, match="got the score") as refused:
        TextOutcome(verdict=verdict, score=score)
    assert "\n" not in str(refused.value)


def test_a_component_is_finite():
    with pytest.raises(ValueError, match="gates is nan, expected a finite number"):
        TextOutcome(verdict=Verdict.PASSED, score=1.0, components={"gates": math.nan})


class ZeroForInfrastructure(WordTable):
    """Takes a completion that could not be judged for a wrong one."""

    def _update(self, learner, env, asked, rng):
        return super()._update(learner, _Replacing(env, 0.0), asked, rng)


class Poisoned(WordTable):
    """Sums scores before it looks whether they are any."""

    def _update(self, learner, env, asked, rng):
        metrics = super()._update(learner, env, asked, rng)
        outcomes = env.score(asked, learner.act(env.prompts(asked)))
        return metrics | {EPISODE_RETURN: sum(outcome.score for outcome in outcomes)}


class _Replacing:
    """An environment whose invalid outcomes are numbers."""

    def __init__(self, env, score):
        self.env, self.value = env, score
        self.prompts = env.prompts

    def score(self, task_ids, completions):
        return [
            each if each.valid else TextOutcome(verdict=Verdict.FAILED, score=self.value)
            for each in self.env.score(task_ids, completions)
        ]


class Restless(WordTable):
    """Decays preferences, whether or not there is anything to learn."""

    def _update(self, learner, env, asked, rng):
        learner.preferences -= 0.01 * (1 + learner.preferences)
        learner.preferences[:, 0] += 0.001
        return super()._update(learner, env, asked, rng)


class Forgetful(WordTable):
    """Draws anew after a resumption."""

    def train(self, env, context, **options):
        if context.restored is not None:
            fresh = np.random.default_rng(context.seed).bit_generator.state
            context._restored = {**context.restored, "rng": fresh}
        return super().train(env, context, **options)


class Careless(TablePolicy):
    def load_files(self, files):
        try:
            super().load_files(files)
        except CheckpointError:
            return


class Sampling(TablePolicy):
    """Draws where it should be greedy."""

    def act(self, prompts, *, deterministic=True, rng=None):
        return super().act(prompts, deterministic=False, rng=rng or np.random.default_rng(0))


def agent_suite(agent, policy=None):
    class Made(agent):
        def build_policy(self, env):
            built = super().build_policy(env)
            if policy is not None:
                built.__class__ = policy
            return built

    class Suite(TextAgentContract):
        spec = replace(AGENT, make=Made)

    return Suite()


@pytest.mark.parametrize(
    ("agent", "policy", "test", "error"),
    [
        (ZeroForInfrastructure, None, "test_learns_from_what_could_be_scored", AssertionError),
        (ZeroForInfrastructure, None, "test_nothing_is_learned_from_what_could_not_be_scored", AssertionError),
        (Poisoned, None, "test_reports_finite_metrics", AssertionError),
        (Restless, None, "test_nothing_is_learned_from_what_could_not_be_scored", AssertionError),
        (WordTable, Careless, "test_policy_is_saved_and_loaded", pytest.fail.Exception),
        (WordTable, Sampling, "test_policy_answers_prompts", AssertionError),
    ],
)
def test_what_breaks_the_contract_of_agents_is_caught(agent, policy, test, error):
    getattr(agent_suite(WordTable), test)()
    with pytest.raises(error):
        getattr(agent_suite(agent, policy), test)()


def test_an_agent_whose_generator_is_no_part_of_its_state_is_caught():
    agent_suite(WordTable).test_resumed_equals_uninterrupted(2)
    with pytest.raises(AssertionError):
        agent_suite(Forgetful).test_resumed_equals_uninterrupted(2)
