"""Parts of a network that ask for learning rates of their own get them, from any agent's optimizer."""

import torch
from torch import nn

from qecforge.learning.parameter_groups import ParameterGroup, adamw_of, follow_learning_rate, shared_parameters


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(()))
        self.fixed = nn.Parameter(torch.ones(3), requires_grad=False)

    def own_parameter_groups(self):
        return [ParameterGroup((self.scale,), learning_rate=0.5, epsilon=1e-12), ParameterGroup((), 1.0, 1.0)]


def test_first_group_is_the_agents_and_the_others_keep_their_settings():
    inner = Scaled()
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(inner))
    optimizer = adamw_of(network, learning_rate=0.1, epsilon=1e-5, weight_decay=0.3)
    follow_learning_rate(optimizer, 0.05)
    shared, own = optimizer.param_groups
    assert [id(each) for each in shared["params"]] == [id(each) for each in (*network[0].parameters(), inner.weight)]
    assert [id(each) for each in shared_parameters(network)] == [id(each) for each in shared["params"]]
    assert (shared["lr"], shared["eps"], shared["weight_decay"]) == (0.05, 1e-5, 0.3)
    assert own["params"][0] is inner.scale
    assert (own["lr"], own["eps"], own["weight_decay"]) == (0.5, 1e-12, 0.0)


def test_gradients_far_below_the_agents_epsilon_move_what_has_an_epsilon_of_its_own():
    module = Scaled()
    optimizer = adamw_of(module, learning_rate=0.5, epsilon=1e-5, weight_decay=0.0)
    module.weight.grad, module.scale.grad = torch.full((2,), 1e-8), torch.tensor(1e-8)
    optimizer.step()
    assert abs(module.scale.item() - 0.5) < 1e-3
    assert bool((module.weight > 0.999).all())


def test_without_such_parts_there_is_one_group():
    (group,) = adamw_of(nn.Linear(2, 2), learning_rate=0.1, epsilon=1e-5, weight_decay=0.0).param_groups
    assert len(group["params"]) == 2
