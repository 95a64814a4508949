"""A user's own images with labels of a common kind, as the configuration describes them.

Plain folders (see `plain_folder`) have files of the same names. Patterns (see `mask_patterns`) find
images and masks in any tree:

    images: '{kind}/{id}.png'    labels: '{kind}/{id}_mask*.png'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from usbench.datasets.codecs.own_masks import OwnMasks
from usbench.datasets.layouts.folder_labels import check_values, make_own_masks
from usbench.datasets.layouts.mask_patterns import MaskPatterns
from usbench.datasets.layouts.pattern_settings import has_pattern
from usbench.datasets.layouts.plain_folder import (
    Places,
    PlainFolder,
    check_spacing,
    compile_expression,
)
from usbench.errors import ConfigError
from usbench.types import Layout, Record, Sample, Split, Target, Task


class Folder(Layout):
    """See usbench.types.Layout."""

    name = "folder"
    version = 1

    def __init__(
        self,
        classes: Sequence[str],
        format: str,
        images: Places,
        labels: Places | Mapping[str, str],
        task: Task,
        exclusive: bool = True,
        lists: Mapping[Split, str] | None = None,
        group: str | None = None,
        mm_per_px: Sequence[float] | None = None,
        values: Mapping[str, int] | None = None,
        min_pixels: int = 20,
        pair_by: str | None = None,
    ) -> None:
        """Check the settings.

        Args:
            classes: () where the labels name them.
            format: masks, coco or yolo.
            images: folder or pattern of images, or one per split.
            labels: folder, pattern or file of labels, or one per split; patterns also per class.
            task: the view's.
            exclusive: whether classes share no pixel.
            lists: split → text file of image names.
            group: a regular expression; its first group in the image's name is the record's group.
            mm_per_px: (row, column) of every image.
            values: class → value in a mask.
            min_pixels: the smallest component of a mask that is a box.
            pair_by: a regular expression; its first group is the same in the names of an image and
                its mask or YOLO text. None: the whole names are.

        Raises:
            ConfigError: settings that aren't possible.
        """
        spacing = None if mm_per_px is None else check_spacing(mm_per_px)
        in_name = None if group is None else compile_expression("group", group)
        pairing = None if pair_by is None else compile_expression("pair_by", pair_by)
        self.values = values
        self.reader: PlainFolder | MaskPatterns
        if has_pattern(images) or has_pattern(labels):
            for key, value, wanted in (("format", format, "masks"), ("pair_by", pair_by, None)):
                if value != wanted:
                    raise ConfigError(
                        f"dataset.{key}={value}: expected {wanted or 'null'} where dataset.images "
                        "or dataset.labels is a pattern"
                    )
            self.reader = MaskPatterns(
                classes,
                images,
                labels,
                task,
                exclusive,
                lists,
                in_name,
                spacing,
                values,
                min_pixels,
            )
        else:
            self.reader = PlainFolder(
                classes,
                format,
                images,
                labels,
                task,
                exclusive,
                lists,
                in_name,
                spacing,
                values,
                min_pixels,
                pairing,
            )
        self.classes, self.format = self.reader.classes, format
        self.written_as = self.reader.written_as

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        records = self.reader.index(root)
        self.classes = self.reader.classes
        return records

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        return self.reader.read(root, record)

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. With splits by rule a sample's own split isn't kept."""
        records = self.reader.write(root, samples)
        self.classes = self.reader.classes
        return records

    def shared_files(self, root: Path) -> list[str]:
        """See usbench.types.Layout."""
        return self.reader.shared_files(root)

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        return {name: count for name, count in self.reader.oddities().items() if count}

    def encoding(self) -> OwnMasks:
        """What the values in a mask stand for."""
        one_per_file = isinstance(self.reader, MaskPatterns) and self.reader.one_per_file
        names = ["the class of its path"] if one_per_file else self.classes
        return make_own_masks(names, check_values(self.values))

    def mask_files(self, root: Path, record: Record) -> list[str]:
        """The files of a record's masks, relative to the root; [] where labels aren't masks."""
        return self.reader.mask_files(root, record) if self.format == "masks" else []
