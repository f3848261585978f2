"""What a steered run looks like."""
