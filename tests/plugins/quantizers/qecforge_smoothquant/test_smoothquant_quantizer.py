import numpy as np
import pytest
import torch

from qecforge.inference.network import read_mlp
from qecforge.inference.quantization.fake_quantize import FakeQuantizedMlp
from qecforge.testing.quantizers import PerceptronPolicy
from qecforge_smoothquant import AlphaSearch, SmoothQuantConfig, make_smoothquant
from qecforge_smoothquant.quantizer import smoothing_factors

STATES = np.random.default_rng(0).integers(0, 2, (512, 12)).astype(np.uint8)


def with_outliers():
    policy = PerceptronPolicy(hidden=(64, 48))
    with torch.no_grad():
        policy.module[0].weight[[5, 40]] *= 12.0
        policy.module[2].weight[:, [5, 40]] /= 12.0
    return policy


def test_factors_by_hand():
    """Eq. (4) of Xiao et al. with alpha 1/2: sqrt(max|X| / max|W|); their figure 5: X 16, W 2 and so on."""
    activations = torch.tensor([[1.0, -16.0, 2.0, 0.0], [-2.0, 1.0, -1.0, 0.0]])
    weight = torch.tensor([[2.0, 1.0, -2.0, 3.0], [1.0, -1.0, 0.0, 1.0]])
    assert smoothing_factors(activations, weight, 0.5).tolist() == [1.0, 4.0, 1.0, 1.0]
    assert smoothing_factors(activations, weight, 1.0).tolist() == [2.0, 16.0, 2.0, 1.0]
    assert smoothing_factors(activations, weight, 0.0).tolist() == [0.5, 1.0, 0.5, 1.0]


def in_floats(fake, x):
    """The smoothed network without any rounding, in double precision."""
    parts = fake.parts()
    for number, part in enumerate(parts):
        weight, bias = part.smoothed()
        x = torch.nn.functional.linear(x, weight, bias)
        if number + 1 < len(parts):
            x = fake.activation(number, x)
    return x


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8])
def test_smoothing_leaves_the_float_network_exactly_equal(alpha):
    policy = with_outliers()
    quantizer = make_smoothquant(SmoothQuantConfig(alpha=alpha))
    fake = quantizer.smoothed(read_mlp(policy.module), STATES, alpha).double()
    assert (fake.parts()[1].input_divisor != 1.0).all()
    x = torch.from_numpy(STATES).double()
    expected = policy.module.double()(x)
    torch.testing.assert_close(in_floats(fake, x), expected, rtol=1e-12, atol=1e-12)


def test_division_by_powers_of_two_changes_no_bit():
    policy = with_outliers()
    fake = FakeQuantizedMlp(read_mlp(policy.module))
    generator = torch.Generator().manual_seed(0)
    for number, width in enumerate((64, 48)):
        powers = 2.0 ** torch.randint(-3, 4, (2, width), generator=generator)
        fake.divide(number, powers[0], powers[1])
    x = torch.from_numpy(STATES).float()
    assert torch.equal(in_floats(fake, x), in_floats(FakeQuantizedMlp(read_mlp(policy.module)), x))


def test_outliers_harm_less_than_without_smoothing():
    policy = with_outliers()

    def error(**settings):
        found = make_smoothquant(SmoothQuantConfig(**settings)).quantize(policy, STATES)
        return float(np.square(found.logits(STATES) - policy.logits(STATES)).mean())

    fake = FakeQuantizedMlp(read_mlp(policy.module), takes_levels=True, granularity="per_tensor")
    fake.calibrate(STATES)
    with torch.no_grad():
        plain = float(np.square(fake(torch.from_numpy(STATES)).numpy() - policy.logits(STATES)).mean())
    assert error() < plain


def test_the_search_takes_the_best_alpha():
    policy = with_outliers()

    def found(alpha):
        return make_smoothquant(SmoothQuantConfig(alpha=alpha)).quantize(policy, STATES)

    alphas = (0.1, 0.5, 0.9)
    errors = {alpha: float(np.square(found(alpha).logits(STATES) - policy.logits(STATES)).mean()) for alpha in alphas}
    best = found(min(errors, key=errors.__getitem__)).mlp.tensors()
    searched = found(AlphaSearch(search=alphas)).mlp.tensors()
    assert len(set(errors.values())) == 3
    for name, array in best.items():
        np.testing.assert_array_equal(searched[name], array, err_msg=name)


@pytest.mark.parametrize("alpha", [1.5, {"search": []}, {"search": [0.5, -1.0]}])
def test_alphas_outside_0_to_1_are_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        SmoothQuantConfig.model_validate({"alpha": alpha})
