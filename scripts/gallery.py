"""Pictures and curves of finished runs, for their results' pages: the worst, median and best test case with truth and
prediction, beside each record.

    python scripts/gallery.py RESULT… [--data DIR] [--runs DIR] [--results DIR] [--json FILE]

RESULT is a record's file or its key. A run on real images that may be shared (redistribute: images) does this at its end by
itself; this is for older ones. Nothing is trained, and no record is changed. scripts/leaderboard.py then shows them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.overrides import exit_code
from usbench.io.console import say, track
from usbench.io.files import replacing
from usbench.results import store as results
from usbench.results.gallery import file as gallery_file
from usbench.results.gallery import make as gallery

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT", nargs="+", help="a record's file, or its key")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of releases; default: where the run found them",
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what was chosen as JSON too"
    )
    return parser.parse_args(argv)


def make(options: argparse.Namespace) -> int:
    """Find every run first, then write; the exit code."""
    paths = [results.named(word, options.results) for word in options.result]
    records = {path: results.load(path) for path in dict.fromkeys(paths)}
    kept = {
        path: gallery.opened(record, options.runs, options.data) for path, record in records.items()
    }
    told = {}
    for path in track(list(records), "drawing"):
        made = gallery.write(path, records[path], kept[path])
        drawn = gallery_file.load(path, records[path])
        assert drawn is not None
        chosen = {
            case["place"]: {"case": case["case"], "quality": case["quality"]}
            for case in drawn["cases"]
        }
        told[records[path]["run_id"]] = {
            "bytes": made.stat().st_size,
            "curves": list(drawn["curves"]),
            "cases": chosen,
        }
        names = ", ".join(
            f"{place} {one['case']} ({one['quality']:.3f})" for place, one in chosen.items()
        )
        say(f"{made}: {made.stat().st_size / 1000:.0f} kB; {names}")
    if options.json:
        with replacing(options.json) as part:
            part.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where a run or its data aren't there, 2 for a result without pictures."""
    options = arguments(argv)
    return exit_code(lambda: make(options))


if __name__ == "__main__":
    sys.exit(main())
