"""Whether a set of tasks is right: references, wrong solutions, and mutants that its tests must kill."""
