"""Logical error rates: circuits, noise, shots, decoders."""
