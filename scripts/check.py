"""Check a release: images, labels, counts, groups, splits, and images that show the same.

    python scripts/check.py dataset=usgra [data=DIR | dataset.root=DIR]
                            [task=segment|detect|landmark|all]
                            [--json FILE] [--sheet FILE.png] [--config-dir DIR]

Every image is decoded and every label read, as a run would; nothing is changed. Pairs of images
that show the same are drawn side by side (runs/check/<dataset>-pairs.png). The exit code is 1 where
there are errors, pixel-identical images in two splits among them; what the dataset's YAML already
knows, a leak of the release's own split, is a warning. Everything else is an override of the
configuration, as in python -m usbench.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.datasets import source
from usbench.datasets.check.contact_sheet import draw_pairs
from usbench.datasets.check.counts import counts_to_json, table_header, table_rows
from usbench.datasets.check.duplicates import SimilarPair
from usbench.datasets.check.findings import format_findings
from usbench.datasets.check.images import ImageSummary
from usbench.datasets.check.leakage import find_leaks, pair_to_json
from usbench.datasets.check.release import CheckReport, check_release, select_tasks
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError, DataError
from usbench.io.console import say, table
from usbench.io.files import write_atomically

MOST = 20  # findings shown of one kind, sizes, lines to paste; the JSON has all


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="key=value", help="dataset=, data=, task= and overrides")
    add("--json", type=Path, metavar="FILE", help="write everything that was found as JSON")
    add("--sheet", type=Path, metavar="FILE.png", help="where the pairs are drawn")
    add("--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own")
    return parser.parse_intermixed_args(argv)


def locate_release(config: Mapping[str, Any], dataset: DatasetConfig) -> tuple[Path, bool]:
    """Find the files to check: (root, whether they are a phantom).

    Raises:
        DataError: nothing is there.
        ConfigError: source=phantom was asked for.
    """
    if config["source"] == "phantom":
        raise ConfigError(
            "source=phantom: expected files to check; scripts/phantom.py writes some, "
            "dataset.root= names them"
        )
    real, root = source.locate(dataset, config["data"], "real" if dataset.released else "auto")
    if not root.is_dir():
        name = dataset.name
        raise DataError(
            f"{root}: expected files of {name} here, found none; python scripts/phantom.py "
            f"dataset={name} out={root}"
        )
    return root, not real or (root / source.MARK).is_file()


def show_report(report: CheckReport, name: str, root: Path) -> None:
    """Show tables and findings on stdout."""
    say(f"{name} at {root}")
    show_images(report.images)
    for task, counts in report.counts.items():
        table(task, table_header(counts, task), table_rows(counts, task))
    for tasks, pairs in report.pairs.items():
        if pairs:
            title = f"{tasks}: {len(pairs)} pairs that show the same"
            rows = map(pair_row, pairs[:MOST])
            table(title, ("one", "other", "splits", "r", ""), rows)
    for line in format_findings(report.findings, MOST):
        say(line)
    if report.paste:
        lines = report.paste.splitlines()
        say("to be written into the dataset's YAML, if the pairs are what they seem:")
        for line in lines[: 2 * MOST]:
            say(f"  {line}")
        if len(lines) > 2 * MOST:
            say(f"  … and {len(lines) - 2 * MOST} more lines (--json FILE has all)")


def show_images(images: ImageSummary) -> None:
    """Show what the pixels say: number, grey levels, sizes."""
    if not images.images:
        return
    say(
        f"{images.images} images, {images.tinted} of them tinted (luma is read), "
        f"grey levels {images.darkest}..{images.brightest}"
    )
    sizes = list(images.sizes.items())
    rows = [(size, str(count)) for size, count in sizes[:MOST]]
    table("sizes", ("height × width", "images"), rows)
    if len(sizes) > MOST:
        say(f"… and {len(sizes) - MOST} more sizes")


def pair_row(pair: SimilarPair) -> tuple[str, str, str, str, str]:
    """A pair as a row of the table."""
    figure = "identical" if pair.identical else f"{pair.correlation:.3f}"
    status = "known" if pair.is_known else "new"
    return pair.first.id, pair.second.id, " | ".join(pair.split_names), figure, status


def report_to_json(
    report: CheckReport, name: str, phantom: bool, sheet: Path | None
) -> dict[str, Any]:
    """Everything that was found as JSON."""
    leaking = set().union(*map(find_leaks, report.pairs.values()))
    return {
        "dataset": name,
        "phantom": phantom,
        "errors": report.number("error"),
        "warnings": report.number("warning"),
        "findings": [vars(finding) for finding in report.findings],
        "images": asdict(report.images),
        "views": {task: counts_to_json(counts, task) for task, counts in report.counts.items()},
        "leaking": sorted(leaking),
        "pairs": {tasks: list(map(pair_to_json, pairs)) for tasks, pairs in report.pairs.items()},
        "paste": report.paste,
        "sheet": str(sheet) if sheet else None,
    }


def draw_sheet(
    report: CheckReport, config: Mapping[str, Any], root: Path, phantom: bool, out: Path | None
) -> Path | None:
    """Draw the contact sheet; None where there are no pairs, and an old one of ours is removed."""
    dataset = DatasetConfig.from_mapping(config["dataset"])
    default = Path(str(config["runs"])) / "check" / f"{dataset.name}-pairs.png"
    pairs = list(itertools.chain(*report.pairs.values()))
    if not pairs:
        default.unlink(missing_ok=True)
        return None
    pairs.sort(key=lambda pair: pair.rank)
    path = out or default
    draw_pairs(pairs, root, dataset.name, None if phantom else dataset.attribution, path)
    return path


def check(options: argparse.Namespace) -> int:
    """Check, show, draw, write; the exit code."""
    tasks = ["all"]
    overrides = []
    for override in options.overrides:
        key, _, value = override.partition("=")
        if key == "task":
            tasks.append(value)
        else:
            overrides.append(override)
    config = compose_for_script(overrides, options.config_dir, "check")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    selected = select_tasks(dataset, tasks[-1])
    root, phantom = locate_release(config, dataset)
    report = check_release(dataset, root, phantom, selected)
    show_report(report, dataset.name, root)
    sheet = draw_sheet(report, config, root, phantom, options.sheet)
    if sheet:
        say(f"the pairs side by side: {sheet}")
    if options.json:
        content = report_to_json(report, dataset.name, phantom, sheet)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(options.json, text.encode())
    errors = report.number("error")
    say(f"{errors} errors, {report.number('warning')} warnings")
    return 1 if errors else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0, 1 for errors in the release, 2 for a wrong command."""
    options = parse_arguments(argv)
    return exit_code(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
