"""Can a result be had again? The run of a record, done once more in a fresh process, and compared with it.

    python scripts/reproduce.py RESULT [--data DIR] [--weights FILE] [--folder DIR] [--results DIR] [--json FILE]

RESULT is a record's file or its key. Configuration, seed, precision and threads are the record's; the data must have
its fingerprint (a phantom is drawn again and needs none). Verdict: identical (the same predictions to the byte), within
the interval (of the recorded score), or different, with what differs in environment and code. Nothing below results
is changed. Exit code 1 where it is different.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from usbench.cli.overrides import exit_code
from usbench.evaluate import reproduce as reproduction
from usbench.io.console import say, table
from usbench.io.files import replacing
from usbench.results import store as results

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT", help="a record's file, or its key")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of releases; default: USBENCH_DATA, else data",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="the starting weights, where the run had some"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="keep the run here, to go on with it"
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the comparison as JSON too"
    )
    return parser.parse_args(argv)


def reproduce(options: argparse.Namespace) -> int:
    """Do it again, show, write; the exit code."""
    record = results.load(results.named(options.result, options.results))
    with tempfile.TemporaryDirectory(prefix="usbench-") as temporary:
        folder = options.folder.absolute() if options.folder else Path(temporary)
        one = reproduction.rebuilt(record, options.data, folder, options.weights)
        made = reproduction.again(one)
    found = reproduction.compared(record, made)
    show(record, made, found)
    if options.json:
        facts = {name: record[name] for name in ("dataset", "task", "model", "seed", "run_id")}
        with replacing(options.json) as part:
            part.write_text(
                json.dumps({**facts, **asdict(found)}, indent=1) + "\n", encoding="utf-8"
            )
    return 1 if found.verdict == "different" else 0


def show(old: Mapping[str, Any], new: Mapping[str, Any], found: reproduction.Comparison) -> None:
    """The primary score and all that differ, the surroundings, the verdict."""
    primary = old["primary"]["name"]
    lines = []
    for name in [primary, *(name for name in found.scores if name != primary)]:
        before, now = old["scores"][name], new["scores"].get(name, {}).get("value")
        cells = [before["value"], before["low"], before["high"], now]
        lines.append([name, *("–" if value is None else f"{value:.6f}" for value in cells)])
    title = f"{old['dataset']} · {old['model']} · seed {old['seed']} · {old['run_id']}"
    table(title, ["score", "recorded", "from", "to", "now"], lines)
    for words in found.surroundings:
        say(f"differs: {words}")
    say(
        f"{found.verdict}: the predictions are "
        + ("the same bytes" if found.verdict == "identical" else "others")
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where the result is different or can't be had here, 2 for another record."""
    options = arguments(argv)
    return exit_code(lambda: reproduce(options))


if __name__ == "__main__":
    sys.exit(main())
