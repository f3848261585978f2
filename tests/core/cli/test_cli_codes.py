"""`qecforge codes`: in, out, and proved again."""

import csv
import io
import json
import sqlite3
import time

import numpy as np
import pytest
from cli_harness import invoke, one_line

from qecforge import StabilizerCode, Store
from qecforge.codes import load_code
from qecforge.evaluation.error_rates.records import ErrorCounts, ErrorRateTask

FIVE = ["XZZXI", "IXZZX", "XIXZZ", "ZXIXZ"]
STEANE = ["XXXXIII", "XXIIXXI", "XIXIXIX", "ZZZZIII", "ZZIIZZI", "ZIZIZIZ"]
FORMATS = ["stim", "qasm2", "qasm3", "alist", "json", "paulis", "check_matrix", "mtx"]


@pytest.fixture
def code_id(filled):
    with Store("sqlite:///results.db") as store:
        return store.codes()[0].id


def listed(*arguments):
    result = invoke("codes", "list", "--format", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("form", FORMATS)
def test_export_writes_what_import_reads(code_id, folder, form):
    result = invoke("codes", "export", code_id, "--format", form, "--out", f"code.{form}")
    assert result.exit_code == 0, result.stderr
    assert load_code(folder / f"code.{form}") == StabilizerCode.from_paulis(FIVE)
    again = invoke("codes", "import", f"code.{form}", "--store", "sqlite:///second.db")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.startswith(f"[[5,1,3]]  code {code_id}\ndistance 3 is proved: ")
    with Store("sqlite:///second.db") as store:
        (record,) = store.codes()
    assert (record.distance, record.distance_kind, record.source) == (3, "exact", f"code.{form}")


def test_export_goes_to_stdout_and_holds_the_encoder_that_was_found(code_id):
    with Store("sqlite:///results.db") as store:
        found = store.code(code_id).encoder
    text = invoke("codes", "export", code_id, "--format", "stim").stdout
    assert [line for line in text.splitlines() if not line.startswith("#")] == found.splitlines()
    assert invoke("codes", "export", code_id, "--format", "paulis").stdout.split() == FIVE


def test_export_does_not_replace_a_file_unasked(code_id, folder):
    (folder / "code.txt").write_text("precious")
    assert "--force" in one_line(invoke("codes", "export", code_id, "--format", "json", "--out", "code.txt"))
    assert (folder / "code.txt").read_text() == "precious"
    assert invoke("codes", "export", code_id, "--format", "json", "--out", "code.txt", "--force").exit_code == 0
    assert json.loads((folder / "code.txt").read_text())["n"] == 5
    assert "cannot be written" in one_line(invoke("codes", "export", code_id, "--format", "json", "--out", "no/such/x"))


NO_CODES = {
    "anticommuting": ("XX\nZI\n", "commute"),
    "dependent": ("XXI\nIXX\nXIX\n", "product"),
    "ragged": ("XX\nZZZ\n", ""),
    "letters": ("XA\nZZ\n", ""),
    "empty": ("", "empty"),
    "binary": (b"\xff\xfe\x00", "text"),
    "json of something else": ('{"n": 5}', "JSON"),
    "json cut short": ('{"format": "qecforge.stabilizer_code", "n": 5', "JSON"),
    "circuit that is not Clifford": ("# n=2 k=1\nX_ERROR(0.1) 0\n", ""),
    "alist that lies": ("3 2\n2 2\n", "alist"),
}


@pytest.mark.parametrize("case", NO_CODES)
def test_what_is_no_code_is_not_stored(folder, case):
    content, what = NO_CODES[case]
    (folder / "code.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = one_line(invoke("codes", "import", "code.txt"))
    assert "code.txt" in line
    assert what in line
    assert [path.name for path in folder.iterdir()] == ["code.txt"]


def test_import_refuses_a_file_that_is_not_there_and_a_format_that_does_not_fit(folder):
    assert "no.txt" in one_line(invoke("codes", "import", "no.txt"))
    (folder / "code.txt").write_text("\n".join(FIVE))
    one_line(invoke("codes", "import", "code.txt", "--format", "json"))
    one_line(invoke("codes", "import", "code.txt", "--k", "2"))
    assert [path.name for path in folder.iterdir()] == ["code.txt"]


def test_import_of_a_pair_and_of_a_check_matrix(folder):
    for name in ("hx", "hz"):
        np.save(f"{name}.npy", np.array([[1, 0, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1]]))
    result = invoke("codes", "import", "--hx", "hx.npy", "--hz", "hz.npy")
    assert result.exit_code == 0, result.stderr
    (row,) = listed()
    assert (row["parameters"], row["source"]) == ("[[7,1,3]]", "hx.npy, hz.npy")
    np.save("hx.npy", np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]))
    line = one_line(invoke("codes", "import", "hx.npy"))
    assert "check matrix [X | Z] of the [[4,2]] code (say symplectic)" in line
    assert "half of a CSS code on 8 qubits (give the pair hx and hz)" in line
    assert invoke("codes", "import", "hx.npy", "--symplectic").stdout.startswith("[[4,2,2]]")
    for wrong in (["--hx", "hx.npy"], ["--hz", "hz.npy"], [], ["hx.npy", "--hx", "hx.npy", "--hz", "hz.npy"]):
        assert "expected FILE, or both --hx FILE and --hz FILE" in one_line(invoke("codes", "import", *wrong))
    assert "--k 2" in one_line(invoke("codes", "import", "--hx", "hz.npy", "--hz", "hz.npy", "--k", "2"))


def test_budgets_of_nothing_and_of_a_large_circuit(folder):
    (folder / "five.txt").write_text("\n".join(FIVE))
    result = invoke("codes", "import", "five.txt", "--budget", "0")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(("[[5,1,<=3]]", "[[5,1,3]]"))
    assert "greater than or equal to 0" in one_line(invoke("codes", "import", "five.txt", "--budget", "-1"))
    (row,) = listed()
    assert invoke("codes", "verify", row["id"], "--budget", "0").exit_code == 0
    (folder / "large.stim").write_text("H 0\nCX 0 1999\n")
    started = time.process_time()
    assert invoke("codes", "import", "large.stim", "--k", "1999", "--budget", "1").exit_code == 0
    assert time.process_time() - started < 6.0  # the store and the listing, 12 MB, come after the proof


def test_import_from_stdin_with_a_source_and_redundant_generators(folder):
    text = "\n".join([*STEANE, "XIIXIXX"])
    assert "product" in one_line(invoke("codes", "import", "-", input=text))
    result = invoke("codes", "import", "-", "--drop-redundant", "--source", "Steane 1996", input=text)
    assert result.exit_code == 0, result.stderr
    (row,) = listed()
    assert (row["parameters"], row["source"], row["distance_kind"]) == ("[[7,1,3]]", "Steane 1996", "exact")


def test_list_filters_and_sorts(code_id, folder):
    (folder / "steane.txt").write_text("\n".join(STEANE))
    (folder / "four.txt").write_text("XXXX\nZZZZ\n")
    for name in ("steane.txt", "four.txt"):
        assert invoke("codes", "import", name).exit_code == 0
    assert [row["parameters"] for row in listed("--order-by", "n")] == ["[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]"]
    assert [row["parameters"] for row in listed("--n", 7)] == ["[[7,1,3]]"]
    assert [row["parameters"] for row in listed("--k", 2)] == ["[[4,2,2]]"]
    assert {row["parameters"] for row in listed("--min-distance", 3)} == {"[[5,1,3]]", "[[7,1,3]]"}
    assert [row["parameters"] for row in listed("--order-by", "best")][-1] == "[[4,2,2]]"
    assert len(listed("--limit", 2)) == 2
    assert [row["id"] for row in listed("--max-gates", 1000)] == [code_id]
    with Store("sqlite:///results.db") as store:
        run = store.runs(seed=5)[0].id
    assert [row["id"] for row in listed("--run", run)] == [code_id]
    assert invoke("codes", "list", "--n", 99).stderr == "no code matches\n"


def test_verify_proves_anew(code_id):
    rows = json.loads(invoke("codes", "verify", code_id, "--format", "json").stdout)
    assert [row["ok"] for row in rows] == [True] * len(rows)
    assert rows[0]["check"] == "distance, stored as exactly 3"
    assert rows[0]["result"].startswith("3, proved by ")
    assert rows[1]["result"] == "encodes this code"
    assert "yes" in invoke("codes", "verify", code_id).stdout


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE codes SET distance_lower = 4, distance_upper = 4", "distance"),
        ("UPDATE discoveries SET encoder = 'H 0\nCX 0 1 1 2 2 3 3 4'", "encoder"),
        ("UPDATE discoveries SET encoder = 'not a circuit'", "encoder"),
    ],
)
def test_verify_finds_what_is_wrong(code_id, folder, change, what):
    with sqlite3.connect(folder / "results.db") as database:
        database.execute(change)
    database.close()
    result = invoke("codes", "verify", code_id)
    assert result.exit_code == 1
    assert "no" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"code {code_id} failed these checks: {what}")


def test_show_has_error_rates_with_intervals(code_id):
    with Store("sqlite:///results.db") as store:
        record = store.code(code_id)
        for p, errors in ((1e-3, 10), (2e-3, 40)):
            task = ErrorRateTask(
                code_digest=record.digest,
                experiment="memory",
                noise='{"model":"depolarizing"}',
                p=p,
                extraction="flag",
                rounds=3,
                boundary="ideal",
                basis="both",
                decoder="pymatching",
                circuit_distance=3,
                circuit_distance_kind="upper_bound",
            )
            store.add_error_counts(code_id, task, 0, ErrorCounts(shots=1000, errors=errors, seconds=0.5))
        expected = [rate.interval for rate in sorted(store.error_rates(code_id), key=lambda rate: rate.p)]
    text = invoke("codes", "show", code_id[:5]).stdout
    rows = [line for line in text.splitlines() if "pymatching" in line]
    assert ["0.001", "0.01", f"[{expected[0].low:.4g},"] == rows[0].split()[:3]
    assert rows[1].split()[:2] == ["0.002", "0.04"]
    assert "<=3" in rows[0]
    document = json.loads(invoke("codes", "show", code_id, "--format", "json").stdout)
    assert document["stabilizers"] == FIVE
    assert [rate["errors"] for rate in document["error_rates"]] == [10, 40]
    lines = list(csv.DictReader(io.StringIO(invoke("codes", "show", code_id, "--format", "csv").stdout)))
    assert [float(line["low"]) for line in lines] == pytest.approx([each.low for each in expected])


def test_a_bound_is_shown_as_one(folder):
    from qecforge.codes import Distance

    with Store("sqlite:///results.db") as store:
        code = StabilizerCode.from_paulis(STEANE)
        store.add_code(code, Distance(value=3, kind="upper_bound", method="search", seconds=0.0), source="a test")
        record = store.codes(include_upper_bounds=True)[0]
    text = invoke("codes", "show", record.id).stdout
    assert "[[7,1,<=3]]" in text
    assert "distance is at most 3, no lower bound is proved: search" in text
    assert "encoder, synthesised from the tableau" in text
    with Store("sqlite:///results.db") as store:
        between = Distance(value=3, kind="upper_bound", method="meet_in_the_middle", seconds=0.0, lower=2, upper=3)
        store.add_code(code, between, source="a test")
    assert "distance is at most 3, at least 2 is proved: " in invoke("codes", "show", record.id).stdout
