"""`scripts/check --docs`: what it makes of a page. The pages themselves are run before a release."""

import sys
from pathlib import Path

import check_docs
import pytest
from check_docs import PAGES, ROOT, Page, _lines


@pytest.fixture
def page(tmp_path):
    return Page("README.md", tmp_path, tmp_path, Path(sys.executable), pip=False)


def test_every_page_is_checked():
    assert {"README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))} == set(PAGES)


def test_lines_of_a_block():
    text = "# a comment\nqecforge run a.yaml    # and what it does\nqecforge codes list \\\n    --n 7\n\n"
    assert [" ".join(line.split()) for line in _lines(text)] == ["qecforge run a.yaml", "qecforge codes list --n 7"]


def test_ids_and_files_stand_for_what_the_page_means(page, monkeypatch):
    monkeypatch.setattr(Page, "ids", lambda self: ["new", "old"])
    assert page.filled("qecforge runs compare RUN RUN") == "qecforge runs compare new old"
    assert page.filled("qecforge run FILE") == "qecforge run page.yaml"


def test_what_fails_is_named_and_what_is_left_out_is_said(page, capsys):
    page.shell("pip install -e . && true && false")
    page.shell("pytest")
    assert page.failures == ["README.md: exit code 1 of false\n"]
    said = capsys.readouterr().out
    assert "left out (the environment is given): pip install -e ." in said
    assert "left out (the tests are `scripts/check`): pytest" in said


def test_commands_that_are_not_there_are_failures(page, monkeypatch):
    monkeypatch.setattr(check_docs, "ROOT", page.folder)
    (page.folder / "README.md").write_text(
        "`qecforge codes list --colour red`, `qecforge codes show CODE --store URL`\n"
    )
    page.named([])
    assert page.failures == ["README.md: `qecforge codes list` has no --colour"]
