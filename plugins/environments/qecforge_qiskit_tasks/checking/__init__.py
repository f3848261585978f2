"""Proof of a set of tasks: references pass, wrong solutions fail, and tests kill mutants."""
