"""Public releases whose labels are outlines instead of masks: as `pairs`, with an encoding of
`codecs.outline_files`.

    encoding: points                            encoding: {labelme: {liver: Liver}}
"""

from __future__ import annotations

from usbench.datasets.codecs.mask_files import Encoding
from usbench.datasets.codecs.outline_files import make_outline_encoding
from usbench.datasets.layouts.pairs import Pairs


class Polygons(Pairs):
    """See usbench.types.Layout. Outlines are filled as they are read."""

    name = "polygons"
    version = 1

    def make_encoding(self, node: object) -> Encoding:
        """See Pairs."""
        return make_outline_encoding(node)
