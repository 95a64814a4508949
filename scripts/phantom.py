"""Write a dataset's phantom in its release's own format, to look at or to run on.

python scripts/phantom.py dataset=spinal out=DIR [task=segment|detect|all]
[dataset.phantom.counts.train=8 …]

DIR gets what <data>/<dataset>/ would hold, for all tasks of the dataset unless one is named. It
must be new or empty, and is written whole or not at all. Everything else is an override of the
configuration, as in python -m usbench.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError
from usbench.io import console
from usbench.io.files import replacing
from usbench.types import SPLITS, Layout, Task

Counts = dict[str, int]  # images per split


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="dataset=, out=, task= and overrides"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the counts per task and split as JSON too"
    )
    return parser.parse_intermixed_args(argv)


def _own(overrides: Sequence[str]) -> tuple[Path, str, list[str]]:
    """(out, task, what is left for Hydra); ConfigError where out is missing."""
    own = {"out": "", "task": "all"}
    left = []
    for word in overrides:
        key, _, value = word.partition("=")
        if key in own:
            own[key] = value
        else:
            left.append(word)
    if not own["out"]:
        raise ConfigError(
            "expected out=DIR, the new folder to write into; see python scripts/phantom.py --help"
        )
    return Path(own["out"]).resolve(), own["task"], left


def _layouts(dataset: DatasetConfig, task: str) -> dict[Task, Layout]:
    """The layout of each view that was asked for; ConfigError for a task that the dataset doesn't have."""
    if task not in ("all", *dataset.views):
        raise ConfigError(
            f"task={task}: expected all or one of {', '.join(dataset.views)} ({dataset.name})"
        )
    spec = source.phantom_spec(dataset)
    layouts: dict[Task, Layout] = {}
    for view, node in dataset.views.items():
        if task in ("all", view):
            classes = node.classes or phantom.scene_classes(spec, view)
            named = dataset.with_classes(view, classes)
            layouts[view] = source.build_layout(named, view, phantom=True)
    return layouts


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well and vanishes when it
    doesn't.

    Raises:
        RunError: `out` holds something, is a file, or can't be written.
    """
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        if out.exists() and any(out.iterdir()):
            raise RunError(
                f"{out}: expected a new or empty folder, got files in it; take another out="
            )
        beside.mkdir(parents=True)
        yield beside
        beside.replace(out)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(
            f"{out}: can't be written ({reason}); check the folder, its permissions and the space"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write(
    dataset: DatasetConfig, layouts: Mapping[Task, Layout], folder: Path
) -> dict[Task, Counts]:
    """Write every view that isn't there yet (views may share their files); the images per split of each."""
    spec = source.phantom_spec(dataset)
    counts: dict[Task, Counts] = {}
    for task, layout in layouts.items():
        if not _there(layout, folder):
            drawn = phantom.draw_samples(spec, layout.written_as or task)
            layout.write(
                folder, console.track(drawn, f"{dataset.name} {task}", sum(spec.counts.values()))
            )
        found = Counter(str(record.split) for record in layout.index(folder))
        by_split: Counts = {split: found[split] for split in SPLITS if found[split]}
        # A release without splits: a rule makes them.
        counts[task] = dict(by_split) or {"images": found.total()}
    return counts


def _there(layout: Layout, folder: Path) -> bool:
    """Whether an earlier view has written this one's files too."""
    try:
        return bool(layout.index(folder))
    except DataError:  # folders or pairs are missing
        return False


def _run(options: argparse.Namespace) -> int:
    out, task, overrides = _own(options.overrides)
    composed = compose_for_script(overrides, None, "phantom")
    dataset = DatasetConfig.from_mapping(composed["dataset"])
    layouts = _layouts(dataset, task)
    with _whole(out) as folder:
        counts = _write(dataset, layouts, folder)
        facts = {"dataset": dataset.name, "counts": counts, "phantom": dataset.phantom}
        text = json.dumps({**facts, "version": phantom.VERSION}, indent=1) + "\n"
        (folder / source.MARK).write_text(text)
    if options.json:
        with replacing(options.json) as part:
            part.write_text(text)
    for view, found in counts.items():
        console.say(
            f"{out}: {dataset.name} {view}, {', '.join(f'{n} {split}' for split, n in found.items())}"
        )
    if dataset.released:
        console.say(f"to run on it: python -m usbench dataset={dataset.name} dataset.root={out}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command.

    Its exit code: 0, 1 where the folder can't be written, 2 for a wrong configuration.
    """
    options = _arguments(argv)
    return exit_code(lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
