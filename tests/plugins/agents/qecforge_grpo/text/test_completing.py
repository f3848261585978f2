"""What is drawn through the cache has the log probabilities that the whole sequence has, and those of a decoder that is
written out token by token."""

import math

import numpy as np
import pytest
import torch

from qecforge.errors import ConfigurationError
from qecforge_grpo.text.completing import asked, complete, completed_of, log_probs_of
from qecforge_grpo.text.config import DecoderConfig
from qecforge_grpo.text.decoder import Decoder
from qecforge_grpo.text.tokenizer import ANSWER, END

CONFIG = DecoderConfig(width=16, layers=2, heads=2, vocabulary=258, context=12)
PROMPTS = [asked([5, 6, 7]), asked([9]), asked([])]


@pytest.fixture
def model():
    drawing = torch.Generator().manual_seed(0)
    model = Decoder(CONFIG, 20, drawing).eval()
    for each in model.parameters():
        if each.dim() == 1:
            torch.nn.init.normal_(each, 1.0, 0.3, generator=drawing)
    return model


def written_out(model, row):
    """Log probabilities (S, V) after each token of a row: double precision, a loop over tokens, heads and pairs."""
    weights = {name: each.double() for name, each in model.state_dict().items()}
    heads, width = CONFIG.heads, CONFIG.width
    size = width // heads

    def normed(states, name):
        centred = states - states.mean(-1, keepdim=True)
        return centred / ((centred**2).mean(-1, keepdim=True) + 1e-5).sqrt() * weights[f"{name}.weight"]

    def turned(states):
        found = torch.empty_like(states)
        for place in range(len(row)):
            for pair in range(size // 2):
                angle = place * 10_000 ** (-2 * pair / size)
                x, y = states[place, :, 2 * pair], states[place, :, 2 * pair + 1]
                found[place, :, 2 * pair] = x * math.cos(angle) - y * math.sin(angle)
                found[place, :, 2 * pair + 1] = x * math.sin(angle) + y * math.cos(angle)
        return found

    states = weights["embedding.weight"][row] * math.sqrt(width)
    for layer in range(CONFIG.layers):
        block = f"blocks.{layer}"
        split = (normed(states, f"{block}.norm_attention") @ weights[f"{block}.projections.weight"].T).view(
            len(row), 3, heads, size
        )
        queries, keys, values = turned(split[:, 0]), turned(split[:, 1]), split[:, 2]
        attended = torch.zeros(len(row), heads, size, dtype=torch.float64)
        for place in range(len(row)):
            for head in range(heads):
                shares = (keys[: place + 1, head] @ queries[place, head] / math.sqrt(size)).softmax(0)
                attended[place, head] = shares @ values[: place + 1, head]
        states = states + attended.view(len(row), width) @ weights[f"{block}.output.weight"].T
        inner = normed(states, f"{block}.norm_perceptron") @ weights[f"{block}.up.weight"].T
        inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
        states = states + inner @ weights[f"{block}.down.weight"].T
    return (normed(states, "norm") @ weights["embedding.weight"].T).log_softmax(-1)


def test_cached_whole_and_written_out_agree(model):
    """Three prompts of different lengths, four completions of each, some of which leave early."""
    drawn = complete(model, PROMPTS, times=4, longest=6, generator=torch.Generator().manual_seed(1))
    assert drawn.tokens.shape[0] == 12
    with torch.no_grad():
        whole = log_probs_of(model, drawn)
    torch.testing.assert_close(whole[drawn.mask], drawn.log_probs[drawn.mask], atol=1e-5, rtol=1e-5)
    ended = (drawn.tokens == END) & drawn.mask
    for row in range(12):
        length = int(drawn.mask[row].sum())
        assert drawn.mask[row, :length].all()
        assert not ended[row, : length - 1].any(), "nothing follows the end"
        assert ended[row, length - 1] or length == 6
        prompt, said = PROMPTS[row // 4], drawn.tokens[row, :length]
        after = written_out(model, [*prompt, *said.tolist()])[len(prompt) - 1 : -1]
        expected = after.gather(1, said.unsqueeze(1)).squeeze(1).float()
        torch.testing.assert_close(drawn.log_probs[row, :length], expected, atol=1e-5, rtol=1e-5)


def test_gradients_of_shared_prompts_are_those_of_prompts_alone(model):
    """A prompt is computed once for its completions: the gradient is the sum of theirs."""
    drawn = complete(model, PROMPTS, times=4, longest=6, generator=torch.Generator().manual_seed(1))
    texts = [[*row[:length]] for row, length in zip(drawn.tokens.tolist(), drawn.mask.sum(1).tolist(), strict=True)]
    together = torch.autograd.grad(log_probs_of(model, drawn).sum(), list(model.parameters()))
    alone = [torch.zeros_like(each) for each in model.parameters()]
    for row, text in enumerate(texts):
        said = [token for token in text if token != END]
        one = completed_of(PROMPTS[row // 4 : row // 4 + 1], [said], CONFIG.context)
        found = log_probs_of(model, one)[:, : len(text)].sum()
        for total, each in zip(alone, torch.autograd.grad(found, list(model.parameters())), strict=True):
            total += each
    for ours, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_those_that_have_ended_leave(model):
    """40 prompts, of which most end soon: what is drawn later has the probabilities that the whole row has."""
    with torch.no_grad():
        model.embedding.weight[END] *= 3  # ends often
    prompts = [asked([3 + number % 15]) for number in range(40)]
    drawn = complete(model, prompts, times=2, longest=8, generator=torch.Generator().manual_seed(3))
    lengths = drawn.mask.sum(1).view(-1, 2).amax(1)
    assert (lengths <= 3).sum() > 10, "some leave"
    assert (lengths > 4).sum() > 3, "some go on"
    with torch.no_grad():
        whole = log_probs_of(model, drawn)
    torch.testing.assert_close(whole[drawn.mask], drawn.log_probs[drawn.mask], atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing(model):
    """Beside a longer prompt, in a shorter batch, or with columns taken away: the same log probabilities."""
    completions = [[3, 4], [8, 3, 2], [4]]
    together = completed_of(PROMPTS, completions, CONFIG.context)
    with torch.no_grad():
        expected = log_probs_of(model, together)
        for row in range(3):
            alone = completed_of(PROMPTS[row : row + 1], completions[row : row + 1], CONFIG.context)
            length = alone.mask.sum()
            torch.testing.assert_close(log_probs_of(model, alone)[0], expected[row, :length], atol=1e-5, rtol=1e-5)
        rows = torch.tensor([2, 1])
        some = together.chosen(rows)
        assert some.prompts.shape[1] == 2
        torch.testing.assert_close(
            log_probs_of(model, some)[some.mask], expected[rows][together.mask[rows]], atol=1e-5, rtol=1e-5
        )


def test_a_token_sees_nothing_that_follows_it(model):
    """Another last token changes no earlier log probability."""
    one, other = (completed_of(PROMPTS[:1], [[3, 4, last]], CONFIG.context) for last in (5, 6))
    with torch.no_grad():
        ours, theirs = log_probs_of(model, one), log_probs_of(model, other)
    torch.testing.assert_close(ours[:, :2], theirs[:, :2], atol=0, rtol=0)
    assert not torch.allclose(ours[:, 2], theirs[:, 2])


def test_draws_follow_the_probabilities(model):
    """First tokens of 20,000 completions against the model's own distribution."""
    drawn = complete(model, PROMPTS[:1], times=20_000, longest=1, generator=torch.Generator().manual_seed(2))
    counts = np.bincount(drawn.tokens[:, 0], minlength=20)
    with torch.no_grad():
        expected = written_out(model, PROMPTS[0])[-1].exp().numpy() * 20_000
    assert (((counts - expected) ** 2) / expected).sum() < 60, "chi squared of 19 degrees of freedom"


def test_greedy_takes_the_likeliest(model):
    said = complete(model, PROMPTS, longest=4, generator=None)
    with torch.no_grad():
        for row, prompt in enumerate(PROMPTS):
            logits = written_out(model, [*prompt, int(said.tokens[row, 0])])[-2:]
            assert said.tokens[row, 0] == logits[0].argmax()
            assert not said.mask[row, 1] or said.tokens[row, 1] == logits[1].argmax()


def test_completions_end_with_the_context(model):
    """Prompts of 10 tokens leave two."""
    said = complete(model, [asked(range(2, 11))], times=50, longest=6, generator=torch.Generator().manual_seed(0))
    assert said.tokens.shape[1] == 2
    cut = completed_of([asked(range(2, 11))], [[3, 4, 5, 6]], CONFIG.context)
    assert cut.tokens.tolist() == [[3, 4]]
    with pytest.raises(
        ConfigurationError, match=r"a prompt has 12 tokens and the model's context 12: raise model\.context"
    ):
        complete(model, [[2] * 11 + [ANSWER]], longest=3, generator=None)
