"""What qecforge asks of every environment of text, reward and agent, asked of this one's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qecforge_thirdparty_text import AGENT, ENVIRONMENT, REWARD, LettersConfig, TableConfig, pin_base
from qecforge_thirdparty_text.environment import WORDS

from qecforge.contracts import TextBatch, TextSubject, Verdict
from qecforge.testing.evaluations import EvaluationContract
from qecforge.testing.rewards import RewardContract, RewardExample
from qecforge.testing.text import TextAgentContract, TextEnvironmentContract


class TestNative(TextEnvironmentContract):
    spec = ENVIRONMENT
    settings = {"numbers": 6}  # noqa: RUF012

    def solution(self, env, task_id):
        return f" {WORDS[int(task_id.removeprefix('number_'))].title()}\n"


class TestWithLetters(TestNative):
    reward = REWARD.make(LettersConfig())


class TestReward(RewardContract):
    spec = REWARD
    settings = {"case": True}  # noqa: RUF012

    def examples(self, rng):
        words = {f"number_{number}": word for number, word in enumerate(WORDS)}
        ids = [f"number_{number}" for number in rng.integers(len(WORDS), size=7)]
        said = ["", "six", *(words[task_id] for task_id in ids[2:5]), "SEVEN", "thirteen"]
        return [RewardExample(TextSubject(words, 7), TextBatch(ids, said), 7)]

    def take(self, batch, rows):
        return TextBatch([batch.task_ids[row] for row in rows], [batch.completions[row] for row in rows])


class TestAgent(TextAgentContract):
    spec = AGENT


class TestAccuracy(EvaluationContract):
    spec = ENVIRONMENT.evaluations[0]
    settings = {"samples": 2}  # noqa: RUF012

    def subject(self):
        env = ENVIRONMENT.make(ENVIRONMENT.config(numbers=2), num_envs=4, seed=0, reward=None)
        return env, AGENT.make(TableConfig(words=("zero", "one"))).build_policy(env)


def test_letters_in_place():
    compiled = REWARD.make(LettersConfig()).compile(TextSubject({"number_3": "three"}, 4))
    batch = TextBatch(["number_3"] * 4, ["Three", "thrice", "tree", ""])
    outcomes = compiled.judge(batch)
    passed, *failed, invalid = (outcome.verdict for outcome in outcomes)
    assert (passed, failed, invalid) == (Verdict.PASSED, [Verdict.FAILED] * 2, Verdict.INVALID)
    assert [outcome.score for outcome in outcomes] == [1.0, 3 / 6, 2 / 5, 0.0]
    scores = compiled.score(batch)
    np.testing.assert_array_equal(scores.solved, [True, False, False, False])
    np.testing.assert_array_equal(scores.components["in_place"], [5, 3, 2, 0])


def test_the_base_is_pinned_by_what_it_holds(tmp_path):
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"words": ["0", "1"], "preferences": [0, 1]}))
    pinned = pin_base(TableConfig(base=str(path)))
    assert len(pinned.base_sha256) == 64
    assert pin_base(pinned) == pinned
    path.write_text(json.dumps({"words": ["0", "1"], "preferences": [0, 2]}))
    with pytest.raises(ValueError, match="expected " + pinned.base_sha256[:12]):
        pin_base(pinned)
    assert pin_base(TableConfig(base=str(path))).base_sha256 != pinned.base_sha256
    missing = {"base": str(tmp_path / "none")}
    for bad, message in ((missing, "cannot be read"), ({"base_sha256": "0"}, "there is no base")):
        with pytest.raises(ValueError, match=message):
            pin_base(TableConfig(**bad))
