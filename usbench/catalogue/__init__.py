"""The catalogue: public ultrasound datasets and models as cards, scored by rubrics; see `view`.

It must not know datasets on disk, models, metrics or results.
"""

from usbench.catalogue.flat import view

__all__ = ["view"]
