"""The agent `grpo_hf`: a pretrained model of Hugging Face, adapted by TRL's `GRPOTrainer` (extra `llm`)."""
