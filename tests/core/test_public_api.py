"""What `qecforge` offers."""

import subprocess
import sys

import pytest

import qecforge


@pytest.mark.parametrize("name", qecforge.__all__)
def test_every_public_name_resolves(name):
    found = getattr(qecforge, name)
    assert callable(found)
    assert getattr(found, "__name__", name) == name


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="nothing"):
        qecforge.nothing  # noqa: B018


def test_the_public_names_are_listed_and_sorted():
    assert dir(qecforge) == sorted(qecforge.__all__) == list(qecforge.__all__)


def test_importing_it_imports_nothing_heavy():
    program = (
        "import sys, qecforge; print(sorted({'torch', 'numba', 'stim', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
