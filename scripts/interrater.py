"""Agreement of a dataset's two annotators: one scored against the other, from their label files alone.

    python scripts/interrater.py dataset=kidney data=DIR [results=DIR] [--json FILE] [--config-dir DIR]

No image is needed. A line per class: Dice under our rule and under the release's own, with 95 % intervals by cluster
bootstrap over groups (patients), and the Dice of those images where both have drawn the class. The result is kept below
results as an unranked row "human agreement" of the leaderboard; the same files give the same record.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.overrides import composed, exit_code
from usbench.datasets import source
from usbench.errors import ConfigError, DataError
from usbench.evaluate import annotators as interrater
from usbench.io.console import say, table
from usbench.io.files import replacing
from usbench.runner import config as cell


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="dataset=, data=, results= and overrides"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the record as JSON here too"
    )
    parser.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own"
    )
    return parser.parse_intermixed_args(argv)


def compare(options: argparse.Namespace) -> int:
    """Compare, show, save; the exit code."""
    config = composed(["model=unet", *options.overrides], options.config_dir, "interrater")
    dataset = config["dataset"]
    if "segment" not in dataset["views"]:
        raise ConfigError(
            f"dataset={dataset['name']}: a dataset with masks by two annotators was wanted; kidney is one"
        )
    found, root = source.locate({**config, "source": "real"})
    drawn = not found or (root / source.MARK).is_file()
    layout = source.layout_of({"dataset": dataset, "task": "segment", "phantom": drawn})
    raters = interrater.two_annotators(layout, dataset["name"])
    rules = cell.metric_node(config["metric"], dataset["views"]["segment"], "segment")["protocols"]
    for name in raters.drawings:
        if not (root / name).is_file():
            raise DataError(
                f"{root / name}: an annotator's labels were wanted here, found none; {dataset['access']}"
            )
    scores, compared, images = interrater.score(raters, root, rules)
    made = interrater.record(
        dataset, scores, interrater.fingerprint(raters, root), compared, images, drawn
    )
    path = interrater.save(Path(str(config["results"])), made, scores, dataset["redistribute"])
    table(f"{dataset['name']} · {made['data']['splits']}", *interrater.shown(scores))
    for ruled in scores.protocols:
        say(f"{ruled.name} {ruled.version}: {ruled.description}")
    for name, count in layout.oddities().items():
        say(f"note: {name}: {count}")
    say(f"result: {path}")
    if options.json:
        with replacing(options.json) as part:
            part.write_bytes(path.read_bytes())
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for files that aren't whole, 2 for a wrong configuration."""
    options = arguments(argv)
    return exit_code(lambda: compare(options))


if __name__ == "__main__":
    sys.exit(main())
