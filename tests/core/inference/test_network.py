import pytest
import torch
from torch import nn

from qecforge.errors import ConfigurationError
from qecforge.inference.network import read_mlp
from qecforge.learning.activations import ACTIVATIONS, activation_function, activation_minimum


def test_reads_layers_and_activations():
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 3, bias=False), nn.Tanh(), nn.Linear(3, 2)
    )
    spec = read_mlp(module)
    assert spec.activations == ("gelu", "tanh")
    assert (spec.num_inputs, spec.num_outputs) == (6, 2)
    assert torch.equal(spec.layers[0].weight, module[1].weight)
    assert torch.equal(spec.layers[1].bias, torch.zeros(3))
    module[1].weight.data.zero_()
    assert spec.layers[0].weight.abs().sum() > 0  # a copy
    assert not spec.layers[0].weight.requires_grad


def test_hidden_gives_what_each_layer_takes_and_gives():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.SiLU(), nn.Linear(4, 2))
    x = torch.randn(5, 2, 3)
    (first, before), (second, logits) = read_mlp(module).hidden(x)
    assert torch.equal(first, x.flatten(1))
    torch.testing.assert_close(second, nn.functional.silu(before))
    torch.testing.assert_close(logits, module(x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_minimum_is_the_least_value(name):
    x = torch.linspace(-200, 5, 2_000_001, dtype=torch.float64)
    least = float(activation_function(name)(x).min())
    minimum = activation_minimum(name)
    if minimum is None:
        assert least == pytest.approx(-2.0)
    else:
        assert least == pytest.approx(minimum, abs=1e-7)
        assert least >= minimum - 1e-12


def test_an_unknown_activation_is_refused():
    with pytest.raises(ConfigurationError, match="got 'sin', expected one of tanh"):
        activation_function("sin")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.ReLU()), "has no linear layer"),
        (nn.Identity(), "has no linear layer"),
        (nn.Bilinear(2, 2, 1), "has no linear layer"),
        (nn.Linear(2, 2), "is a Linear, expected a torch.nn.Sequential"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "part 1 of the policy network"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "ends with ReLU"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "part 0"),
        (nn.Sequential(nn.Linear(2, 2), nn.Softplus(), nn.Linear(2, 2)), "part 1"),
        (nn.Sequential(nn.Linear(2, 2), nn.GELU(approximate="tanh"), nn.Linear(2, 2)), "part 1"),
        (nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.3), nn.Linear(2, 2)), "part 1"),
        (nn.Sequential(nn.Linear(2, 2), nn.Flatten()), "part 1"),
    ],
)
def test_other_networks_are_refused_in_one_line(module, message):
    with pytest.raises(ConfigurationError, match=message) as refusal:
        read_mlp(module)
    assert "\n" not in str(refusal.value)


def test_weights_that_are_not_finite_are_refused():
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].bias.data[1] = torch.nan
    with pytest.raises(ConfigurationError, match="part 0 of the policy network holds NaN"):
        read_mlp(module)
