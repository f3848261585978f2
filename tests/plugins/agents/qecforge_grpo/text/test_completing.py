"""What is drawn through the cache has the log probabilities that the whole sequence has."""

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
    return Decoder(CONFIG, 20, torch.Generator().manual_seed(0)).eval()


def test_cached_and_whole_agree(model):
    """Three prompts of different lengths, padded, four completions of each."""
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
        expected = model(torch.tensor(PROMPTS[:1]), torch.tensor([[False] * 3 + [True]]))[0].softmax(-1) * 20_000
    expected = expected.numpy()
    assert (((counts - expected) ** 2) / expected).sum() < 60, "chi squared of 19 degrees of freedom"


def test_greedy_takes_the_likeliest(model):
    said = complete(model, PROMPTS, longest=4, generator=None)
    with torch.no_grad():
        for row, prompt in enumerate(PROMPTS):
            tokens = torch.tensor([prompt + said.tokens[row, :1].tolist()])
            logits = model(tokens, torch.arange(tokens.shape[1]).unsqueeze(0) >= len(prompt) - 1)
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
