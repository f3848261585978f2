"""`examples/any_qiskit_circuit.py` prints what it says."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[5]


def test_the_example_classifies(tmp_path):
    script = ROOT / "examples" / "any_qiskit_circuit.py"
    assert len(script.read_text().splitlines()) <= 40
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, check=True)
    exact, noisy = (float(each) for each in re.findall(r"([\d.]+)% of 256 points classified", done.stdout))
    assert exact > 95
    assert 85 < noisy <= 100
    assert list(tmp_path.iterdir()) == []
