"""`qecforge bench`: scripts are found, run and shown as ratios."""

import csv
import io
import json

import pytest
from cli_harness import invoke, one_line

from qecforge.reporting import benchmarks

ADDITION = '''\
"""Addition is faster than a loop.

And so on.
"""


def run(quick):
    ratio = 2.0 if quick else 3.0
    return [
        {"claim": "add", "ours": 1e6 * ratio, "peer": 1e6, "peer_name": "loop", "ratio": ratio, "target": 1.5,
         "unit": "1/s", "note": "quick" if quick else "whole"},
    ]
'''


@pytest.fixture
def scripts(folder):
    here = folder / "scripts"
    here.mkdir()
    (here / "addition.py").write_text(ADDITION)
    (here / "_shared.py").write_text("raise RuntimeError('not a benchmark')\n")
    return here


def test_bench_runs_what_it_finds(scripts):
    (row,) = json.loads(invoke("bench", "--directory", scripts, "--format", "json").stdout)
    assert (row["benchmark"], row["claim"], row["ratio"], row["extra"]) == ("addition", "add", 3.0, {"note": "whole"})
    (row,) = csv.DictReader(io.StringIO(invoke("bench", "--quick", "--directory", scripts, "--format", "csv").stdout))
    assert (row["ratio"], json.loads(row["extra"])) == ("2.0", {"note": "quick"})
    result = invoke("bench", "addition", "--directory", scripts)
    assert "3,000,000" in result.stdout
    assert "addition: Addition is faster than a loop." in result.stderr


def test_bench_lists(scripts):
    rows = json.loads(invoke("bench", "--list", "--directory", scripts, "--format", "json").stdout)
    assert rows == [{"name": "addition", "summary": "Addition is faster than a loop."}]


def test_one_benchmark_that_fails_leaves_the_others_to_run(scripts):
    (scripts / "aaa.py").write_text('"""Fails."""\n\n\ndef run(quick):\n    raise OSError("no luck")\n')
    result = invoke("bench", "--directory", scripts, "--format", "csv")
    assert result.exit_code == 1
    assert "add" in result.stdout
    assert "aaa: OSError: no luck" in result.stderr
    assert result.stderr.splitlines()[-1] == "1 of 2 benchmarks failed: aaa"


def test_bad_input(scripts, folder, monkeypatch):
    assert "addition" in one_line(invoke("bench", "adition", "--directory", scripts))
    assert "nowhere" in one_line(invoke("bench", "--directory", folder / "nowhere"))
    (scripts / "odd.py").write_text("def (")
    assert "odd.py" in one_line(invoke("bench", "--list", "--directory", scripts))
    monkeypatch.setattr(benchmarks, "source_directory", lambda: None)
    assert "--directory" in one_line(invoke("bench"))


def test_a_script_without_run_or_claim_is_said(scripts):
    (scripts / "addition.py").write_text('"""No run."""\n')
    result = invoke("bench", "--directory", scripts)
    assert (result.exit_code, "has no function run(quick)" in result.stderr) == (1, True)
    (scripts / "addition.py").write_text('"""No claim."""\n\n\ndef run(quick):\n    return [{"ours": 1}]\n')
    result = invoke("bench", "--directory", scripts)
    assert (result.exit_code, "without `claim`" in result.stderr) == (1, True)


def test_the_source_tree_has_benchmarks_that_describe_themselves():
    folder = benchmarks.source_directory()
    assert folder is not None
    assert [each.name for each in benchmarks.find_benchmarks() if not each.summary] == []
