"""Write a dataset's phantom in its release's own format, to look at or to run on.

    usbench phantom dataset=spinal --out DIR [task=segment|detect|all]
                    [dataset.phantom.counts.train=8 …]

DIR gets what <data>/<dataset>/ would hold, for all tasks of the dataset unless one is named. It
must be new or empty, and is written whole or not at all. Everything else is an override of the
configuration, as of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from usbench.cli.options import (
    Options,
    add_overrides,
    compose_for_verb,
    encode_json,
    make_parser,
    new_folder,
    run_verb,
    split_overrides,
    write_json,
)
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError
from usbench.io import console
from usbench.types import SPLITS, Layout, Task


def build_layouts(dataset: DatasetConfig, task: str) -> dict[Task, Layout]:
    """The layout of each view that was asked for.

    Raises:
        ConfigError: the dataset doesn't have the task.
    """
    if task not in ("all", *dataset.views):
        raise ConfigError(
            f"task={task}: expected all or one of {', '.join(dataset.views)} ({dataset.name})"
        )
    spec = source.phantom_spec(dataset)
    layouts: dict[Task, Layout] = {}
    for view, node in dataset.views.items():
        if task in ("all", view):
            named = dataset.with_classes(view, node.classes or phantom.scene_classes(spec, view))
            layouts[view] = source.build_layout(named, view, phantom=True)
    return layouts


def write_views(
    dataset: DatasetConfig, layouts: Mapping[Task, Layout], folder: Path
) -> dict[Task, dict[str, int]]:
    """Write every view that isn't there yet (views may share files); images by task and split."""
    spec = source.phantom_spec(dataset)
    counts: dict[Task, dict[str, int]] = {}
    for task, layout in layouts.items():
        if not is_written(layout, folder):
            classes = dataset.views[task].classes
            drawn = phantom.draw_samples(spec, layout.written_as or task, classes)
            title, total = f"{dataset.name} {task}", sum(spec.counts.values())
            layout.write(folder, console.track(drawn, title, total))
        images = Counter(str(record.split) for record in layout.index(folder))
        counts[task] = {split: images[split] for split in SPLITS if images[split]}
        if not counts[task]:  # a release without splits: a rule makes them
            counts[task]["images"] = images.total()
    return counts


def is_written(layout: Layout, folder: Path) -> bool:
    """Whether an earlier view has written this one's files too."""
    try:
        return bool(layout.index(folder))
    except DataError:  # folders or pairs are missing
        return False


def run(options: Options) -> None:
    """Draw, write, show."""
    pairs, overrides = split_overrides(options.overrides, "task")
    out = options.out.resolve()
    composed = compose_for_verb(overrides, options.config_dir, "phantom")
    dataset = DatasetConfig.from_mapping(composed["dataset"])
    layouts = build_layouts(dataset, dict(pairs).get("task", "all"))
    with new_folder(out) as folder:
        counts = write_views(dataset, layouts, folder)
        facts = {"dataset": dataset.name, "counts": counts, "phantom": dataset.phantom}
        content = {**facts, "version": phantom.VERSION}
        (folder / source.MARK).write_bytes(encode_json(content))
    write_json(options.json, content)
    for view, images in counts.items():
        numbers = ", ".join(f"{n} {split}" for split, n in images.items())
        console.say(f"{out}: {dataset.name} {view}, {numbers}")
    if dataset.released:
        console.say(f"to run on it: python -m usbench dataset={dataset.name} dataset.root={out}")


def main(argv: list[str] | None = None) -> int:
    """Its exit code: 0, 1 where the folder can't be written, 2 for a wrong configuration."""
    parser = make_parser(__doc__, "write the counts per task and split as JSON too", "phantom")
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    add_overrides(parser, "dataset=, task=")
    return run_verb(run, parser.parse_intermixed_args(argv))
