"""Checks that the suites share: closing, reset options and groups, rewards that cannot score."""
