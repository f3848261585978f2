"""Steps per second of environment `humanoid` beside plain Gymnasium: Humanoid-v4, and the batch of pendulums.

Every script in this folder has a docstring whose first line says what it shows, and `run(quick) -> list[dict]`. A row
holds at least `claim`, `ours`, `peer`, `peer_name`, `ratio`, `target` and `unit`; `qecforge bench` prints them.

Random actions, the same for both; a step of B members counts B. CPU seconds of this process, in which the two take
turns in rounds of some hundred steps; what is printed is the median over rounds, and of the rounds' ratios.

Peers: `gymnasium.make(id)` as it comes, stepped in a loop that resets what ended, for one member; for more,
`gymnasium.make_vec(id, vectorization_mode="sync")` with its autoreset in the same step.

    python benchmarks/humanoid_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

CASES = (("Humanoid-v4", 1, 300), ("Humanoid-v4", 4, 100), ("Pendulum-v1", 64, 200))
"""Id, members, steps of a round."""


def gymnasium_steps(name: str, num_envs: int) -> Callable[[Any], None]:
    """Steps Gymnasium's own environment."""
    import gymnasium
    from gymnasium.vector import AutoresetMode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if num_envs > 1:
            settings = {"autoreset_mode": AutoresetMode.SAME_STEP}
            batch = gymnasium.make_vec(name, num_envs, vectorization_mode="sync", vector_kwargs=settings)
            batch.reset(seed=0)
            return lambda actions: batch.step(actions) and None
        single = gymnasium.make(name)
    single.reset(seed=0)

    def step(actions: Any) -> None:
        _, _, terminated, truncated, _ = single.step(actions[0])
        if terminated or truncated:
            single.reset()

    return step


def our_steps(name: str, num_envs: int, *, normalized: bool = False) -> Callable[[Any], None]:
    """Steps environment `humanoid`."""
    from qecforge_humanoid import HumanoidConfig, make

    config = HumanoidConfig(id=name, normalize_observations=normalized)
    env = make(config, num_envs=num_envs, seed=0, reward=None)
    env.reset(seed=0)
    return lambda actions: env.step(actions) and None


def rates(steppers: list[Callable[[Any], None]], actions: Any, rounds: int) -> list[list[float]]:
    """Steps of a member in a CPU second, for each stepper and round. The first round is not counted."""
    found: list[list[float]] = [[] for _ in steppers]
    for number in range(rounds + 1):
        for which, step in enumerate(steppers):
            begun = time.process_time()
            for each in actions:
                step(each)
            if number:
                found[which].append(actions.shape[0] * actions.shape[1] / (time.process_time() - begun))
    return found


def run(quick: bool) -> list[dict[str, Any]]:
    """A row for each case, and one with normalised observations. `quick`: fewer rounds."""
    import gymnasium

    rows = []
    for name, num_envs, steps in CASES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            space = gymnasium.make(name).action_space
        rng = np.random.default_rng(0)
        actions = rng.uniform(space.low, space.high, (steps, num_envs, *space.shape)).astype(np.float32)
        steppers = [our_steps(name, num_envs), our_steps(name, num_envs, normalized=True)]
        ours, normalized, theirs = rates([*steppers, gymnasium_steps(name, num_envs)], actions, 5 if quick else 21)
        for mine, what in ((ours, ""), (normalized, ", normalised")):
            ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
            rows.append(
                {
                    "claim": f"{name}, {num_envs} members{what}",
                    "ours": statistics.median(mine),
                    "peer": statistics.median(theirs),
                    "peer_name": f"Gymnasium {gymnasium.__version__}",
                    "ratio": statistics.median(ratios),
                    "target": None,
                    "unit": "steps/s of CPU",
                }
            )
    return rows


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    print(f"{'claim':44} {'ours':>9} {'peer':>9} {'ratio':>6}  peer, unit")
    for row in run(parser.parse_args(argv).quick):
        print(
            f"{row['claim']:44} {row['ours']:>9,.0f} {row['peer']:>9,.0f} {row['ratio']:>6.2f}  "
            f"{row['peer_name']}; {row['unit']}"
        )


if __name__ == "__main__":
    main()
