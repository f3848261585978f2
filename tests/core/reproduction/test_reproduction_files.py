"""A report as tables in their order, and as files."""

from __future__ import annotations

import json

import pytest

from qecforge.contracts import Claim, Report
from qecforge.errors import ConfigurationError, PluginError
from qecforge.reporting.figures import Point, error_rate_figure
from qecforge.reporting.spread import Spread
from qecforge.reporting.tables import Column, Table, to_csv, to_markdown
from qecforge.reproduction import above
from qecforge.reproduction.files import tables_of, write_files

CLAIM = Claim(part="e1", text="faster", ours=Spread(1.5, 0.1, 1.2, 1.8, 3), criterion=above(1))


def table(value, title=""):
    return Table((Column("value"),), [] if value is None else [{"value": value}], title)


def test_the_claims_come_first_or_where_the_report_says():
    tables = {"speed": table(1), "none": table(None), "size": table(2)}
    assert list(tables_of(Report(claims=[CLAIM], tables=tables))) == ["claims", "speed", "size"]
    assert list(tables_of(Report(claims=[CLAIM], tables=tables, claims_after="speed"))) == ["speed", "claims", "size"]
    assert list(tables_of(Report(claims=[CLAIM], tables=tables, claims_after="none"))) == ["speed", "claims", "size"]
    assert list(tables_of(Report(tables=tables))) == ["speed", "size"]
    assert tables_of(Report()) == {}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({}, "a report is {}, expected a Report of Claims"),
        (Report(claims=["faster"]), "expected a Report of Claims"),
        (Report(tables={"claims": table(1)}), "has a table 'claims' of its own"),
        (Report(tables={"a": table(1)}, claims_after="b"), "claims_after is 'b', expected one of its tables"),
        (Report(tables={"../a": table(1)}), "names a file '../a'"),
        (Report(tables={"": table(1)}), "names a file ''"),
    ],
)
def test_what_is_no_report_is_one_line(report, message):
    with pytest.raises(PluginError) as caught:
        tables_of(report)
    assert message in str(caught.value)


def test_files_of_every_kind(tmp_path):
    tables = tables_of(Report(claims=[CLAIM], tables={"speed": table(1.5, "Speed")}))
    figures = {"rates": error_rate_figure({"ptq": [Point(1e-3, 2e-3, 1e-3, 3e-3)]})}
    folder = tmp_path / "a" / "b"
    written = write_files(tables, figures, folder, title="Ours & theirs", notes=["Source: a book."])
    names = ["tables.md", "claims.csv", "speed.csv", "claims.json", "speed.json", "rates.png", "report.html"]
    assert [path.name for path in written] == names
    assert {path.name for path in folder.iterdir()} == set(names)
    title = "Claims of the paper, ours beside theirs"
    assert (folder / "tables.md").read_text() == (
        f"## {title}\n\n{to_markdown(tables['claims'])}\n\n## Speed\n\n{to_markdown(tables['speed'])}\n"
    )
    assert (folder / "speed.csv").read_text() == f"{to_csv(tables['speed'])}\n" == "value\n1.5\n"
    assert json.loads((folder / "claims.json").read_text())[0]["holds"] is True
    assert (folder / "rates.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    for part in ("<h1>Ours &amp; theirs</h1>", "<p>Source: a book.</p>", title, ">yes<", "data:image/png;base64,"):
        assert part in page


def test_the_same_report_gives_the_same_files(tmp_path):
    figures = {"rates": error_rate_figure({"ptq": [Point(1e-3, 2e-3, 1e-3, 3e-3)]})}
    for name in ("one", "two"):
        write_files({"speed": table(1.5, "Speed")}, figures, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be written .*: choose another folder"):
        write_files({}, {}, tmp_path / "file")


def test_a_figure_that_is_named_as_no_file_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(PluginError, match="names a file 'a/b'"):
        write_files({}, {"a/b": None}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
