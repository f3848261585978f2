"""qecforge."""
