"""Regenerate the leaderboard from results and published rows.

Results lie below results/, published rows in conf/dataset/. It writes results/LEADERBOARD.md and
.csv, and as pages results/index.html, with the catalogue, and one for each result beside it. The same results give the same bytes. Paired tests are cached in
runs/cache by the sha256 of their case tables; without the cache they are computed again, with the
same outcome. With --check nothing is written: exit 1 where the files there differ. With --rescore
the stored predictions of our runs are scored again first, by the current protocols; nothing is
trained, and a result whose predictions or data are missing stays as it is.
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
from usbench.io.files import write_all
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import open_cache
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.page.screenshot import take_screenshot
from usbench.leaderboard.pooling import pool_cases
from usbench.leaderboard.published import DatasetSummary, read_datasets
from usbench.leaderboard.ranking import rank_rows
from usbench.leaderboard.rows import Row
from usbench.results.result import Result
from usbench.results.store import PHANTOM, load_results

ROOT = Path(__file__).resolve().parent.parent
PAGE = "index.html"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
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
        help="the leaderboard of phantoms, results/phantom/LEADERBOARD.*",
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


def regenerate(options: argparse.Namespace) -> int:
    """Build the leaderboard and write or check its files; the exit code."""
    if options.rescore:
        rescore_results(options)
    datasets = read_datasets(options.conf)
    if options.phantom:  # a phantom's score never stands beside a published one
        datasets = [replace(dataset, published=()) for dataset in datasets]
    results = load_results(options.results, options.phantom)
    rows = build_ranked_rows(results, datasets, options)
    folder = options.results / PHANTOM if options.phantom else options.results
    files = {
        folder / "LEADERBOARD.md": to_markdown(rows, datasets, options.phantom).encode(),
        folder / "LEADERBOARD.csv": to_csv(rows).encode(),
    }
    left_over: list[Path] = []
    if not options.phantom:  # phantoms have no page
        files |= render_stale(rows, datasets, results, options)
        left_over = left_over_pages(options.results, results)
    if options.check:
        return check_files(files, left_over)
    if options.json:
        files[options.json] = rows_to_json(rows)
    if options.picture:
        files[options.picture] = take_picture(rows, files[folder / PAGE])
    write_all({path: files[path] for path in differing_files(files)})
    for path in left_over:
        path.unlink()
    ours = sum(row.origin != "published" for row in rows)
    page = "" if options.phantom else f", and {folder / PAGE}"
    counts = f"{ours} rows of ours, {len(rows) - ours} published"
    console.say(f"{folder / 'LEADERBOARD.md'} and .csv{page}: {counts}")
    return 0


def rescore_results(options: argparse.Namespace) -> None:
    """Score stored predictions again, and report what became of each result."""
    from usbench.evaluate.rescore import rescore_all  # slow to import, needs data and predictions

    report = rescore_all(options.results, options.runs, options.phantom)
    for path, reason in report.skipped.items():
        console.warn(f"{path.name}: left as it is: {reason}")
    console.say(
        f"rescored: {len(report.changed)} results changed, {len(report.unchanged)} unchanged, "
        f"{len(report.skipped)} skipped"
    )


def build_ranked_rows(
    results: Sequence[Result], datasets: Sequence[DatasetSummary], options: argparse.Namespace
) -> list[Row]:
    """The rows with their ranks; what is computed from case tables is cached."""
    name = "leaderboard-phantom.json" if options.phantom else "leaderboard.json"
    with open_cache(options.runs / "cache" / name, write=not options.check) as cache:
        rows = build_rows(results, datasets, pool_cases(options.results, cache))
        return rank_rows(rows, results, options.results, cache)


def render_stale(
    rows: Sequence[Row],
    datasets: Sequence[DatasetSummary],
    results: Sequence[Result],
    options: argparse.Namespace,
) -> dict[Path, bytes]:
    """The leaderboard's page, what the results' pages share, and those that are out of date."""
    # Slow to import, with what draws pictures; phantoms need none of it.
    from usbench import catalogue
    from usbench.leaderboard.page import commands, index, result

    known = commands.find_commands(results, commands.read_configs(options.conf))
    links = result.page_links(results)
    page = index.render_index(rows, datasets, catalogue.view(), links, known)
    files = {options.results / PAGE: page}
    for name, content in result.shared_assets().items():
        files[options.results / "assets" / name] = content
    with open_cache(options.runs / "cache" / "pages.json", write=not options.check) as cache:
        files |= result.render_stale_pages(options.results, results, known, cache)
    return files


def left_over_pages(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Pages whose result was removed."""
    from usbench.leaderboard.page import result  # slow to import; phantoms need none of it

    current = {folder / place for place in result.page_links(results).values()}
    return sorted(set(folder.glob("*/*/*.html")) - current)


def check_files(files: Mapping[Path, bytes], left_over: Sequence[Path]) -> int:
    """0 where all files are up to date, else 1 and a line for each that isn't."""
    differing = [*differing_files(files), *left_over]
    for path in differing:
        console.warn(f"{path}: not what the results give; run python scripts/leaderboard.py")
    if not differing:
        console.say(f"{next(iter(files)).parent}: the leaderboard and its pages are up to date")
    return 1 if differing else 0


def differing_files(files: Mapping[Path, bytes]) -> list[Path]:
    """The files that are missing or have other content."""
    return [path for path, data in files.items() if not path.exists() or path.read_bytes() != data]


def rows_to_json(rows: Sequence[Row]) -> bytes:
    """Every row with its scores; value and sd are over the seeds."""
    entries = []
    for row in rows:
        sd = row.score.sd if row.score else None
        entries.append({**asdict(row), "value": row.value, "sd": sd})
    text = json.dumps({"rows": entries}, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def take_picture(rows: Sequence[Row], page: bytes) -> bytes:
    """The page as PNG. Raises RunError where there is nothing to show."""
    if all(row.origin == "published" or row.value is None for row in rows):
        raise RunError("--picture: no results on real images found; run some first")
    return take_screenshot(page)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit code 1 for damaged or differing files, 2 for wrong options."""
    options = parse_arguments(argv)
    try:
        return regenerate(options)
    except UsbenchError as error:
        console.warn(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
