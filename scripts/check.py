"""Check a release: images, labels, counts, groups, splits, and images that show the same.

    python scripts/check.py dataset=usgra [data=DIR | dataset.root=DIR] [task=segment|detect|landmark|all]
                            [--json FILE] [--sheet FILE.png] [--config-dir DIR]

Every image is decoded and every label read, as a run would; nothing is changed. Pairs of images that show the same are
drawn side by side (runs/check/<dataset>-pairs.png). The exit code is 1 where there are errors, pixel-identical images
in two splits among them; what the dataset's YAML already knows, a leak of the release's own split, is a warning.
Everything else is an override of the configuration, as in python -m usbench.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.datasets import source
from usbench.datasets.check import check as checking
from usbench.datasets.check import contact_sheet as sheet
from usbench.datasets.check import counts as tally
from usbench.datasets.check import leakage as leaks
from usbench.datasets.check.findings import shown
from usbench.datasets.codecs import replacing
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError, DataError
from usbench.io.console import say, table

MOST = 20  # findings shown of one kind, sizes, lines to paste; the JSON has all


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="dataset=, data=, task= and overrides"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything that was found as JSON"
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="where the pairs are drawn")
    parser.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own"
    )
    return parser.parse_intermixed_args(argv)


def configured(words: Sequence[str], extra: Path | None) -> tuple[dict[str, Any], str]:
    """(configuration, task); ConfigError where no dataset is named."""
    task = [word.partition("=")[2] for word in words if word.startswith("task=")]
    left = [word for word in words if not word.startswith("task=")]
    return compose_for_script(left, extra, "check"), task[-1] if task else "all"


def place(config: Mapping[str, Any]) -> tuple[Path, bool]:
    """(root, whether it is a phantom); DataError where nothing is there, ConfigError for source=phantom."""
    if config["source"] == "phantom":
        raise ConfigError(
            "source=phantom: files were wanted to check; scripts/phantom.py writes some, dataset.root= names them"
        )
    released = config["dataset"]["released"]
    dataset = DatasetConfig.from_mapping(config["dataset"])
    found, root = source.locate(dataset, config["data"], "real" if released else "auto")
    if not root.is_dir():
        name = config["dataset"]["name"]
        raise DataError(
            f"{root}: files of {name} were wanted here, found none; python scripts/phantom.py dataset={name} out={root}"
        )
    return root, not found or (root / source.MARK).is_file()


def show(report: checking.Report, name: str, root: Path) -> None:
    """Tables and findings on stdout."""
    images = report.images
    say(f"{name} at {root}")
    if images["images"]:
        say(
            f"{images['images']} images, {images['tinted']} of them tinted (luma is read), "
            f"grey levels {images['darkest']}..{images['brightest']}"
        )
        sizes = list(images["sizes"].items())
        table(
            "sizes",
            ("height × width", "images"),
            [(size, str(count)) for size, count in sizes[:MOST]],
        )
        if len(sizes) > MOST:
            say(f"… and {len(sizes) - MOST} more sizes")
    for task, counts in report.tallies.items():
        table(task, tally.header(counts, task), tally.rows(counts, task))
    for tasks, pairs in report.pairs.items():
        if pairs:
            seen = [row(pair) for pair in leaks.rows(pairs[:MOST])]
            table(
                f"{tasks}: {len(pairs)} pairs that show the same",
                ("one", "other", "splits", "r", ""),
                seen,
            )
    for line in shown(report.findings, MOST):
        say(line)
    if report.paste:
        lines = report.paste.splitlines()
        say("to be written into the dataset's YAML, if the pairs are what they seem:")
        for line in lines[: 2 * MOST]:
            say(f"  {line}")
        if len(lines) > 2 * MOST:
            say(f"  … and {len(lines) - 2 * MOST} more lines (--json FILE has all)")


def row(pair: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """A pair as a table has it."""
    where = " | ".join(str(split or "unused") for split in pair["splits"])
    figure = "identical" if pair["identical"] else f"{pair['correlation']:.3f}"
    return pair["one"], pair["other"], where, figure, "known" if pair["known"] else "new"


def facts(report: checking.Report, name: str, drawn: bool, picture: Path | None) -> dict[str, Any]:
    """As JSON's data."""
    findings = [{"level": one.level, "kind": one.kind, "text": one.text} for one in report.findings]
    return {
        "dataset": name,
        "phantom": drawn,
        "errors": report.number("error"),
        "warnings": report.number("warning"),
        "findings": findings,
        "images": report.images,
        "views": {task: tally.plain(counts, task) for task, counts in report.tallies.items()},
        "leaking": sorted(set().union(*(leaks.leaks(pairs) for pairs in report.pairs.values()))),
        "pairs": {tasks: leaks.rows(pairs) for tasks, pairs in report.pairs.items()},
        "paste": report.paste,
        "sheet": str(picture) if picture else None,
    }


def draw(
    report: checking.Report, config: Mapping[str, Any], root: Path, drawn: bool, wanted: Path | None
) -> Path | None:
    """The contact sheet's path; None where there are no pairs. An old one of ours goes."""
    dataset = config["dataset"]
    default = Path(str(config["runs"])) / "check" / f"{dataset['name']}-pairs.png"
    pairs = [pair for one in report.pairs.values() for pair in one]
    if not pairs:
        default.unlink(missing_ok=True)
        return None
    pairs.sort(key=lambda pair: (not pair.across, not pair.identical, -pair.correlation))
    path = wanted or default
    sheet.draw(pairs, root, dataset["name"], None if drawn else dataset.get("attribution"), path)
    return path


def check(options: argparse.Namespace) -> int:
    """Check, show, draw, write; the exit code."""
    config, word = configured(options.overrides, options.config_dir)
    dataset = config["dataset"]
    tasks = checking.wanted_tasks(dataset, word)
    root, drawn = place(config)
    report = checking.check(dataset, root, drawn, tasks)
    show(report, dataset["name"], root)
    picture = draw(report, config, root, drawn, options.sheet)
    if picture:
        say(f"the pairs side by side: {picture}")
    if options.json:
        with replacing(options.json) as part:
            text = json.dumps(
                facts(report, dataset["name"], drawn, picture), indent=1, ensure_ascii=False
            )
            part.write_text(text + "\n", encoding="utf-8")
    errors, warnings = report.number("error"), report.number("warning")
    say(f"{errors} errors, {warnings} warnings")
    return 1 if errors else 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for errors in the release, 2 for a wrong configuration."""
    options = arguments(argv)
    return exit_code(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
