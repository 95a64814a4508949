"""Make pictures and curves of finished runs, for their results' pages.

    usbench gallery RESULT… [--data DIR] [--runs DIR] [--results DIR] [--json FILE]

RESULT is a result's file, name or run id. The worst, median and best test case, with target and
prediction, are written beside each result. A run on real images that may be shown (redistribute:
images) does this at its end; this is for older ones. Nothing is trained, no result is changed.
usbench leaderboard then shows them.
"""

from __future__ import annotations

from pathlib import Path

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError
from usbench.evaluate.rescore import open_stored_run
from usbench.io.console import say, track
from usbench.results import store
from usbench.results.gallery.file import load_gallery, why_no_gallery
from usbench.results.gallery.make import write_gallery


def make(options: Options) -> None:
    """Find every run first, then write."""
    runs = {}
    for name in options.result:
        path = store.resolve_result(name, options.results)
        result = store.load_result(path)
        if reason := why_no_gallery(result):
            raise ConfigError(f"{result.run_id}: {reason}; such a result has no gallery")
        runs[path] = (result, open_stored_run(result, options.runs, options.data))
    described = {}
    for path, (result, run) in track(list(runs.items()), "drawing"):
        written = write_gallery(path, result, run.predictions("test"))
        gallery = load_gallery(path, result)
        assert gallery is not None  # it was just written
        cases = {}
        for case in gallery["cases"]:
            cases[case["place"]] = {"case": case["case"], "quality": case["quality"]}
        size, curves = written.stat().st_size, list(gallery["curves"])
        described[result.run_id] = {"bytes": size, "curves": curves, "cases": cases}
        say(f"{written}: {size / 1000:.0f} kB; {cases}")
    write_json(options.json, described)


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a missing run or data, 2 for other results."""
    parser = make_parser(
        __doc__, "write what was chosen as JSON too", "gallery", ("results", "runs")
    )
    add = parser.add_argument
    add("result", metavar="RESULT", nargs="+", help="a result's file, name or run id")
    add("--data", type=Path, metavar="DIR", help="releases; default: where the run found them")
    return run_verb(make, parser.parse_args(argv))
