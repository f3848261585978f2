"""What a user may choose of a Ray cluster, and the connection to it."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field, field_validator

from qecforge.contracts.config import PluginConfig
from qecforge.errors import ConfigurationError, one_line
from qecforge.machine.cores import available_cores
from qecforge.machine.extras import missing_dependency

__all__ = ["RayOptions", "connected"]

_UNITS = {"": 1, "B": 1, **{f"{letter}B": 1000 ** (i + 1) for i, letter in enumerate("KMGT")}}
_UNITS |= {f"{letter}iB": 1024 ** (i + 1) for i, letter in enumerate("KMGT")}


class RayOptions(PluginConfig):
    """Where the cluster is, what a run needs there, and how often it is begun again."""

    address: str | None = Field(
        default=None,
        description="The cluster's address, such as 10.0.0.1:6379; `auto` for the one that runs on this machine. None: "
        "that of RAY_ADDRESS, else a cluster of this machine alone, for as long as the command lasts.",
    )
    num_cpus: float = Field(default=1.0, gt=0, description="Cores of a run.")
    num_gpus: float = Field(default=0.0, ge=0, description="GPUs of a run; fractions share one.")
    memory: int = Field(default=0, ge=0, description="Memory of a run in bytes, or text such as 4GiB; 0: not counted.")
    retries: int = Field(
        default=3,
        ge=0,
        description="How often a run goes on elsewhere once its worker or its node is lost; after that it failed.",
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B|)\s*", value)
        if match is None or match[2] not in _UNITS:
            raise ValueError(f"got {value!r}, expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB: 4GiB")
        return int(float(match[1]) * _UNITS[match[2]])

    @property
    def resources(self) -> dict[str, float]:
        """What a run needs, by Ray's names."""
        wanted = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": float(self.memory)}
        return {name: amount for name, amount in wanted.items() if amount}


@contextmanager
def connected(options: RayOptions) -> Iterator[Any]:
    """The module `ray`, connected to the cluster. A connection that was there already is used, and stays.

    Raises:
        MissingDependency: ray is not installed.
        ConfigurationError: no cluster there, or none of its nodes has what a run needs.
    """
    # Before it is imported: by default Ray reports its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise missing_dependency("executor ray", "ray", "ray") from error
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, options.address)
    try:
        _check_resources(ray, options)
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    address = address or os.environ.get("RAY_ADDRESS") or None
    _quiet()
    try:
        if address is None or address == "local":
            with _in_groups_of_their_own():
                ray.init(address="local", num_cpus=available_cores(), include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"at {address!r}" if address else "on this machine"
        raise ConfigurationError(
            f"executor ray, address: no cluster {where} ({one_line(error, 200)}): start one with `ray start`, "
            "or leave address out for one on this machine",
            parameter="executor_options",
        ) from error


@contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Ctrl-C, and a scheduler's SIGTERM, reach every process of the command's group: a cluster that is started in the
    block outlives them, so that runs can be saved."""
    services: Any = importlib.import_module("ray._private.services")
    popen = getattr(services, "ConsolePopen", None)
    if popen is None:
        yield
        return
    services.ConsolePopen = functools.partial(popen, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = popen


def _quiet() -> None:
    """Ray prints what it has to say of lost workers to standard output, where programs read; we say it ourselves. Its
    log has words of advice at every start."""
    worker: Any = importlib.import_module("ray._private.worker")
    logging.getLogger("ray").setLevel(logging.ERROR)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_arguments, **_named: None


def _check_resources(ray: Any, options: RayOptions) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(name, 0.0) >= amount for name, amount in options.resources.items()) for node in nodes):
        return
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    wanted = ", ".join(f"{named[name]}={amount:g}" for name, amount in options.resources.items())
    there = "; ".join(
        ", ".join(f"{named[name]}={node.get(name, 0.0):g}" for name in options.resources)
        for node in sorted(nodes, key=lambda node: -node.get("CPU", 0.0))[:3]
    )
    raise ConfigurationError(
        f"executor ray: a run needs {wanted}, and no node of the cluster has that (they have {there}): ask for less, "
        "or add a node first",
        parameter="executor_options",
    )
