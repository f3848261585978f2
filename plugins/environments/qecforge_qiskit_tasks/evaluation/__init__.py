"""How well models solve tasks."""
