"""What is printed before a run: on which data it is done, with which model, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from usbench.datasets.codecs import image
from usbench.datasets.dataset import Dataset
from usbench.io.console import facts
from usbench.io.numbers import format_count
from usbench.io.progress import format_seconds
from usbench.models.recipe_keys import names_class
from usbench.runner.config import RunConfig
from usbench.runner.expected_time import ExpectedTime, expected_time
from usbench.runner.facts import notes_on_data
from usbench.types import SPLITS, Record, Split

CLASSES_WIDTH = 66  # characters of class names; further names are only counted
# Keys of a recipe that are shown, with what stands before and after the value.
RECIPE_KEYS: Mapping[str, tuple[str, str]] = {
    "epochs": ("", " epochs"),
    "iterations": ("", " iterations each"),
    "batch": ("batch ", ""),
    "micro_batch": ("in parts of ", ""),
    "size": ("", " px"),
    "imgsz": ("long side ", " px"),
    "lr": ("lr ", ""),
    "lr0": ("lr ", ""),
}
BUILD_KEYS = ("family", "size", "architecture", "encoder", "backbone")  # of a model


def announce_run(config: RunConfig, dataset: Dataset, earlier_s: float = 0.0) -> None:
    """Print what a run is about to do; nothing for a search's trials, which would repeat it.

    Args:
        config: of the run.
        dataset: opened; of its test images the headers are read, no pixels.
        earlier_s: seconds of the interrupted runs that this one resumes.
    """
    if not config.study:
        facts(run_facts(config, dataset, expected_time(config), earlier_s))


def run_facts(
    config: RunConfig, dataset: Dataset, expected: ExpectedTime | None, earlier_s: float = 0.0
) -> list[tuple[str, str]]:
    """(name, text) of what a run is about to do.

    Args:
        config: of the run.
        dataset: opened.
        expected: how long the run may take; None: unknown.
        earlier_s: see `announce_run`.
    """
    place = f"{config.device}, {config.precision}, {config.threads} threads"
    return [
        ("run", f"{config.run_id} · seed {config.seed} · {place}"),
        ("data", describe_data(config, dataset)),
        ("images", describe_images(dataset, dataset.records["test"])),
        ("classes", describe_classes(config, dataset)),
        ("model", describe_model(config)),
        ("recipe", describe_recipe(config)),
        ("time", describe_time(config, expected, earlier_s)),
        *[("note", note) for note in notes_on_data(config, dataset)],
    ]


def describe_data(config: RunConfig, dataset: Dataset) -> str:
    """Images by split and the groups of the test set; of a phantom, that it is one."""
    records = dataset.records
    splits: Sequence[Split] = ("test",) if config.transfer else SPLITS
    counts = ", ".join(f"{len(records[split])} {split}" for split in splits)
    groups = len({record.group for record in records["test"]})
    fold = (
        ""
        if config.fold is None
        else f", fold {config.fold} of 0–{(config.dataset.split.folds or 1) - 1}"
    )
    name = f"{config.dataset.name} {config.task}{fold}"
    phantom = "; synthetic (a phantom)" if config.phantom else ""
    return f"{name}: {counts} images, {format_count(groups, 'group')} in test{phantom}"


def describe_images(dataset: Dataset, records: Sequence[Record]) -> str:
    """Height, width and pixel size of test images."""
    sizes = [image.read_size(dataset.root / record.image) for record in records]
    height, width = (format_range(map(float, side)) for side in zip(*sizes, strict=True))
    known = [record.mm_per_px for record in records if record.mm_per_px]
    if not known:
        return f"test: {height} × {width} px, mm per px unknown"
    pixels = format_range(side for pixel in known for side in pixel)
    some = "" if len(known) == len(records) else f" (known for {len(known)} of {len(records)})"
    return f"test: {height} × {width} px, {pixels} mm per px{some}"


def format_range(values: Iterable[float]) -> str:
    """One number, or the least and the greatest: 512, 480–512, .08–.1."""
    numbers = list(values)
    ends = (
        f"{value:.3g}" if value < 10 else f"{value:.0f}" for value in (min(numbers), max(numbers))
    )
    low, high = (end.removeprefix("0") or "0" for end in ends)
    return low if low == high else f"{low}–{high}"


def describe_classes(config: RunConfig, dataset: Dataset) -> str:
    """The scored classes; of many only the first ones, and how many there are."""
    shown: list[str] = []
    for name in dataset.classes:
        if shown and len(", ".join([*shown, name])) > CLASSES_WIDTH:
            break
        shown.append(name)
    text = ", ".join(shown)
    if len(shown) < len(dataset.classes):
        text += f", … ({len(dataset.classes)} in all)"
    left_out = config.transfer.left_out if config.transfer else ()
    return text + (f" (left out, unknown to the model: {', '.join(left_out)})" if left_out else "")


def describe_model(config: RunConfig) -> str:
    """The model, its parts and its starting weights."""
    build = config.model.build
    parts = [
        f"{key} {build[key]}"
        for key in BUILD_KEYS
        if build.get(key) not in (None, config.model.name)
    ]
    weights = build.get("weights")
    if config.transfer:
        parts.append(f"trained on {config.transfer.trained_on} ({config.transfer.run_id})")
    else:
        parts.append("from scratch" if weights is None else f"weights {weights}")
    return f"{config.model.name}: {', '.join(parts)}"


def describe_recipe(config: RunConfig) -> str:
    """The recipe and its key figures."""
    recipe = config.model.recipe
    parts = []
    for key, (before, after) in RECIPE_KEYS.items():
        if recipe.get(key) is not None:
            parts.append(f"{before}{format_setting(recipe[key])}{after}")
    for key, value in recipe.items():
        if names_class(value):
            parts.append(f"{key} {describe_class(value)}")
    return f"{config.recipe}: {', '.join(parts)}" if parts else str(config.recipe)


def describe_class(node: Mapping[str, object]) -> str:
    """A class of the user's with its arguments: lab.losses.Tversky(beta .7)."""
    arguments = [f"{key} {format_setting(value)}" for key, value in node.items() if key[0] != "_"]
    return str(node["_target_"]) + (f"({', '.join(arguments)})" if arguments else "")


def format_setting(value: object) -> str:
    """A recipe's value: a size as height × width, a share without a leading zero."""
    if isinstance(value, (list, tuple)):
        return " × ".join(map(str, value))
    return str(value).removeprefix("0") if isinstance(value, float) else str(value)


def describe_time(config: RunConfig, expected: ExpectedTime | None, earlier_s: float) -> str:
    """How long the run may take, and how much of that is done."""
    text = "unknown: no earlier run like it on this processor"
    if expected:
        text = str(expected)
    elif not config.transfer:
        text += "; estimated after the first epoch"
    return text + (f"; resumes after {format_seconds(earlier_s)}" if earlier_s else "")
