"""A language model as Hugging Face keeps them: random weights of some thousand numbers, a tokenizer of merged bytes."""

from pathlib import Path


def save_tiny_llama(
    folder: Path, *, width: int = 32, context: int = 128, seed: int = 0, spread: float = 0.1, chat: bool = False
) -> Path:
    """Write it into `folder`, and return that; `chat` gives its tokenizer a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    merged = Tokenizer(models.BPE())
    merged.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merged.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    how = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", "<eos>"], initial_alphabet=sorted(letters), show_progress=False
    )
    merged.train_from_iterator(["Write the digit . user assistant"] * 2, how)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merged, pad_token="<pad>", eos_token="<eos>")
    if chat:
        tokenizer.chat_template = (
            "{% for each in messages %}{{ each.role }}: {{ each.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant: {% endif %}"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                intermediate_size=2 * width,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=context,
                tie_word_embeddings=True,
                initializer_range=spread,
                pad_token_id=0,
                eos_token_id=1,
                bos_token_id=None,
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
