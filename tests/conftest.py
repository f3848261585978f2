"""Tests see SIGINT as a command in a shell does, also in processes that are started to ignore it: those of
pytest-xdist, and what a shell puts into the background. No test of hypothesis has a deadline: a busy machine is no
fault."""

import signal

from hypothesis import settings

settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


def pytest_configure(config):
    if hasattr(config, "workerinput") or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
