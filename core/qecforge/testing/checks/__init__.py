"""Checks that the suites share: of environments, how they are played, closing, bad actions."""
