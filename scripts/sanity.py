"""Is the protocol right, and does a model see anything? Controls on a test split, each against what it must score.

    python scripts/sanity.py dataset=usgra [task=segment|detect|landmark] [data=DIR] [--json FILE] [--config-dir DIR]

truth must reach the target_score of every rule; flipped (the mirror image's truth) and shuffled (another image's) must be
noticed; prior (the training truths' mean, whatever the image) and blank are the floor that a model has to beat, and
are kept below results as unranked rows. Exit code 1 where a control isn't what it must be.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from usbench.cli.overrides import composed, exit_code
from usbench.datasets import source
from usbench.errors import ConfigError
from usbench.evaluate import baselines as controls
from usbench.evaluate import sanity
from usbench.io.console import say, table
from usbench.io.files import replacing
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import report

MODEL = {
    "segment": "unet",
    "detect": "yolov8",
    "landmark": "heatmap",
}  # none is built: only its task counts


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="dataset=, task= and overrides"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every control's figures as JSON too"
    )
    parser.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own"
    )
    return parser.parse_intermixed_args(argv)


def cells(words: Sequence[str], extra: Path | None) -> list[cell.Cell]:
    """A cell for the task that was asked for, or for each that the dataset has."""
    task = [word.partition("=")[2] for word in words if word.startswith("task=")]
    left = [word for word in words if not word.startswith("task=")]
    views = composed(left, extra, "sanity")["dataset"]["views"]
    wanted = task or list(views)
    for name in wanted:
        if name not in views:
            raise ConfigError(f"task={name}: the dataset has {', '.join(views)}")
    made = [
        composed([f"model={MODEL[name]}", "tracking=none", *left], extra, "sanity")
        for name in wanted
    ]
    return [cell.resolve(config) for config in made]


def check(one: cell.Cell) -> tuple[list[sanity.Verdict], int]:
    """Every control of a cell, shown and saved; how many aren't what they must be."""
    dataset = source.open_dataset(one)
    verdicts = list(sanity.battery(one, dataset))
    primary = one["metric"]["primary"]
    for verdict in (verdict for verdict in verdicts if verdict.name in controls.FLOOR):
        made = sanity.record(one, dataset, verdict)
        cases = results.mask_ids(verdict.scores.cases, one["dataset"]["redistribute"], dataset.name)
        results.save(Path(one["results"]), made, cases)
    lines = [[v.name, shown(v), v.wanted, "yes" if v.right else "NO"] for v in verdicts]
    images = len(dataset.records["test"])
    table(
        f"{dataset.name} {one['task']}: {images} test images",
        ["control", primary, "wanted", "is it?"],
        lines,
    )
    return verdicts, sum(not verdict.right for verdict in verdicts)


def shown(verdict: sanity.Verdict) -> str:
    """The figure, or – ."""
    return "–" if verdict.value is None else f"{verdict.value:.3f}"


def run(options: argparse.Namespace) -> int:
    """Check, show, save, write; the exit code."""
    wrong, facts = 0, []
    for one in cells(options.overrides, options.config_dir):
        verdicts, failed = check(one)
        wrong += failed
        facts += [as_json(one, verdict) for verdict in verdicts]
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps({"controls": facts}, indent=1, ensure_ascii=False) + "\n",
                encoding="utf-8",
            )
    say(
        "every control is what it must be"
        if not wrong
        else f"{wrong} controls aren't what they must be"
    )
    return 1 if wrong else 0


def as_json(one: cell.Cell, verdict: sanity.Verdict) -> dict[str, Any]:
    """One control's verdict and figures."""
    rules = {ruled.name: report.figures(ruled.scores, 0) for ruled in verdict.scores.protocols}
    facts = {"dataset": one["dataset"]["name"], "task": one["task"], "control": verdict.name}
    return {
        **facts,
        "value": verdict.value,
        "wanted": verdict.wanted,
        "right": verdict.right,
        "rules": rules,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where a control isn't what it must be, 2 for a wrong configuration."""
    options = arguments(argv)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
