"""Console, files and configuration: what every package may use to reach the outside.

It must not know datasets, models, results or runs.
"""
