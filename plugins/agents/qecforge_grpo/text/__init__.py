"""GRPO for models of text."""
