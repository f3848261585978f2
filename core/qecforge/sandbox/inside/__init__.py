"""What runs inside a cell: the fork server, the layers of each child, the codec and the judge.

Imports the standard library, and numpy where it is there: a cell that has little in memory forks fast.
"""

STARVED_AFTER = 20
"""A program that gets no core is given up after so many times its wall time."""
