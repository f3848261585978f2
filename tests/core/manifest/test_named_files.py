"""Which files a manifest may name, of all that can name one: a circuit, a table, a base model, a teacher's manifest, a
file or folder of tasks, a file of transcripts."""

import gzip
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import EntryPoint

import pytest

from qecforge.contracts import files as files_module
from qecforge.contracts import read_named_file
from qecforge.errors import ConfigurationError, ManifestError, UserError
from qecforge.executors._portable import PortablePlan
from qecforge.manifest import RunPlan, load_manifest
from qecforge.registry import Registry

STEERING = """\
qecforge: 1
name: files
environment:
  plugin: surface_steering
  DEVICE
  horizon: 2
agent: {plugin: parameter_ppo, total_epochs: 2}
"""
WITH_TABLE = STEERING.replace("DEVICE", 'distance: 3\n  drift: [{profile: table, beyond: hold, values: "NAME"}]')
WITH_CIRCUIT = STEERING.replace("DEVICE", 'code: circuit\n  rounds: 1\n  circuit: "NAME"')
WITH_BASE = """\
qecforge: 1
name: files
environment: {plugin: number_words, numbers: 3}
agent: {plugin: word_table, base: "NAME"}
"""
WITH_TEACHER = """\
qecforge: 1
name: files
environment: {plugin: code_discovery, n: 5, k: 1, target_distance: 3, max_gates: 20, gates: [h, s, cx]}
reward: knill_laflamme
agent: {plugin: ppo, total_steps: 2048, num_envs: 32, horizon: 16, minibatch_size: 128}
quantizer: {plugin: ptq, teacher: {manifest: "NAME"}}
"""
WITH_TASKS = """\
qecforge: 1
name: files
environment: {plugin: qiskit_tasks, tasks: "NAME", test_share: 0}
reward: {plugin: qiskit_execution, transcripts: null}
agent: {plugin: grpo_text, total_steps: 8, groups: 1, group_size: 8}
"""
TASK = {
    "id": "one",
    "level": "basic",
    "prompt": "def one():\n",
    "hard_prompt": "Write one().",
    "entry_point": "one",
    "reference": "def one():\n    return 1\n",
    "tests": "def test_one(program):\n    assert program.one() == 1\n",
}
CIRCUIT = "R 0 1\nH[h{}] 0 1\nCZ[cz{}] 0 1\nCZ[cz{}] 0 1\nH[h{}] 0 1\nM 0 1\nDETECTOR rec[-1]\nDETECTOR rec[-2]\n"
GOOD = {
    "drift.csv": (WITH_TABLE, "0.1\n0.2 # a comment\n\n0.3\n"),
    "own.stim": (WITH_CIRCUIT, CIRCUIT),
    "base.json": (WITH_BASE, '{"words": ["zero", "one", "two"], "preferences": [0, 0, 1]}'),
    "teacher.yaml": (WITH_TEACHER, "\n".join(WITH_TEACHER.splitlines()[:-1])),
    "tasks.jsonl": (WITH_TASKS, json.dumps(TASK)),
}
KEEP_NAMES = {"base.json", "tasks.jsonl"}
"""What is kept of these is a name and a hash, not the content."""
SECRET = "root:hunter2:19000"


@pytest.fixture(scope="module")
def registry():
    names = {
        "surface_steering": "qecforge_surface_steering",
        "number_words": "qecforge_thirdparty_text",
        "code_discovery": "qecforge_code_discovery",
        "knill_laflamme": "qecforge_knill_laflamme",
        "ppo": "qecforge_ppo",
        "ptq": "qecforge_ptq",
        "qiskit_tasks": "qecforge_qiskit_tasks",
        "qiskit_execution": "qecforge_qiskit_execution",
        "grpo_text": "qecforge_grpo",
    }
    return Registry.load([EntryPoint(name, module, "qecforge") for name, module in names.items()])


def manifest(folder, text, name):
    path = folder / "manifest.yaml"
    path.write_text(text.replace("NAME", str(name)))
    return path


def refusal(path, registry, **arguments):
    with pytest.raises((ManifestError, ConfigurationError)) as refused:
        load_manifest(path, registry=registry, **arguments)
    said = str(refused.value)
    assert "\n" not in said
    assert "hunter2" not in said, "what is in a file is nobody's business"
    return said


@pytest.mark.parametrize("name", GOOD)
def test_names_are_seen_from_the_manifests_folder(registry, tmp_path, monkeypatch, name):
    text, content = GOOD[name]
    folder, elsewhere = tmp_path / "study" / "parts", tmp_path / "elsewhere"
    folder.mkdir(parents=True)
    elsewhere.mkdir()
    (folder / name).write_text(content)
    path = manifest(tmp_path / "study", text, f"parts/{name}")
    monkeypatch.chdir(elsewhere)
    (plan,) = load_manifest(path, registry=registry).runs()
    assert RunPlan.from_canonical(plan.canonical, registry) == plan
    monkeypatch.chdir(tmp_path / "study")
    (same,) = load_manifest(path.relative_to(tmp_path / "study"), registry=registry).runs()
    if name not in KEEP_NAMES:
        assert same.identity == plan.identity


@pytest.mark.parametrize("name", GOOD)
def test_only_below_the_manifests_folder_or_what_is_allowed(registry, tmp_path, name):
    text, content = GOOD[name]
    (tmp_path / "study").mkdir()
    (tmp_path / name).write_text(content)
    (tmp_path / "study" / f"link-{name}").symlink_to(tmp_path / name)
    for given in (f"../{name}", tmp_path / name, f"link-{name}"):
        path = manifest(tmp_path / "study", text, given)
        said = refusal(path, registry)
        assert "is not below the manifest's folder: copy it there, or name it in `allow`" in said
        assert load_manifest(path, registry=registry, allow=[tmp_path]).runs()
        assert load_manifest(path, registry=registry, allow=[tmp_path / name]).runs()
        assert "is not below" in refusal(path, registry, allow=[tmp_path / "study", tmp_path / f"{name}.other"])


def test_a_teachers_files_are_seen_from_its_own_folder(registry, tmp_path):
    (tmp_path / "teachers").mkdir()
    (tmp_path / "teachers" / "teacher.yaml").write_text(GOOD["teacher.yaml"][1])
    assert load_manifest(manifest(tmp_path, WITH_TEACHER, "teachers/teacher.yaml"), registry=registry).runs()


@pytest.mark.parametrize("name", GOOD)
def test_devices_pipes_and_folders_are_refused_unopened(registry, tmp_path, name):
    text, ending = GOOD[name][0], name.partition(".")[2]
    os.mkfifo(tmp_path / f"pipe.{ending}")
    (tmp_path / f"folder.{ending}").mkdir()
    (tmp_path / f"zero.{ending}").symlink_to("/dev/zero")
    for given in (f"pipe.{ending}", f"folder.{ending}", f"zero.{ending}"):
        said = refusal(manifest(tmp_path, text, given), registry, allow=["/dev"])
        tasks = name == "tasks.jsonl" and given.startswith("folder")  # which may be one, with files in it
        assert ("no file of tasks is there" if tasks else "is no regular file: give the path of one") in said


@pytest.mark.parametrize("name", GOOD)
def test_what_is_too_large_or_missing_is_said(registry, tmp_path, monkeypatch, name):
    text, ending = GOOD[name][0], name.partition(".")[2]
    with (tmp_path / f"large.{ending}").open("wb") as file:
        file.truncate(files_module.MAX_FILE_BYTES + 1)
    assert " MB: give a smaller file" in refusal(manifest(tmp_path, text, f"large.{ending}"), registry)
    said = refusal(manifest(tmp_path, text, f"nowhere.{ending}"), registry)
    assert f"'nowhere.{ending}' cannot be read (No such file or directory): give the path of a file" in said
    assert "cannot be read" in refusal(manifest(tmp_path, text, f"{'x' * 5000}.{ending}"), registry)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "base.json"])
def test_errors_do_not_quote_a_file(registry, tmp_path, name):
    text, ending = GOOD[name][0], name.partition(".")[2]
    for content in (f"{SECRET}:/root\n", f"  {SECRET}\n- x: [", f"1, 2\n3, {SECRET}\n", f"\xff{SECRET}"):
        (tmp_path / f"shadow.{ending}").write_bytes(content.encode("latin-1"))
        assert f"shadow.{ending}" in refusal(manifest(tmp_path, text, f"shadow.{ending}"), registry)
    (tmp_path / f"packed.{ending}.gz").write_bytes(gzip.compress(GOOD[name][1].encode()))
    if ending == "csv":
        said = refusal(manifest(tmp_path, text, f"packed.{ending}.gz"), registry)
        assert "is not UTF-8 text" in said, "nothing is unpacked"
    if ending == "jsonl":
        assert "nothing is unpacked" in refusal(manifest(tmp_path, text, f"packed.{ending}.gz"), registry)


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_fetched(registry, tmp_path, monkeypatch, name):
    text, ending = GOOD[name][0], name.partition(".")[2]
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.chdir(tmp_path)
    try:
        url = f"http://127.0.0.1:{server.server_port}/x.{ending}"
        path = manifest(tmp_path, text, url)
        assert "is a URL: save the file, and give its path" in refusal(path, registry, allow=["/"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not asked
    assert [each.name for each in tmp_path.iterdir()] == ["manifest.yaml"]


def test_a_stored_run_reads_no_file(registry, tmp_path):
    """Its canonical text may have been altered by whoever gave the store away."""
    (tmp_path / "drift.csv").write_text("0.1\n0.2\n")
    (plan,) = load_manifest(manifest(tmp_path, WITH_TABLE, "drift.csv"), registry=registry).runs()
    altered = plan.canonical.replace("[[0.1],[0.2]]", f'"{tmp_path}/drift.csv"')
    assert altered != plan.canonical
    with pytest.raises(UserError, match="which a stored run does not name: run its manifest anew"):
        RunPlan.from_canonical(altered, registry)


def test_from_python_any_regular_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "one.txt").write_text("one")
    monkeypatch.chdir(tmp_path)
    file = read_named_file("one.txt")
    assert (file.text, str(file.path)) == ("one", "one.txt")
    assert read_named_file(str(tmp_path / "one.txt"), sha256=file.sha256).content == b"one"
    with pytest.raises(ConfigurationError, match="has the hash"):
        read_named_file("one.txt", sha256="0" * 64)
    with pytest.raises(ConfigurationError, match="is no regular file"):
        read_named_file("/dev/zero")
    with pytest.raises(ConfigurationError, match="expected at most 2 bytes: give a smaller file"):
        read_named_file("one.txt", limit=2)


def test_a_file_that_is_no_manifest_is_not_quoted(registry, tmp_path):
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n")
    with pytest.raises(ManifestError, match="got text, expected a mapping") as refused:
        load_manifest(path, registry=registry)
    assert "root" not in str(refused.value).replace(str(tmp_path), "")


def test_a_folder_of_tasks_does_not_lead_out_of_the_manifests(registry, tmp_path):
    """Each file in it is read by the same rules."""
    study, folder = tmp_path / "study", tmp_path / "study" / "tasks"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(json.dumps(TASK))
    path = manifest(study, WITH_TASKS, "tasks")
    (plan,) = load_manifest(path, registry=registry).runs()
    assert RunPlan.from_canonical(plan.canonical, registry) == plan
    (tmp_path / "b.jsonl").write_text(json.dumps({**TASK, "id": "two"}))
    (folder / "b.jsonl").symlink_to(tmp_path / "b.jsonl")
    assert "is not below the manifest's folder" in refusal(path, registry)
    assert load_manifest(path, registry=registry, allow=[tmp_path]).runs()
    (folder / "b.jsonl").unlink()
    os.mkfifo(folder / "b.jsonl")
    assert "is no regular file" in refusal(path, registry)


def test_a_data_set_of_a_hub_is_fetched_where_the_user_allows_it_by_name(registry, tmp_path, monkeypatch):
    from qecforge_qiskit_tasks.tasks import hub

    asked = []
    monkeypatch.setattr(hub, "read_data_set", lambda name: asked.append(name) or [(" test 1", TASK)])
    path = manifest(tmp_path, WITH_TASKS, "someone/tasks")
    said = refusal(path, registry, allow=[tmp_path])
    assert "so a data set of a hub, which is not fetched for a manifest" in said
    assert not asked
    (plan,) = load_manifest(path, registry=registry, allow=["someone/tasks"]).runs()
    assert asked == ["someone/tasks"]
    with pytest.raises(UserError, match="a data set of a hub"):
        RunPlan.from_canonical(plan.canonical, registry)
    portable = PortablePlan.of(plan)
    assert portable.plan(registry) == plan, "the process of a run that was planned here"


@pytest.mark.parametrize("section", ["environment", "reward"])
def test_a_file_that_a_run_writes_stays_below_the_current_folder(registry, tmp_path, monkeypatch, section):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    (here / "tasks.jsonl").write_text(json.dumps(TASK))
    path = manifest(here, WITH_TASKS, "tasks.jsonl")

    def named(name, **arguments):
        overrides = [f"{section}.transcripts={json.dumps(str(name))}"]
        return load_manifest(path, registry=registry, overrides=overrides, **arguments).runs()

    (here / "link").symlink_to(there)
    assert named("kept.db")
    assert named(here / "kept.db")
    for name in (there / "kept.db", "../there/kept.db", "link/kept.db"):
        with pytest.raises(UserError, match=r"is not below the current folder: give a file below it, or name it in"):
            named(name)
        (plan,) = named(name, allow=[there])
        with pytest.raises(UserError, match="is not below the current folder"):
            RunPlan.from_canonical(plan.canonical, registry)
        assert PortablePlan.of(plan).plan(registry) == plan
    assert not [*there.iterdir()]
