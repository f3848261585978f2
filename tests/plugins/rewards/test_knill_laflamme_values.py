"""Values, `solved` and components against brute force by stim and against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from knill_laflamme_reference import (
    condition_norm,
    dense,
    dense_residual,
    errors,
    pack,
    penalty,
    probability,
    projector,
    random_rows,
    rows_from_stabilizers,
)
from numpy.typing import NDArray

from qecforge.codes.packed import TableauBatch, TableauSubject
from qecforge.contracts import RewardBuffers
from qecforge_knill_laflamme import KnillLaflamme, KnillLaflammeConfig, violates_below

METHODS = ["direct", "enumerator", "meet_in_the_middle"]
FIVE_QUBIT = ["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"]
FIVE_QUBIT_AND_ONE = [*(text + "I" for text in FIVE_QUBIT), "IIIIIZ"]
STEANE = ["IIIXXXX", "IXXIIXX", "XIXIXIX", "IIIZZZZ", "IZZIIZZ", "ZIZIZIZ"]
SHOR = ["ZZIIIIIII", "IZZIIIIII", "IIIZZIIII", "IIIIZZIII", "IIIIIIZZI", "IIIIIIIZZ", "XXXXXXIII", "IIIXXXXXX"]
CUBE = ["XXXXXXXX", "ZZZZZZZZ", "ZZZZIIII", "ZZIIZZII", "ZIZIZIZI"]


def score(
    words: NDArray[np.uint64],
    k: int,
    d: int,
    config: KnillLaflammeConfig,
    noise: NDArray[np.float64] | None = None,
    uniform: bool = True,
) -> RewardBuffers:
    kind = None if noise is None else "shared" if noise.ndim == 2 else "per_env"
    subject = TableauSubject(words.shape[1], k, d, len(words), noise=kind, uniform=uniform)
    return KnillLaflamme(config).compile(subject).score(TableauBatch(words, noise))


def channels(n: int, error_probability: float, bias: float) -> NDArray[np.float64]:
    p_x = error_probability / (bias + 2)
    return np.tile([1 - error_probability, p_x, p_x, bias * p_x], (n, 1))


def assert_penalty(scored: RewardBuffers, codes: list, k: int, d: int, noise: NDArray[np.float64]) -> None:
    """`noise`: (B, n, 4)."""
    expected = [penalty(rows, k, d, channel) for rows, channel in zip(codes, noise, strict=True)]
    np.testing.assert_allclose(scored.components["residual"], [p for p, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(scored.values, [-10 * p for p, _ in expected], rtol=1e-6)
    np.testing.assert_array_equal(scored.components["violations"], [v for _, v in expected])
    np.testing.assert_array_equal(scored.solved, [v == 0 for _, v in expected])


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(2, 7))
    return n, draw(st.integers(1, min(n - 1, 3))), draw(st.integers(1, min(n + 1, 5)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bias", [1.0, 5.0])
@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_penalty_equals_brute_force(method: str, bias: float, shape: tuple[int, int, int], seed: int) -> None:
    n, k, d = shape
    rng = np.random.default_rng(seed)
    codes = [random_rows(n, k, rng) for _ in range(3)]
    config = KnillLaflammeConfig(method=method, bias=bias, error_probability=0.2)
    scored = score(pack(codes, n, k), k, d, config)
    assert_penalty(scored, codes, k, d, np.tile(channels(n, 0.2, bias), (3, 1, 1)))


@given(shape=shapes(), seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["shared", "per_env"]))
@settings(max_examples=40, deadline=None)
def test_penalty_under_noise_that_differs_between_qubits(shape: tuple[int, int, int], seed: int, kind: str) -> None:
    n, k, d = shape
    rng = np.random.default_rng(seed)
    codes = [random_rows(n, k, rng) for _ in range(3)]
    noise = rng.dirichlet([4, 1, 1, 1], size=(n,) if kind == "shared" else (3, n))
    noise[..., 0, :] = [0, 0.5, 0, 0.5]  # a qubit that is never idle, and never suffers a Y
    scored = score(pack(codes, n, k), k, d, KnillLaflammeConfig(), noise, uniform=False)
    assert_penalty(scored, codes, k, d, np.broadcast_to(noise, (3, n, 4)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alike", ["depolarizing", "z_biased"])
def test_penalty_under_noise_of_each_environment(method: str, alike: str) -> None:
    n, k, d, rng = 6, 1, 4, np.random.default_rng(7)
    codes = [random_rows(n, k, rng) for _ in range(5)]
    biases = np.ones(5) if alike == "depolarizing" else rng.uniform(0.5, 9, 5)
    noise = np.stack([channels(n, p, b) for p, b in zip(rng.uniform(0, 1, 5), biases, strict=True)])
    scored = score(pack(codes, n, k), k, d, KnillLaflammeConfig(method=method), noise)
    assert_penalty(scored, codes, k, d, noise)


def test_penalty_where_x_and_y_differ_though_qubits_do_not() -> None:
    n, k, d, rng = 6, 2, 3, np.random.default_rng(11)
    codes = [random_rows(n, k, rng) for _ in range(4)]
    noise = np.tile(rng.dirichlet([4, 1, 1, 1], size=(4, 1)), (1, n, 1))
    assert_penalty(score(pack(codes, n, k), k, d, KnillLaflammeConfig(), noise), codes, k, d, noise)


def assert_log_penalty(words: NDArray[np.uint64], codes: list, d: int, noise: NDArray[np.float64] | None, **config):
    """`noise` as the reward gets it, None for its default; the unit by brute force over all errors."""
    n, k, each = words.shape[1], len(codes[0]) - words.shape[1], noise
    uniform = noise is None or bool(np.all(noise == noise[..., :1, :]))
    settings = KnillLaflammeConfig(form="log_penalty", scale=2.0, **config)
    if noise is None:
        each = channels(n, settings.error_probability, settings.bias)
    expected = []
    for rows, channel in zip(codes, np.broadcast_to(each, (len(codes), n, 4)), strict=True):
        likely = [p for p in (probability(e, channel) for e in errors(n, 1, d - 1)) if p > 0]
        expected.append(-2.0 * np.log(1 + penalty(rows, k, d, channel)[0] / min(likely, default=1.0)))
    scored = score(words, k, d, settings, noise, uniform)
    np.testing.assert_allclose(scored.values, expected, rtol=1e-6)
    np.testing.assert_array_equal(scored.values[scored.solved], 0)


@pytest.mark.parametrize("kind", ["default", "shared", "per_env"])
@pytest.mark.parametrize("channel", ["depolarizing", "z_biased", "x_biased", "no_x_nor_y", "silent", "per_qubit"])
@given(shape=shapes(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=6, deadline=None)
def test_log_penalty_equals_brute_force(kind: str, channel: str, shape: tuple[int, int, int], seed: int) -> None:
    n, k, d = shape
    rng = np.random.default_rng(seed)
    codes = [random_rows(n, k, rng) for _ in range(3)]
    bias = {"depolarizing": 1.0, "z_biased": 7.0, "x_biased": 0.2}.get(channel)
    words = pack(codes, n, k)
    if kind == "default":
        assert_log_penalty(words, codes, d, None, bias=bias or 1.0, error_probability=0.3)
        return
    if channel == "per_qubit":
        noise = rng.dirichlet([4, 1, 1, 1], size=(3, n))
        noise[:, 0] = [0, 0.5, 0, 0.5]  # a qubit that is never idle, and never suffers a Y
    elif bias is not None:
        noise = np.stack([channels(n, p, bias) for p in rng.uniform(0.01, 0.9, 3)])
    else:
        noise = np.tile([1.0, 0, 0, 0] if channel == "silent" else [0.8, 0, 0, 0.2], (3, n, 1))
    assert_log_penalty(words, codes, d, noise if kind == "per_env" else noise[0])


def test_log_penalty_counts_from_one_error_of_the_least_likely_kind() -> None:
    """[[2,1]] with stabilizer Z_1 and d = 2: X, Y and Z on the bare qubit violate, all single errors weigh alike."""
    words = pack([rows_from_stabilizers(["_Z"])], 2, 1)
    scored = score(words, 1, 2, KnillLaflammeConfig(form="log_penalty", scale=3.0))
    assert scored.values[0] == pytest.approx(-3 * np.log(4))
    assert scored.components["residual"][0] == pytest.approx(3 * (0.1 / 3) * 0.9)


@pytest.mark.parametrize("p", [1e-90, 1e-160, 1e-310])
@pytest.mark.parametrize("per_qubit", [False, True])
def test_log_penalty_is_finite_where_probabilities_underflow(p: float, per_qubit: bool) -> None:
    words = pack([random_rows(6, 1, np.random.default_rng(0)), rows_from_stabilizers(FIVE_QUBIT_AND_ONE)], 6, 1)
    noise = np.tile([1.0, p, p, p], (6, 1))
    noise[0] = [1.0, 2 * p, p, p] if per_qubit else noise[0]
    values = score(words, 1, 5, KnillLaflammeConfig(form="log_penalty"), noise, uniform=not per_qubit).values
    assert np.isfinite(values).all()
    assert (values <= 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "k", "d"), [(4, 1, 3), (4, 2, 3), (5, 1, 3), (4, 1, 4), (4, 1, 5)])
def test_residual_equals_equation_4(method: str, weighted: bool, n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(n + 10 * k + 100 * d)
    codes = [random_rows(n, k, rng) for _ in range(3)]
    for bias in (1.0, 4.0):
        config = KnillLaflammeConfig(form="residual", weighted=weighted, bias=bias, scale=2.0, method=method)
        scored = score(pack(codes, n, k), k, d, config)
        channel = channels(n, 0.1, bias) if weighted else None
        expected = [dense_residual(rows, k, d, channel) for rows in codes]
        np.testing.assert_allclose(scored.components["residual"], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(scored.values, [-2 * rho for rho in expected], rtol=1e-6, atol=1e-9)
        violations = [penalty(rows, k, d, channels(n, 0.1, bias))[1] for rows in codes]
        np.testing.assert_array_equal(scored.components["violations"], violations)
        np.testing.assert_array_equal(scored.solved, [v == 0 for v in violations])


@pytest.mark.parametrize(("n", "k", "d"), [(4, 1, 3), (5, 2, 4), (4, 1, 5)])
def test_weighted_residual_under_noise_that_differs_between_qubits(n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(5)
    codes = [random_rows(n, k, rng) for _ in range(3)]
    noise = rng.dirichlet([4, 1, 1, 1], size=(3, n))
    config = KnillLaflammeConfig(form="residual", weighted=True)
    for given_noise in (noise, noise[0]):
        scored = score(pack(codes, n, k), k, d, config, given_noise, uniform=False)
        each = np.broadcast_to(given_noise, (3, n, 4))
        expected = [dense_residual(rows, k, d, channel) for rows, channel in zip(codes, each, strict=True)]
        np.testing.assert_allclose(scored.components["residual"], expected, rtol=1e-9, atol=1e-14)
        np.testing.assert_array_equal(
            scored.components["violations"], [penalty(rows, k, d, channels(n, 0.1, 1))[1] for rows in codes]
        )


def test_penalty_equals_dense_linear_algebra() -> None:
    """An error violates iff P E P is no multiple of the projector P: the conditions themselves."""
    n, k, d, rng = 5, 1, 4, np.random.default_rng(3)
    channel = channels(n, 0.1, 1)
    for _ in range(3):
        rows = random_rows(n, k, rng)
        onto = projector(rows, k)
        found = [e for e in errors(n, 1, d - 1) if condition_norm(dense(e), onto, k) > 1e-9]
        scored = score(pack([rows], n, k), k, d, KnillLaflammeConfig())
        assert scored.components["violations"] == len(found)
        assert scored.components["residual"] == pytest.approx(sum(probability(e, channel) for e in found))


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize(
    ("stabilizers", "k", "distance", "violations"),
    [
        (FIVE_QUBIT, 1, 3, 30),  # B_3 - A_3 of the perfect code: 30 logical operators of weight 3
        (STEANE, 1, 3, 21),  # seven lines of the Fano plane, three Paulis each
        (SHOR, 1, 3, 39),
        (CUBE, 3, 2, 28),
    ],
)
def test_known_codes(method: str, stabilizers: list[str], k: int, distance: int, violations: int) -> None:
    n = len(stabilizers[0])
    words = pack([rows_from_stabilizers(stabilizers)], n, k)
    config = KnillLaflammeConfig(method=method)
    solved = score(words, k, distance, config)
    assert solved.solved.all()
    assert solved.values == 0
    assert solved.components["violations"] == 0
    beyond = score(words, k, distance + 1, config)
    assert not beyond.solved.any()
    assert beyond.components["violations"] == violations
    assert not violates_below(words, n, k, distance).any()
    assert violates_below(words, n, k, distance + 1).all()


def test_trivial_code_by_hand() -> None:
    """[[2,1]] with stabilizer Z_1: the violating errors of weight 1 are X, Y and Z on the bare qubit."""
    words = pack([rows_from_stabilizers(["_Z"])], 2, 1)
    scored = score(words, 1, 2, KnillLaflammeConfig())
    assert scored.components["violations"] == 3
    assert scored.values[0] == pytest.approx(-10 * 3 * (0.1 / 3) * 0.9)


@pytest.mark.parametrize("form", ["penalty", "log_penalty", "residual"])
def test_solved_asks_for_errors_that_never_happen(form: str) -> None:
    """The bit-flip code under pure bit flips: no residual, and yet single phase flips are logical operators."""
    words = pack([rows_from_stabilizers(["ZZ_", "_ZZ"])], 3, 1)
    noise = np.tile([0.9, 0.1, 0.0, 0.0], (3, 1))
    scored = score(words, 1, 3, KnillLaflammeConfig(form=form, weighted=form == "residual"), noise)
    assert scored.components["residual"] == 0
    assert scored.components["violations"] == 3  # and ZZ is a stabilizer
    assert not scored.solved.any()


@pytest.mark.parametrize(("n", "k", "d"), [(12, 1, 3), (11, 1, 4), (20, 1, 3), (25, 1, 3), (33, 2, 3), (40, 30, 3)])
def test_methods_agree_beyond_brute_force(n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(n)
    words = pack([random_rows(n, k, rng) for _ in range(6)], n, k)
    for bias in (1.0, 5.0):
        scored = []
        for method in METHODS:
            if method == "enumerator" and (n > 31 or n - k > 20):
                continue
            scored.append(score(words, k, d, KnillLaflammeConfig(method=method, bias=bias)))
        assert len(scored) >= 2
        for other in scored[1:]:
            np.testing.assert_array_equal(other.components["violations"], scored[0].components["violations"])
            np.testing.assert_allclose(other.components["residual"], scored[0].components["residual"], rtol=1e-12)


@pytest.mark.parametrize(("n", "k"), [(33, 31), (40, 30), (64, 1), (90, 38), (66, 62)])
def test_two_machine_words(n: int, k: int) -> None:
    """n + k of 64 to 128: logical and stabilizer rows on both sides of the boundary."""
    rng = np.random.default_rng(n)
    codes = [random_rows(n, k, rng) for _ in range(2)]
    words = pack(codes, n, k)
    noise = channels(n, 0.1, 3)
    for method in ("direct", "meet_in_the_middle"):
        scored = score(words, k, 2, KnillLaflammeConfig(method=method, bias=3.0))
        assert_penalty(scored, codes, k, 2, np.tile(noise, (2, 1, 1)))
    per_qubit = rng.dirichlet([4, 1, 1, 1], size=n)
    assert_penalty(score(words, k, 2, KnillLaflammeConfig(), per_qubit), codes, k, 2, np.stack([per_qubit] * 2))
    direct, meeting = (score(words, k, 3, KnillLaflammeConfig(method=m)) for m in ("direct", "meet_in_the_middle"))
    np.testing.assert_array_equal(direct.components["violations"], meeting.components["violations"])
