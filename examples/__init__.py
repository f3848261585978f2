"""Manifests that run as they are; those of `steering/` are also what `qecforge reproduce steering` carries out."""
