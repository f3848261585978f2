"""Quantizer `apq`: argmax-preserving quantization."""
