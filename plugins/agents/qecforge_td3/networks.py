"""All networks of a training, their targets and optimizers."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qecforge.contracts import Policy
from qecforge.errors import ConfigurationError
from qecforge.learning.optimizers import apply_gradients, spare_compiler
from qecforge_td3.actors import HybridActor, make_actor
from qecforge_td3.blocks import Pqc
from qecforge_td3.config import TD3Config
from qecforge_td3.critics import TwinCritic
from qecforge_td3.policy import HybridPolicy, Normalizer
from qecforge_td3.quantum.tangential import TangentialNetwork

__all__ = ["Networks", "fused_step"]


class Networks(nn.Module):
    """Actor, twin critics, their targets, what observations are normalised by, and the tangential network.

    Attributes:
        target_actor, target_critic: The networks themselves with `critic: batch_renorm`, which has no targets. The
            target actor has PreDNN, PostDNN and weights of the block of its own; the tangential network is the same.
        tangential: None where nothing is fitted.
    """

    def __init__(
        self, inputs: int, actions: int, config: TD3Config, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        self.actor = make_actor(inputs, actions, config, generator)
        self.critic = TwinCritic(inputs, actions, config, generator)
        self.normalizer = Normalizer(inputs) if config.normalize_observations else None
        self.tangential: TangentialNetwork | None = None
        if isinstance(self.actor, HybridActor) and isinstance(self.actor.block, Pqc):
            self.tangential = self.actor.block.tangential
        self.target_actor, self.target_critic = self.actor, self.critic
        if config.critic != "batch_renorm":
            self._copy_targets()
        self.to(device)
        spare_compiler()
        beta = 0.5 if config.critic == "batch_renorm" else 0.9  # CrossQ's, and Adam's own
        self.actor_parameters = list(self.actor.parameters())
        self.actor_optimizer = torch.optim.Adam(
            self.actor_parameters, lr=config.actor_learning_rate, betas=(beta, 0.999), fused=True
        )
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=config.critic_learning_rate, betas=(beta, 0.999), fused=True
        )

    @property
    def optimizers(self) -> Sequence[torch.optim.Optimizer]:
        """Of actor and critics."""
        return (self.actor_optimizer, self.critic_optimizer)

    def normalized(self, s: Tensor) -> Tensor:
        """Observations as the networks see them."""
        if self.normalizer is None:
            return s
        seen: Tensor = self.normalizer(s)
        return seen

    def start_from(self, policy: Policy) -> None:
        """Train this policy's actor, in place. Raises `ConfigurationError` where it is none of this agent's."""
        if not isinstance(policy, HybridPolicy) or set(policy.actor.state_dict()) != set(self.actor.state_dict()):
            raise ConfigurationError("td3: the given policy was not made by td3 with this block: give one that was")
        if (policy.normalizer is None) != (self.normalizer is None):
            raise ConfigurationError(
                "td3: the given policy was trained with another normalize_observations: set it to the same value"
            )
        actor = policy.actor
        if isinstance(actor, HybridActor) and isinstance(self.actor, HybridActor) and isinstance(actor.block, Pqc):
            actor.block = self.actor.block
        self.actor, self.normalizer = actor, policy.normalizer
        targets = self.target_critic is not self.critic
        self.target_actor = actor
        if targets:
            self._copy_targets()
        self.actor_parameters = list(actor.parameters())
        settings = self.actor_optimizer.param_groups[0]
        self.actor_optimizer = torch.optim.Adam(
            self.actor_parameters, lr=settings["lr"], betas=settings["betas"], fused=True
        )

    @torch.no_grad()
    def update_targets(self, tau: float) -> None:
        """(B4) theta' <- tau theta + (1 - tau) theta'."""
        if self.target_critic is self.critic:
            return
        for target, own in ((self.target_actor, self.actor), (self.target_critic, self.critic)):
            torch._foreach_lerp_(list(target.parameters()), list(own.parameters()), tau)

    def _copy_targets(self) -> None:
        block = self.actor.block if isinstance(self.actor, HybridActor) else None
        shared = {} if block is None or isinstance(block, nn.Module) else {id(block): block}
        self.target_actor = copy.deepcopy(self.actor, dict(shared))
        self.target_critic = copy.deepcopy(self.critic)
        self.target_actor.requires_grad_(False)
        self.target_critic.requires_grad_(False)


@torch.no_grad()
def fused_step(optimizer: torch.optim.Optimizer) -> None:
    """`optimizer.step()` of a fused Adam, without what torch does around it: 0.3 ms of a step's ten."""
    for group in optimizer.param_groups:
        parameters = [each for each in group["params"] if each.grad is not None]
        states = [optimizer.state[each] for each in parameters]
        if not all(states):
            apply_gradients(optimizer)
            return
        firsts, seconds, counts = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        torch._foreach_add_(counts, 1)
        torch._fused_adam_(
            parameters, [each.grad for each in parameters], firsts, seconds, [], counts, lr=group["lr"],
            beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=0.0, eps=group["eps"], amsgrad=False,
            maximize=False,
        )  # fmt: skip
