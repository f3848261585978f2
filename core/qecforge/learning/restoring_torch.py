"""States of torch modules and optimizers in checkpoints, checked before they are taken over (see `restoring`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from qecforge.errors import CheckpointError
from qecforge.learning.restoring import restored_array, restored_int, restored_parts

__all__ = ["check_networks", "restored_optimizer"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


def check_networks(state: object, networks: torch.nn.Module, what: str) -> None:
    """Whether a state fits a module: names, types and shapes, and finite parameters. Raises `CheckpointError`."""
    own = networks.state_dict()
    given = restored_parts(state, tuple(own), what)
    learned = {name for name, _ in networks.named_parameters()}
    for name, tensor in own.items():
        array = tensor.detach().cpu().numpy()
        restored_array(given[name], array.dtype, array.shape, f"{what}: {name}", nan=name not in learned)


def restored_optimizer(state: object, optimizer: torch.optim.Optimizer, what: str) -> dict[str, Any]:
    """A state of Adam or AdamW for `Optimizer.load_state_dict`: the checkpoint's moments, the present settings.

    Compiled optimizers compare no shapes: one that differs would be read past its end.

    Raises:
        CheckpointError: It does not fit the optimizer's parameters.
    """
    moments = restored_parts(restored_parts(state, ("state",), what)["state"], (), what)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, of_one in moments.items():
        place = restored_int(number, f"{what}: parameter", high=len(parameters) - 1)
        given = restored_parts(of_one, ("step", *_MOMENTS), f"{what}: parameter {place}")
        array = parameters[place].detach().cpu().numpy()
        restored_array(given["step"], np.float32, (), f"{what}: step", low=0)
        for name in _MOMENTS:
            low = 0.0 if name == "exp_avg_sq" else None
            restored_array(given[name], array.dtype, array.shape, f"{what}: {name} of parameter {place}", low=low)
    if moments and len(moments) != len(parameters):
        raise CheckpointError(
            f"{what}: the optimizer has moments of {len(moments)} of {len(parameters)} parameters: "
            "restore another checkpoint"
        )
    return {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
