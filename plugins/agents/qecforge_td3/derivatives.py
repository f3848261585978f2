"""Losses of critics and actor with their derivatives, which are left in `grad`: by autograd, or written out.

Written out, the plain critics and an actor take their matrix products and little else: arrays are made once, and what
has no use is not computed (the actor's step needs Q_1's derivative by the action alone). Both give the same to
rounding.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from qecforge_td3.actors import HybridActor, PlainActor
from qecforge_td3.config import TD3Config
from qecforge_td3.critics import TwinCritic
from qecforge_td3.networks import Networks
from qecforge_td3.passes import ActorPass, CriticPass

__all__ = ["ByAutograd", "ByHand", "Derivatives", "make_derivatives", "td_target"]

Random = np.random.Generator


class Derivatives(Protocol):
    """Symbols as in algorithm 1: s and s_next (B, D), a and a_next (B, A), r and discount (B,), all float32."""

    def next_actions(self, s_next: Tensor, rng: Random) -> Tensor:
        """(B2) Actions of the target actor, (B, A); the caller may change them."""
        ...

    def of_critics(
        self, s: Tensor, a: Tensor, s_next: Tensor, a_next: Tensor, r: Tensor, discount: Tensor
    ) -> tuple[float, float]:
        """(B2) The critics' loss and the mean of Q."""
        ...

    def of_actor(self, s: Tensor, rng: Random) -> float:
        """(B3) The actor's loss, the mean of -Q_1."""
        ...


def make_derivatives(networks: Networks, config: TD3Config, device: torch.device) -> Derivatives:
    """Written out where that is there: plain critics on the CPU, an actor without noise inside."""
    if device.type == "cpu" and config.critic == "plain" and not config.hidden_noise:
        return ByHand(networks, config.batch_size)
    return ByAutograd(networks)


class ByAutograd:
    """By torch, for every kind of network."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks

    @torch.no_grad()
    def next_actions(self, s_next: Tensor, rng: Random) -> Tensor:
        """See `Derivatives`."""
        return self.networks.target_actor.surrogate(s_next, rng)

    def of_critics(
        self, s: Tensor, a: Tensor, s_next: Tensor, a_next: Tensor, r: Tensor, discount: Tensor
    ) -> tuple[float, float]:
        """See `Derivatives`."""
        q, q_next = self._values(s, a, s_next, a_next)
        y = td_target(r, discount, q_next)
        loss = functional.mse_loss(q, y.expand_as(q), reduction="sum") / len(s)
        self.networks.critic_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        return float(loss.detach()), float(q.detach().mean())

    def of_actor(self, s: Tensor, rng: Random) -> float:
        """See `Derivatives`."""
        nets = self.networks
        nets.critic.eval()
        loss = -nets.critic.first(s, nets.actor.surrogate(s, rng)).mean()
        gradients = torch.autograd.grad(loss, nets.actor_parameters, allow_unused=True)
        for parameter, gradient in zip(nets.actor_parameters, gradients, strict=True):
            parameter.grad = gradient
        nets.critic.train()
        return float(loss.detach())

    def _values(self, s: Tensor, a: Tensor, s_next: Tensor, a_next: Tensor) -> tuple[Tensor, Tensor]:
        """Q (2, B) with gradient, and the target's Q' (2, B) without. With batch renormalisation both come from one
        batch of both, by the same networks (CrossQ)."""
        nets = self.networks
        if nets.target_critic is not nets.critic:
            with torch.no_grad():
                q_next = nets.target_critic(s_next, a_next)
            return nets.critic(s, a), q_next
        both = nets.critic(torch.cat([s, s_next]), torch.cat([a, a_next]))
        return both[:, : len(s)], both[:, len(s) :].detach()


class ByHand:
    """Written out, for plain critics on the CPU.

    Args:
        networks: Their parameters may change, not move.
        samples: B.
    """

    def __init__(self, networks: Networks, samples: int) -> None:
        critic, target = networks.critic, networks.target_critic
        assert isinstance(critic, TwinCritic)
        assert isinstance(target, TwinCritic)
        self.networks = networks
        self.critic = CriticPass(critic, samples)
        self.target_critic = CriticPass(target, samples, shared=self.critic)
        self.actor, self.target_actor = (
            ActorPass(each, samples)
            for each in (networks.actor, networks.target_actor)
            if isinstance(each, HybridActor | PlainActor)
        )

    @torch.no_grad()
    def next_actions(self, s_next: Tensor, rng: Random) -> Tensor:
        """See `Derivatives`."""
        return self.target_actor.actions(s_next, rng)

    @torch.no_grad()
    def of_critics(
        self, s: Tensor, a: Tensor, s_next: Tensor, a_next: Tensor, r: Tensor, discount: Tensor
    ) -> tuple[float, float]:
        """See `Derivatives`."""
        y = td_target(r, discount, self.target_critic.values(s_next, a_next))
        q = self.critic.values(s, a)
        error = q - y
        self.critic.backward((2 / len(s)) * error)
        return float(error.square().sum()) / len(s), float(q.mean())

    @torch.no_grad()
    def of_actor(self, s: Tensor, rng: Random) -> float:
        """See `Derivatives`."""
        q, by_action = self.critic.first_by_action(s, self.actor.actions(s, rng, differentiate=True))
        self.actor.backward(by_action.mul_(-1 / len(s)))
        return -float(q.mean())


def td_target(r: Tensor, discount: Tensor, q_next: Tensor) -> Tensor:
    """(B2) y = r + discount min(Q'_1, Q'_2), (B,).

    Args:
        r: (B,) sums of n rewards.
        discount: (B,) gamma^n, 0 where the episode terminated.
        q_next: (2, B) of both critics at the smoothed target action.
    """
    return r + discount * q_next.min(0).values
