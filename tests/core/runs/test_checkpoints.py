"""Checkpoints of ordinary states: exact, refused where damaged, never half-written. Tables of rows are tested apart."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qecforge.errors import CheckpointError, StoreError
from qecforge.runs import _disk, checkpoints
from qecforge.runs.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint

STATE = {
    "step": 12,
    "rng": {"state": 2**127 + 3, "name": "PCG64", "inc": -(2**63), "most": 2**63 - 1, "beyond": 2**63},
    "words": np.arange(12, dtype=np.uint64).reshape(3, 4) << np.uint64(60),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "scalar": np.float64(0.1),
    "weights": [torch.arange(6.0).reshape(2, 3), None, True],
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "groups": [{"betas": (0.9, 0.999)}]},
    "texts": ["", "\n\N{GREEK SMALL LETTER PSI}", "\ud800"],
    "map": {"array": 0},
}
VERSION_1 = Path(__file__).parent / "assets" / "version_1.ckpt"
"""Written by `save_checkpoint` as it was at 2d4c57d, before there were tables of rows."""


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "deep" / "run.ckpt"
    save_checkpoint(path, STATE)
    loaded = load_checkpoint(path)
    for name in ("step", "rng", "texts", "map"):
        assert loaded[name] == STATE[name]
    assert list(loaded) == list(STATE)
    assert loaded["scalar"] == 0.1
    assert type(loaded["scalar"]) is float
    for name in ("words", "empty"):
        np.testing.assert_array_equal(loaded[name], STATE[name], strict=True)
        assert loaded[name].flags.writeable
    assert torch.equal(loaded["weights"][0], STATE["weights"][0])
    assert loaded["weights"][1:] == [None, True]
    assert loaded["optimizer"]["state"] == {0: {"step": torch.tensor(3.0)}, 1: {}}
    assert loaded["optimizer"]["groups"] == [{"betas": [0.9, 0.999]}]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text() | st.integers() | st.floats(allow_nan=False), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_any_plain_value_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "plain.ckpt"
    save_checkpoint(path, {"value": value})
    assert repr(load_checkpoint(path)["value"]) == repr(value)


@given(
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=5), hnp.byte_string_dtypes(max_len=5)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.randoms(use_true_random=False),
)
def test_any_array_comes_back_however_it_is_laid_out(tmp_path_factory, array, random):
    path = tmp_path_factory.getbasetemp() / "array.ckpt"
    axes = random.sample(range(array.ndim), array.ndim)
    strided = array.transpose(axes)[(..., *(slice(None, None, random.choice([1, 2, -1])) for _ in axes))]
    save_checkpoint(path, {"array": array, "strided": strided})
    loaded = load_checkpoint(path)
    for name, expected in (("array", array), ("strided", strided)):
        assert loaded[name].dtype == expected.dtype
        assert loaded[name].shape == expected.shape
        assert loaded[name].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(12, dtype=torch.bfloat16).reshape(3, 4),
        torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
        torch.tensor(-0.0),
        torch.tensor([True, False]),
        torch.zeros(0, 3, dtype=torch.int16),
        torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex128).conj(),
        torch.tensor([1 + 2j], dtype=torch.complex64),
        torch.tensor([0.5, 448.0]).to(torch.float8_e4m3fn),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=lambda tensor: f"{tensor.dtype} {tuple(tensor.shape)}",
)
def test_tensors_come_back_to_the_bit(tmp_path, tensor):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"tensor": tensor})
    loaded = load_checkpoint(path)["tensor"]
    assert (loaded.dtype, loaded.shape, loaded.requires_grad) == (tensor.dtype, tensor.shape, False)
    if loaded.dtype == torch.float8_e4m3fn:
        loaded, tensor = loaded.view(torch.uint8), tensor.view(torch.uint8)
    assert torch.equal(loaded, tensor.detach())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_of_a_device_come_back_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("qecforge.runs._encoding.CHUNK", 64)
    tensor = torch.arange(1001, device="cuda", dtype=torch.float64).reshape(7, 143).T
    save_checkpoint(tmp_path / "run.ckpt", {"tensor": tensor})
    loaded = load_checkpoint(tmp_path / "run.ckpt")["tensor"]
    assert loaded.device.type == "cpu"
    assert torch.equal(loaded, tensor.cpu())


def test_a_view_is_saved_without_what_it_is_a_view_of(tmp_path):
    save_checkpoint(tmp_path / "run.ckpt", {"view": torch.zeros(1_000_000)[:2]})
    assert (tmp_path / "run.ckpt").stat().st_size < 1000


def test_a_checkpoint_of_the_first_version_is_read(tmp_path):
    state = load_checkpoint(VERSION_1)
    assert list(state) == ["identity", "step", "elapsed", "environment", "agent"]
    assert (state["identity"], state["step"], state["elapsed"]) == ("0123abcd", 12, 1.5)
    environment, agent = state["environment"], state["agent"]
    assert environment["generator"] == {"state": str(2**127 + 3), "inc": "5", "has_uint32": 0, "uinteger": 0}
    np.testing.assert_array_equal(environment["words"], STATE["words"], strict=True)
    np.testing.assert_array_equal(environment["empty"], STATE["empty"], strict=True)
    assert agent["rng"] == {"state": 2**127 + 3, "name": "PCG64"}
    assert torch.equal(agent["optimizer"]["state"][0]["exp_avg"], torch.arange(6.0).reshape(2, 3))
    assert (agent["scalar"], agent["nothing"], agent["pair"]) == (0.1, None, [True, float("inf")])
    path = tmp_path / "run.ckpt"
    path.write_bytes(VERSION_1.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"run\.ckpt: damaged checkpoint \(\d+ bytes, checksum differs\)"):
        load_checkpoint(path)


@pytest.mark.parametrize("keep", [0, 5, 30, 60, -49, -48, -1])
def test_truncated_checkpoint_is_refused_in_one_line(tmp_path, keep):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="restore the file, or start the run anew") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_any_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"step": 12, "words": np.arange(5)})
    whole = path.read_bytes()
    for at in range(len(whole)):
        content = bytearray(whole)
        content[at] ^= 1
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"damaged checkpoint|not a qecforge|another version"):
            load_checkpoint(path)


def forged(path, change):
    """A checkpoint whose JSON was changed, its checksums made anew."""
    save_checkpoint(path, {"array": np.arange(3.0), "tensor": torch.arange(3.0)})
    content = path.read_bytes()
    length, _, _ = checkpoints._END.unpack(content[-checkpoints._END.size :])
    start = len(content) - checkpoints._END.size - length
    index = json.loads(content[start : start + length])
    change(index)
    index = json.dumps(index).encode()
    digest = checkpoints.hashlib.sha256(index).digest()
    path.write_bytes(content[:start] + index + checkpoints._END.pack(len(index), digest, checkpoints.END))


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.pop("tables"),
        lambda index: index["arrays"][0].update(shape=[2**62, 2**62]),
        lambda index: index["arrays"][0].update(shape=[-3]),
        lambda index: index["arrays"][0].update(shape=[2**70, 0], length=0),
        lambda index: index["arrays"][1].update(shape=[2**70, 0], length=0),
        lambda index: index["arrays"][0].update(numpy="|O"),
        lambda index: index["arrays"][0].update(numpy="nonsense"),
        lambda index: index["arrays"][1].update(torch="load"),
        lambda index: index["arrays"][0].update(length=2**60, shape=[2**57]),
        lambda index: index["arrays"][0].update(at=-8),
        lambda index: index.update(state={"pickle": "..."}),
        lambda index: index.update(state={"map": {"a": {"array": 7}}}),
        lambda index: index.update(
            tables=[{"columns": {"x": ["<f8", []]}, "capacity": 2**80, "appended": 0, "segments": []}]
        ),
        lambda index: index.update(
            tables=[{"columns": {"x": ["|O", []]}, "capacity": 1, "appended": 0, "segments": []}]
        ),
        lambda index: index.update(
            tables=[{"columns": {"x": ["<f8", []]}, "capacity": 1, "appended": 1, "segments": []}]
        ),
        lambda index: index.update(
            tables=[
                {
                    "columns": {"x": ["<f8", []]},
                    "capacity": 1,
                    "appended": 1,
                    "segments": [{"name": "../x", "first": 0, "count": 1, "sha256": ""}],
                }
            ]
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, change):
    path = tmp_path / "run.ckpt"
    forged(path, lambda index: None)
    assert load_checkpoint(path)["array"].tolist() == [0, 1, 2]
    forged(path, change)
    with pytest.raises(
        CheckpointError, match=r"run\.ckpt: (unreadable checkpoint|damaged|takes more memory)"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_an_unreadable_checkpoint_is_named(tmp_path):
    (tmp_path / "run.ckpt").mkdir()
    with pytest.raises(CheckpointError, match=r"run\.ckpt: cannot be read .* start the run anew"):
        load_checkpoint(tmp_path / "run.ckpt")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (type("Path", (), {})(), "Path"),
        (b"bytes", "bytes"),
        (1j, "complex"),
        (np.array([None]), "array of object"),
        (np.zeros(2, "f4,i4"), r"array of \[\('f0'"),
        (np.longdouble(1), "longdouble|float128"),
        (np.datetime64("2026-01-01"), "date"),
        (torch.eye(2).to_sparse(), "Tensor"),
        ({(1, 2): 3}, "a key is a tuple"),
    ],
)
def test_objects_are_never_pickled(tmp_path, value, named):
    with pytest.raises(TypeError, match=rf"state\['a'\]\[1\].*({named})"):
        save_checkpoint(tmp_path / "run.ckpt", {"a": [1, value]})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"run\.ckpt: cannot be written \(No space left on device\): free space"):
        save_checkpoint(path, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"step": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["run.ckpt"]


def test_writes_and_reads_that_come_in_pieces_are_gone_on_with(tmp_path, monkeypatch):
    path, write = tmp_path / "run.ckpt", _disk.os.write
    monkeypatch.setattr("os.write", lambda descriptor, content: write(descriptor, content[:7]))
    save_checkpoint(path, STATE)
    monkeypatch.undo()
    np.testing.assert_array_equal(load_checkpoint(path)["words"], STATE["words"])


def test_what_a_killed_save_left_is_removed_by_the_next_one_and_nothing_else_is(tmp_path):
    path = tmp_path / "run.ckpt"
    left = ["run.ckpt.123.tmp", f"run.ckpt.{'0a' * 8}.rows"]
    others = ["other.ckpt", "run.ckpt.old", "run.ckpt.123.tmp.old", f"other.ckpt.{'0a' * 8}.rows"]
    for name in left + others:
        (tmp_path / name).write_bytes(b"x")
    save_checkpoint(path, {"step": 1})
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["run.ckpt", *others])


def test_removing_leaves_nothing_and_may_be_repeated(tmp_path):
    path = tmp_path / "folder" / "run.ckpt"
    remove_checkpoint(path)
    save_checkpoint(path, {"step": 1})
    for _ in range(2):
        remove_checkpoint(path)
        assert list(path.parent.iterdir()) == []
