"""`python -m qecforge` is `qecforge`."""

from qecforge.cli import main

main()
