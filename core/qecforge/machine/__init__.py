"""The machine that runs are carried out on: cores, threads, signals, provenance."""
