"""The best codes an environment has found: distinct stabilizer groups, fewest gates first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qecforge.errors import CheckpointError
from qecforge.learning.restoring import restored_array, restored_parts
from qecforge_code_discovery.gates import ActionTable

if TYPE_CHECKING:
    from qecforge.codes import DiscoveredCode

__all__ = ["Archive", "Discovery"]


@dataclass(frozen=True)
class Discovery:
    """A code as the environment found it.

    Attributes:
        group: 64-bit hash of the stabilizer group.
        actions: (G,) uint16, the encoder's gates, superfluous ones left out.
        step: Environment steps, over all members, when it was found.
        parameters: (P,) float64, the noise parameters of the episode.
        appended: Gates of the encoder as it was built, superfluous ones included.
    """

    group: int
    actions: NDArray[np.uint16]
    step: int
    parameters: NDArray[np.float64]
    appended: int

    @property
    def rank(self) -> tuple[int, int]:
        """What sorts the better code first: fewer gates, then found earlier."""
        return len(self.actions), self.step


class Archive:
    """At most `size` discoveries, one for each group.

    Attributes:
        known, known_gates: Sorted hashes of the groups in it and their number of gates, for the kernels.
        most: Codes of this many gates or more cannot enter.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: dict[int, Discovery] = {}
        self._new: set[int] = set()
        self._index()

    def __len__(self) -> int:
        return len(self._kept)

    def _index(self) -> None:
        self.known = np.array(sorted(self._kept), dtype=np.uint64)
        self.known_gates = np.array([len(self._kept[int(g)].actions) for g in self.known], dtype=np.int64)
        full = len(self._kept) >= self._size
        self.most = max(len(d.actions) for d in self._kept.values()) if full else int(np.iinfo(np.int32).max)

    def add(self, discoveries: list[Discovery]) -> None:
        """Keep those that are new, or better than what is kept."""
        for found in discoveries:
            held = self._kept.get(found.group)
            if held is not None and held.rank <= found.rank:
                continue
            if held is None and len(self._kept) >= self._size:
                worst = max(self._kept.values(), key=lambda d: d.rank)
                if worst.rank <= found.rank:
                    continue
                del self._kept[worst.group]
                self._new.discard(worst.group)
            self._kept[found.group] = found
            self._new.add(found.group)
        self._index()

    def take(self) -> list[Discovery]:
        """Those that came in since the last call and are still kept, oldest first."""
        taken = sorted((self._kept[group] for group in self._new), key=lambda d: (d.step, len(d.actions), d.group))
        self._new.clear()
        return taken

    def state_dict(self) -> dict[str, Any]:
        """Arrays alone, in a fixed order."""
        kept = sorted(self._kept.values(), key=lambda d: d.group)
        return {
            "groups": np.array([d.group for d in kept], dtype=np.uint64),
            "lengths": np.array([len(d.actions) for d in kept], dtype=np.int64),
            "actions": np.concatenate([np.zeros(0, np.uint16), *(d.actions for d in kept)]),
            "steps": np.array([d.step for d in kept], dtype=np.int64),
            "parameters": np.array([d.parameters for d in kept], dtype=np.float64),
            "appended": np.array([d.appended for d in kept], dtype=np.int64),
            "new": np.array([d.group in self._new for d in kept], dtype=np.bool_),
        }

    def checked(self, state: object, max_gates: int, actions: int, parameters: int) -> Mapping[str, Any]:
        """The state, where it is one of this archive.

        Args:
            actions: How many there are.
            parameters: Noise parameters of an episode.

        Raises:
            CheckpointError: It is another, or its arrays do not fit together.
        """
        what = "code_discovery: archive"
        names = ("groups", "lengths", "actions", "steps", "parameters", "new")
        found = restored_parts(state, names, what)
        groups = restored_array(found["groups"], np.uint64, (None,), f"{what}: groups")
        count = len(groups)
        lengths = restored_array(found["lengths"], np.int64, (count,), f"{what}: lengths", low=0, high=max_gates)
        restored_array(found["actions"], np.uint16, (int(lengths.sum()),), f"{what}: actions", high=actions - 1)
        restored_array(found["steps"], np.int64, (count,), f"{what}: steps", low=0)
        if "appended" in found:  # states of before superfluous gates were left out have none
            restored_array(found["appended"], np.int64, (count,), f"{what}: appended", low=0, high=max_gates)
        restored_array(found["new"], np.bool_, (count,), f"{what}: new")
        shape = (count, parameters) if count else (0,)
        restored_array(found["parameters"], np.float64, shape, f"{what}: parameters")
        if count > self._size or len(np.unique(groups)) < count:
            raise CheckpointError(f"{what}: this checkpoint has more codes than it may, or one twice: restore it anew")
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`, which is `checked`."""
        ends = np.cumsum(state["lengths"])
        appended = state.get("appended", state["lengths"])  # states of before superfluous gates were left out
        self._kept = {}
        self._new = set()
        for i, group in enumerate(state["groups"]):
            actions = np.array(state["actions"][ends[i] - state["lengths"][i] : ends[i]], dtype=np.uint16)
            parameters = np.array(state["parameters"][i], np.float64)
            found = Discovery(int(group), actions, int(state["steps"][i]), parameters, int(appended[i]))
            self._kept[found.group] = found
            if state["new"][i]:
                self._new.add(found.group)
        self._index()


def encoder_text(actions: NDArray[np.uint16], table: ActionTable, n: int) -> str:
    """The encoder as stim circuit text, one gate a line.

    A last line `I n-1` names the highest qubit where no gate does, so that stim counts n qubits.
    """
    lines = [table.stim[action] for action in actions]
    if not any(n - 1 in (table.first[action], table.second[action]) for action in actions):
        lines.append(f"I {n - 1}")
    return "\n".join(lines) + "\n"


def discovered_code(
    found: Discovery, table: ActionTable, *, n: int, k: int, target_distance: int, parameters: tuple[str, ...]
) -> DiscoveredCode:
    """The discovery as core knows it: code and encoder rebuilt from the gates, by stim."""
    import stim

    from qecforge.codes import DiscoveredCode, StabilizerCode

    text = encoder_text(found.actions, table, n)
    return DiscoveredCode(
        code=StabilizerCode.from_circuit(stim.Circuit(text), k),
        encoder=text,
        gate_count=len(found.actions),
        two_qubit_gate_count=int(np.count_nonzero(table.first[found.actions] != table.second[found.actions])),
        target_distance=target_distance,
        step=found.step,
        attributes={
            "appended_gates": found.appended,
            **{f"noise_{name}": float(value) for name, value in zip(parameters, found.parameters, strict=True)},
        },
    )
