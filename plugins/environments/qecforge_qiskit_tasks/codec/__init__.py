"""Qiskit's values in a flat form of ours, between a program that may lie and a judge that must not be fooled."""
