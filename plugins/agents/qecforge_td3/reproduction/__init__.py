"""The reproduction of arXiv:2503.09119: its arms on Pendulum, Hopper and Humanoid, and what they say of its claims."""
