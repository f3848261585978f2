"""Compilation of kernels is told, and kernels from the cache are none."""

import subprocess
import sys

import numba
from cli_harness import MANIFEST, with_toys

from qecforge import Registry, RunListener, RunOptions, load_manifest, run_manifest
from qecforge.machine.compilation import told_of_compilation

KERNELS = """\
import numba
from qecforge.machine.compilation import told_of_compilation

@numba.njit(cache=True)
def added(x):
    return x + 1

with told_of_compilation(lambda: print("compiling")):
    added(1), added(2), added(0.5)
"""


def test_it_is_told_once_and_only_where_nothing_is_in_the_cache(tmp_path):
    (tmp_path / "kernels.py").write_text(KERNELS)
    said = [
        subprocess.run(
            [sys.executable, "kernels.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300
        ).stdout
        for _ in range(2)
    ]
    assert said == ["compiling\n", ""]


def test_a_run_tells_its_listener(tmp_path, monkeypatch):
    import toy_plugin

    class Listener(RunListener):
        told = 0

        def on_compile(self, plan):
            assert plan.name == "walk"
            self.told += 1

    step = toy_plugin.WalkEnvironment.step
    kernel = numba.njit(lambda x: x * 2)
    monkeypatch.setattr(toy_plugin.WalkEnvironment, "step", lambda self, *a, **k: (kernel(2), step(self, *a, **k))[1])
    listener = Listener()
    manifest = load_manifest(MANIFEST, registry=with_toys(Registry), overrides=["seeds=[5]"])
    (outcome,) = run_manifest(manifest, options=RunOptions(f"sqlite:///{tmp_path}/a.db"), listener=listener)
    assert (outcome.status, listener.told) == ("finished", 1)
    with told_of_compilation(lambda: listener.on_compile(manifest.runs()[0])):
        kernel(3)
    assert listener.told == 1
