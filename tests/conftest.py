"""Tests see signals as a command in a shell does, also in the processes of pytest-xdist, which ignore SIGINT."""

import signal


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, signal.default_int_handler)
