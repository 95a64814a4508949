"""Landmarks by heat maps.

It must not know datasets or metrics.
"""
