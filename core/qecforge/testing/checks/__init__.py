"""Checks that the suites share: how environments are played, views, closing, bad actions, groups, rewards."""
