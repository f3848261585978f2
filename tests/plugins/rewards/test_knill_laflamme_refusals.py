"""What `knill_laflamme` refuses, and how its method is chosen."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from qecforge.codes.packed import TableauBatch, TableauSubject
from qecforge.errors import ConfigurationError
from qecforge.testing.rewards import random_tableaus
from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig, violates_below


def compiled(subject: TableauSubject, **settings: Any) -> Any:
    return KnillLaflamme(KnillLaflammeConfig(**settings)).compile(subject)


@pytest.mark.parametrize(
    "settings",
    [
        {"error_probability": 0},
        {"error_probability": 1.5},
        {"bias": -1},
        {"scale": 0},
        {"form": "gain"},
        {"method": "guess"},
        {"softness": 1},
    ],
)
def test_config_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KnillLaflammeConfig(**settings)


@pytest.mark.parametrize(
    ("subject", "settings", "says"),
    [
        (TableauSubject(5, 5, 2, 1), {}, "1 <= k < n"),
        (TableauSubject(5, 0, 2, 1), {}, "1 <= k < n"),
        (TableauSubject(100, 40, 2, 1), {}, "n [+] k <= 128"),
        (TableauSubject(5, 1, 0, 1), {}, "distance of at least 1"),
        (TableauSubject(60, 1, 12, 1), {}, "out of reach"),
        (TableauSubject(60, 1, 3, 1), {"method": "enumerator"}, "set method: auto"),
        (TableauSubject(30, 1, 20, 1), {"method": "meet_in_the_middle"}, "set method: auto"),
        (TableauSubject(9, 1, 3, 1, "shared", False), {"method": "enumerator"}, "same on all qubits"),
        (TableauSubject(60, 1, 9, 1, "shared", False), {"form": "residual", "weighted": True}, "out of reach"),
    ],
)
def test_compile_refuses(subject: TableauSubject, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        compiled(subject, **settings)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "batch",
    [
        TableauBatch(np.zeros((2, 6, 2, 1), np.uint64)),
        TableauBatch(np.zeros((3, 5, 2, 1), np.uint64)),
        TableauBatch(np.zeros((2, 5, 2, 2), np.uint64)),
        TableauBatch(np.zeros((2, 5, 2, 1), np.uint32)),  # type: ignore[arg-type]
        TableauBatch(np.zeros((2, 5, 2, 1), np.uint64), np.full((5, 4), 0.25)),
    ],
)
def test_score_refuses_another_subjects_batch(batch: TableauBatch) -> None:
    with pytest.raises(ConfigurationError, match="knill_laflamme: "):
        compiled(TableauSubject(5, 1, 3, 2)).score(batch)


def test_score_refuses_noise_that_is_no_probability() -> None:
    batch = TableauBatch(random_tableaus(5, 1, 2, np.random.default_rng(0)), np.full((5, 4), 0.3))
    with pytest.raises(ConfigurationError, match="add up to 1"):
        compiled(TableauSubject(5, 1, 3, 2, "shared")).score(batch)


def test_shared_noise_may_change_between_calls() -> None:
    words = random_tableaus(5, 1, 2, np.random.default_rng(0))
    reward = compiled(TableauSubject(5, 1, 3, 2, "shared"))
    values = {}
    for p in (0.1, 0.2, 0.1):
        noise = np.tile([1 - p, p / 3, p / 3, p / 3], (5, 1))
        values.setdefault(p, []).append(reward.score(TableauBatch(words, noise)).values.copy())
    np.testing.assert_array_equal(values[0.1][0], values[0.1][1])
    assert (values[0.1][0] != values[0.2][0]).any()


def test_empty_batch_and_distance_one() -> None:
    empty = TableauBatch(np.zeros((0, 5, 2, 1), np.uint64))
    assert len(compiled(TableauSubject(5, 1, 3, 4)).score(empty).values) == 0
    words = random_tableaus(5, 1, 3, np.random.default_rng(0))
    for method in ("auto", "direct", "enumerator", "meet_in_the_middle"):
        scored = compiled(TableauSubject(5, 1, 1, 3), method=method).score(TableauBatch(words))
        assert scored.solved.all()
        assert (scored.values == 0).all()
    assert not violates_below(words, 5, 1, 1).any()


def test_plugin_imports_nothing_heavy() -> None:
    """The plugin is imported to be listed; its kernels only to be run."""
    listing = "import sys, qecforge_knill_laflamme; print([m for m in ('numba', 'torch', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def seconds_per_code(shape: tuple[int, int, int], bias: float, method: str) -> tuple[float, str]:
    """CPU seconds, the best of some repetitions, on a batch of random codes."""
    n, k, d = shape
    reward = compiled(TableauSubject(n, k, d, 256), method=method, bias=bias)
    words = np.tile(random_tableaus(n, k, 32, np.random.default_rng(1)), (8, 1, 1, 1))
    reward.score(TableauBatch(words[:2]))
    best, spent = np.inf, 0.0
    while spent < 0.2:
        start = time.process_time()
        reward.score(TableauBatch(words))
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
    return best / len(words), reward.methods["weight" if bias == 1 else "bias"]


@pytest.mark.slow
@pytest.mark.parametrize("bias", [1.0, 5.0])
@pytest.mark.parametrize(
    "shape",
    [
        (7, 1, 3),
        (12, 1, 3),
        (20, 1, 3),
        (20, 13, 3),
        (40, 1, 3),
        (50, 20, 3),
        (10, 1, 4),
        (16, 6, 4),
        (11, 1, 5),
        (14, 1, 5),
        (24, 2, 5),
        (25, 1, 5),
        (17, 1, 7),
        (23, 1, 7),
    ],
)
def test_chosen_method_is_nearly_the_fastest(shape: tuple[int, int, int], bias: float) -> None:
    """Within a factor of three of the best, and it is what `auto` runs."""
    taken = {}
    for method in ("direct", "enumerator", "meet_in_the_middle"):
        try:
            taken[method] = seconds_per_code(shape, bias, method)[0]
        except ConfigurationError:
            continue
    _, chosen = seconds_per_code(shape, bias, "auto")
    assert taken[chosen] <= 3 * min(taken.values()), taken
