"""The only package that knows ultralytics (AGPL-3.0): YOLO and RT-DETR.

It must not know datasets or metrics.
"""
