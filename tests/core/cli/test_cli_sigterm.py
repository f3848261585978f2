"""SIGTERM, which schedulers and systemd send, ends any command as Ctrl-C does."""

import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import sys, time
from qecforge.cli._app import app

@app.command("wait")
def wait() -> None:
    try:
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.5)
        print("cleaned up", file=sys.stderr, flush=True)

sys.argv = ["qecforge", "wait"]
from qecforge.cli import main
main()
"""


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 2)])
def test_a_command_cleans_up_and_says_so(number, times):
    waiting = subprocess.Popen([sys.executable, "-c", COMMAND], stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "ready\n"
    for _ in range(times):
        waiting.send_signal(number)
        time.sleep(0.1)
    _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, said.splitlines()) == (130, ["cleaned up", "interrupted"])


def test_a_process_that_does_not_end_is_ended_by_the_second_one_after_a_while():
    program = """
import time
from qecforge.machine import signals
signals.PATIENCE_SECONDS = 2.0
signals.interrupt_on_sigterm()
said = False
while True:
    try:
        if not said:
            said = True
            print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("deaf", flush=True)
"""
    deaf = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert deaf.stdout is not None
    for line in ("ready\n", "deaf\n"):
        assert deaf.stdout.readline() == line
        deaf.send_signal(signal.SIGTERM)
    time.sleep(2.5)
    deaf.send_signal(signal.SIGTERM)
    deaf.communicate(timeout=60)
    assert deaf.returncode == -signal.SIGTERM
