"""Codes that meet the target, on their way to a report: superfluous gates left out, the best of each group kept."""
