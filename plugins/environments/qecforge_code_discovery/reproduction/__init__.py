"""Encoders with few gates for the codes of Olle et al. 2024, and for codes beyond them."""
