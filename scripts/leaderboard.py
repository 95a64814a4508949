"""Regenerate the board from the records below results/ and the published rows in conf/dataset/: results/LEADERBOARD.md
and .csv, and as pages results/index.html, with the catalogue, and one for each result beside its record.

The same records give the same bytes. Paired tests are kept in runs/cache by the sha256 of their case tables; without it
they are done again, and the board is the same. With --check nothing is written: exit 1 where the one there differs.
With --rescore the stored predictions of our runs are scored again first, by the rules as they are now; nothing is
trained, and a result whose predictions or data aren't there stays as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from usbench.errors import RunError, UsbenchError
from usbench.io import console
from usbench.leaderboard.build import rows
from usbench.leaderboard.cache import keeping
from usbench.leaderboard.csv_file import comma_separated
from usbench.leaderboard.markdown import markdown
from usbench.leaderboard.page.picture import picture
from usbench.leaderboard.pooling import pooling
from usbench.leaderboard.published import Dataset, read_datasets
from usbench.leaderboard.ranking import ranked
from usbench.leaderboard.rows import Row
from usbench.results.store import PHANTOM, RecordJson, load_all, write_all

ROOT = Path(__file__).resolve().parent.parent
PAGE = "index.html"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--conf", type=Path, default=ROOT / "conf", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where the files there differ"
    )
    parser.add_argument(
        "--phantom",
        action="store_true",
        help="the board of phantoms, results/phantom/LEADERBOARD.*",
    )
    parser.add_argument(
        "--rescore",
        action="store_true",
        help="score the stored predictions of our runs again first",
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="a picture of the page too (PNG), by Chromium"
    )
    options = parser.parse_args(argv)
    if options.phantom and options.picture:
        parser.error("--picture shows results on real images: leave --phantom out")
    if options.check and (options.json or options.picture or options.rescore):
        parser.error("--check writes nothing: leave --json, --picture and --rescore out")
    return options


def _as_json(board: Sequence[Row]) -> bytes:
    """Every row with its figures; value and sd are over the seeds."""
    entries = [{**asdict(row), "value": row.value, "sd": _sd(row)} for row in board]
    return (
        json.dumps({"rows": entries}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def _sd(row: Row) -> float | None:
    return row.scores[row.primary].sd if row.primary in row.scores else None


def _pages(
    board: Sequence[Row],
    datasets: Sequence[Dataset],
    records: Sequence[RecordJson],
    options: argparse.Namespace,
) -> dict[Path, bytes]:
    """The board's page, what the results' pages share, and those of these that aren't up to date."""
    from usbench import (
        catalogue,  # slow to import, with what draws pictures; phantoms need none of it
    )
    from usbench.leaderboard.page import commands, fresh, index, result

    runs = commands.runs(records, commands.read(options.conf))
    page = index.html(board, datasets, catalogue.view(), result.links(records), runs)
    shared = {
        options.results / "assets" / name: content for name, content in result.assets().items()
    }
    with keeping(options.runs / "cache" / "pages.json", write=not options.check) as kept:
        made = fresh.pages(options.results, records, runs, kept)
    return {options.results / PAGE: page, **shared, **made}


def _left_over(results: Path, records: Sequence[RecordJson]) -> list[Path]:
    """Pages of results that aren't there any more."""
    from usbench.leaderboard.page import result

    wanted = {results / place for place in result.links(records).values()}
    return sorted(set(results.glob("*/*/*.html")) - wanted)


def _picture(board: Sequence[Row], page: bytes) -> bytes:
    """The page as PNG. Raises RunError where there is nothing to show."""
    if all(row.origin == "published" or row.value is None for row in board):
        raise RunError("--picture: wanted results on real images, found none; run some first")
    return picture(page)


def _differing(files: Mapping[Path, bytes]) -> list[Path]:
    """Those that aren't there just so."""
    return [path for path, data in files.items() if not path.exists() or path.read_bytes() != data]


def _check(files: Mapping[Path, bytes], left_over: Sequence[Path]) -> int:
    """0 where the files hold just that, else 1 and a line for each that doesn't."""
    differing = [*_differing(files), *left_over]
    for path in differing:
        console.warn(f"{path}: isn't what the records give; run python scripts/leaderboard.py")
    if not differing:
        console.say(f"{next(iter(files)).parent}: the board and its pages are up to date")
    return 1 if differing else 0


def _rescore(options: argparse.Namespace) -> None:
    """Score stored predictions again, and say of each result what became of it."""
    from usbench.evaluate.rescore import (
        rescore_all,  # reads data and predictions: the board itself needs neither
    )

    done = rescore_all(options.results, options.runs, options.phantom)
    for path, reason in done.kept.items():
        console.warn(f"{path.name}: left as it is: {reason}")
    console.say(
        f"rescored: {len(done.changed)} results changed, {len(done.same)} are as they were, {len(done.kept)} left"
    )


def _run(options: argparse.Namespace) -> int:
    folder = options.results / PHANTOM if options.phantom else options.results
    if options.rescore:
        _rescore(options)
    datasets = read_datasets(options.conf)
    if options.phantom:  # a phantom figure never stands beside a published one
        datasets = [replace(dataset, published=()) for dataset in datasets]
    records = load_all(options.results, options.phantom)
    known = options.runs / "cache" / ("board-phantom.json" if options.phantom else "board.json")
    with keeping(known, write=not options.check) as kept:
        board = rows(records, datasets, pooling(options.results, kept))
        board = ranked(board, records, options.results, kept)
    text = {"md": markdown(board, datasets, options.phantom), "csv": comma_separated(board)}
    files = {folder / f"LEADERBOARD.{kind}": content.encode() for kind, content in text.items()}
    if not options.phantom:  # phantoms have no page
        files |= _pages(board, datasets, records, options)
    left_over = [] if options.phantom else _left_over(options.results, records)
    if options.check:
        return _check(files, left_over)
    if options.json:
        files[options.json] = _as_json(board)
    if options.picture:
        files[options.picture] = _picture(board, files[folder / PAGE])
    write_all({path: files[path] for path in _differing(files)})
    for path in left_over:
        path.unlink()
    ours = sum(row.origin != "published" for row in board)
    page = "" if options.phantom else f", and {folder / PAGE}"
    console.say(
        f"{folder / 'LEADERBOARD.md'} and .csv{page}: {ours} rows of ours, {len(board) - ours} published"
    )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for damaged files or a differing board, 2 for wrong options."""
    options = _arguments(argv)
    try:
        return _run(options)
    except UsbenchError as error:
        console.warn(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
