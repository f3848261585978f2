"""States as checkpoints hold them, each altered in one place."""

import copy
import math

import numpy as np
import torch

__all__ = ["altered_states"]

_PLAIN = (None, "x", [], {}, -1, 2**70, math.nan, 1e300, True)


def altered_states(state):
    """(what was done, state) for every place of a nested state and everything that is tried there."""
    for path, value in _places(state, ()):
        for what, altered in _alterations(value):
            yield f"{'.'.join(map(str, path))}: {what}", _with(state, path, altered)
        if path and isinstance(path[-1], str):
            yield f"{'.'.join(map(str, path))}: missing", _without(state, path)


def _places(value, path):
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _places(each, (*path, key))
    elif isinstance(value, list) and not all(isinstance(each, float | int) for each in value):
        for index, each in enumerate(value[:2]):
            yield from _places(each, (*path, index))


def _alterations(value):
    for plain in _PLAIN:
        if type(plain) is not type(value) or plain != value:
            yield repr(plain), plain
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.array(value) if isinstance(value, np.ndarray) else value.numpy().copy()
        for what, made in _arrays(array):
            yield what, torch.from_numpy(made) if isinstance(value, torch.Tensor) else made
        yield "of the other library", array if isinstance(value, torch.Tensor) else _tensor(array)


def _tensor(array):
    return torch.from_numpy(array.view(np.int64) if array.dtype.kind == "u" and array.itemsize == 8 else array.copy())


def _arrays(array):
    """Arrays of numpy that torch has too."""
    yield "another dimension", array[None].copy()
    yield "longer", np.concatenate([array.reshape(-1), array.reshape(-1), array.reshape(-1)[:1]])
    yield "empty", array.reshape(-1)[:0].copy()
    yield "float64", np.asarray(array, np.float64 if array.dtype != np.float64 else np.float32)
    if array.size:
        yield "int64", np.full(array.shape, 2**62, np.int64)
        if array.dtype.kind == "f":
            for number in (math.nan, math.inf, 1e30):
                yield str(number), np.full(array.shape, number, array.dtype)
        elif array.dtype.kind in "iu":
            for number in (np.iinfo(array.dtype).max, np.iinfo(array.dtype).min):
                yield str(number), np.full(array.shape, number, array.dtype)


def _with(state, path, value):
    if not path:
        return value
    changed = copy.copy(state)
    changed[path[0]] = _with(state[path[0]], path[1:], value)
    return changed


def _without(state, path):
    changed = copy.copy(state)
    if len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = _without(state[path[0]], path[1:])
    return changed
