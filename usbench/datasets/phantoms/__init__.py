"""Synthetic B-mode images with exactly known targets.

It must not know files or the formats of releases.
"""
