"""Detectors trained by our loop: torchvision's, SSD and DETR.

It must not know datasets or metrics.
"""
