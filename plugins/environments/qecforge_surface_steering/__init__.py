"""Surface-code memory experiments whose gates drift, steered by their detection events.

Source: arXiv 2511.08493.
"""
