"""The estimated gradient is that of what it estimates, and masking narrows its spread."""

import numpy as np
import pytest
from scipy import stats

from qecforge.testing.parameters import QuadraticEnvironment
from qecforge_ppo import ParameterPPOConfig
from qecforge_ppo.parameters.agent import ParameterPPO
from qecforge_surface_steering import SurfaceSteeringConfig, make

TINY = 1e-3


def estimates(env, epochs, sigma, **settings):
    """(epochs, P) estimates of the gradients of minus the sum of rates: by the means, and by log sigma, in exploration
    scales: single plain steps, each taken back."""
    config = ParameterPPOConfig(
        optimizer="sgd",
        learning_rate=TINY,
        sigma_learning_rate=TINY,
        entropy=0.0,
        inner_steps=1,
        replay=0,
        initial_sigma=sigma,
        normalize_advantages="none",
        candidates=env.num_envs,
        **settings,
    )
    env.reset(seed=5)
    search = ParameterPPO(config).search(env, 5)
    means, log_sigmas = [], []
    for _ in range(epochs):
        search._mean[:], search._log_sigma[:] = 0.0, np.log(np.float32(sigma))
        mean, log_sigma = search._mean.copy(), search._log_sigma.copy()
        search.tell(env.step(search.ask())[1])
        P = len(env.initial_parameters)
        means.append((search._mean - mean)[:P] / (TINY * sigma * sigma))
        log_sigmas.append((search._log_sigma - log_sigma)[:P].astype(np.float64))
    return np.array(means, np.float64), np.array(log_sigmas) / TINY


def agrees(samples, expected, significance=1e-3):
    """The mean of the samples is the expected one: all parameters together (chi squared), and along `expected`."""
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    chi = np.square((samples.mean(0) - expected) / error).sum()
    along = samples @ expected / (expected @ expected)
    z = (along.mean() - 1) / (along.std(ddof=1) / np.sqrt(len(along)))
    assert stats.chi2.sf(chi, len(expected)) > significance, chi / len(expected)
    assert abs(z) < stats.norm.isf(significance / 2), along.mean()
    return along.std(ddof=1) / np.sqrt(len(along))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("mask", [True, False])
def test_unbiased_on_quadratic_rates(mask, mirrored):
    env = QuadraticEnvironment(8, gates=10, reach=3)
    by_mean, _ = estimates(env, 3000, 0.3, mask=mask, mirrored=mirrored)
    error = agrees(by_mean, -env.gradient(env.initial_parameters) * env.exploration_scale)
    assert error < 0.05


def test_deviations_gradient_is_unbiased():
    """A parameter of a gate of two that three objectives know of adds 3 curvature / 2 sigma^2 to what is expected."""
    env = QuadraticEnvironment(8, gates=10, reach=3, noise=0.0, offset=0.0)
    _, by_log_sigma = estimates(env, 4000, 0.5)
    expected = -2 * 3 * env.curvature / 2 * 0.5**2
    means = by_log_sigma.mean(1)  # over the parameters, which are alike
    error = means.std() / np.sqrt(len(means))
    assert error < 0.05 * abs(expected)
    assert abs(means.mean() - expected) < 3.5 * error


def steering(distance, **settings):
    settings = {"parameters_per_gate": 3, "cycles": 1000, "device_seed": 1, **settings}
    config = SurfaceSteeringConfig(distance=distance, start={"kind": "miscalibrated", "sigma": 1.0}, **settings)
    return make(config, num_envs=40, seed=0, reward=None)


def closed_form_gradient(env):
    """(P,) slope of the sum of all objectives' exact rates at the start."""
    x = env.initial_parameters
    by_gate = env.model.gradient(env.gate_errors(x)) * env.model.num_objectives
    return np.repeat(by_gate, env.config.parameters_per_gate) * env.landscape.slopes(x, env.optimum())


def test_unbiased_on_the_surface_code():
    """Distance 3: shot noise and all, against the slope of the exact rates."""
    env = steering(3)
    by_mean, _ = estimates(env, 3000, 0.2)
    error = agrees(by_mean, -closed_form_gradient(env) * env.exploration_scale)
    assert error < 0.02


def test_masking_narrows_the_spread_the_more_the_larger_the_code():
    gains = []
    for distance in (3, 5, 7):
        env = steering(distance)
        masked, _ = estimates(env, 150, 0.3)
        plain, _ = estimates(env, 150, 0.3, mask=False)
        gains.append(plain.var(0).mean() / masked.var(0).mean())
    statistics = env.factor_graph.statistics()
    assert gains[0] > 1.8
    assert gains[0] < gains[1] < gains[2]
    # where shot noise decides, a parameter's variance is as large as the number of objectives that it listens to
    ratio = env.factor_graph.num_objectives / statistics.mean_objectives_per_parameter
    assert gains[2] == pytest.approx(ratio, rel=0.35)
