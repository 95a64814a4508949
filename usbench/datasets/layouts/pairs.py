"""Public releases of images with mask files: which file belongs to which image, and which class a
mask is of, by path templates (see `path_templates`) and an encoding (see `codecs.mask_files`).

    images: BUSBRA/Images/bus_{id}.png        masks: BUSBRA/Masks/mask_{id}.png
    images: data/{kind}/{id}.png              masks: data/{kind}/{id}_mask*.png
    images: {split}/images/{n}.png            masks: {heart: "{split}/masks/{n}-cardiac.png", …}

Several masks of an image and a class are united. The class of an image, such as its pathology, can
be that of its mask: `class_by`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import image
from usbench.datasets.codecs.mask_files import Encoding, Planes, make_encoding
from usbench.datasets.layouts.folders import require_target
from usbench.datasets.layouts.image_files import FoundImage, ImageFiles
from usbench.datasets.layouts.index_masks import component_boxes
from usbench.datasets.layouts.path_templates import Fields, PathTemplate
from usbench.datasets.layouts.problems import Problems
from usbench.errors import ConfigError, DataError
from usbench.types import Layout, Masks, Record, Sample, Target, Task

ANY = ""  # the class of a label file that is of no stated one
LabelFile = tuple[str, str]  # (class or ANY, path relative to the root)


class Pairs(Layout):
    """See usbench.types.Layout."""

    name = "pairs"
    version = 1

    written_as: Task | None = "segment"

    def __init__(
        self,
        classes: Sequence[str],
        images: str,
        masks: str | Mapping[str, str],
        encoding: Mapping[str, object],
        task: Task = "segment",
        class_by: str | None = None,
        class_of: Mapping[str, str | None] | None = None,
        min_pixels: int = 20,
        **files: Any,
    ) -> None:
        """Check the settings.

        Args:
            classes: of the view.
            images: path template of the images.
            masks: path template of the masks; or one for each class.
            encoding: see `codecs.mask_files`.
            task: segment, or detect: boxes of connected components.
            class_by: the field or attribute that says of which class an image's mask is.
            class_of: its values → class, None for those without one, such as normal.
            min_pixels: the smallest component that is a box.
            **files: further settings of `ImageFiles`.

        Raises:
            ConfigError: settings that aren't possible.
        """
        self.classes, self.task, self.min_pixels = tuple(classes), task, min_pixels
        self.files = ImageFiles(images, **files)
        self.class_by, self.class_of = class_by, dict(class_of or {})
        self.encoding = self.make_encoding(encoding)
        by_class = {ANY: masks} if isinstance(masks, str) else masks
        self.templates = {
            split: {
                name: PathTemplate(text.replace("{split}", word)) for name, text in by_class.items()
            }
            for split, word in self.files.splits.items()
        }
        self._label_files: dict[Path, dict[str, list[LabelFile]]] = {}
        self._check_classes(by_class)

    def make_encoding(self, node: Mapping[str, object]) -> Encoding:
        """The encoding of the setting; a release's class may know others."""
        return make_encoding(node)

    # ---- reading

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        images = self.find_images(root)
        labels = self._pair(root, images)
        self._label_files[root] = labels
        used = filter(self.files.is_used, images)
        first = {name: files[0][1] if files else None for name, files in labels.items()}
        return self.files.records(used, first)

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout."""
        planes = self.read_planes(root, record)
        if self.task == "detect":
            return component_boxes(planes, self.min_pixels)
        return Masks(planes)

    def read_planes(self, root: Path, record: Record) -> Planes:
        """The planes (C, H, W) of the view's classes."""
        size = image.read_size(root / record.image)
        planes = np.zeros((len(self.classes), *size), bool)
        for name, path in self._files_of(root, record):
            read = self.read_label(root / path, size, record.attributes)
            for label, plane in self._name_planes(root / path, name, record.attributes, read):
                if label in self.classes:
                    planes[self.classes.index(label)] |= plane
        return planes

    def read_label(self, path: Path, size: tuple[int, int], fields: Fields) -> Planes:
        """The planes of one label file.

        Args:
            path: of the file.
            size: (height, width) of the image.
            fields: of the image's path, for a file of several images.
        """
        return self.encoding.read(path, size)

    def find_images(self, root: Path) -> list[FoundImage]:
        """The images, in order of id. Raises as `ImageFiles.find`."""
        labels = (label for by_class in self.templates.values() for label in by_class.values())
        found = self.files.find(root, labels)
        self.require_known_classes(root, found)
        return found

    def shared_files(self, root: Path) -> list[str]:
        """Table and lists, and every label file of an image but its first."""
        labels = self._labels(root).values()
        more = sorted({path for files in labels for _, path in files[1:]})
        return [*self.files.shared_files(), *more]

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        return {name: n for name, n in self.encoding.oddities().items() if n}

    def _name_planes(
        self, path: Path, name: str, attributes: Mapping[str, str], planes: Planes
    ) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """(class, plane) of a label file's planes."""
        if self.class_by is not None:
            value = attributes[self.class_by]
            label, plane = self.class_of[value], np.asarray(planes.any(axis=0))
            if label is not None:
                yield label, plane
            elif plane.any():
                raise DataError(
                    f"{path}: expected an empty mask, as {self.class_by} is {value}, "
                    f"got {plane.sum()} pixels"
                )
        elif name != ANY:
            yield name, np.asarray(planes.any(axis=0))
        elif self.encoding.names:
            yield from zip(self.encoding.names, planes, strict=True)
        else:
            yield self.classes[0], planes[0]

    def _labels(self, root: Path) -> dict[str, list[LabelFile]]:
        if root not in self._label_files:
            self.index(root)
        return self._label_files[root]

    def _files_of(self, root: Path, record: Record) -> list[LabelFile]:
        files = self._labels(root).get(record.id)
        if files is None:
            raise DataError(
                f"{root / record.image}: expected it in the release as before, found it no more; "
                "start again"
            )
        return files

    def _pair(self, root: Path, images: Sequence[FoundImage]) -> dict[str, list[LabelFile]]:
        """The label files of each image, by its id.

        Raises:
            DataError: an image without its label, or a label without an image.
        """
        paired: dict[str, list[LabelFile]] = {image.id: [] for image in images}
        problems = Problems()
        for split, by_class in self.templates.items():
            of_split = [image for image in images if image.folder_split == split]
            for name, template in by_class.items():
                shared = [field for field in template.fields if field in self.files.fields]
                found: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
                for file in template.find(root):
                    found[tuple(file.fields[field] for field in shared)].append(file.path)
                lone = set(found)
                for picture in of_split:
                    key = tuple(picture.fields[field] for field in shared)
                    lone.discard(key)
                    needed = self.files.is_used(picture) and not self.may_lack(picture, name)
                    if key not in found and needed:
                        problems.add(
                            f"{root / picture.path}: expected its label "
                            f"{template.fill(picture.fields)}, found none"
                        )
                    paired[picture.id] += [(name, path) for path in found.get(key, ())]
                for key in sorted(lone):
                    problems.add(
                        f"{root / found[key][0]}: expected an image for this label, found none"
                    )
        problems.raise_any()
        return paired

    def may_lack(self, picture: FoundImage, name: str) -> bool:
        """Whether an image may have no label file of a class."""
        return False

    def require_known_classes(self, root: Path, images: Iterable[FoundImage]) -> None:
        """DataError for an image whose value of `class_by` is none of the setting's."""
        if self.class_by is None:
            return
        problems = Problems()
        for picture in images:
            value = picture.attributes[self.class_by]
            if value not in self.class_of:
                problems.add(
                    f"{root / picture.path}: expected {', '.join(self.class_of)} "
                    f"as {self.class_by}, got {value!r}"
                )
        problems.raise_any()

    def _check_classes(self, by_class: Mapping[str, str]) -> None:
        """ConfigError for a class of the view that nothing stands for."""
        known: Iterable[str | None] = self.encoding.names if ANY in by_class else by_class
        if self.class_by is not None:
            known = self.class_of.values()
        elif ANY in by_class and not known:
            if len(self.classes) != 1:
                raise ConfigError(
                    f"classes={list(self.classes)}: expected one, as a mask here has one class"
                )
            return
        for name in self.classes:
            if name not in known:
                raise ConfigError(
                    f"classes={list(self.classes)}: expected some of "
                    f"{', '.join(dict.fromkeys(filter(None, known)))}, got {name!r}"
                )

    # ---- writing

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. The targets are Masks, whatever the view's task."""
        written = [self._write_sample(root, sample) for sample in samples]
        self.write_tables(root, written)
        return self.index(root)

    def measure(self, sample: Sample, planes: Planes) -> dict[str, str]:
        """Attributes that a release's table states of a written sample, such as its size."""
        return {}

    def write_tables(self, root: Path, images: Sequence[FoundImage]) -> None:
        """Write what is said of the images in files of its own."""
        self.files.write_tables(root, images)

    def write_label(self, path: Path, planes: Planes, picture: FoundImage) -> None:
        """Write one label file."""
        self.encoding.write(path, planes)

    def _write_sample(self, root: Path, sample: Sample) -> FoundImage:
        planes = require_target(sample, Masks).planes
        stated = self._stated_fields(sample, planes)
        picture = self.files.place(sample, stated)
        measured = self.measure(sample, planes)
        if self.class_by is not None:
            measured[self.class_by] = self._class_of(sample, planes)
        picture = replace(picture, attributes={**picture.attributes, **measured})
        path = root / picture.path
        path.parent.mkdir(parents=True, exist_ok=True)
        image.write_picture(path, sample.image, sample.mm_per_px)
        by_class = self.templates[None if None in self.templates else sample.split]
        for name, template in by_class.items():
            drawn = self._planes_of(name, planes)
            label = root / template.fill(picture.fields)
            label.parent.mkdir(parents=True, exist_ok=True)
            if drawn.any() or not self.may_lack(picture, name):
                self.write_label(label, drawn, picture)
        return picture

    def _stated_fields(self, sample: Sample, planes: Planes) -> dict[str, str]:
        """Fields of the path that the target or an attribute decides."""
        stated = {
            name: sample.attributes[name] for name in self.files.fields if name in sample.attributes
        }
        if self.class_by in self.files.fields:
            stated[str(self.class_by)] = self._class_of(sample, planes)
        return stated

    def _class_of(self, sample: Sample, planes: Planes) -> str:
        """The value of `class_by` for a sample; DataError where it has several classes."""
        present = [name for name, plane in zip(self.classes, planes, strict=True) if plane.any()]
        if len(present) > 1:
            raise DataError(f"sample {sample.id}: expected one class, got {', '.join(present)}")
        wanted = present[0] if present else None
        values = [value for value, label in self.class_of.items() if label == wanted]
        values = values or list(self.class_of)  # every value has a class: an empty mask of any
        return values[crc32(sample.group.encode()) % len(values)]

    def _planes_of(self, name: str, planes: Planes) -> Planes:
        """The planes of one label file, (max(1, C), H, W) as the encoding has them."""
        if self.class_by is not None:
            return np.asarray(planes.any(axis=0))[None]
        if name != ANY:
            return planes[[self.classes.index(name)]]
        if not self.encoding.names:
            return planes[:1]
        empty = np.zeros(planes.shape[1:], bool)
        return np.stack(
            [
                planes[self.classes.index(label)] if label in self.classes else empty
                for label in self.encoding.names
            ]
        )
