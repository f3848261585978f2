collect_ignore = ["example", "text"]
"""The plugins' own tests run where the plugins are installed."""
