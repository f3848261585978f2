"""What an environment is made of, derived from its configuration: constants, arrays, spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from qecforge.codes.packed import words_per_column
from qecforge.contracts import group_size, refuse_unknown_options
from qecforge.errors import CheckpointError, ConfigurationError
from qecforge.learning.restoring import restored_array, restored_parts
from qecforge_code_discovery._layout import Actions, Episode, Rules
from qecforge_code_discovery.config import CodeDiscoveryConfig
from qecforge_code_discovery.gates import ActionTable, commutation
from qecforge_code_discovery.noise import LogUniform, PerQubit, Uniform

__all__ = [
    "actions",
    "episode",
    "fixed_ranges",
    "observation_space",
    "parameter_ranges",
    "rules",
    "stabilizer_rows",
    "taken_options",
    "trivial_bits",
    "trivial_words",
]


def rules(config: CodeDiscoveryConfig) -> Rules:
    """The constants that kernels take."""
    return Rules(
        n=config.n,
        k=config.k,
        max_steps=config.max_gates,
        css=config.css_only,
        weight_limit=config.max_check_weight or 0,
        weight_is_rule=config.check_weight_rule == "mask",
        weight_penalty=config.check_weight_penalty,
        masking=config.action_masking,
        difference=config.reward_shaping == "difference",
        success_reward=config.success_reward,
        progress=config.show_progress,
        noise_code=-1 if config.noise is None else config.noise.code,
        sampled=config.noise is not None and config.noise.varies,
        aware=config.noise_aware,
    )


def actions(config: CodeDiscoveryConfig, table: ActionTable) -> Actions:
    """The table of actions with the cost of each."""
    errors = config.gate_error_of()
    costs = [
        0.0 if name == "stop" else config.gate_cost + config.gate_error_weight * errors.get(name, 0.0)
        for name in table.names
    ]
    return Actions(
        table.opcode, table.first, table.second, table.inverse, np.array(costs, np.float64), commutation(config.gates)
    )


def episode(config: CodeDiscoveryConfig, ranges: NDArray[np.float64], num_actions: int) -> Episode:
    """Arrays for as many members as `ranges` has; fixed noise parameters are filled in."""
    B, n = len(ranges), config.n
    sampled = config.noise is not None and config.noise.varies
    return Episode(
        words=np.zeros((B, n, 2, words_per_column(n, config.k)), np.uint64),
        steps=np.zeros(B, np.int32),
        gates=np.zeros(B, np.int32),
        stopped=np.zeros(B, np.bool_),
        cost=np.zeros(B, np.float64),
        history=np.zeros((B, config.max_gates), np.uint16),
        undoing=np.zeros((B, min(num_actions, config.max_gates) if config.action_masking else 0), np.uint32),
        value=np.zeros(B, np.float32),
        total=np.zeros(B, np.float64),
        parameters=ranges[:, :, 1].copy(),
        channel=np.zeros((B, n, 4) if sampled else (0, 0, 0), np.float64),
    )


def observation_space(config: CodeDiscoveryConfig, num_actions: int) -> gymnasium.spaces.Box:
    """uint8 bits alone, or float32 where features follow them."""
    size = 2 * config.n * (config.n - config.k)
    low = [0.0] * size
    if config.noise_aware and isinstance(config.noise, PerQubit):
        low += [0.0] * (3 * config.n)
    elif config.noise_aware and config.noise is not None:
        low += [-1.0 if name == "eta" else 0.0 for name in config.noise.parameters]
    if config.show_lookahead:
        low += [-1.0] * num_actions
    if config.show_progress:
        low.append(0.0)
    dtype: Any = np.uint8 if len(low) == size else np.float32
    return gymnasium.spaces.Box(np.array(low, dtype), np.ones(len(low), dtype), dtype=dtype)


def stabilizer_rows(n: int, k: int) -> NDArray[np.uint64]:
    """(W,) words with the bits of the stabilizer rows set."""
    words = range(words_per_column(n, k))
    return np.array([sum(1 << (i % 64) for i in range(2 * k, n + k) if i // 64 == w) for w in words], np.uint64)


def parameter_ranges(config: CodeDiscoveryConfig, num_envs: int) -> NDArray[np.float64]:
    """(B, P, 3): kind (0 fixed, 1 uniform, 2 log-uniform), lowest, highest."""
    parameters = config.noise.parameters if config.noise is not None else {}
    ranges = np.zeros((num_envs, len(parameters), 3), np.float64)
    for j, value in enumerate(parameters.values()):
        if isinstance(value, Uniform):
            ranges[:, j] = (1.0, *value.bounds)
        elif isinstance(value, LogUniform):
            ranges[:, j] = (2.0, *value.bounds)
        else:
            ranges[:, j] = (0.0, value, value)
    return ranges


def fixed_ranges(config: CodeDiscoveryConfig, num_envs: int, values: Mapping[str, Any]) -> NDArray[np.float64]:
    """`parameter_ranges` with some parameters fixed, each to a number or to one for each member.

    Raises:
        ConfigurationError: A parameter that the noise does not have, or values outside its limits.
    """
    if config.noise is None:
        raise ConfigurationError("there is no noise whose parameters could be fixed: give the configuration one")
    ranges = parameter_ranges(config, num_envs)
    names = tuple(config.noise.parameters)
    for name, value in values.items():
        if name not in names:
            raise ConfigurationError(f"noise has no parameter {name!r}: give {', '.join(names)}")
        column = np.broadcast_to(np.asarray(value, np.float64), (num_envs,))
        ranges[:, names.index(name)] = np.stack([np.zeros_like(column), column, column], axis=1)
    for end in (1, 2):
        for row in np.unique(ranges[:, :, end], axis=0):
            try:
                config.noise.check(dict(zip(names, row.tolist(), strict=True)))
            except ValueError as error:
                raise ConfigurationError(f"option 'noise': {error}") from None
    return ranges


def trivial_words(n: int, k: int) -> NDArray[np.uint64]:
    """(n, 2, W): logical X_q and Z_q on qubit q < k, stabilizer Z_q on qubit q >= k."""
    words = np.zeros((n, 2, words_per_column(n, k)), np.uint64)

    def put(q: int, column: int, row: int) -> None:
        words[q, column, row // 64] |= np.uint64(1 << (row % 64))

    for q in range(k):
        put(q, 1, q)
        put(q, 0, k + q)
    for q in range(k, n):
        put(q, 0, k + q)
    return words


def trivial_bits(n: int, k: int) -> NDArray[np.uint8]:
    """The trivial code's observation: generator i is Z on qubit k + i."""
    bits = np.zeros((n, 2, n - k), np.uint8)
    bits[np.arange(k, n), 1, np.arange(n - k)] = 1
    return bits.reshape(-1)


def taken_options(
    options: Mapping[str, Any], config: CodeDiscoveryConfig, rules: Rules, ranges: NDArray[np.float64]
) -> tuple[int, NDArray[np.float64]]:
    """Options of a `reset`: the size of groups, and (B, P, 2) ranges of the noise; those given, where none is set.

    Raises:
        ConfigurationError: As `CodeDiscovery.reset` says.
    """
    members = len(ranges)
    refuse_unknown_options(options, "code_discovery", "group_size", "noise")
    size = group_size(options, members, "code_discovery")
    if "noise" in options:
        if config.noise is None or not rules.sampled:
            raise ConfigurationError(
                "option 'noise': this environment's noise is fixed; give its configuration a range"
            )
        ranges = fixed_ranges(config, members, options["noise"])
    of_group = ranges.reshape(members // size, size, *ranges.shape[1:])
    if (of_group != of_group[:, :1]).any():
        raise ConfigurationError(
            f"option 'noise': it is not the same for all members of a group, with groups of {size}: give one value "
            "for each group's members, or group_size 1"
        )
    return size, ranges


def checked_state(state: object, fingerprint: str) -> Mapping[str, Any]:
    """A state that has all its parts and is of this configuration. Its parts are checked one by one before any is taken
    over.

    Raises:
        CheckpointError: It comes from another configuration or number of members, or is none.
    """
    names = ("fingerprint", "episode", "observations", "mask", "masked", "ranges", "steps", "archive", "generator")
    found = restored_parts(state, names, "code_discovery")
    if found["fingerprint"] != fingerprint:
        raise CheckpointError(
            "this state of code_discovery comes from another configuration or number of members: "
            "load it into an environment made like the one that saved it"
        )
    return found


def check_episode(
    arrays: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], config: CodeDiscoveryConfig, num_actions: int
) -> None:
    """Whether restored arrays count and name only what there is: kernels look up gates and qubits by them.

    Raises:
        CheckpointError: One does not.
    """
    found = {name: array for name, (_, array) in arrays.items()}
    most = {
        "steps": np.iinfo(np.int32).max - 1,
        "gates": config.max_gates,
        "history": num_actions - 1,
        "masked": found["undoing"].shape[1],
    }
    for name, high in most.items():
        restored_array(found[name], found[name].dtype, found[name].shape, f"code_discovery: {name}", low=0, high=high)
    n, k = config.n, config.k
    W = words_per_column(n, k)
    allowed = np.array([sum(1 << (i % 64) for i in range(n + k) if i // 64 == w) for w in range(W)], np.uint64)
    if (found["words"] & ~allowed).any():
        raise CheckpointError("code_discovery: words: this checkpoint has rows that there are not: restore it anew")
    undoing = found["undoing"]
    action, first, second = undoing & 0xFFFF, (undoing >> 16) & 0x7F, (undoing >> 23) & 0x7F
    if (action >= num_actions).any() or (first >= n).any() or (second >= n).any():
        raise CheckpointError("code_discovery: undoing: this checkpoint has unknown actions: restore it anew")
