collect_ignore = ["example"]
"""The example's own tests run where the example is installed."""
