"""Which plugins are installed: discovery by entry point, isolation of broken ones, refusal of names given twice.

A `Registry` is loaded explicitly and owns its own `pluggy.PluginManager`. Loading imports each plugin's entry point and
nothing else of it: what is heavy is imported by a spec's `make`.

    registry = Registry.load()
    registry.agent("ppo").spec.config        # the config model
    registry.broken                          # plugins that could not be loaded, with their tracebacks
    registry.clashes                         # names that two plugins give; using one raises `PluginError`
"""

from __future__ import annotations

import logging
import re
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, EntryPoint, distributions
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar, cast

import pluggy

from qecforge import hookspecs
from qecforge.errors import PluginError, did_you_mean, nearest, one_line
from qecforge.hookspecs import (
    ENTRY_POINT_GROUP,
    AgentSpec,
    EnvironmentSpec,
    ListenerSpec,
    QuantizerSpec,
    ReproductionSpec,
    RewardSpec,
)
from qecforge.registry._checks import KINDS, checked_specs
from qecforge.registry._isolation import called_as, isolated

__all__ = ["BrokenPlugin", "Clash", "Registered", "Registry", "Spec"]

logger = logging.getLogger(__name__)

Spec: TypeAlias = EnvironmentSpec | RewardSpec | AgentSpec | QuantizerSpec
"""What a manifest names; `ReproductionSpec`s plan manifests, and `ListenerSpec`s watch their runs."""

S = TypeVar("S", EnvironmentSpec, RewardSpec, AgentSpec, QuantizerSpec)
K = TypeVar("K", EnvironmentSpec, RewardSpec, AgentSpec, QuantizerSpec, ListenerSpec, ReproductionSpec)

_HOOKS = {f"qecforge_{kind}s": kind for kind in KINDS}


@dataclass(frozen=True)
class Registered(Generic[K]):
    """A spec and where it comes from.

    Attributes:
        spec: What the hook returned.
        distribution: Name of the installed distribution, as `pip list` shows it.
        version: Its version; part of a run's identity.
        entry_point: Name of the entry point in the group `qecforge`.
    """

    spec: K
    distribution: str
    version: str
    entry_point: str


@dataclass(frozen=True)
class BrokenPlugin:
    """An entry point that could not be loaded, or whose hooks failed or returned something else than specs."""

    name: str
    distribution: str
    version: str
    error: str
    """One line: the type and message of the exception."""
    traceback: str


@dataclass(frozen=True)
class Clash:
    """A name that is given more than once within one kind. None of them can be used."""

    kind: str
    name: str
    registered: tuple[Registered[Any], ...]

    def __str__(self) -> str:
        givers = " and by ".join(
            f"{each.distribution} {each.version} (entry point {each.entry_point})" for each in self.registered
        )
        return f"{self.kind} {self.name!r} is given twice: by {givers}. Uninstall one of them."


@dataclass(frozen=True)
class _Source:
    """One entry point with its distribution."""

    entry_point: EntryPoint
    distribution: str
    version: str


class Registry:
    """The installed plugins of each kind, by name.

    Attributes:
        environments, rewards, agents, quantizers, listeners, reproductions: Read-only mappings from name to
            `Registered`, sorted by name; without the names that clash.
        broken: Plugins that could not be used, with tracebacks.
        clashes: Names given more than once.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        found: Iterable[tuple[str, Registered[Any]]],
        broken: Iterable[BrokenPlugin],
    ) -> None:
        self._manager = manager
        by_name: defaultdict[tuple[str, str], list[Registered[Any]]] = defaultdict(list)
        for kind, registered in found:
            by_name[kind, registered.spec.name].append(registered)
        unique = {key: each[0] for key, each in sorted(by_name.items()) if len(each) == 1}
        self._of_kind: dict[str, Mapping[str, Registered[Any]]] = {
            kind: MappingProxyType({name: each for (of, name), each in unique.items() if of == kind}) for kind in KINDS
        }
        self.broken = tuple(broken)
        self.clashes = tuple(
            Clash(kind, name, tuple(sorted(each, key=lambda one: (one.distribution, one.entry_point))))
            for (kind, name), each in sorted(by_name.items())
            if len(each) > 1
        )

    @classmethod
    def load(cls, entry_points: Iterable[EntryPoint] | None = None) -> Registry:
        """Import every plugin of the entry-point group `qecforge`, each in isolation.

        Args:
            entry_points: Take these instead of the installed ones.
        """
        sources, broken = _installed() if entry_points is None else (_given(entry_points), [])
        manager = pluggy.PluginManager("qecforge")
        manager.add_hookspecs(hookspecs)
        found: list[tuple[str, Registered[Any]]] = []
        for source in sources:
            try:
                with isolated(_who(source)):
                    given = called_as(_who(source), partial(_register, manager, source))
                found.extend(given)
                logger.debug("plugin %s of %s %s", source.entry_point.name, source.distribution, source.version)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit and panics of native extensions are no reason to stop either
                broken.append(_broken(source, error))
                logger.warning("plugin %s of %s: %s", source.entry_point.name, source.distribution, broken[-1].error)
        return cls(manager, found, broken)

    @property
    def environments(self) -> Mapping[str, Registered[EnvironmentSpec]]:
        """By name."""
        return self._of_kind["environment"]

    @property
    def rewards(self) -> Mapping[str, Registered[RewardSpec]]:
        """By name."""
        return self._of_kind["reward"]

    @property
    def agents(self) -> Mapping[str, Registered[AgentSpec]]:
        """By name."""
        return self._of_kind["agent"]

    @property
    def quantizers(self) -> Mapping[str, Registered[QuantizerSpec]]:
        """By name."""
        return self._of_kind["quantizer"]

    @property
    def listeners(self) -> Mapping[str, Registered[ListenerSpec]]:
        """By name."""
        return self._of_kind["listener"]

    @property
    def reproductions(self) -> Mapping[str, Registered[ReproductionSpec]]:
        """By name."""
        return self._of_kind["reproduction"]

    def environment(self, name: str) -> Registered[EnvironmentSpec]:
        """The environment of this name. Raises `PluginError` that offers the nearest names."""
        return self.get("environment", name)

    def reward(self, name: str) -> Registered[RewardSpec]:
        """The reward of this name. Raises `PluginError` that offers the nearest names."""
        return self.get("reward", name)

    def agent(self, name: str) -> Registered[AgentSpec]:
        """The agent of this name. Raises `PluginError` that offers the nearest names."""
        return self.get("agent", name)

    def quantizer(self, name: str) -> Registered[QuantizerSpec]:
        """The quantizer of this name. Raises `PluginError` that offers the nearest names."""
        return self.get("quantizer", name)

    def listener(self, name: str) -> Registered[ListenerSpec]:
        """The listener of this name. Raises `PluginError` that offers the nearest names."""
        return self.get("listener", name)

    def reproduction(self, name: str) -> Registered[ReproductionSpec]:
        """The reproduction of this name. Raises `PluginError` that offers the nearest names."""
        return self.get("reproduction", name)

    def get(self, kind: str, name: str) -> Registered[Any]:
        """The plugin of this kind (`environment`, `reward`, `agent`, `quantizer`, `listener`, `reproduction`) and name.

        Raises:
            PluginError: there is none, or the name is given twice.
        """
        of_kind = self._of_kind[kind]
        if name in of_kind:
            return of_kind[name]
        for clash in self.clashes:
            if (clash.kind, clash.name) == (kind, name):
                raise PluginError(str(clash))
        raise PluginError(f"unknown {kind} {name!r}{self._hint(kind, name)}")

    def find(self, name: str) -> tuple[str, Registered[Any]]:
        """Kind and plugin of this name, whatever its kind.

        A reproduction often has the name of what it is about: one that a manifest names goes before it.

        Args:
            name: A name, or `kind.name` where two kinds have it.

        Raises:
            PluginError: there is none, it is given twice, or two kinds have it.
        """
        kind, dot, rest = name.partition(".")
        if dot and kind in KINDS:
            return kind, self.get(kind, rest)
        alike = [(kind, each) for kind, each in self if each.spec.name == name]
        found = [(kind, each) for kind, each in alike if kind != "reproduction"] or alike
        if len(found) == 1:
            return found[0]
        if found:
            qualified = " or ".join(f"{kind}.{name}" for kind, _ in found)
            raise PluginError(f"{name!r} is the name of more than one plugin: write {qualified}")
        for clash in self.clashes:
            if clash.name == name:
                raise PluginError(str(clash))
        names = sorted({each.spec.name for _, each in self})
        raise PluginError(f"unknown plugin {name!r}{self._broken_hint(name) or _offer('plugin', name, names)}")

    def __iter__(self) -> Iterator[tuple[str, Registered[Any]]]:
        """(kind, registered) of every usable plugin, by kind and name."""
        return ((kind, each) for kind, of_kind in self._of_kind.items() for each in of_kind.values())

    def extend_cli(self, app: Any, distribution: str | None = None) -> tuple[BrokenPlugin, ...]:
        """Let each plugin add its commands to a typer application.

        Args:
            distribution: Only plugins that come with this one; None for all.

        Returns:
            Those that failed to; they are added to `broken` too.
        """
        failed: list[BrokenPlugin] = []
        for implementation in self._manager.hook.qecforge_cli.get_hookimpls():
            source = _source_of(self._manager, implementation.plugin)
            if distribution not in (None, source.distribution):
                continue
            try:
                with isolated(_who(source)):
                    _call_alone(self._manager, "qecforge_cli", implementation.plugin, app=app)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failed.append(_broken(source, error))
        self.broken += tuple(failed)
        return tuple(failed)

    def _hint(self, kind: str, name: str) -> str:
        """What to do about a name that is not there."""
        of_kind = self._of_kind[kind]
        others = [other for other, registered in self._of_kind.items() if other != kind and name in registered]
        if others and not self._broken_hint(name):
            return f": {name!r} is {_article(others[0])}. {_installed_names(kind, of_kind)}"
        return self._broken_hint(name) or _offer(kind, name, of_kind)

    def _broken_hint(self, name: str) -> str:
        for broken in self.broken:
            if name in (broken.name, broken.distribution):
                return (
                    f": plugin {broken.name!r} of {broken.distribution} {broken.version} could not be loaded "
                    f"({broken.error}). See `qecforge plugins list`."
                )
        return ""


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _offer(kind: str, name: str, names: Iterable[str]) -> str:
    return f".{did_you_mean(name, names)} {_installed_names(kind, names)}"


def _installed_names(kind: str, names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"Installed {kind}s: {listed}." if listed else f"No {kind} is installed."


def _installed() -> tuple[list[_Source], list[BrokenPlugin]]:
    """The group's entry points, of each distribution once.

    A distribution that is seen twice on `sys.path` (an editable install and its egg-info, say) counts where it is found
    first, as for imports. Damaged metadata of one distribution does not hide the others.
    """
    sources: list[_Source] = []
    broken: list[BrokenPlugin] = []
    seen: set[str] = set()
    for distribution in distributions():
        name = "unknown"
        try:
            name = _field(distribution, "Name") or name
            key = re.sub(r"[-_.]+", "-", name).lower()
            if key in seen:
                continue
            points = list(distribution.entry_points.select(group=ENTRY_POINT_GROUP))
            version = _field(distribution, "Version") or "0"
            sources.extend(_Source(point, name, version) for point in points)
            seen.update({key} - {"unknown"})
        except Exception as error:
            broken.append(_broken(_Source(EntryPoint("entry_points.txt", "", ENTRY_POINT_GROUP), name, ""), error))
    return sorted(_unique(sources), key=lambda source: (source.distribution, source.entry_point.name)), broken


def _who(source: _Source) -> str:
    return f"plugin {source.entry_point.name} of {source.distribution} {source.version}"


def _field(distribution: Distribution, name: str) -> str | None:
    """A field at the head of the metadata; None where it is missing. `Distribution.metadata` would parse all of it, of
    every installed package, which is a quarter of the time of a short command."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    found = re.search(rf"^{name}:[ \t]*(\S.*?)\s*$", text.partition("\n\n")[0], re.MULTILINE | re.IGNORECASE)
    return found[1] if found else None


def _given(entry_points: Iterable[EntryPoint]) -> list[_Source]:
    sources = []
    for entry_point in entry_points:
        distribution: Distribution | None = entry_point.dist
        name, version = (distribution.name, distribution.version) if distribution else ("unknown", "0")
        sources.append(_Source(entry_point, name, version))
    return _unique(sources)


def _unique(sources: Iterable[_Source]) -> list[_Source]:
    """Without repetitions of the same entry point of the same distribution."""
    return list({(each.distribution, each.entry_point.name, each.entry_point.value): each for each in sources}.values())


def _register(manager: pluggy.PluginManager, source: _Source) -> list[tuple[str, Registered[Any]]]:
    """Import one plugin, call its hooks and check what they return; on failure it is unregistered again."""
    plugin = source.entry_point.load()
    key = f"{source.distribution}\n{source.version}\n{source.entry_point.name}"
    manager.register(plugin, name=key)
    try:
        hooks = [caller.name for caller in manager.get_hookcallers(plugin) or ()]
        _check_hooks(manager, plugin, hooks)
        return [
            (kind, Registered(spec, source.distribution, source.version, source.entry_point.name))
            for hook, kind in _HOOKS.items()
            if hook in hooks
            for spec in checked_specs(hook, kind, _call_alone(manager, hook, plugin))
        ]
    except BaseException:
        manager.unregister(plugin)
        raise


def _check_hooks(manager: pluggy.PluginManager, plugin: object, hooks: list[str]) -> None:
    known = [*_HOOKS, "qecforge_cli"]
    for hook in hooks:
        if hook not in known:
            near = nearest(hook.removeprefix("qecforge_"), [each.removeprefix("qecforge_") for each in known])
            offer = f" Did you mean qecforge_{near[0]}?" if near else ""
            raise PluginError(f"implements an unknown hook {hook}.{offer} Hooks: {', '.join(known)}.")
    if not hooks:
        raise PluginError(f"implements no hook. Mark one of {', '.join(known)} with @qecforge.hookspecs.hookimpl.")


def _call_alone(manager: pluggy.PluginManager, hook: str, plugin: object, **arguments: Any) -> list[Any]:
    """Results of one plugin's implementations of a hook."""
    others = [other for other in manager.get_plugins() if other is not plugin]
    return cast("list[Any]", manager.subset_hook_caller(hook, others)(**arguments))


def _source_of(manager: pluggy.PluginManager, plugin: object) -> _Source:
    distribution, version, name = (manager.get_name(plugin) or "unknown\n0\nunknown").split("\n")
    return _Source(EntryPoint(name, "", ENTRY_POINT_GROUP), distribution, version)


def _broken(source: _Source, error: BaseException) -> BrokenPlugin:
    text = one_line(error)
    return BrokenPlugin(
        name=source.entry_point.name,
        distribution=source.distribution,
        version=source.version,
        error=f"{type(error).__name__}: {text}" if text else type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )
