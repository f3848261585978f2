"""The benchmark of gradients: on a small actor each way is measured for what it is, and tables are over seeds."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from qecforge.learning.torch_state import seeded_generator
from qecforge_td3 import TD3Config
from qecforge_td3.networks import Networks

FOLDER = Path(__file__).resolve().parents[4] / "benchmarks"
CONFIG = TD3Config(
    qubits=3, layers=2, links=2, pre_hidden=16, post_hidden=16, tangential_hidden=8, critic_hidden=(16, 16)
)


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module("hybrid_gradients")
    for name in ("hybrid_gradients", "_gradient_cases", "_gradient_measures"):
        sys.modules.pop(name, None)


@pytest.fixture
def networks():
    return Networks(4, 2, CONFIG, seeded_generator(1), torch.device("cpu"))


@pytest.fixture
def batch(benchmark, networks):
    s = torch.from_numpy(np.random.default_rng(2).standard_normal((6, 4), dtype=np.float32))
    with torch.no_grad():
        explored = networks.actor.explore(s, np.random.default_rng(3))
    return benchmark.Batch(s, explored.q_in, explored.q_out)


def losses_over_strings(networks, s):
    """Mean over the batch of the loss's mean over all eight strings, differentiable by torch for the links only;
    chances by qiskit's state vector."""
    from quantum_reference import probabilities

    from qecforge_td3.blocks import angles_and_pairs

    q_in, links = networks.actor.pre(s)
    angles, pairs = angles_and_pairs(q_in.detach().numpy(), 3, 2)
    total = 0.0
    for index in range(8):
        bits = torch.tensor([[float(index >> k & 1) for k in range(3)]]).expand(len(s), -1)
        values = -networks.critic.first(s, networks.actor.post(bits, links)).detach().numpy()
        chances = [probabilities(a, p, 3)[index] for a, p in zip(angles, pairs, strict=True)]
        total += float((values * chances).mean())
    return total


def test_the_exact_gradient_is_what_the_agent_learns_from(benchmark, networks, batch):
    """At PreDNN's weights, through circuit and links: autograd's of the actor's loss with `gradient: exact`."""
    reference = benchmark.exact(networks, batch)
    networks.actor.block.tangential = None
    loss = -networks.critic.first(batch.s, networks.actor.surrogate(batch.s, np.random.default_rng(0))).mean()
    wanted = torch.cat([each.flatten() for each in torch.autograd.grad(loss, reference.parameters)])
    found = reference.reaching(reference.by_q_in, reference.by_links)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-7)


def test_the_tangential_gradient_is_what_the_agent_learns_from(benchmark, networks, batch):
    reference = benchmark.exact(networks, batch)
    found, beside = benchmark.tangential(networks, batch, networks.tangential, reference)
    loss = -networks.critic.first(batch.s, networks.actor.surrogate(batch.s, np.random.default_rng(0))).mean()
    wanted = torch.cat([each.flatten() for each in torch.autograd.grad(loss, reference.parameters)])
    np.testing.assert_allclose(reference.reaching(found.by_q_in, found.by_links), wanted.numpy(), atol=1e-7)
    compared = reference.compared(found)
    on_cz = np.linalg.norm(found.by_q_in[:, 12:]) / np.linalg.norm(found.by_q_in)
    assert compared["cz_share"] == pytest.approx(on_cz)
    assert on_cz > 0.05
    assert beside["means_r2"] < 1


def test_shifts_are_exact_and_spsa_is_about_them(benchmark, networks, batch):
    reference = benchmark.exact(networks, batch)
    rng = np.random.default_rng(4)
    shifts = reference.compared(benchmark.estimated(reference, rng, gradient="parameter_shift"))
    spsa = reference.compared(benchmark.estimated(reference, rng, gradient="spsa", spsa_repeats=2000))
    for name in ("cosine", "norm_ratio", "pre_cosine", "pre_norm_ratio", "whole_cosine"):
        assert shifts[name] == pytest.approx(1, abs=1e-4)
        assert spsa[name] == pytest.approx(1, abs=0.05)
    assert shifts["cz_share"] == 0


def test_the_mean_over_strings_by_brute_force(benchmark, networks, batch):
    """Along a direction of PreDNN's weights, by finite differences of what is summed over all strings."""
    reference = benchmark.exact(networks, batch)
    found = benchmark.over_strings(networks, batch, reference)
    gradient = reference.reaching(found.by_q_in, found.by_links)
    wanted = reference.reaching(reference.by_q_in, reference.by_links)
    direction = gradient / np.linalg.norm(gradient)
    values = []
    for step in (0.02, -0.02):
        at = 0
        with torch.no_grad():
            for each in reference.parameters:
                each += step * torch.from_numpy(direction[at : at + each.numel()]).view_as(each)
                at += each.numel()
            values.append(losses_over_strings(networks, batch.s))
            at = 0
            for each in reference.parameters:
                each -= step * torch.from_numpy(direction[at : at + each.numel()]).view_as(each)
                at += each.numel()
    slope = (values[0] - values[1]) / 0.04
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=0.02)
    assert abs(wanted @ direction / slope - 1) > 0.02, "at the mean bits it is another one"


def test_rows_over_seeds(benchmark):
    rows = [
        {"case": "c", "seed": seed, "method": "spsa", "repeats": 1, "shots": 10, "circuits": 2, "cosine": cosine}
        for seed, cosine in ((0, 0.1), (1, 0.3), (1, 0.9))
    ]
    (found,) = benchmark.over_seeds(rows)
    assert found["cosine"]["mean"] == pytest.approx(0.2), "what was measured again does not count twice"
    assert found["cosine"]["seeds"] == 2
    assert "| spsa, 1 direction, 10 shots | 0.20 [" in benchmark.table([found])
    assert benchmark.shown(found)["claim"] == "c: spsa, 1 direction, 10 shots"


def test_the_papers_seconds(benchmark):
    paper, shifts, fewer, spsa = (row["ours"] for row in benchmark.of_the_paper())
    assert paper == pytest.approx(281.6)
    assert (shifts, fewer, spsa) == pytest.approx((76.8, 51.2, 0.256))


@pytest.mark.slow
def test_all_of_it_in_small(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "CASES", ("Pendulum-v1", "random, spread"))
    rows = benchmark.run(quick=True)
    by_claim = {row["claim"]: row["ours"] for row in rows}
    for case in benchmark.CASES:
        assert by_claim[f"{case}: parameter_shift, exact means"] == pytest.approx(1, abs=1e-3)
        assert by_claim[f"{case}: tangential, N_qt 32, 10 updates"] < 0.9
    options = ["--quick", "--cases", "random, spread", "--out", str(tmp_path)]
    benchmark.main(options)
    printed = capsys.readouterr().out
    assert "### random, spread" in printed
    monkeypatch.setattr(benchmark, "measured", None)
    benchmark.main(options)
    assert capsys.readouterr().out == printed, "what is there is not measured again"
