"""The Open Kidney release (rsingla92/kidneyUS): B-mode images, each drawn by two annotators.

The repository's own tree, and beside it the images, which come by registration:

    labels/reviewed_labels_{1,2}.csv                          polygons, a VIA export per annotator
    labels/reviewed_masks_{1,2}/{capsule,regions}/<image>     the release's filling (target: masks)
    OpenKidneyUltrasoundDataSet_TransducerInfo.xlsx           pixel sizes
    images/<image>                                            <patient>_IM-….png

The planes overlap: the capsule contains the other three. The leading number of a name is the group.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from usbench.datasets.codecs import image, pixel_sizes, polygons, via
from usbench.datasets.layouts.folders import ParsedFiles, list_files, require_target, sort_unique
from usbench.datasets.releases.kidney_planes import (
    ANATOMY,
    Planes,
    common_extent,
    draw_polygons,
    fill_planes,
    read_masks,
    shift_planes,
    write_masks,
)
from usbench.errors import ConfigError, DataError
from usbench.types import Layout, Masks, Record, Sample, Task

ATTRIBUTE = "Anatomy"
ANNOTATORS = (1, 2)
IMAGES, TABLE = "images", "OpenKidneyUltrasoundDataSet_TransducerInfo.xlsx"
GROUP = re.compile(r"(\d+)_")
SUFFIX = "_anon"  # of an image's name, but not in the table
ASIDE = (2, 1)  # px right and down by which a phantom's second annotator draws otherwise


class Kidney(Layout):
    """See usbench.types.Layout."""

    name = "kidney"
    version = 1

    written_as: Task = "segment"
    drawings = tuple(f"labels/reviewed_labels_{annotator}.csv" for annotator in ANNOTATORS)

    def __init__(
        self,
        classes: Sequence[str],
        annotator: int | str = 1,
        undrawn: Literal["absent", "unknown"] = "absent",
        target: Literal["polygons", "masks"] = "polygons",
        copies: Sequence[str] = (),
        rects: int = 0,
    ) -> None:
        """Check the settings.

        Args:
            classes: some of the release's.
            annotator: 1, 2 or both (two records per image, of one group).
            undrawn: what a class without a polygon is.
            target: the polygons, filled here, or the released masks.
            copies: names, without `_anon.png`, of images that are in the release twice; left out.
            rects: how many stray rectangles a CSV is known to have.

        Raises:
            ConfigError: another value, or a class that the release doesn't have.
        """
        if str(annotator) not in ("1", "2", "both"):
            raise ConfigError(f"dataset.annotator={annotator}: expected 1, 2 or both")
        if undrawn not in ("absent", "unknown") or target not in ("polygons", "masks"):
            raise ConfigError(
                f"undrawn={undrawn}, target={target}: expected absent or unknown, "
                "and polygons or masks"
            )
        for name in classes:
            if name not in ANATOMY:
                raise ConfigError(
                    f"classes of kidney: expected some of {', '.join(ANATOMY)}, got {name!r}"
                )
        self.classes, self.undrawn, self.target = tuple(classes), undrawn, target
        self.annotators = ANNOTATORS if str(annotator) == "both" else (int(annotator),)
        self.copies = frozenset(copies)
        self._exports = ParsedFiles(
            partial(via.read_via, attribute=ATTRIBUTE, labels=ANATOMY, rects=rects)
        )
        self._facts: dict[str, int] = {}

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout.

        Both CSVs are read in any case: the views in the first decide the split.
        """
        first, second = (self._entries(root, annotator) for annotator in ANNOTATORS)
        lone = sorted(first.keys() ^ second.keys())
        if lone:
            raise DataError(
                f"{root / labels_file(2 if lone[0] in first else 1)}: expected a row of {lone[0]}, "
                f"as in the other annotator's file, found none ({len(lone)} such images); fetch "
                "both files again"
            )
        pictures = self._list_images(root, first.keys())
        spacings = read_spacings(root)
        records: list[Record] = []
        for annotator in self.annotators:
            entries = self._entries(root, annotator)
            records += [
                self._record(annotator, name, entries[name], first[name], spacings)
                for name in pictures
            ]
        if self.target == "masks":
            self._require_masks(root, records)
        self._facts = {
            "copies of images, left out": len(self._exports.read(root / labels_file(1)).entries)
            - len(first),
            "images without a pixel size": sum(
                spacings.get(scan_name(name)) is None for name in pictures
            ),
        }
        return sort_unique(records)

    def read(self, root: Path, record: Record) -> Masks:
        """See usbench.types.Layout."""
        first = (labels_file(1), f"{masks_folder(1)}/")
        annotator = 1 if str(record.label).startswith(first) else 2
        name = Path(record.image).name
        if self.target == "masks":
            return self._masks(read_masks(root / masks_folder(annotator), name, self.classes))
        path, size = root / labels_file(annotator), image.read_size(root / record.image)
        entry = self._exports.read(path).entries.get(name)
        if entry is None:
            raise DataError(f"{path}: expected a row of {name}, found none; fetch the file again")
        return self._masks(fill_planes(entry, self.classes, size, f"{path}: {name}"))

    def agreements(self, root: Path) -> Iterator[tuple[Record, Masks, Masks]]:
        """(annotator 1's record, 1's masks, 2's) of every image but the copies, without an image.

        Without the image its size isn't known: both are filled on the common extent of their
        polygons, which changes no overlap.
        """
        first, second = (self._entries(root, annotator) for annotator in ANNOTATORS)
        spacings = read_spacings(root)
        for name in sorted(first):
            match = GROUP.match(name)
            if name not in second or match is None:
                raise DataError(
                    f"{root / labels_file(2)}: expected a row of {name}, with a patient's number "
                    "in front, found none; fetch both files again"
                )
            size = common_extent([first[name], second[name]])
            planes, others = (
                self._masks(fill_planes(entries[name], self.classes, size, name))
                for entries in (first, second)
            )
            yield self._record(1, name, first[name], first[name], spacings), planes, others

    def oddities(self) -> dict[str, int]:
        """What of the files is taken otherwise than written, left out or lacking → how many."""
        total = Counter(self._facts)
        for path, export in self._exports.contents.items():
            total.update({f"{path.name}: {name}": count for name, count in export.oddities.items()})
            crossing = empty = 0
            for name, entry in export.entries.items():
                crossing += sum(polygons.crosses_itself(region.polygon) for region in entry.regions)
                empty += not entry.regions and scan_name(name) not in self.copies
            total[f"{path.name}: polygons that cross themselves, filled by even-odd"] = crossing
            total[f"{path.name}: images without a polygon"] = empty
        return dict(+total)

    def shared_files(self, root: Path) -> list[str]:
        """What the records depend on besides their own files, relative to the root."""
        shared = [labels_file(1), TABLE]  # the first annotator's views decide the split
        if self.target == "masks":
            for annotator in self.annotators:
                folder = f"{masks_folder(annotator)}/regions"
                files = list_files(root / folder, ".png")
                shared += [f"{folder}/{path.name}" for path in files.values()]
        return [name for name in shared if (root / name).is_file()]

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout.

        The second annotator's planes are the first's, moved by two pixels and one; the release has
        no split, so a sample's own isn't kept.
        """
        for annotator, folder in itertools.product(ANNOTATORS, ("capsule", "regions")):
            (root / masks_folder(annotator) / folder).mkdir(parents=True, exist_ok=True)
        (root / IMAGES).mkdir(exist_ok=True)
        entries: dict[int, dict[str, via.ViaImage]] = {annotator: {} for annotator in ANNOTATORS}
        sizes: dict[str, int] = {}
        spacings: dict[str, pixel_sizes.Spacing | None] = {}
        for sample in samples:
            name, planes = f"{sample.id}.png", require_target(sample, Masks).planes
            if not GROUP.match(name):
                raise DataError(f"sample {sample.id}: expected an id <number>_…, got this one")
            image.write_grey(root / IMAGES / name, sample.image)
            sizes[name] = (root / IMAGES / name).stat().st_size
            spacings[scan_name(name)] = sample.mm_per_px
            for annotator, drawn in zip(
                ANNOTATORS, (planes, shift_planes(planes, ASIDE)), strict=True
            ):
                entries[annotator][name] = draw_polygons(drawn, self.classes, sample.attributes)
                write_masks(root / masks_folder(annotator), name, self.classes, drawn)
        for annotator in ANNOTATORS:
            via.write_via(root / labels_file(annotator), entries[annotator], ATTRIBUTE, sizes)
        pixel_sizes.write_transducers(root / TABLE, spacings)
        return self.index(root)

    def _masks(self, planes: Planes) -> Masks:
        return Masks(
            planes,
            known=None if self.undrawn == "absent" else np.asarray(planes.any(axis=(1, 2))),
        )

    def _entries(self, root: Path, annotator: int) -> dict[str, via.ViaImage]:
        """One annotator's images by name, without the copies."""
        return {
            name: entry
            for name, entry in self._exports.read(root / labels_file(annotator)).entries.items()
            if scan_name(name) not in self.copies
        }

    def _list_images(self, root: Path, labelled: Set[str]) -> list[str]:
        files = list_files(root / IMAGES, ".png").values()
        names = {path.name for path in files if scan_name(path.name) not in self.copies}
        lone = sorted(labelled - names)
        if lone:
            raise DataError(
                f"{root / IMAGES / lone[0]}: expected an image, as {labels_file(1)} has a row "
                f"of it, found none ({len(lone)} of {len(labelled)} images); complete the folder"
            )
        extra = sorted(names - labelled)
        if extra:
            raise DataError(
                f"{root / IMAGES / extra[0]}: expected a row in {labels_file(1)}, found none "
                f"({len(extra)} such images); remove them, or name copies in copies: of the "
                "dataset's layout"
            )
        return sorted(names)

    def _record(
        self,
        annotator: int,
        name: str,
        entry: via.ViaImage,
        first: via.ViaImage,
        spacings: Mapping[str, pixel_sizes.Spacing | None],
    ) -> Record:
        """One record. entry: the annotator's; first: annotator 1's."""
        match = GROUP.match(name)
        if not match:
            raise DataError(
                f"{IMAGES}/{name}: expected a name that begins with the patient's number "
                "(12_IM-…); rename it"
            )
        label = (
            f"{masks_folder(annotator)}/capsule/{name}"
            if self.target == "masks"
            else labels_file(annotator)
        )
        facts = {key.lower(): value for key, value in entry.attributes.items()}
        stem = name.removesuffix(".png")
        identity = stem if len(self.annotators) == 1 else f"{annotator}/{stem}"
        return Record(
            identity,
            match.group(1),
            f"{IMAGES}/{name}",
            label,
            None,
            spacings.get(scan_name(name)),
            {**facts, "view_of_annotator_1": first.attributes.get("View", "")},
        )

    def _require_masks(self, root: Path, records: Sequence[Record]) -> None:
        for record in records:
            capsule = root / str(record.label)
            for path in (capsule, capsule.parents[1] / "regions" / capsule.name):
                if not path.is_file():
                    raise DataError(
                        f"{path}: expected a released mask, found none; take target: polygons or "
                        "fetch it"
                    )


def read_spacings(root: Path) -> Mapping[str, pixel_sizes.Spacing | None]:
    """Scan → its pixel size, from the release's table; {} where that isn't there."""
    return pixel_sizes.read_transducers(root / TABLE) if (root / TABLE).is_file() else {}


def labels_file(annotator: int) -> str:
    """One annotator's polygons, relative to the root."""
    return Kidney.drawings[ANNOTATORS.index(annotator)]


def masks_folder(annotator: int) -> str:
    """One annotator's released masks, relative to the root."""
    return f"labels/reviewed_masks_{annotator}"


def scan_name(image_name: str) -> str:
    """An image's name as the table and the list of copies have it."""
    return image_name.removesuffix(".png").removesuffix(SUFFIX)
