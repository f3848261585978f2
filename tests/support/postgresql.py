"""A PostgreSQL server of one's own, from the binaries of the system: started in a folder, on a socket in it, killed and
started again."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

UNPRIVILEGED = "postgres"
"""Who runs the server where the tests run as root, which it refuses; the system's package makes this user."""


def binaries():
    """The folder of `initdb` and `postgres`, the newest that there is; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def why_not():
    """Why no server can be started here, or None."""
    if binaries() is None:
        return "needs PostgreSQL: apt-get install postgresql, or set QECFORGE_TEST_POSTGRESQL_URL"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(UNPRIVILEGED)
        except KeyError:
            return f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED}"
    return None


class PrivateServer:
    """A server that only this machine reaches, through a socket in its folder. A context manager: it starts, and leaves
    nothing."""

    def __enter__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path has at most 107 characters
        self._as = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        make = ["initdb", "--pgdata=data", "--auth=trust", "--username=qecforge", "--encoding=UTF8", "--locale=C"]
        subprocess.run(self._command(*make, "--no-sync"), check=True, capture_output=True, **self._where())
        self.start()
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        shutil.rmtree(self._folder)

    @property
    def url(self):
        return f"postgresql://qecforge@/postgres?host={self._folder}"

    def start(self):
        """Start the server and wait until it takes connections."""
        serve = self._command("postgres", "-D", "data", "-k", str(self._folder), "-c", "listen_addresses=")
        deadline = time.monotonic() + 120
        while True:
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen(serve, stdout=log, stderr=log, **self._where())
            while self._process.poll() is None:
                ready = self._command("pg_isready", "--quiet", "--host", str(self._folder))
                if subprocess.run(ready, check=False, **self._where()).returncode == 0:
                    return
                time.sleep(0.05)
            # Killed a moment ago, its children may still be there, and it does not start beside them.
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.1)

    def kill(self):
        """SIGKILL, as the out-of-memory killer sends it; the server's children end by themselves."""
        self._process.kill()
        self._process.wait(60)

    def _command(self, name, *arguments):
        return [str(binaries() / name), *arguments]

    def _where(self):
        return {"cwd": self._folder, "start_new_session": True, **self._as}
