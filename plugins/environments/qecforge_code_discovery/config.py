"""What a manifest may say about `code_discovery`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from qecforge.contracts import PluginConfig
from qecforge_code_discovery.connectivity import Connectivity, Pair, check_pairs
from qecforge_code_discovery.gates import GATES, ActionTable, action_table, resolve_gates
from qecforge_code_discovery.noise import Noise, PerQubit

__all__ = ["CodeDiscoveryConfig", "GateError"]

_CSS_GATES = ("h", "cx", "swap")


class GateError(PluginConfig):
    """The error of one gate on the qubits it acts on (`config_from_target` makes them)."""

    gate: str = Field(description="Name of the gate.")
    qubits: tuple[int, ...] = Field(min_length=1, max_length=2, description="Qubits, control first.")
    error: float = Field(ge=0, le=1, description="Average error of the gate.")


class CodeDiscoveryConfig(PluginConfig):
    """Discovery of [[n, k, d]] codes by appending Clifford gates to an encoder."""

    n: int = Field(description="Physical qubits; n + k is at most 128.")
    k: int = Field(default=1, ge=1, description="Logical qubits.")
    target_distance: int = Field(ge=2, description="The target distance d: all errors of weight < d are detected.")
    max_gates: int = Field(default=50, ge=1, le=65535, description="Steps after which an episode ends [ours].")
    gates: tuple[str, ...] = Field(
        default=("h", "s", "sqrt_x", "cx"),
        description=f"Gates that may be appended, modulo Paulis: {', '.join(GATES)}; c1 is all of one qubit.",
    )
    connectivity: Connectivity = Field(default="all_to_all", description="Which pairs two-qubit gates act on.")
    noise: Noise | None = Field(
        default=None,
        description="Noise channel of each qubit, which weights errors in the reward; none: the reward's own default.",
    )
    noise_aware: bool = Field(default=False, description="Show the noise parameters to the agent.")
    show_progress: bool = Field(default=False, description="Show the fraction of the gate budget that is used up.")
    show_lookahead: bool = Field(
        default=False,
        description="Show by how much each action would change the code's value. Costs a score for each action and "
        "step [ours].",
    )
    lookahead_scale: float = Field(
        default=1.0, gt=0, description="Change of value that the look-ahead shows as 1; it is clipped there [ours]."
    )
    stop_action: bool = Field(
        default=False,
        description="Add an action that ends the episode. With immediate rewards it is charged as idling through the "
        "rest of the budget, so that giving up never pays [ours].",
    )
    action_masking: bool = Field(
        default=True,
        description="Mask gates that would cancel with an earlier one, everything in between commuting with them (they "
        "still act when taken).",
    )
    css_only: bool = Field(
        default=False,
        description="Keep every generator purely X or purely Z: gates h, cx, swap; h is forbidden (masked, and without "
        "effect) on a qubit where a generator of weight above 1 acts.",
    )
    max_check_weight: int | None = Field(
        default=None, ge=2, description="Largest weight of a generator, as the encoder makes it (the image of a Z_q)."
    )
    check_weight_rule: Literal["success", "mask"] = Field(
        default="success",
        description="success: an episode succeeds only with every generator within max_check_weight; mask: in "
        "addition, a gate that would make a generator heavier is forbidden (masked, and without effect).",
    )
    check_weight_penalty: float = Field(
        default=0.0, ge=0, description="Subtracted from the reward of a step for each unit of weight above the limit."
    )
    reward_shaping: Literal["immediate", "difference"] = Field(
        default="immediate",
        description="immediate: each step earns the value of the code after it (Olle et al. 2024); difference: the "
        "change of that value.",
    )
    success_reward: float = Field(default=0.0, description="Added to the reward of the step that succeeds.")
    gate_cost: float = Field(default=0.0, ge=0, description="Subtracted from the reward for each gate.")
    gate_errors: tuple[GateError, ...] = Field(default=(), description="Errors of gates, for gate_error_weight.")
    gate_error_weight: float = Field(
        default=0.0, ge=0, description="Subtracted from the reward for each gate, times its error in gate_errors."
    )
    max_discoveries: int = Field(
        default=16,
        ge=1,
        le=65536,
        description="Number of codes kept in memory during the search: distinct stabilizer groups, fewest gates "
        "first, then oldest first. Each code that enters is stored, so a run may store more.",
    )

    @field_validator("gates", mode="before")
    @classmethod
    def _gate_names(cls, value: Any) -> Any:
        if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise ValueError(f"gates cannot be {value!r}: give a list of names such as [h, cx]")
        if not value:
            raise ValueError("gates is empty: give at least one entangling gate, such as [h, cx]")
        gates = resolve_gates(value)
        if not any(GATES[name].entangling for name in gates):
            raise ValueError(
                f"gates {list(gates)} entangle nothing, so no distance above 1 can be reached: add cx or cz"
            )
        return gates

    @field_validator("noise", mode="before")
    @classmethod
    def _no_noise(cls, value: Any) -> Any:
        return None if value == "none" else value

    @model_validator(mode="after")
    def _consistent(self) -> CodeDiscoveryConfig:
        n, k, d = self.n, self.k, self.target_distance
        if k >= n:
            raise ValueError(f"n = {n} is too small for k = {k}: a code needs n > k. Set n to {k + 1} or more")
        if n + k > 128:
            raise ValueError(f"n: n + k = {n + k} is more than the 128 rows of a packed tableau. Lower n or k")
        if n - k < 2 * (d - 1):
            best = (n - k) // 2 + 1
            raise ValueError(
                f"target_distance: no [[{n},{k},{d}]] code exists: the quantum Singleton bound n - k >= 2(d - 1) "
                f"allows d <= {best}. Lower target_distance or raise n"
            )
        self._check_connectivity()
        self._check_rules()
        self._check_noise()
        self._check_gate_errors()
        return self

    def _check_rules(self) -> None:
        wrong = [name for name in self.gates if name not in _CSS_GATES]
        if self.css_only and wrong:
            raise ValueError(
                f"css_only takes the gates {', '.join(_CSS_GATES)}, not {', '.join(wrong)}. Remove one or other"
            )
        if self.max_check_weight is None and (self.check_weight_penalty or self.check_weight_rule == "mask"):
            raise ValueError("check_weight_rule and check_weight_penalty need max_check_weight. Set it")

    def _check_connectivity(self) -> None:
        try:
            check_pairs(self.connectivity, self.n)
        except ValueError as error:
            raise ValueError(f"connectivity: {error}") from error

    def _check_noise(self) -> None:
        if self.noise is None and self.noise_aware:
            raise ValueError("noise_aware needs noise: give a model, such as {model: depolarizing, p: 0.01}")
        if isinstance(self.noise, PerQubit) and len(self.noise.probabilities) != self.n:
            raise ValueError(
                f"noise.probabilities has {len(self.noise.probabilities)} qubits, but n is {self.n}: give each its own"
            )

    def _check_gate_errors(self) -> None:
        errors = self.gate_error_of()
        if not self.gate_error_weight:
            return
        missing = [name for name in self.actions().names if name != "stop" and name not in errors]
        if missing:
            raise ValueError(
                f"gate_errors lacks {missing[0]!r} ({len(missing)} missing): add it, or put gate_error_weight to 0"
            )

    def pairs(self) -> tuple[Pair, ...]:
        """Directed pairs (control, target) that two-qubit gates may act on."""
        return check_pairs(self.connectivity, self.n)

    def actions(self) -> ActionTable:
        """What each action index does."""
        return action_table(self.gates, self.n, self.pairs(), stop=self.stop_action)

    def gate_error_of(self) -> dict[str, float]:
        """Error by action name ("cx 0 1"); symmetric gates in ascending order of qubits.

        Raises:
            ValueError: A gate, or its number of qubits, that does not exist.
        """
        errors: dict[str, float] = {}
        for entry in self.gate_errors:
            (name, *more) = resolve_gates([entry.gate])
            gate = GATES[name]
            if more or gate.qubits != len(entry.qubits):
                raise ValueError(
                    f"gate_errors: {entry.gate!r} on qubits {list(entry.qubits)} is no single gate. Correct it"
                )
            qubits = entry.qubits if gate.directed else tuple(sorted(entry.qubits))
            errors[" ".join([name, *map(str, qubits)])] = entry.error
        return errors
