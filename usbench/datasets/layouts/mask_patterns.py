"""A user's own images and masks in any tree, found by patterns (see `path_templates`).

    images: '{kind}/{id}.png'      labels: '{kind}/{id}_mask*.png'      several masks are united
    images: 'scans/{id}.*'         labels: 'masks/{id}.*'               a picture of any format
    images: '{class}/{id}.png'     labels: '{class}/{id}_mask.png'      the folder is the class
    images: '{group}/{id}.png'     labels: '{group}/masks/{id}.png'     the folder is the patient
    labels: {lesion: '{id}_lesion.png', duct: '{id}_duct.png'}          a mask for each class

Beside a pattern a plain folder stands for its pictures. All fields together are an image's id.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from usbench.datasets.codecs.mask_files import Encoding, Planes
from usbench.datasets.layouts.folder_labels import (
    ANY_KIND,
    check_values,
    describe_no_images,
    make_own_masks,
)
from usbench.datasets.layouts.folders import sort_unique
from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.pairs import ANY, Pairs
from usbench.datasets.layouts.pattern_settings import (
    CLASS,
    GROUP,
    ID,
    Labels,
    check_fields,
    name_classes,
    pair_patterns,
    show_pattern,
)
from usbench.datasets.layouts.plain_folder import Places, require_group
from usbench.errors import ConfigError, DataError
from usbench.types import Layout, Record, Sample, Split, Target, Task


class MaskPatterns(Layout):
    """See usbench.types.Layout."""

    written_as: Task | None = "segment"

    def __init__(
        self,
        classes: Sequence[str],
        images: Places,
        labels: Places | Mapping[str, str],
        task: Task,
        exclusive: bool,
        lists: Mapping[Split, str] | None,
        group: re.Pattern[str] | None,
        mm_per_px: tuple[float, float] | None,
        values: Mapping[str, int] | None,
        min_pixels: int,
    ) -> None:
        """Check the settings: those of `Folder`, the expression compiled.

        Raises:
            ConfigError: settings that aren't possible.
        """
        if task == "landmark":
            raise ConfigError("dataset.format=masks: masks have no landmarks")
        values = check_values(values)
        places = pair_patterns(images, labels)
        if lists and None not in places:
            raise ConfigError(
                "dataset.lists: patterns per split are set too; leave lists or the patterns per "
                "split out"
            )
        self.group, self.mm_per_px = group, mm_per_px
        self.parts = {
            split: FolderPairs(
                classes or name_classes(*place, values),
                *place,
                task=task,
                values=values,
                exclusive=exclusive,
                min_pixels=min_pixels,
                lists=lists,
            )
            for split, place in places.items()
        }
        first = next(iter(self.parts.values()))
        self.classes, self.one_per_file = first.classes, first.one_per_file
        if group and any(GROUP in pairs.files.fields for pairs in self.parts.values()):
            raise ConfigError(
                f"dataset.group={group.pattern}: {{{GROUP}}} in dataset.images names the group too; "
                "leave one out"
            )

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        if not self.classes:
            words = (pairs.class_words(root) for pairs in self.parts.values())
            self.classes = tuple(sorted(set(itertools.chain.from_iterable(words))))
            for pairs in self.parts.values():
                pairs.classes = self.classes
        records: list[Record] = []
        for split, pairs in self.parts.items():
            records += [self._record(root, split, record) for record in pairs.index(root)]
        self._require_class_words(root)
        owners: dict[str, Record] = {}
        for record in records:
            owner = owners.setdefault(record.image, record)
            if owner is not record:
                raise DataError(
                    f"{root / record.image}: expected one split, got it as {owner.id} and "
                    f"{record.id}; correct the patterns"
                )
        return sort_unique(records)

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        pairs, own_record = self._part_of(record)
        return pairs.read(root, own_record)

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. Fields that nothing decides have a word of their expression."""
        samples = list(samples)
        for split, pairs in self.parts.items():
            chosen = [sample for sample in samples if split in (None, sample.split)]
            pairs.write(root, chosen)
        return self.index(root)

    def shared_files(self, root: Path) -> list[str]:
        """Lists, and every mask of an image but its first."""
        files = (pairs.shared_files(root) for pairs in self.parts.values())
        return sorted(set(itertools.chain.from_iterable(files)))

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        counts: dict[str, int] = {}
        for pairs in self.parts.values():
            for name, count in pairs.oddities().items():
                counts[name] = counts.get(name, 0) + count
        return counts

    def mask_files(self, root: Path, record: Record) -> list[str]:
        """The files of a record's masks, relative to the root."""
        pairs, own_record = self._part_of(record)
        return pairs.mask_files(root, own_record)

    def _record(self, root: Path, split: Split | None, record: Record) -> Record:
        """A record of a part as one of the dataset."""
        identity = f"{split}/{record.id}" if split else record.id
        group = record.attributes.get(GROUP, identity)
        if self.group:
            name = PurePosixPath(record.image).stem
            group = require_group(self.group, name, root / record.image)
        own_split = split or record.split
        return replace(record, id=identity, group=group, split=own_split, mm_per_px=self.mm_per_px)

    def _require_class_words(self, root: Path) -> None:
        """DataError for a class that {class} is nowhere."""
        by_class = [pairs.class_of for pairs in self.parts.values() if pairs.class_by]
        words = sorted(set().union(*by_class))
        for name in self.classes:
            if by_class and name not in words:
                raise DataError(
                    f"{root}: expected some of {', '.join(words)} as dataset.classes, which is what "
                    f"{{{CLASS}}} in dataset.images finds, got {name}"
                )

    def _part_of(self, record: Record) -> tuple[FolderPairs, Record]:
        """The part that a record is of, and the record as that part knows it."""
        for split, pairs in self.parts.items():
            if split is None:
                return pairs, record
            if record.id.startswith(f"{split}/"):
                return pairs, replace(record, id=record.id.removeprefix(f"{split}/"))
        raise DataError(f"{record.id}: expected an id of {', '.join(map(str, self.parts))}")


class FolderPairs(Pairs):
    """The images and masks of one pattern each."""

    def __init__(
        self,
        classes: Sequence[str],
        images: str,
        labels: Labels,
        values: Mapping[str, int],
        exclusive: bool,
        **settings: Any,
    ) -> None:
        """Check the settings.

        Args:
            classes: (); the words of {class}, else those that the masks show.
            images: pattern of the images.
            labels: pattern of the masks, or one for each class.
            values: class → value; {}: see `own_masks`.
            exclusive: whether classes share no pixel.
            **settings: further ones of `Pairs`.

        Raises:
            ConfigError: settings that aren't possible.
        """
        self.exclusive = exclusive
        by_folder = CLASS in check_fields(images, labels)
        self.one_per_file = by_folder or not isinstance(labels, str)
        if self.one_per_file and values:
            raise ConfigError(
                "dataset.values: a mask has one class here, as {class} or dataset.labels says; "
                "leave values out"
            )
        super().__init__(
            classes,
            images,
            labels,
            {"names": ["mask"] if self.one_per_file else list(classes), "values": values},
            class_by=CLASS if by_folder else None,
            class_of={name: name for name in classes},
            describe_nothing=self.describe_no_images,
            **settings,
        )
        masks = (template for by_class in self.templates.values() for template in by_class.values())
        for template in (*self.files.templates.values(), *masks):
            template.skips_others = True  # {kind:benign|malignant} is a choice among folders

    def make_encoding(self, node: Mapping[str, Any]) -> Encoding:
        """See Pairs."""
        return make_own_masks(node["names"], node["values"])

    def index(self, root: Path) -> list[Record]:
        """See Pairs. DataError, too, for a mask of two images and an image without any mask."""
        records = super().index(root)
        owners: dict[str, Record] = {}
        for record in records:
            files = self.mask_files(root, record)
            if not files:
                raise DataError(f"{root / record.image}: expected a mask of a class, found none")
            for path in files:
                owner = owners.setdefault(path, record)
                if owner is not record:
                    raise DataError(
                        f"{root / path}: expected a mask of one image, got it for {owner.image} and "
                        f"{record.image}; put every field of dataset.images into dataset.labels"
                    )
        return records

    def read_planes(self, root: Path, record: Record) -> Planes:
        """See Pairs. DataError, too, where exclusive classes share a pixel."""
        planes = super().read_planes(root, record)
        shared = planes.sum(axis=0) > 1 if self.exclusive else planes[:0]
        if shared.any():
            raise DataError(
                f"{root / record.image}: expected classes that share no pixel, got masks that "
                f"share {shared.sum()}; set dataset.views.segment.exclusive=false"
            )
        return planes

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs. DataError, too, where no file at all is a mask."""
        found = super().find_images(root)
        for by_class in self.templates.values():
            if not any(template.find(root) for template in by_class.values()):
                patterns = " or ".join(show_pattern(item.text) for item in by_class.values())
                raise DataError(
                    f"{root}: expected masks such as {patterns}, found none ({len(found)} images, "
                    f"such as {found[0].path}); correct dataset.labels"
                )
        return found

    def describe_no_images(self, root: Path) -> str:
        """What to say where no file is an image."""
        for template in self.files.templates.values():
            if template.is_flat:
                name = PurePosixPath(show_pattern(template.text)).name
                wanted = ANY_KIND if name == "{id}.*" else name
                return describe_no_images(root / template.folder, wanted)
        shown = show_pattern(self.files.templates_text())
        return f"{root}: expected images such as {shown}, found none; correct dataset.images"

    def may_lack(self, picture: FoundImage, name: str) -> bool:
        """With a pattern for each class, an image has masks of its own classes only."""
        return name != ANY

    def mask_files(self, root: Path, record: Record) -> list[str]:
        """The files of a record's masks, relative to the root."""
        return list(dict.fromkeys(path for _, path in self._files_of(root, record)))

    def class_words(self, root: Path) -> set[str]:
        """What {class} is in the images' paths."""
        templates = (label for labels in self.templates.values() for label in labels.values())
        return {picture.fields[CLASS] for picture in self.files.find(root, templates)}

    def require_known_classes(self, root: Path, images: Iterable[FoundImage]) -> None:
        """The words of {class} that are no classes stand for images without one."""
        if self.class_by is None:
            return
        words = sorted({picture.attributes[CLASS] for picture in images})
        self.class_of = {word: word if word in self.classes else None for word in words}

    def _class_of(self, sample: Sample, planes: Planes) -> str:
        """See Pairs. ConfigError for a phantom's image, which has several classes."""
        if planes.any(axis=(1, 2)).sum() > 1:
            raise ConfigError(
                f"dataset.images={self.files.templates_text()}: expected images of one class each, "
                f"as {{{CLASS}}} says, got several in {sample.id}, which usbench drew; set "
                "dataset.root to the folder of your images"
            )
        return super()._class_of(sample, planes)

    def _stated_fields(self, sample: Sample, planes: Planes) -> dict[str, str]:
        """Every field but the one that the sample's id is."""
        by_class = next(iter(self.templates.values()))
        templates = [*self.files.templates.values(), *by_class.values()]
        words = {name: word for template in templates for name, word in template.words().items()}
        own = ID if ID in self.files.fields else self.files.fields[-1]
        stated = {**words, GROUP: sample.group, **super()._stated_fields(sample, planes)}
        return {name: word for name, word in stated.items() if name in words and name != own}
