"""The catalogue: public ultrasound datasets and models as cards, and their scores by rubrics; see `view`."""

from usbench.catalogue.flat import view

__all__ = ["view"]
