"""usbench: the benchmark harness for public ultrasound datasets."""

__version__ = "0.1.0"
