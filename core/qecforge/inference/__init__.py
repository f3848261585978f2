"""Deploying a policy: quantisation, INT8 runtimes, and what they cost and change."""
