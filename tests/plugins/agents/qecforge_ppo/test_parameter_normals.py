import math

import numpy as np
import pytest
from scipy import stats

from qecforge_ppo.parameters._normals import BLOCK, Distribution, Units, draw, normals, philox

KEY = np.array([12, 345], np.uint32)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, words):
    """The known answers of Random123 (Salmon et al. 2011) for philox4x32, 10 rounds."""
    assert philox(*counter, *key) == words


def test_normals_are_box_and_mullers_of_those_words():
    P, K, epoch = 2 * BLOCK + 37, 3, 7
    ours = normals(KEY, epoch, K, P)
    quarter = BLOCK // 4
    for k in range(K):
        for i in range(P):
            b, lane = divmod(i, BLOCK)
            part, at = divmod(lane, quarter)
            words = philox(b * quarter + at, k, epoch, 0, *KEY)[part // 2 * 2 :][:2]
            u = (words[0] // 2 * 2 + 1) / 2**32
            angle = 2 * math.pi * (words[1] / 2**32 + 0.5)
            expected = math.sqrt(-2 * math.log(u)) * (math.cos, math.sin)[part % 2](angle)
            assert ours[k, i] == pytest.approx(expected, abs=2e-6)


def test_normals_are_standard_and_independent():
    """A million: moments within four standard errors; Kolmogorov and Smirnov; no correlation between candidates,
    epochs, or normals of one pair."""
    z = np.stack([normals(KEY, epoch, 40, 2560) for epoch in range(10)]).astype(np.float64)
    N = z.size
    for power, moment, error in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 4 * math.sqrt(error / N)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    quarter = BLOCK // 4
    for first, second in (
        (z[:, :-1], z[:, 1:]),
        (z[:-1], z[1:]),
        (z[..., :-quarter], z[..., quarter:]),
        (z[..., :-1], z[..., 1:]),
    ):
        assert abs((first * second).mean()) < 4 / math.sqrt(first.size)
        assert abs((first**2 * second**2).mean() - 1) < 4 * math.sqrt(8 / first.size)


def test_more_parameters_leave_the_first_ones_alone():
    many = normals(KEY, 3, 5, 700)
    for P in (1, 127, 128, 129, 500):
        np.testing.assert_array_equal(normals(KEY, 3, 5, P), many[:, :P])
    assert not np.array_equal(many, normals(KEY, 4, 5, 700))
    assert not np.array_equal(many, normals(KEY + np.uint32(1), 3, 5, 700))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_candidates_are_mean_plus_deviation_times_normal(mirrored, tasks):
    P, K, blocks = 300, 6, 3
    rng = np.random.default_rng(0)
    centre, mean, log_sigma = rng.normal(size=(3, blocks * BLOCK)).astype(np.float32)
    scale = np.exp(rng.normal(size=blocks * BLOCK)).astype(np.float32)
    z, x = np.empty((blocks, K, BLOCK), np.float32), np.empty((K, P), np.float32)
    draw(z, x, Units(centre, scale), Distribution(mean, log_sigma), KEY, 9, mirrored=mirrored, tasks=tasks)
    expected = normals(KEY, 9, K, P).astype(np.float64)
    if mirrored:
        expected[3:] = -expected[:3]
    np.testing.assert_allclose(z.transpose(1, 0, 2).reshape(K, -1)[:, :P], expected, rtol=1e-6)
    expected = centre[:P] + scale[:P] * (mean[:P] + np.exp(log_sigma[:P].astype(np.float64)) * expected)
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5)
