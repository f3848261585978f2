"""`scripts/check --docs`: what it makes of a page. The pages themselves are run before a release."""

import sys
from pathlib import Path

import check_docs
import pytest
from check_docs import PAGES, ROOT, Page, _lines


@pytest.fixture
def page(tmp_path):
    return Page("README.md", tmp_path, tmp_path, Path(sys.executable), pip=False)


@pytest.fixture(autouse=True)
def instead(monkeypatch):
    lines = {"sleep": ("true", "it takes long"), "false --force": ("{} --quick || true", "it fails")}
    monkeypatch.setattr(check_docs, "INSTEAD", lines)


def test_every_page_is_checked():
    assert {"README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))} == set(PAGES)


def test_titles_in_words_name_no_file(page, tmp_path, monkeypatch):
    found = [("yaml", "in a manifest", "a: 1\n"), ("python", "plugin/codec.py", "B = 1\n"), ("yaml", "", "c: 1\n")]
    monkeypatch.setattr(check_docs, "blocks", lambda name: found)
    monkeypatch.setattr(Page, "named", lambda self, shell: None)
    page.check()
    written = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.*")}
    assert written == {"plugin/codec.py": "B = 1\n", "page.yaml": "c: 1\n"}


def test_lines_of_a_block():
    text = "# a comment\nqecforge run a.yaml    # and what it does\nqecforge codes list \\\n    --n 7\n\n"
    assert [" ".join(line.split()) for line in _lines(text)] == ["qecforge run a.yaml", "qecforge codes list --n 7"]


def test_ids_and_files_stand_for_what_the_page_means(page, monkeypatch):
    monkeypatch.setattr(Page, "ids", lambda self: ["new", "old"])
    assert page.filled("qecforge runs compare RUN RUN") == "qecforge runs compare new old"
    assert page.filled("qecforge run FILE") == "qecforge run page.yaml"


def test_what_fails_is_named_and_what_is_run_otherwise_is_listed(page, capsys):
    page.shell("pip install -e . && true && false")
    page.shell("sleep 1000")
    page.shell("false --force --all")
    assert page.failures == ["README.md: exit code 1 of false\n"]
    assert page.otherwise == [
        "README.md: left out (the environment is given): pip install -e .",
        "README.md: not as it is (it takes long): sleep 1000",
        "README.md: not as it is (it fails): false --force --all",
    ]
    said = capsys.readouterr().out
    assert "  true\n" in said
    assert "  false --force --all --quick || true\n" in said


def test_a_line_that_hangs_is_a_failure(page, monkeypatch):
    monkeypatch.setattr(check_docs, "LONGEST", 1)
    page.shell("tail -f /dev/null")
    assert page.failures[0].startswith("README.md: exit code 124 of tail -f")


def test_only_the_programs_of_the_given_environment_are_found(page, monkeypatch, tmp_path):
    other = tmp_path / "other" / "bin"
    other.mkdir(parents=True)
    (other.parent / "pyvenv.cfg").touch()
    (other / "unheard-of").write_text("#!/bin/sh\n")
    (other / "unheard-of").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}:/usr/bin:/bin")
    assert page.done("unheard-of").returncode == 127


def test_pages_that_install_the_same_share_an_environment():
    assert check_docs.installed("docs/store.md") == check_docs.installed("docs/codes.md") == (check_docs.INSTALL,)
    assert check_docs.installed("docs/plugin.md") == (check_docs.INSTALL, "pip install -e .")
    assert check_docs.installed("README.md")[0] == "pip install -c constraints.txt -e ."


def test_what_is_run_in_the_place_of_a_line_is_of_a_line_that_a_page_has(monkeypatch):
    monkeypatch.undo()
    lines = [part for name in PAGES for line in check_docs.shell_lines(name) for part in line.split(" && ")]
    for start in check_docs.INSTEAD:
        assert any(" ".join(line.split()).startswith(start) for line in lines), start


def test_commands_that_are_not_there_are_failures(page, monkeypatch):
    monkeypatch.setattr(check_docs, "ROOT", page.folder)
    (page.folder / "README.md").write_text(
        "`qecforge codes list --colour red`, `qecforge codes show CODE --store URL`\n"
    )
    page.named([])
    assert page.failures == ["README.md: `qecforge codes list` has no --colour"]
