"""The Open Kidney release (rsingla92/kidneyUS): B-mode images, each drawn by two annotators.

The repository's own tree, and beside it the images, which come by registration:

    labels/reviewed_labels_{1,2}.csv                          polygons, a VIA export per annotator
    labels/reviewed_masks_{1,2}/{capsule,regions}/<image>     the release's filling (truth: masks only)
    OpenKidneyUltrasoundDataSet_TransducerInfo.xlsx           pixel sizes
    images/<image>                                            <patient>_IM-….png

The planes overlap: the capsule contains the other three. The leading number of a name is the group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from usbench.datasets.codecs import image, polygons, transducers, via
from usbench.datasets.layouts.folders import list_files, sort_unique
from usbench.datasets.layouts.kidney_planes import (
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
        truth: Literal["polygons", "masks"] = "polygons",
        copies: Sequence[str] = (),
        rects: int = 0,
    ) -> None:
        """Check the settings.

        Args:
            classes: some of the release's.
            annotator: 1, 2 or both (two records per image, of one group).
            undrawn: what a class without a polygon is.
            truth: the polygons, filled here, or the released masks.
            copies: names, without `_anon.png`, of images that are in the release twice; left out.
            rects: how many stray rectangles a CSV is known to have.

        Raises:
            ConfigError: another value, or a class that the release doesn't have.
        """
        if str(annotator) not in ("1", "2", "both"):
            raise ConfigError(f"dataset.annotator={annotator}: expected 1, 2 or both")
        if undrawn not in ("absent", "unknown") or truth not in ("polygons", "masks"):
            raise ConfigError(
                f"undrawn={undrawn}, truth={truth}: expected absent or unknown, "
                "and polygons or masks"
            )
        unknown = [name for name in classes if name not in ANATOMY]
        if unknown:
            raise ConfigError(
                f"classes of kidney: expected some of {', '.join(ANATOMY)}, got {unknown[0]!r}"
            )
        self.classes, self.undrawn, self.truth, self.rects = tuple(classes), undrawn, truth, rects
        self.annotators = ANNOTATORS if str(annotator) == "both" else (int(annotator),)
        self.copies = frozenset(copies)
        # With the state that was read.
        self._exports: dict[Path, tuple[tuple[int, int], via.ViaExport]] = {}
        self._facts: dict[str, int] = {}

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout.

        Both CSVs are read in any case: the views in the first decide the split.
        """
        exports = {a: self._export(root / labels_file(a)) for a in ANNOTATORS}
        names = {
            a: {name for name in export.entries if not self._copy(name)}
            for a, export in exports.items()
        }
        lone = sorted(names[1] ^ names[2])
        if lone:
            which = 2 if lone[0] in names[1] else 1
            raise DataError(
                f"{root / labels_file(which)}: expected a row of {lone[0]}, as in the other "
                f"annotator's file, found none ({len(lone)} such images); fetch both files again"
            )
        pictures = self._pictures(root, names[1])
        spacings = transducers.read_transducers(root / TABLE) if (root / TABLE).is_file() else {}
        first = exports[1].entries
        found = [
            self._record(annotator, name, exports[annotator].entries[name], first[name], spacings)
            for annotator in self.annotators
            for name in pictures
        ]
        if self.truth == "masks":
            self._need_masks(root, found)
        sizes = [spacings.get(name.removesuffix(".png").removesuffix(SUFFIX)) for name in pictures]
        self._facts = {
            "copies of images, left out": sum(self._copy(name) for name in exports[1].entries),
            "images without a pixel size": sum(size is None for size in sizes),
        }
        return sort_unique(found)

    def read(self, root: Path, record: Record) -> Masks:
        """See usbench.types.Layout."""
        annotator = annotator_of(str(record.label))
        name, size = Path(record.image).name, image.read_size(root / record.image)
        if self.truth == "masks":
            planes = read_masks(root / masks_folder(annotator), name, self.classes)
        else:
            path = root / labels_file(annotator)
            entry = self._export(path).entries.get(name)
            if entry is None:
                raise DataError(
                    f"{path}: expected a row of {name}, found none; fetch the file again"
                )
            planes = fill_planes(entry, self.classes, size, f"{path}: {name}")
        return self._masks(planes)

    def agreements(self, root: Path) -> Iterator[tuple[str, str, Masks, Masks]]:
        """(id, group, annotator 1's masks, annotator 2's) of every image but the copies, from the
        CSVs alone.

        Without the image its size isn't known: both are filled on the common extent of their
        polygons, which changes no overlap.
        """
        one, two = (self._export(root / labels_file(a)).entries for a in ANNOTATORS)
        for name in sorted(entry for entry in one if not self._copy(entry)):
            match = GROUP.match(name)
            if name not in two or match is None:
                raise DataError(
                    f"{root / labels_file(2)}: expected a row of {name}, with a patient's number "
                    "in front, found none; fetch both files again"
                )
            size = common_extent([one[name], two[name]])
            planes = [
                fill_planes(entry, self.classes, size, name) for entry in (one[name], two[name])
            ]
            yield (
                name.removesuffix(".png"),
                match.group(1),
                self._masks(planes[0]),
                self._masks(planes[1]),
            )

    def oddities(self) -> dict[str, int]:
        """What of the files is taken otherwise than written, left out or lacking → how many."""
        total = Counter(self._facts)
        for path, (_, export) in self._exports.items():
            regions = [region for entry in export.entries.values() for region in entry.regions]
            total.update({f"{path.name}: {name}": count for name, count in export.oddities.items()})
            crossing = sum(polygons.crosses_itself(region.polygon) for region in regions)
            total[f"{path.name}: polygons that cross themselves, filled by even-odd"] = crossing
            empty = sum(
                not entry.regions for name, entry in export.entries.items() if not self._copy(name)
            )
            total[f"{path.name}: images without a polygon"] = empty
        return {name: count for name, count in total.items() if count}

    def shared_files(self, root: Path) -> list[str]:
        """What the records depend on besides their own files, relative to the root."""
        shared = [labels_file(1), TABLE]  # the first annotator's views decide the split
        if self.truth == "masks":
            for annotator in self.annotators:
                shared += [
                    f"{masks_folder(annotator)}/regions/{name}"
                    for name in listing_names(root, annotator)
                ]
        return [name for name in shared if (root / name).is_file()]

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout.

        The second annotator's planes are the first's, moved by two pixels and one; the release has
        no split, so a sample's own isn't kept.
        """
        for annotator in ANNOTATORS:
            for folder in ("capsule", "regions"):
                (root / masks_folder(annotator) / folder).mkdir(parents=True, exist_ok=True)
        (root / IMAGES).mkdir(exist_ok=True)
        entries: dict[int, dict[str, via.ViaImage]] = {annotator: {} for annotator in ANNOTATORS}
        sizes: dict[str, int] = {}
        spacings: dict[str, transducers.Spacing | None] = {}
        for sample in samples:
            name = f"{sample.id}.png"
            if not isinstance(sample.target, Masks):
                raise DataError(
                    f"sample {sample.id}: expected masks, got {type(sample.target).__name__}"
                )
            if not GROUP.match(name):
                raise DataError(f"sample {sample.id}: expected an id <number>_…, got this one")
            image.write_grey(root / IMAGES / name, sample.image)
            sizes[name] = (root / IMAGES / name).stat().st_size
            spacings[sample.id.removesuffix(SUFFIX)] = sample.mm_per_px
            for annotator in ANNOTATORS:
                planes = (
                    sample.target.planes
                    if annotator == 1
                    else shift_planes(sample.target.planes, ASIDE)
                )
                entries[annotator][name] = draw_polygons(planes, self.classes, sample.attributes)
                write_masks(
                    root / masks_folder(annotator),
                    name,
                    dict(zip(self.classes, planes, strict=True)),
                )
        for annotator in ANNOTATORS:
            via.write_via(root / labels_file(annotator), entries[annotator], ATTRIBUTE, sizes)
        transducers.write_transducers(root / TABLE, spacings)
        return self.index(root)

    def _masks(self, planes: Planes) -> Masks:
        there = np.array([plane.any() for plane in planes])
        return Masks(planes, known=there if self.undrawn == "unknown" else None)

    def _export(self, path: Path) -> via.ViaExport:
        """One annotator's CSV, parsed again only when its size or time changed."""
        state = (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)
        if path not in self._exports or self._exports[path][0] != state:
            self._exports[path] = state, via.read_via(path, ATTRIBUTE, ANATOMY, self.rects)
        return self._exports[path][1]

    def _copy(self, name: str) -> bool:
        return name.removesuffix(".png").removesuffix(SUFFIX) in self.copies

    def _pictures(self, root: Path, labelled: set[str]) -> list[str]:
        """The images' names, sorted; DataError where images and rows aren't of the same."""
        there = {
            path.name
            for path in list_files(root / IMAGES, ".png").values()
            if not self._copy(path.name)
        }
        lacking, extra = sorted(labelled - there), sorted(there - labelled)
        if lacking:
            raise DataError(
                f"{root / IMAGES / lacking[0]}: expected an image, as {labels_file(1)} has a row "
                f"of it, found none ({len(lacking)} of {len(labelled)} images); complete the folder"
            )
        if extra:
            raise DataError(
                f"{root / IMAGES / extra[0]}: expected a row in {labels_file(1)}, found none "
                f"({len(extra)} such "
                "images); remove them, or name copies in copies: of the dataset's layout"
            )
        return sorted(there)

    def _record(
        self,
        annotator: int,
        name: str,
        entry: via.ViaImage,
        first: via.ViaImage,
        spacings: Mapping[str, transducers.Spacing | None],
    ) -> Record:
        stem = name.removesuffix(".png")
        match = GROUP.match(stem)
        if not match:
            raise DataError(
                f"{IMAGES}/{name}: expected a name that begins with the patient's number "
                "(12_IM-…); rename it"
            )
        label = (
            labels_file(annotator)
            if self.truth == "polygons"
            else f"{masks_folder(annotator)}/capsule/{name}"
        )
        facts = {key.lower(): value for key, value in entry.attributes.items()}
        facts["view_of_annotator_1"] = first.attributes.get("View", "")
        identity = stem if len(self.annotators) == 1 else f"{annotator}/{stem}"
        spacing = spacings.get(stem.removesuffix(SUFFIX))
        return Record(identity, match.group(1), f"{IMAGES}/{name}", label, None, spacing, facts)

    def _need_masks(self, root: Path, records: Sequence[Record]) -> None:
        for record in records:
            capsule = root / str(record.label)
            for path in (capsule, capsule.parents[1] / "regions" / capsule.name):
                if not path.is_file():
                    raise DataError(
                        f"{path}: expected a released mask, found none; take truth: polygons or "
                        "fetch it"
                    )


# ---- names and places


def labels_file(annotator: int) -> str:
    """One annotator's polygons, relative to the root."""
    return Kidney.drawings[ANNOTATORS.index(annotator)]


def masks_folder(annotator: int) -> str:
    """One annotator's released masks, relative to the root."""
    return f"labels/reviewed_masks_{annotator}"


def annotator_of(label: str) -> int:
    """The annotator of a record's label file."""
    return next(
        a for a in ANNOTATORS if label == labels_file(a) or label.startswith(masks_folder(a) + "/")
    )


def listing_names(root: Path, annotator: int) -> list[str]:
    """File names of the regions masks of one annotator."""
    return [
        path.name
        for path in list_files(root / masks_folder(annotator) / "regions", ".png").values()
    ]
