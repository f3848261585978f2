"""What a policy does: decision fidelity, search, returns."""
