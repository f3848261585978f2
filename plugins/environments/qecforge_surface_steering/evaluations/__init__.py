"""What is measured of a steered run once it has ended."""
