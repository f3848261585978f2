"""Optimizers of torch that start without torch's compiler.

The first optimizer of a process imports that compiler, and sympy with it, to mark its own methods as not to be
compiled: 2 s of CPU time at the start of a training, which has no use for it.
"""

from __future__ import annotations

import inspect

import torch

__all__ = ["apply_gradients", "spare_compiler"]


def spare_compiler() -> None:
    """Call it before an optimizer of torch is made. Its methods are marked with themselves, so that nothing is imported
    to mark them; a program that compiles a function which itself makes an optimizer should not call this."""
    for method in vars(torch.optim.Optimizer).values():
        marked = getattr(method, "__wrapped__", None)
        if marked is not None and not hasattr(marked, "__dynamo_disable"):
            marked.__dynamo_disable = marked


@torch.no_grad()
def apply_gradients(optimizer: torch.optim.Optimizer) -> None:
    """`optimizer.step()` without its hooks, for which torch's compiler would be imported. The numbers are the same."""
    inspect.unwrap(type(optimizer).step)(optimizer)
