"""Datasets: one public release each, read, indexed and written in its own on-disk format."""
