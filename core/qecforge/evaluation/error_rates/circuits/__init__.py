"""Memory circuits: which generators are measured, how they are extracted, in which order, and their distance."""
