"""Evaluations of a real language model: in this process, and behind `transformers serve` on loopback.

The model has learned two answers by heart, one that passes and one that does not, so that the figures are known.
"""

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import tiny_llm
from cli_harness import invoke
from isolation import needs_isolation

from qecforge_qiskit_tasks.evaluation.asking import first_prompt
from qecforge_qiskit_tasks.tasks import load_tasks

pytestmark = [
    pytest.mark.slow,
    needs_isolation,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("transformers") is None,
        reason="transformers is not installed: pip install qecforge[llm]",
    ),
]
ROWS = [
    {
        "id": f"t/{name}",
        "prompt": f"def {name}(a, b):\n",
        "entry_point": name,
        "reference": f"def {name}(a, b):\n    return a {sign} b\n",
        "tests": f"def test_it(program):\n    assert program.{name}(4, 3) == {4 + 3 if sign == '+' else 1}\n",
    }
    for name, sign in (("add", "+"), ("less", "-"))
]
ANSWERS = {"t/add": "```python\ndef add(a, b):\n    return a + b\n```", "t/less": "def less(a, b):\n    return b - a\n"}
SERVE = "from transformers.cli.transformers import main; import sys; sys.argv[0] = 'transformers'; main()"
SECONDS = 240


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llm")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    tasks = load_tasks(folder / "tasks.jsonl")
    lessons = [(first_prompt(task, "standard", instructed=True), ANSWERS[task.id]) for task in tasks]
    tiny_llm.teach(folder / "tiny", lessons)
    return folder


@pytest.fixture
def server(model):
    """The address of `transformers serve`, an OpenAI-compatible server of Hugging Face's own."""
    for name in ("uvicorn", "fastapi", "openai"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'transformers[serving]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, "serve", str(model / "tiny"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(model), "PYTHONPATH": ":".join(sys.path)}
    with (model / "server.txt").open("wb") as said:
        process = subprocess.Popen([*command, "--device", "cpu"], env=environment, stdout=said, stderr=said)
    try:
        until = time.monotonic() + SECONDS
        while True:
            assert process.poll() is None, (model / "server.txt").read_text()[-2000:]
            assert time.monotonic() < until, (model / "server.txt").read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1#{model / 'tiny'}"
    finally:
        process.terminate()
        process.wait()


def evaluated(folder, name, *arguments):
    result = invoke(
        *("tasks", "eval", folder / "tasks.jsonl", "--model", name, "-n", 2, "-k", 1, "--temperature", 0),
        *("--max-tokens", 80, "--cells", 1, "--format", "json", *arguments),
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def check(report):
    (figure,) = [each for each in report["figures"] if each["group"] == "all" and each["k"] == 1]
    assert (figure["passed"], figure["completions"], figure["estimate"]) == (2, 4, 0.5)
    assert {each["task_id"]: each["passed"][0] for each in report["by_task"]} == {"t/add": 2, "t/less": 0}
    assert report["cut"] == 0
    assert report["profile"] == "bubblewrap"


def test_a_model_of_a_folder(model, tmp_path, monkeypatch):
    """Drawn once: the second command has its completions, and the same report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    first = evaluated(model, f"hf:{model / 'tiny'}")
    check(first)
    assert first["model"]["kind"] == "hf"
    assert len(first["model"]["revision"]) == 64
    assert evaluated(model, f"hf:{model / 'tiny'}") == first


def test_a_model_behind_a_server(model, server, tmp_path, monkeypatch):
    """`--attempts 2` tells it of its error; it has not learned to mend it."""
    monkeypatch.chdir(tmp_path)
    report = evaluated(model, server, "--concurrency", 2)
    check(report)
    assert report["model"]["kind"] == "server"
    told = evaluated(model, server, "--concurrency", 2, "--attempts", 2)
    assert {each["task_id"]: each["passed"][0] for each in told["by_task"]} == {"t/add": 2, "t/less": 0}
