"""What is said where an optional package is missing: packages that pip finds, for qecforge is on no registry."""

import configparser
import re
from pathlib import Path

import pytest

from qecforge.errors import MissingDependency
from qecforge.machine.extras import extra_requirements, missing_dependency

ROOT = Path(__file__).resolve().parents[3]


def declared(section):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return {name: text.split() for name, text in setup[section].items()}


@pytest.mark.parametrize("extra", ["baselines", "pandas", "plots", "postgresql", "tesseract"])
def test_packages_are_those_of_the_extra(extra):
    assert extra_requirements(extra) == declared("options.extras_require")[extra]


def test_the_message_says_what_to_install():
    error = missing_dependency("store postgresql://h/d", "psycopg", "postgresql")
    assert isinstance(error, MissingDependency)
    assert str(error) == (
        "store postgresql://h/d: psycopg is not installed: pip install 'psycopg[binary]>=3.1' (extra 'postgresql')"
    )
    other = missing_dependency("decoder tesseract", "tesseract-decoder", "tesseract", otherwise="choose bposd")
    assert re.search(r"pip install 'tesseract-decoder>=[\w.]+', or choose bposd \(extra 'tesseract'\)$", str(other))


def test_without_an_extra_the_package_is_named():
    assert extra_requirements("no_such_extra") == []
    assert "pip install 'thing'" in str(missing_dependency("it", "thing", "no_such_extra"))


def test_nothing_asks_for_qecforge_from_a_registry():
    """Neither a message nor a page says `pip install qecforge`."""
    files = [path for folder in ("core", "plugins", "benchmarks", "docs") for path in (ROOT / folder).rglob("*")]
    files = [path for path in files if path.suffix in {".py", ".md"}] + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    wrong = [path for path in files if re.search(r"pip install ['\"]?qecforge\b", path.read_text(encoding="utf-8"))]
    assert wrong == []
