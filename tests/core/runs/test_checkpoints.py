import numpy as np
import pytest
import torch

from qecforge.errors import CheckpointError, StoreError
from qecforge.runs.checkpoints import load_checkpoint, save_checkpoint

STATE = {
    "step": 12,
    "rng": {"state": 2**127 + 3, "name": "PCG64"},
    "words": np.arange(12, dtype=np.uint64).reshape(3, 4) << np.uint64(60),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "scalar": np.float64(0.1),
    "weights": [torch.arange(6.0).reshape(2, 3), None, True],
}


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "deep" / "run.ckpt"
    save_checkpoint(path, STATE)
    loaded = load_checkpoint(path)
    assert loaded["rng"] == STATE["rng"]
    assert loaded["step"] == 12
    assert loaded["scalar"] == 0.1
    for name in ("words", "empty"):
        np.testing.assert_array_equal(loaded[name], STATE[name], strict=True)
    assert torch.equal(loaded["weights"][0], STATE["weights"][0])
    assert loaded["weights"][1:] == [None, True]


@pytest.mark.parametrize("keep", [0, 5, 30, 60, -1])
def test_truncated_checkpoint_is_refused_in_one_line(tmp_path, keep):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="`force`") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        load_checkpoint(path)


def test_an_unreadable_checkpoint_is_named(tmp_path):
    (tmp_path / "run.ckpt").mkdir()
    with pytest.raises(CheckpointError, match=r"run\.ckpt: cannot be read .* `force`"):
        load_checkpoint(tmp_path / "run.ckpt")


def test_objects_are_never_pickled(tmp_path):
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\]: Path"):
        save_checkpoint(tmp_path / "run.ckpt", {"a": [1, type("Path", (), {})()]})


def test_a_failed_write_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"step": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qecforge.runs.checkpoints.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        save_checkpoint(path, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"step": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["run.ckpt"]
