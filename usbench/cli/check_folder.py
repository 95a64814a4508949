"""What `usbench check` says of a user's own folder of images and masks."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.options import Options
from usbench.datasets.check.counts import ClassCounts
from usbench.datasets.check.own_images import (
    OwnImages,
    examine_own_images,
    is_own_masks,
    name_classes,
)
from usbench.datasets.codecs import image
from usbench.datasets.config import LONGEST_NAME, NAME, DatasetConfig
from usbench.datasets.layouts.pattern_settings import has_pattern
from usbench.errors import ConfigError, DataError
from usbench.io.config import conf_dir
from usbench.io.console import facts, say, table
from usbench.io.files import JsonObject
from usbench.io.numbers import format_count
from usbench.io.overrides import to_override
from usbench.results.gallery.drawing import draw_overlay
from usbench.results.gallery.sheet import draw_sheet, shorten
from usbench.types import Record

DRAWN, COLUMNS = 16, 4  # images of the contact sheet, and in a row of it
PANEL = 300  # px, the width of an image
QUOTE = "'"
# Text that Hydra reads alike without quotes.
QUOTED_WORD = re.compile(r"'(?!(?i:true|false|null|nan|inf)')([A-Za-z_/][\w./-]*)'", re.ASCII)


def folder_overrides(options: Options) -> list[str]:
    """The overrides that --images, --labels, --classes and --root stand for.

    Raises:
        ConfigError: --images or --labels without the other.
    """
    is_folder = "dataset=folder" in (f"dataset={options.dataset}", *options.overrides)
    values: dict[str, object] = {}
    if options.images or options.labels:
        if not (options.images and options.labels):
            lacking = "--labels" if options.images else "--images"
            raise ConfigError(f"{lacking}: expected a folder or a pattern, got none")
        root, images, labels = split_root(options.images, options.labels, options.root)
        values = {"root": root, "images": images, "labels": labels}
    elif options.root:
        values = {"root": Path(options.root).absolute()}
    if is_folder and "root" in values:
        values = {"name": name_dataset(Path(str(values["root"]))), **values}
    if options.classes:
        values["classes"] = [name.strip() for name in options.classes.split(",")]
    return [to_override(f"dataset.{key}", value) for key, value in values.items()]


def split_root(images: str, labels: str, root: str | None) -> tuple[Path, str, str]:
    """(root, images, labels): absolute, and both relative to it.

    Args:
        images: a folder or a pattern.
        labels: likewise.
        root: the folder that both are relative to; None: the working directory, and the root is
            the innermost folder that holds both.

    Raises:
        ConfigError: one lies outside of the root.
    """
    base = Path(root or ".").absolute()
    paths = [Path(os.path.normpath(base / text)) for text in (images, labels)]
    if paths[0] == paths[1]:
        raise ConfigError(
            f"--images {images} --labels {labels}: image and mask are the same file: give a "
            "suffix, such as --images '…/{id}.png' --labels '…/{id}_mask.png'"
        )
    if root is None:
        base = Path(os.path.commonpath([plain_part(path) for path in paths]))
    else:
        base = Path(os.path.normpath(base))
    for option, path in zip(("--images", "--labels"), paths, strict=True):
        if not path.is_relative_to(base):
            raise ConfigError(f"{option} {path}: expected a path below --root {base}")
    relative = [path.relative_to(base).as_posix() for path in paths]
    return base, relative[0], relative[1]


def plain_part(path: Path) -> Path:
    """The folders before a path's first field or star."""
    plain = [part for part in (path, *path.parents) if not has_pattern(str(part))]
    return plain[0]


def name_dataset(root: Path) -> str:
    """A name for a folder's dataset: the folder's, unless a public release has it."""
    name = re.sub(r"[^\w.+-]+", "_", root.name, flags=re.ASCII).strip("._+-")[: LONGEST_NAME - 4]
    if not NAME.fullmatch(name):
        return "own"
    is_taken = (conf_dir() / "dataset" / f"{name}.yaml").exists()
    return f"own_{name}" if is_taken else name


def class_overrides(dataset: DatasetConfig, root: Path) -> list[str]:
    """Overrides that name the classes of a folder of masks, where nobody has named them."""
    if not is_own_masks(dataset):
        return []
    classes, values = name_classes(dataset, root)
    if not classes:
        return []
    say(
        f"classes: nobody has named them; by the masks' values they are {', '.join(classes)} "
        "(--classes NAME,… names them)"
    )
    overrides = [to_override("dataset.classes", classes)]
    return [*overrides, to_override("dataset.values", values)] if values else overrides


# ---- what it says


def show_own_images(dataset: DatasetConfig, root: Path) -> OwnImages:
    """Show how a folder of images and masks is understood. Raises as `examine_own_images`."""
    images = examine_own_images(dataset, root)
    images_at, labels_at = (show_places(dataset.options[key]) for key in ("images", "labels"))
    count = format_count(len(images.records), "image")
    masks = (
        f"{n} for {format_count(number, 'image')}" for n, number in images.masks_each().items()
    )
    groups = {record.group for record in images.records}
    grouped = (
        "each image is one; {group} in --images, or dataset.group, names patients"
        if len(groups) == len(images.records)
        else f"{len(groups)}, such as {', '.join(sorted(groups)[:3])}"
    )
    rows = [
        ("folder", str(root)),
        ("images", f"{count}: {images_at}"),
        ("masks", f"{', '.join(masks)}: {labels_at}"),
        *(
            (name, ", ".join(f"{word} {number}" for word, number in sorted(counts.items())))
            for name, counts in images.fields().items()
        ),
        ("classes", ", ".join(images.layout.classes)),
        ("groups", grouped),
        ("split", "by folder or list" if images.records[0].split else dataset.split.description),
    ]
    facts(rows)
    table("values in the masks", ("stored as", "value", "files", "taken for"), value_rows(images))
    return images


def show_places(places: object) -> str:
    """A setting of images or labels."""
    return "any picture directly in the folder" if places == "." else f"{places}"


def value_rows(images: OwnImages) -> list[tuple[str, str, str, str]]:
    """Each value that masks have: how it is stored, in how many files, what it is taken for."""
    encoding = images.layout.encoding()
    rows = []
    for (kind, value), files in sorted(images.stored.items()):
        meaning = encoding.name_of(value)
        if kind == "1 bit" and len(encoding.names) == 1:
            meaning = encoding.names[0]
        shown = "white" if kind == "JPEG" else str(value)
        rows.append((kind, shown, str(files), meaning or "nothing: an error"))
    if images.empty:
        rows.append(("any", "0 alone", str(images.empty), "nothing is there"))
    if images.unreadable:
        rows.append(("unreadable", "", str(images.unreadable), "an error"))
    return rows


def own_images_to_json(images: OwnImages) -> JsonObject:
    """What was understood as JSON's data."""
    return {
        "classes": list(images.layout.classes),
        "masks_each": {str(n): number for n, number in images.masks_each().items()},
        "fields": {name: dict(counts) for name, counts in images.fields().items()},
        "values": [
            dict(zip(("stored", "value", "files", "taken_for"), row, strict=True))
            for row in value_rows(images)
        ],
    }


def draw_own_images(images: OwnImages, root: Path, name: str, path: Path) -> Path | None:
    """Draw some images with their masks; the sheet's path, None where none can be read."""
    pictures, classes = [], images.layout.classes
    for record in choose_records(images):
        try:
            pixels = image.read_grey(root / record.image)
            target = images.layout.read(root, record)
        except DataError:
            continue  # a finding of the check
        count = format_count(images.masks[record.id], "mask")
        picture = draw_overlay(pixels, classes, target, width=PANEL)
        pictures.append(((shorten(record.id), count), picture))
    if not pictures:
        return None
    title = f"{name}: {len(pictures)} of {len(images.records)} images, with their masks"
    draw_sheet(pictures, [title], classes, path, COLUMNS, ("target",))
    return path


def choose_records(images: OwnImages) -> list[Record]:
    """Images from the first to the last, at equal distances; the one with most masks first."""
    records = list(images.records)
    most = max(records, key=lambda record: images.masks[record.id])
    step = max(1, -(-len(records) // (DRAWN - 1)))
    return [most, *(record for record in records[::step] if record is not most)]


def run_command(overrides: Sequence[str], counts: ClassCounts, config_dir: Path | None) -> str:
    """The command that trains on the folder, for a shell; classes that no mask shows are left out.

    Args:
        overrides: of the check.
        counts: of the segment view.
        config_dir: the folder of configuration, where one was named.
    """
    overrides = list(overrides)
    if not any(override.startswith("dataset.classes=") for override in overrides):
        totals = counts.amount.sum(axis=0)
        shown = [name for name, total in zip(counts.classes, totals, strict=True) if total]
        if 0 < len(shown) < len(counts.classes):
            overrides.append(to_override("dataset.classes", shown))
    named = ["--config-dir", str(config_dir)] if config_dir else []
    return shlex.join(["usbench", *named, *map(shorten_override, overrides), "model=unet"])


def shorten_override(override: str) -> str:
    """An override without Hydra's quotes, where it is read alike without them."""
    key, _, value = override.partition("=")
    if key in ("dataset.images", "dataset.labels") and value.count("'") == 2:
        return f"{key}={value.strip(QUOTE)}"
    words = QUOTED_WORD.sub(r"\1", value)
    return f"{key}={words}"
