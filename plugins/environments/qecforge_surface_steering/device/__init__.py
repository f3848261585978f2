"""The device that is steered: circuits with tagged gates, their error landscape, its drift, and who sees what."""
