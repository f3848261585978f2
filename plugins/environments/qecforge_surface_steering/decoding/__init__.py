"""Logical error rates of a device whose errors are known only in part: fault models, priors, reweighting."""
