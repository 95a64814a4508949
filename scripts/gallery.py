"""Make pictures and curves of finished runs, for their results' pages.

    python scripts/gallery.py RESULT… [--data DIR] [--runs DIR] [--results DIR] [--json FILE]

RESULT is a result's file or its run id. The worst, median and best test case, with target and
prediction, are written beside each result. A run on real images that may be shown (redistribute:
images) does this at its end; this is for older ones. Nothing is trained, no result is changed.
scripts/leaderboard.py then shows them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.overrides import exit_code
from usbench.errors import ConfigError
from usbench.evaluate.rescore import StoredRun, open_stored_run
from usbench.io.console import say, track
from usbench.io.files import write_atomically
from usbench.results import store
from usbench.results.gallery.file import load_gallery, why_no_gallery
from usbench.results.gallery.make import write_gallery
from usbench.results.result import Result

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = "default: %(default)s"  # the help of an option


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("result", metavar="RESULT", nargs="+", help="a result's file, or its run id")
    add("--data", type=Path, metavar="DIR", help="releases; default: where the run found them")
    add("--runs", type=Path, metavar="DIR", default=ROOT / "runs", help=DEFAULT)
    add(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    add("--json", type=Path, metavar="FILE", help="write what was chosen as JSON too")
    return parser.parse_args(argv)


def open_run(result: Result, options: argparse.Namespace) -> StoredRun:
    """Open a result's run. Raises ConfigError for a result that can't have a gallery."""
    reason = why_no_gallery(result)
    if reason:
        raise ConfigError(f"{result.run_id}: {reason}; such a result has no gallery")
    return open_stored_run(result, options.runs, options.data)


def describe_gallery(path: Path, result: Result, size: int) -> dict[str, object]:
    """What a gallery shows, as JSON's data. size: of its file in bytes."""
    gallery = load_gallery(path, result)
    assert gallery is not None  # it was just written
    cases = {}
    for case in gallery["cases"]:
        cases[case["place"]] = {"case": case["case"], "quality": case["quality"]}
    return {"bytes": size, "curves": list(gallery["curves"]), "cases": cases}


def make(options: argparse.Namespace) -> int:
    """Find every run first, then write; the exit code."""
    paths = [store.resolve_result(word, options.results) for word in options.result]
    results = {path: store.load_result(path) for path in dict.fromkeys(paths)}
    runs = {path: open_run(result, options) for path, result in results.items()}
    described = {}
    for path, run in track(list(runs.items()), "drawing"):
        result = results[path]
        written = write_gallery(path, result, run.predictions("test"))
        size = written.stat().st_size
        described[result.run_id] = describe_gallery(path, result, size)
        say(f"{written}: {size / 1000:.0f} kB; {described[result.run_id]['cases']}")
    if options.json:
        text = json.dumps(described, indent=1, ensure_ascii=False)
        write_atomically(options.json, f"{text}\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a missing run or data, 2 for other results."""
    options = arguments(argv)
    return exit_code(lambda: make(options))


if __name__ == "__main__":
    sys.exit(main())
