"""Which plugins there are: discovery, isolation of broken ones, name clashes, checks of specs."""

from __future__ import annotations

from qecforge.registry.registry import BrokenPlugin, Clash, Registered, Registry, Spec

__all__ = ["BrokenPlugin", "Clash", "Registered", "Registry", "Spec"]
