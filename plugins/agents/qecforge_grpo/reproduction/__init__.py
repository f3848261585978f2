"""The tiny model that learns Qiskit from execution, and what others have published."""
