"""cli."""


def main() -> None:
    """Placeholder."""
