"""The images of a release: found by a path template, each with what its path, a table and lists
say of it. The layouts of public releases share it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from usbench.datasets.codecs.readers import NUMBER, read_lines
from usbench.datasets.layouts.case_tables import Row, make_table
from usbench.datasets.layouts.folders import require_split, sort_unique
from usbench.datasets.layouts.path_templates import Fields, PathTemplate, join_fields, split_id
from usbench.datasets.layouts.problems import Problems
from usbench.datasets.layouts.split_files import (
    find_split_file,
    read_split_file,
    write_split_file,
)
from usbench.datasets.layouts.variants import refuse_variants
from usbench.datasets.splits import splits_of_folds
from usbench.errors import ConfigError, DataError
from usbench.io.files import write_atomically
from usbench.types import SPLITS, Record, Sample, Split


@dataclass(frozen=True)
class FoundImage:
    """An image of the release with everything that is said of it."""

    id: str
    path: str  # relative to the root
    fields: Fields  # of its path, without the split
    folder_split: Split | None  # that its folder stands for
    split: Split | None
    attributes: Mapping[str, str]  # its fields and the table's cells


class ImageFiles:
    """Where the images of a release are, and what is said of them."""

    def __init__(
        self,
        images: str,
        splits: Mapping[Split, str] | None = None,
        table: Mapping[str, Any] | None = None,
        lists: Mapping[Split, str] | None = None,
        listed: str | None = None,
        group_by: str | None = None,
        fold_by: str | None = None,
        folds: int | None = None,
        mm_per_px: str | None = None,
        leave_out: Sequence[str] = (),
        absent_names: int = 0,
        split_file: str | None = None,
        variants: Mapping[str, str] | None = None,
        reads: str = "",
        describe_nothing: Callable[[Path], str] | None = None,
    ) -> None:
        """Check the settings.

        Args:
            images: path template of the images.
            splits: what `{split}` is in it for each split of the release.
            table: a `CaseTable`.
            lists: split → text file with a line for each of its images.
            listed: how a line names an image, or several, by the fields of their paths; None: by the
                file's name, with or without folder and suffix.
            group_by: the field or attribute that is the group; None: each image is one.
            fold_by: the attribute that has the number, from 0, of the fold that tests the image.
            folds: how many folds there are.
            mm_per_px: the attribute that has the side of a pixel in mm.
            leave_out: groups, or ids of images, that aren't used.
            absent_names: how many lines of the lists are known to name images that aren't there.
            split_file: a CSV that usbench ships, see `split_files`.
            variants: glob below the root → the copy of the release that has such a path; refused.
            reads: what usbench reads instead of them.
            describe_nothing: what to say of a root where no image is found.

        Raises:
            ConfigError: settings that aren't possible.
        """
        self.splits = _check_splits(images, splits)
        self.templates = {
            split: PathTemplate(images.replace("{split}", word))
            for split, word in self.splits.items()
        }
        self.fields = next(iter(self.templates.values())).fields
        self.table = None if table is None else make_table(table)
        self.lists, self.listed = dict(lists or {}), listed
        self.group_by, self.fold_by, self.mm_per_px = group_by, fold_by, mm_per_px
        self.folds, self.absent_names, self.split_file = folds, absent_names, split_file
        self.leave_out = frozenset(leave_out)
        self.variants, self.reads = dict(variants or {}), reads
        self.describe_nothing = describe_nothing or self._ask_for_release
        known = {*self.fields, *(self.table.attributes if self.table else ())}
        for key, name in (("group_by", group_by), ("fold_by", fold_by), ("mm_per_px", mm_per_px)):
            if name is not None and name not in known:
                raise ConfigError(
                    f"{key}={name}: expected a field of the path or an attribute of the table "
                    f"({', '.join(sorted(known))})"
                )

    def find(self, root: Path, labels: Iterable[PathTemplate] = ()) -> list[FoundImage]:
        """The images, in order of id.

        Args:
            root: of the release.
            labels: templates of its labels; a file that one of them matches is no image.

        Raises:
            DataError: it is another variant of the release, a folder isn't there or has no image,
                an image isn't in the table or the lists or comes twice, or a list or table names an
                image that isn't there.
        """
        refuse_variants(root, self.variants, self.reads)
        labels = tuple(labels)
        found: list[FoundImage] = []
        label: str | None = None  # a file that matches both templates
        for split, template in self.templates.items():
            files = template.find(root)
            for file in files:
                if any(template.match(file.path) for template in labels):
                    label = file.path
                    continue
                name = join_fields(template, file.fields)
                identity = f"{split}/{name}" if split else name
                found.append(
                    FoundImage(identity, file.path, file.fields, split, split, file.fields)
                )
        if not found and label is not None:
            raise DataError(
                f"{root / label}: image and mask are the same file: give a suffix, as in "
                "{id}_mask.png, so that the masks' pattern matches no image"
            )
        if not found:
            raise DataError(self.describe_nothing(root))
        found = self._join_table(root, found) if self.table else found
        found = self._join_lists(root, found) if self.lists else found
        found = self._join_split_file(root, found) if self.split_file else found
        return sorted(found, key=lambda image: image.id)

    def is_used(self, image: FoundImage) -> bool:
        """Whether an image isn't left out."""
        return self.leave_out.isdisjoint((image.id, self.group_of(image)))

    def records(
        self, images: Iterable[FoundImage], labels: Mapping[str, str | None]
    ) -> list[Record]:
        """The records of images.

        Args:
            images: found.
            labels: image's id → path of its label.
        """
        return sort_unique(
            Record(
                image.id,
                self.group_of(image),
                image.path,
                labels[image.id],
                image.split,
                self._spacing_of(image),
                image.attributes,
                self._folds_of(image),
            )
            for image in images
        )

    def shared_files(self) -> list[str]:
        """Table and lists, relative to the root."""
        return [*([self.table.file] if self.table else ()), *self.lists.values()]

    def group_of(self, image: FoundImage) -> str:
        """The group of an image: what must not cross splits."""
        if self.group_by is None:
            return image.id
        group = image.attributes[self.group_by]
        if not group:
            raise DataError(f"{image.path}: expected a {self.group_by} for its group, got none")
        return group

    def templates_text(self) -> str:
        """The images' templates, for a message."""
        return " or ".join(template.text for template in self.templates.values())

    def _ask_for_release(self, root: Path) -> str:
        return (
            f"{root}: expected images such as {self.templates_text()}, found none; "
            "is this another release, or another variant of it?"
        )

    def _join_table(self, root: Path, images: Sequence[FoundImage]) -> list[FoundImage]:
        assert self.table is not None
        path, rows = root / self.table.file, self.table.read(root)
        problems, left, joined = Problems(), dict(rows), []
        for image in images:
            name = self.table.row.format(**image.fields)
            row = rows.get(name)
            if row is None:
                problems.add(
                    f"{root / image.path}: expected a row {name!r} in {path.name}, found none"
                )
                continue
            left.pop(name, None)
            cells = {name: row[column] for name, column in self.table.attributes.items()}
            joined.append(replace(image, attributes={**image.fields, **cells}))
        for name in left:
            problems.add(f"{path}: expected an image for the row {name!r}, found none")
        problems.raise_any()
        return joined

    def _join_lists(self, root: Path, images: Sequence[FoundImage]) -> list[FoundImage]:
        """The images that a list names, each with that list's split."""
        by_name: defaultdict[str, list[FoundImage]] = defaultdict(list)
        for image in images:
            for name in self._names_of(image):
                by_name[name].append(image)
        problems, absent, divided = Problems(), Problems(), dict[str, FoundImage]()
        for split, file in self.lists.items():
            lines = read_lines(root / file, "names of images, one a line")
            for number, line in enumerate(map(str.strip, lines), start=1):
                if not line:
                    continue
                where = f"{root / file}: line {number}"
                if line not in by_name:
                    absent.add(f"{where}: expected the name of an image, got {line!r}")
                for image in by_name.get(line, ()):
                    if image.id in divided:
                        problems.add(f"{where}: expected every image once, got {line!r} again")
                    divided[image.id] = replace(image, split=split)
        for image in images:
            if image.id not in divided:
                problems.add(
                    f"{root / image.path}: expected it in one of "
                    f"{', '.join(self.lists.values())}, found it in none"
                )
        if len(absent.sentences) > self.absent_names:
            absent.raise_any()
        problems.raise_any()
        return list(divided.values())

    def _join_split_file(self, root: Path, images: Sequence[FoundImage]) -> list[FoundImage]:
        """The images, each with the split that the file says of its name."""
        assert self.split_file is not None
        path = find_split_file(root, self.split_file)
        splits, problems, divided = read_split_file(path), Problems(), []
        for image in images:
            split = splits.pop(PurePosixPath(image.path).name, None)
            if split is None:
                problems.add(f"{root / image.path}: expected it in {path}, found it not")
            divided.append(replace(image, split=split))
        for name in splits:
            problems.add(f"{path}: expected an image for the row {name!r}, found none")
        problems.raise_any()
        return divided

    def _names_of(self, image: FoundImage) -> tuple[str, ...]:
        if self.listed is not None:
            return (self.listed.format(**image.fields),)
        path = PurePosixPath(image.path)
        return path.stem, path.name, image.path

    def _folds_of(self, image: FoundImage) -> tuple[Split, ...]:
        if self.fold_by is None:
            return ()
        assert self.folds is not None
        text = image.attributes[self.fold_by]
        numbers = list(map(str, range(self.folds)))
        if text not in numbers:
            raise DataError(
                f"{image.path}: expected a fold of 0 to {self.folds - 1} as {self.fold_by}, "
                f"got {text!r}"
            )
        tested = numbers.index(text)
        return tuple(
            splits_of_folds(self.folds, fold).get(tested, "train") for fold in range(self.folds)
        )

    def _spacing_of(self, image: FoundImage) -> tuple[float, float] | None:
        if self.mm_per_px is None:
            return None
        text = image.attributes[self.mm_per_px]
        if not text:
            return None
        if not NUMBER.fullmatch(text) or not 0 < float(text) < 100:
            raise DataError(
                f"{image.path}: expected mm per pixel as {self.mm_per_px}, got {text!r}"
            )
        return float(text), float(text)

    # ---- writing

    def place(self, sample: Sample, stated: Fields) -> FoundImage:
        """Where a sample's image belongs.

        Args:
            sample: its id has the fields of the path, but for the stated ones.
            stated: fields of the path that its target or its attributes decide.
        """
        names = [name for name in self.fields if name not in stated]
        named = split_id(sample.id, names) if names else {}
        fields = {**named, **stated}
        split: Split | None = None
        if self.lists or self.split_file or None not in self.templates:
            known = self.lists or list(_named(self.templates)) or SPLITS
            split = require_split(sample, known)
        template = self.templates[None if None in self.templates else split]
        name = join_fields(template, fields)
        identity = name if None in self.templates else f"{split}/{name}"
        cells = self._cells(sample, fields)
        return FoundImage(
            identity,
            template.fill(fields),
            fields,
            None if None in self.templates else split,
            split,
            {**fields, **cells},
        )

    def _cells(self, sample: Sample, fields: Fields) -> dict[str, str]:
        """The table's attributes of a sample, as far as anything decides them."""
        if self.table is None:
            return {}
        cells = {name: sample.attributes.get(name, "") for name in self.table.attributes}
        if self.group_by in cells:
            cells[self.group_by] = sample.group
        if self.mm_per_px in cells and sample.mm_per_px is not None:
            cells[self.mm_per_px] = repr(sample.mm_per_px[0])
        if self.fold_by in cells:
            assert self.folds is not None
            number = int("".join(filter(str.isdecimal, sample.group)) or 0)
            cells[self.fold_by] = str(number % self.folds)
        return cells | {name: value for name, value in fields.items() if name in cells}

    def write_tables(self, root: Path, images: Sequence[FoundImage]) -> None:
        """Write the table and the lists of written images."""
        if self.table is not None:
            self.table.write(root, (self.row_of(image) for image in images))
        if self.split_file is not None:
            splits = {PurePosixPath(image.path).name: image.split or "train" for image in images}
            write_split_file(root / self.split_file, splits)
        for split, file in self.lists.items():
            names = [self._names_of(image)[0] for image in images if image.split == split]
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(root / file, "".join(f"{name}\n" for name in dict.fromkeys(names)))

    def row_of(self, image: FoundImage) -> Row:
        """An image's row of the table."""
        assert self.table is not None
        cells = {column: image.attributes[name] for name, column in self.table.attributes.items()}
        return {**cells, self.table.key: self.table.row.format(**image.fields)}


def _named(templates: Mapping[Split | None, PathTemplate]) -> Iterator[Split]:
    return (split for split in templates if split is not None)


def _check_splits(images: str, splits: Mapping[Split, str] | None) -> Mapping[Split | None, str]:
    """The word for {split} of each split; {None: ""} where the path has none."""
    if ("{split}" in images) != bool(splits):
        raise ConfigError(
            f"images={images}: expected {{split}} in it, and splits with the folder of each split; "
            "or neither"
        )
    if splits and not set(splits) <= set(SPLITS):
        raise ConfigError(f"splits={splits}: expected folders of {', '.join(SPLITS)}")
    return dict(splits.items()) if splits else {None: ""}
