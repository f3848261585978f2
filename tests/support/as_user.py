"""Running a script of the tests as a user without privileges, where the tests themselves are run by root.

An interpreter below a private home cannot be read by such a user: in a mount space of its own it is put where it can.
Nothing of that is seen outside, and nothing stays.
"""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["cannot", "run_as_user"]

NOBODY = 65534
PLACE = "/mnt"
ROOT = Path(__file__).resolve().parents[2]

INSIDE = f"""
import os, subprocess, sys
prefix, python, *command = sys.argv[1:]
def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "{PLACE}")
os.mkdir("{PLACE}/python")
mount("--bind", prefix, "{PLACE}/python")
os.mkdir("{PLACE}/tmp")
os.chmod("{PLACE}/tmp", 0o1777)
os.chdir("{PLACE}/tmp")
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
os.execv("{PLACE}/python/" + python, ["{PLACE}/python/" + python, "-B", *command])
"""


def run_as_user(*command, env=()):
    """Run `python COMMAND...` as a user without privileges; the user who runs the tests, where that is not root."""
    paths = [str(ROOT / "core"), str(ROOT / "tests" / "support")]
    paths += [each for each in sys.path if Path(each).name in ("site-packages", "dist-packages")]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": os.pathsep.join(paths)}
    environment |= dict(env)
    if os.geteuid() != 0:
        started = [sys.executable, "-B", *command]
    else:
        prefix = os.path.realpath(sys.base_prefix)
        python = os.path.relpath(os.path.realpath(sys._base_executable), prefix)
        environment |= {"TMPDIR": f"{PLACE}/tmp", "HOME": f"{PLACE}/tmp"}
        started = ["unshare", "--mount", "--", sys.executable, "-c", INSIDE, prefix, python, *command]
    return subprocess.run(started, env=environment, capture_output=True, text=True, timeout=600, check=False)


def cannot():
    """Why no script can be run as a user here; empty where it can."""
    try:
        done = run_as_user("-c", "import os, numpy; print(os.getuid())")
    except OSError as error:
        return str(error)
    if done.returncode == 0 and done.stdout.strip() != "0":
        return ""
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
