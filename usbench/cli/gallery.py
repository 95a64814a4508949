"""Complete finished results with what their pages show and later scoring needs.

    usbench gallery RESULT… [--data DIR] [--runs DIR] [--results DIR] [--json FILE]

RESULT is a result's file, name or run id, a folder of results such as usgra/segment, or a glob.
Beside each result are written, as far as the dataset allows it: the test predictions (redistribute:
labels or images), from which it can be scored again, and pictures and curves (redistribute:
images). A run does this at its end; this is for older ones, and for new pictures of results whose
run's folder is gone. Nothing is trained, no result is changed. usbench leaderboard then shows them.
"""

from __future__ import annotations

from pathlib import Path

from usbench.cli.options import DATA_HELP, Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError, UsbenchError
from usbench.evaluate.stored_run import StoredRun, open_stored_run
from usbench.io.console import say, track, warn
from usbench.io.files import JsonObject, write_atomically
from usbench.results import store
from usbench.results.gallery.cases import describe_quality
from usbench.results.gallery.file import load_gallery, why_no_gallery
from usbench.results.gallery.make import write_gallery
from usbench.results.kept_predictions import pack_predictions, why_not_kept
from usbench.results.result import Result
from usbench.results.selection import select_results


def complete(options: Options) -> None:
    """Find every run first, then write; of several results those that lack something are left."""
    runs: dict[Path, tuple[Result, StoredRun]] = {}
    obstacles: list[UsbenchError] = []
    for path in select_results(options.result, options.results):
        result = store.load_result(path)
        try:
            runs[path] = (result, open_run(result, path, options))
        except UsbenchError as error:
            obstacles.append(error)
    if not runs:
        raise obstacles[0]
    for obstacle in obstacles:
        warn(f"left as it is: {obstacle}")
    described = {}
    for path, (result, run) in track(list(runs.items()), "drawing"):
        described[result.run_id] = keep_predictions(path, run)
        if why_no_gallery(result) is None:
            described[result.run_id] |= draw_gallery(path, result, run)
    write_json(options.json, described)


def open_run(result: Result, path: Path, options: Options) -> StoredRun:
    """The run of a result that may keep predictions, and so perhaps pictures.

    Raises:
        ConfigError: it may not.
        RunError, DataError: as `open_stored_run`.
    """
    if reason := why_not_kept(result):
        raise ConfigError(f"{result.run_id}: {reason}; such a result has no gallery")
    return open_stored_run(result, path, options.runs, options.data)


def keep_predictions(path: Path, run: StoredRun) -> JsonObject:
    """Write the predictions of a run's folder beside its result; what was kept already stays."""
    place = store.kept_path(path)
    if run.kept is None:
        write_atomically(place, pack_predictions(run.config.run_dir, run.thresholds()))
    size = place.stat().st_size
    say(f"{place}: {size / 1000:.0f} kB")
    return {"predictions_bytes": size}


def draw_gallery(path: Path, result: Result, run: StoredRun) -> JsonObject:
    """Write a result's gallery, and describe it."""
    written = write_gallery(path, result, run.predictions("test"))
    gallery = load_gallery(path, result)
    assert gallery is not None  # it was just written
    cases = {}
    for case in gallery["cases"]:
        cases[case["place"]] = {"case": case["case"], "quality": case["quality"]}
    size, common = written.stat().st_size, [case["case"] for case in gallery["common"]]
    shown = [
        f"{case['place']} {case['case']} ({describe_quality(case['quality'], result.task)})"
        for case in gallery["cases"]
    ]
    say(f"{written}: {size / 1000:.0f} kB; {', '.join(shown) or 'no image to show'}")
    return {"bytes": size, "curves": list(gallery["curves"]), "cases": cases, "common": common}


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a missing run or data, 2 for other results."""
    parser = make_parser(
        __doc__, "write what was chosen as JSON too", "gallery", ("results", "runs")
    )
    add = parser.add_argument
    add("result", metavar="RESULT", nargs="+", help="a result, or a folder or glob of results")
    add("--data", type=Path, metavar="DIR", help=DATA_HELP)
    return run_verb(complete, parser.parse_args(argv))
