"""What happened, as the replay holds it: sums of n rewards, and what is left of the discount behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.replay import ReplayBuffer
from qecforge.learning.restoring import restored_array, restored_int, restored_parts

__all__ = ["Transitions"]

_BEFORE = ("s", "a", "q_in", "q_out")


class Transitions:
    """The replay, and transitions whose n rewards are not complete yet.

    Rows: s, a (in -1..1), q_in, q_out; r, the discounted sum of up to n rewards; s_next, the observation behind them;
    discount, gamma^k behind k rewards, 0 where the episode terminated among them. So the target of a row is
    r + discount Q(s_next, a'), and an episode that was cut off by time bootstraps.

    Args:
        widths: Elements of s, a, q_in and q_out.
        members: B.
        n_step: n.

    Raises:
        ConfigurationError: The full replay would be larger than the memory that is free.
    """

    def __init__(self, widths: Mapping[str, int], members: int, *, capacity: int, n_step: int, gamma: float) -> None:
        self.n, self.gamma, self.members = n_step, gamma, members
        self.widths = {name: widths[name] for name in _BEFORE}
        fields: dict[str, DTypeLike] = {name: (np.float32, (width,)) for name, width in self.widths.items() if width}
        fields |= {"r": np.float32, "s_next": (np.float32, (self.widths["s"],)), "discount": np.float32}
        _refuse_more_than_memory(fields, capacity)
        self.buffer = ReplayBuffer(fields, capacity)
        self.pending: list[_Pending] = []

    def __len__(self) -> int:
        return len(self.buffer)

    def add(
        self,
        before: Mapping[str, NDArray[Any]],
        rewards: NDArray[Any],
        s_next: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> None:
        """One step of B members.

        Args:
            before: s, a, q_in, q_out, (B, width) each.
            s_next: (B, D) observations behind the step; of members that were cut off, the last of the old episode.
        """
        self.pending.append(_Pending({name: np.array(before[name], np.float32) for name in self.widths}, self.members))
        ended = terminated | truncated
        for each in self.pending:
            each.rewards += np.where(each.open, self.gamma**each.age * rewards, 0.0)
            each.age += 1
            done = each.open & (ended | (each.age == self.n))
            if done.any():
                self._file(each, done, s_next, terminated)
                each.open &= ~done
        self.pending = [each for each in self.pending if each.open.any()]

    def drop_pending(self) -> None:
        """Forget transitions that are not complete: their episodes are over."""
        self.pending = []

    def state_dict(self) -> dict[str, Any]:
        """The replay's rows, and copies of the rest."""
        pending = [
            {"age": each.age, "rewards": each.rewards.copy(), "open": each.open.copy()}
            | {name: array.copy() for name, array in each.before.items()}
            for each in self.pending
        ]
        return {"replay": self.buffer.state_dict(), "pending": pending}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises `CheckpointError` where it is another's."""
        what = "td3: transitions"
        parts = restored_parts(state, ("replay", "pending"), what)
        if not isinstance(parts["pending"], list) or len(parts["pending"]) >= self.n:
            raise CheckpointError(f"{what}: the steps that wait are not {self.n - 1} or fewer: restore it anew")
        pending = []
        for given in parts["pending"]:
            found = restored_parts(given, ("age", "rewards", "open", *self.widths), what)
            before = {
                name: restored_array(found[name], np.float32, (self.members, width), f"{what}: {name}").copy()
                for name, width in self.widths.items()
            }
            each = _Pending(before, self.members)
            each.age = restored_int(found["age"], f"{what}: age", low=1, high=self.n - 1)
            each.rewards = restored_array(found["rewards"], np.float64, (self.members,), f"{what}: rewards").copy()
            each.open = restored_array(found["open"], np.bool_, (self.members,), f"{what}: open").copy()
            pending.append(each)
        self.buffer.load_state_dict(parts["replay"])
        self.pending = pending

    def _file(
        self, each: _Pending, done: NDArray[np.bool_], s_next: NDArray[Any], terminated: NDArray[np.bool_]
    ) -> None:
        rows = {name: array[done] for name, array in each.before.items() if self.widths[name]}
        rows["r"] = each.rewards[done].astype(np.float32)
        rows["s_next"] = np.asarray(s_next, np.float32)[done]
        rows["discount"] = np.where(terminated[done], 0.0, self.gamma**each.age).astype(np.float32)
        self.buffer.add(rows)


class _Pending:
    """A step of all members whose rewards are summed: of those that are still `open`."""

    def __init__(self, before: dict[str, NDArray[np.float32]], members: int) -> None:
        self.before, self.age = before, 0
        self.rewards, self.open = np.zeros(members), np.ones(members, np.bool_)


def _refuse_more_than_memory(fields: Mapping[str, DTypeLike], capacity: int) -> None:
    """Before it is allocated: the system may promise more than it has."""
    row, free = np.dtype(list(fields.items())).itemsize, _free_bytes()
    if free is not None and row * capacity > free:
        raise ConfigurationError(
            f"td3: a replay of {capacity:,} transitions of {row:,} bytes takes {row * capacity:,} bytes, and "
            f"{free:,} are free: set replay_capacity to {max(free // row, 1):,} or less"
        )


def _free_bytes() -> int | None:
    """Memory that can be had without swapping, or less where a control group limits it; None where that is unknown."""
    found = []
    meminfo, group = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line)
        if "MemAvailable" in lines:
            found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        limit = used = ""
    if limit.isdigit() and used.isdigit():
        found.append(max(0, int(limit) - int(used)))
    return min(found) if found else None
