"""Carrying out a paper's experiments, and the report of ours beside theirs."""
