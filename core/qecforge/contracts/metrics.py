"""Names that environments and agents share, whoever wrote them: keys of `infos` and metrics of the log. All other
metrics are their plugin's own, and a `RunView` says what people call them."""

from __future__ import annotations

__all__ = ["COST", "EPISODE_LENGTH", "EPISODE_RETURN", "INVALID_REWARDS", "TRUE_COST"]

EPISODE_RETURN = "episode_return"
"""What an episode earned, the score of a completion in a task of text; an agent logs the mean of those that ended since
its last report."""

EPISODE_LENGTH = "episode_length"
"""Steps of an episode."""

INVALID_REWARDS = "invalid_rewards"
"""How many completions since the last report had no score because what judges them was out of order."""

COST = "cost"
"""What is minimised where no episode ends: the mean over candidates and objectives of what was measured in an epoch
(minus the mean reward)."""

TRUE_COST = "true_cost"
"""The same without sampling noise, where the environment knows it."""
