"""Families of tasks, made with reference, tests and wrong solutions together."""
