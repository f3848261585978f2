"""Environments that others have written, as qecforge takes them."""

from qecforge.environments._spaces import checked_actions
from qecforge.environments.gymnasium_adapter import GymnasiumAdapter

__all__ = ["GymnasiumAdapter", "checked_actions"]
