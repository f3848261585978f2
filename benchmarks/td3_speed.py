"""TD3 on Humanoid-v4 beside Stable-Baselines3 and sbx, and the fit of qtDNN beside torch's Adam: CPU time.

All train with one update of 256 transitions for each step, on networks of two hidden layers of 256 units, and take
turns in one process: a round of steps each. Figures are medians over the rounds, ratios the medians of each round's
(other work on the machine slows all that take turns in it).
What qecforge does besides, with its circuits and qtDNN, is compared with the plain TD3 of the faster peer.

    python benchmarks/td3_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from qecforge.environments import GymnasiumAdapter
from qecforge.machine.threads import compute_on
from qecforge.testing.contexts import RecordingContext
from qecforge_td3 import TD3Config
from qecforge_td3.agent import _Training
from qecforge_td3.quantum import TangentialNetwork

WARM_UP, STEPS, ROUNDS = 300, 20, 15
ARMS = (("none", "tangential", 1.5), ("pqc", "exact", 0.7), ("pqc", "tangential", 0.35))
"""Block, gradient, and how much of the faster peer's speed is to be reached."""


def run(quick: bool) -> list[dict[str, Any]]:
    """A row for the fit, and one for each arm."""
    compute_on(1)
    rounds = 2 if quick else ROUNDS
    rows = [fit_row(rounds)]
    peers = {name: made for name, make in (("Stable-Baselines3", sb3), ("sbx", sbx)) if (made := make()) is not None}
    ours = {f"{block}, {gradient}": qecforge(block, gradient) for block, gradient, _ in ARMS}
    seconds = seconds_a_step(ours | peers, rounds)
    peer = min(peers, key=lambda name: float(np.median(seconds[name]))) if peers else None
    for (block, gradient, target), name in zip(ARMS, ours, strict=True):
        words = "plain TD3" if block == "none" else f"{block}, gradient {gradient}"
        row: dict[str, Any] = {
            "claim": f"Humanoid-v4, {words}",
            "ours": 1 / float(np.median(seconds[name])),
            "unit": "steps per CPU second",
            "target": target,
        }
        if peer is not None:
            row |= {
                "peer": 1 / float(np.median(seconds[peer])),
                "peer_name": f"{peer}, plain TD3",
                "ratio": ratio(seconds[peer], seconds[name]),
                "ratios": {each: ratio(seconds[each], seconds[name]) for each in peers},
            }
        rows.append(row)
    return rows + cuda_rows(rounds)


def cuda_rows(rounds: int) -> list[dict[str, Any]]:
    """The same steps with the networks on a CUDA device, by the clock on the wall; none where there is no device."""
    if not torch.cuda.is_available():
        return []
    rows = []
    for block, gradient, _ in ARMS:
        play, took = qecforge(block, gradient, "cuda"), []
        for _ in range(rounds):
            begun = time.perf_counter()
            play(STEPS)
            torch.cuda.synchronize()
            took.append((time.perf_counter() - begun) / STEPS)
        speed = 1 / float(np.median(took))
        claim = f"Humanoid-v4 on {torch.cuda.get_device_name()}, {block}, {gradient}"
        rows.append({"claim": claim, "ours": speed, "unit": "steps per second", "target": None})
    return rows


def ratio(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> float:
    """How many times as fast ours is: the median over the rounds, in each of which both met the same load."""
    return float(np.median(theirs / ours))


def seconds_a_step(arms: dict[str, Callable[[int], None]], rounds: int) -> dict[str, NDArray[np.float64]]:
    """CPU seconds a step of each arm, in each round."""
    found: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, play in arms.items():
            begun = time.process_time()
            play(STEPS)
            found[name].append((time.process_time() - begun) / STEPS)
    return {name: np.array(each) for name, each in found.items()}


def humanoid() -> gymnasium.Env[Any, Any]:
    """Humanoid-v4, for which Gymnasium warns that there is a v5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gymnasium.make("Humanoid-v4")


def qecforge(block: str, gradient: str, device: str = "cpu") -> Callable[[int], None]:
    """Steps of ours, each with its update."""
    config = TD3Config.model_validate(
        {"block": block, "gradient": gradient, "learning_starts": WARM_UP, "replay_capacity": 20_000, "device": device}
    )
    env = GymnasiumAdapter(humanoid, num_envs=1, seed=0, resumes="between_episodes")
    training = _Training(config, env, RecordingContext(env), None)
    training.start()

    def play(steps: int) -> None:
        for _ in range(steps):
            training.collect()
            training.update()

    for _ in range(WARM_UP):
        training.collect()
    play(10)
    return play


def sb3() -> Callable[[int], None] | None:
    """Steps of Stable-Baselines3's TD3; None where it is not installed."""
    try:
        from stable_baselines3 import TD3
    except ImportError:
        return None
    return peer(TD3, {"device": "cpu"})


def sbx() -> Callable[[int], None] | None:
    """Steps of sbx's TD3, compiled by JAX; None where it is not installed."""
    try:
        from sbx import TD3
    except ImportError:
        return None
    return peer(TD3, {})


def peer(algorithm: Any, options: dict[str, Any]) -> Callable[[int], None]:
    """Steps of a peer's `learn`, each with its update."""
    noise = 0.1 * 0.4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from stable_baselines3.common.noise import NormalActionNoise

        model = algorithm(
            "MlpPolicy", humanoid(), learning_rate=3e-4, buffer_size=20_000, learning_starts=WARM_UP, batch_size=256,
            train_freq=1, gradient_steps=1, action_noise=NormalActionNoise(np.zeros(17), noise * np.ones(17)),
            policy_kwargs={"net_arch": [256, 256]}, **options,
        )  # fmt: skip
        compute_on(1)
        model.learn(WARM_UP + 20)

    def play(steps: int) -> None:
        model.learn(steps, reset_num_timesteps=False)

    return play


def fit_row(rounds: int) -> dict[str, Any]:
    """32 updates of [220, 2048, 10] on tiny batches of 8."""
    ours = TangentialNetwork(220, 10)
    layers = torch.nn.Sequential(torch.nn.Linear(220, 2048), torch.nn.LeakyReLU(), torch.nn.Linear(2048, 10))
    adam = torch.optim.Adam(layers.parameters(), lr=3e-4, fused=True)
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.normal(size=(256, 220)).astype(np.float32))
    bits = torch.from_numpy((rng.random((256, 10)) < 0.5).astype(np.float32))

    def by_torch(_: int) -> None:
        for chosen in torch.randperm(256).view(32, 8):
            loss = functional.binary_cross_entropy_with_logits(layers(inputs[chosen]), bits[chosen])
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()

    def by_ours(_: int) -> None:
        ours.fit(inputs, bits, rng)

    by_ours(1)
    by_torch(1)
    seconds = seconds_a_step({"ours": by_ours, "torch": by_torch}, 4 * rounds)
    return {
        "claim": "qtDNN, 32 fits of 8, each of [220, 2048, 10]",
        "ours": 1e3 * STEPS * float(np.median(seconds["ours"])),
        "peer": 1e3 * STEPS * float(np.median(seconds["torch"])),
        "peer_name": "torch, fused Adam",
        "ratio": ratio(seconds["torch"], seconds["ours"]),
        "unit": "ms of CPU time",
        "target": 2.5,
    }


def main(argv: list[str] | None = None) -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    for row in run(parser.parse_args(argv).quick):
        beside = f"{row['peer_name']} {row['peer']:7.1f}, ratio {row['ratio']:.2f}" if "peer" in row else "no peer"
        rest = "".join(f", {each:.2f} of {name}'s" for name, each in row.get("ratios", {}).items())
        print(f"{row['claim']:45} {row['ours']:7.1f} {row['unit']}, {beside}, target {row['target']}{rest}")


if __name__ == "__main__":
    main()
