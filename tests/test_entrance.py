"""What someone meets first: forms, checks, citation, and that hooks, suites and what goes are documented."""

import ast
import configparser
import inspect
import os
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import qecforge
import qecforge.testing
from qecforge import hookspecs

ROOT = Path(__file__).resolve().parents[1]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
ARXIV = {"2511.08493", "2503.09119", "2508.20907", "2311.04750"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def yaml(name):
    return YAML(typ="safe", pure=True).load(read(name))


def names_in(text):
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_what_github_takes(form):
    """Keys of the syntax for issue forms, and ids that occur once."""
    content = yaml(form.relative_to(ROOT))
    assert set(content) <= {"name", "description", "title", "labels", "assignees", "body"}
    assert content["name"]
    assert content["description"]
    for field in content["body"]:
        given, attributes = set(field) - {"type"}, field["attributes"]
        assert field["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        if field["type"] == "markdown":
            assert (given, set(attributes)) == ({"attributes"}, {"value"})
            continue
        assert given == {"id", "attributes", "validations"}
        assert re.fullmatch(r"[A-Za-z0-9_-]+", field["id"])
        assert set(attributes) <= {"label", "description", "placeholder", "value", "render", "options"}
        assert attributes["label"]
        assert ("options" in attributes) == (field["type"] == "dropdown")
        assert set(field["validations"]) == {"required"}
        assert isinstance(field["validations"]["required"], bool)
    identifiers = [field["id"] for field in content["body"] if "id" in field]
    assert len(identifiers) == len(set(identifiers))
    assert any(field.get("validations", {}).get("required") for field in content["body"])


def test_there_are_forms_for_what_people_come_with():
    assert {form.stem for form in FORMS} == {"bug", "wrong_number", "plugin"}
    assert set(yaml(".github/ISSUE_TEMPLATE/config.yml")) == {"blank_issues_enabled"}


def test_commands_in_forms_exist():
    reference = read("docs/cli.md")
    for form in FORMS:
        for command in re.findall(r"`qecforge ((?:[a-z]+ )?[a-z]+)", form.read_text(encoding="utf-8")):
            assert f"## qecforge {command}\n" in reference, command


def test_the_checks_are_one_list():
    assert os.access(ROOT / "scripts" / "check", os.X_OK)
    checked = [line.removeprefix("python -m ") for line in read("scripts/check").splitlines() if "python -m" in line]
    assert [line.split()[0] for line in checked] == ["ruff", "ruff", "mypy", "mkdocs", "pytest"]
    assert "--strict" in next(line for line in checked if line.startswith("mkdocs"))
    steps = read(".ci/run").splitlines()
    assert 'scripts/check "$@"' in steps
    assert steps[-2:] == ['    PIP_FIND_LINKS="$environment/wheels" scripts/check_lowest', "fi"]
    assert not [line for line in steps if not line.startswith("#") and re.search("pytest|ruff|mypy|mkdocs", line)]


def test_hooks_of_pre_commit_fetch_nothing():
    (repository,) = yaml(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["id"] for hook in repository["hooks"]} == {"ruff-check", "ruff-format", "mypy", "house"}
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert {"name", "entry"} <= set(hook)


def test_the_citation_is_of_this_version_and_names_the_papers():
    citation, setup = yaml("CITATION.cff"), configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert str(citation["version"]) == setup["metadata"]["version"]
    assert citation["license"] == setup["metadata"]["license"]
    assert citation["authors"] == [{"name": "The qecforge authors"}]
    identified = [each for each in citation["references"] if "identifiers" in each]
    assert {each["value"] for reference in identified for each in reference["identifiers"]} == {
        f"arXiv:{number}" for number in ARXIV
    }
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)
    for reference in identified:
        number = reference["identifiers"][0]["value"].removeprefix("arXiv:")
        assert reference["url"] == f"https://arxiv.org/abs/{number}"
    assert len(citation["references"]) == len(ARXIV) + 1


def test_what_tests_and_documents_need_is_pinned():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = setup["options"]["install_requires"]
    wanted += "".join(setup["options.extras_require"][extra] for extra in ("test", "docs"))
    names = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in wanted.split() if line}
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in read("constraints.txt").split()}
    assert names - {"setuptools", "wheel"} <= pinned


def test_the_readme_installs_what_its_blocks_need():
    """Extras of the block on steering, whose reproduction decodes by tesseract and compares with CMA-ES."""
    needed = {"tesseract": "tesseract", "cma_es": "baselines"}
    manifests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "steering").glob("*.yaml"))
    (block,) = re.findall(r"```bash\n(pip install[^`]*reproduce steering[^`]*)```", read("README.md"))
    (extras,) = re.findall(r'-e "\.\[([\w,]+)\]"', block)
    assert {"plots"} | {extra for name, extra in needed.items() if name in manifests} == set(extras.split(","))


def test_the_lowest_versions_can_be_tested():
    assert os.access(ROOT / "scripts" / "check_lowest", os.X_OK)
    assert "--resolution lowest-direct" in read("scripts/check_lowest")


def test_every_hook_is_documented():
    hooks = {
        name for name, each in vars(hookspecs).items() if name.startswith("qecforge_") and inspect.isfunction(each)
    }
    assert "qecforge_reproductions" in hooks
    rows = re.findall(r"^\| `(qecforge_\w+)` \| .+ \|$", read("docs/plugin.md"), re.MULTILINE)
    assert sorted(rows) == sorted(hooks)


def contract_suites():
    """Names by which suites are imported."""
    return {f"{module}.{each.__name__}" for each, module in suite_classes().items()}


def suite_classes():
    """Each suite, and the shortest name of a module that it is imported from."""
    found = {}
    for module in pkgutil.walk_packages(qecforge.testing.__path__, "qecforge.testing."):
        for name, each in inspect.getmembers(import_module(module.name), inspect.isclass):
            if name.endswith("Contract") and each.__module__.startswith("qecforge.testing"):
                shortest = min(found.get(each, module.name), module.name, key=len)
                found[each] = shortest
    return found


def test_every_contract_suite_is_documented():
    suites = contract_suites()
    assert "qecforge.testing.text.TextEnvironmentContract" in suites
    rows = re.findall(r"^\| `(qecforge\.testing\.[\w.]+Contract)` \| .+ \|$", read("docs/plugin.md"), re.MULTILINE)
    assert sorted(rows) == sorted(suites)


def test_what_a_suite_is_told_is_documented():
    """Every public attribute that a suite declares, with the suites that have it."""
    (table,) = re.findall(r"\| attribute \| of which suites .*?(?=\n\n)", read("docs/plugin.md"), re.DOTALL)
    documented = {name for row in table.splitlines() for name in names_in(row.split(" | ")[0])}
    declared = {
        name
        for suite in suite_classes()
        for base in suite.__mro__
        for name in vars(base).get("__annotations__", ())
        if base.__module__.startswith("qecforge.testing") and not name.startswith("_")
    }
    assert {"trains_further", "settings"} <= declared
    assert documented == declared


def test_the_loop_in_a_docstring_is_the_signature():
    """`TrainingContext` shows the loop of an agent: its call of `advance` has the parameters that there are."""
    from qecforge.contracts import TrainingContext

    (call,) = re.findall(r"context\.advance\(([^)]*)\)", TrainingContext.__doc__)
    given = [each.strip().removeprefix("self.") for each in call.split(",")]
    parameters = list(inspect.signature(TrainingContext.advance).parameters)[1:]
    assert given == ["step", "total", "metrics", "state_dict"]
    assert parameters == ["step", "total", "metrics", "state"]


def test_the_guide_names_what_there_is():
    """Paths, names in dotted form and suites that stand in backticks in CONTRIBUTING.md."""
    suites = {name.rpartition(".")[2] for name in contract_suites()}
    checked = 0
    for name in names_in(read("CONTRIBUTING.md")):
        if re.fullmatch(r"qecforge(\.\w+)+", name):
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute), name
        elif name.endswith("Contract"):
            assert name in suites, name
        elif re.fullmatch(r"(core|plugins|benchmarks|tests|scripts|docs|\.ci)(/[\w./]+)?", name):
            assert (ROOT / name).exists(), name
        else:
            continue
        checked += 1
    assert checked > 30


def test_what_goes_is_on_the_page_of_compatibility():
    page = read("docs/compatibility.md")
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.endswith(" 0.3 |")]
    named = set(names_in("\n".join(row.split(" | ")[0] for row in rows)))
    moved = {name.removeprefix("qecforge.") for name in named}
    assert set(qecforge._MOVED) <= moved
    source = ast.parse(read("core/qecforge/codes/stabilizer_code.py"))
    methods = {
        node.args[0].value
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_deprecated"
    }
    assert methods
    assert {f"StabilizerCode.{name}" for name in methods} <= named


def test_what_is_said_to_move_is_there():
    """Old names still work, and warn; the new ones are where the page says."""
    for name, home in qecforge._MOVED.items():
        with pytest.warns(DeprecationWarning, match=f"qecforge.{home}.{name}"):
            old = getattr(qecforge, name)
        assert old is getattr(import_module(f"qecforge.{home}"), name)
    with pytest.warns(DeprecationWarning, match=r"qecforge\.contracts\.PluginConfig"):
        assert hookspecs.PluginConfig is import_module("qecforge.contracts").PluginConfig
