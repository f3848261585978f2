"""A causal language model of bytes that has learned a few answers by heart, in the files of `transformers`.

It is randomly initialised and trained here in seconds, so that nothing is downloaded, and what it says is known.
"""

from pathlib import Path

__all__ = ["teach"]

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"


def teach(folder, lessons, *, steps=300, seed=0):
    """Train a model until it gives the answers, and save it with its tokenizer.

    Args:
        folder: Where to.
        lessons: Pairs of messages (a chat) and the answer to them.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {each: i for i, each in enumerate(["<pad>", "<eos>", *letters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", padding_side="left")
    tokenizer.chat_template = CHAT
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=1,
        )
    )
    rows = []
    for messages, answer in lessons:
        asked = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)).input_ids
        told = [*tokenizer(answer).input_ids, tokenizer.eos_token_id]
        rows.append((torch.tensor([asked + told]), torch.tensor([[-100] * len(asked) + told])))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        losses = [model(input_ids=tokens, labels=labels).loss for tokens, labels in rows]
        total = sum(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if max(float(each.detach()) for each in losses) < 1e-2:
            break
    else:
        raise AssertionError(f"not learned: {[float(each) for each in losses]}")
    torch.set_num_threads(threads)
    model.save_pretrained(Path(folder))
    tokenizer.save_pretrained(Path(folder))
