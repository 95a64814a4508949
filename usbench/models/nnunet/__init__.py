"""The only package that knows nnU-Net v2.

It must not know datasets or metrics.
"""
