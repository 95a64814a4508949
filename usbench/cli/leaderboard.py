"""Regenerate the leaderboard from results and published rows.

    usbench leaderboard [--results DIR] [--runs DIR] [--config-dir DIR] [--check] [--phantom]
                        [--rescore] [--json FILE]

Results lie below results/, published rows in dataset/*.yaml of usbench's configuration and of the
folder that --config-dir or USBENCH_CONFIG names. It writes results/LEADERBOARD.md and .csv, what
they say as results/README.md and as a figure, leaderboard.svg and leaderboard-dark.svg, and as
pages results/index.html, with the catalogue, and one for each result beside it. The same results
give the same bytes. Paired tests are cached in runs/cache by the sha256 of their case tables;
without the cache they are computed again, with the same outcome. With --check nothing is written:
exit 1 where the files there differ. With --rescore the stored predictions of our runs are scored
again first, by the current protocols; nothing is trained. A result whose predictions or data are
missing is scored from its case table, as far as that suffices, or stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from usbench.cli.options import (
    Options,
    add_config_dir,
    config_folders,
    differing_files,
    encode_json,
    make_parser,
    run_verb,
)
from usbench.io import console
from usbench.io.config import conf_dir
from usbench.io.cores import count_cores
from usbench.io.files import write_all
from usbench.io.numbers import format_count
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import Cache, open_cache
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.figure import draw_figure
from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.leakage import add_further_scores
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.overview import to_overview
from usbench.leaderboard.pooling import pool_cases
from usbench.leaderboard.published import DatasetSummary, read_datasets
from usbench.leaderboard.ranking import Comparison, compare_rows
from usbench.leaderboard.recipes import (
    Configs,
    adapter_versions,
    describe_alterations,
    read_configs,
)
from usbench.leaderboard.rows import Row
from usbench.metrics.chunks import set_threads
from usbench.results.result import Result
from usbench.results.store import PHANTOM, load_results

PAGE, OVERVIEW = "index.html", "README.md"
FIGURES = {"light": "leaderboard.svg", "dark": "leaderboard-dark.svg"}


def regenerate(options: Options) -> int:
    """Build the leaderboard and write or check its files; the exit code."""
    if options.rescore:
        rescore_results(options)
    folders = config_folders(options)
    datasets = read_datasets(*folders)
    if options.phantom:  # a phantom's score never stands beside a published one
        datasets = [replace(dataset, published=()) for dataset in datasets]
    results = load_results(options.results, options.phantom)
    configs = read_configs(*folders)
    name = "leaderboard-phantom.json" if options.phantom else "leaderboard.json"
    with open_cache(options.runs / "cache" / name, write=not options.check) as cache:
        rows, comparisons = compare_all(results, datasets, configs, options.results, cache)
    folder = options.results / PHANTOM if options.phantom else options.results
    files = {
        folder / "LEADERBOARD.md": to_markdown(rows, datasets, options.phantom).encode(),
        folder / "LEADERBOARD.csv": to_csv(rows).encode(),
    }
    left_over: list[Path] = []
    if not options.phantom:  # phantoms have no pages
        beside = {path.name for path in folder.glob("*.*")}
        files[folder / OVERVIEW] = to_overview(rows, datasets, configs["model"], beside).encode()
        findings = state_findings(rows, datasets)
        for theme, name in FIGURES.items():
            files[folder / name] = draw_figure(findings, rows, theme)
        pages, left_over = render_stale(rows, comparisons, datasets, results, configs, options)
        files |= pages
    if options.check:
        return check_files([*differing_files(files), *left_over], folder)
    if options.json:
        files[options.json] = rows_to_json(rows)
    write_all({path: files[path] for path in differing_files(files)})
    for path in left_over:
        path.unlink()
    page = "" if options.phantom else f", and {folder / PAGE}"
    console.say(f"{folder / 'LEADERBOARD.md'} and .csv{page}: {count_rows(rows)}")
    if not options.phantom and not results and any((folder / PHANTOM).glob("*/*/*.json")):
        console.say("all results are on phantoms; usbench leaderboard --phantom shows them")
    return 0


def count_rows(rows: Sequence[Row]) -> str:
    """How many rows there are: ours, each counted once for all its protocols, and published."""
    ours = {row.run_ids for row in rows if row.origin != "published"}
    published = sum(row.origin == "published" for row in rows)
    return f"{format_count(len(ours), 'row')} of ours, {published} published"


def rescore_results(options: Options) -> None:
    """Score stored predictions again, and report what became of each result."""
    from usbench.evaluate.rescore import rescore_all  # slow to import, needs data and predictions

    set_threads(count_cores())
    report = rescore_all(options.results, options.runs, options.phantom)
    for path, reason in report.skipped.items():
        console.warn(f"{path.name}: left as it is: {reason}")
    console.say(
        f"rescored: {len(report.changed)} results changed, {len(report.unchanged)} unchanged, "
        f"{len(report.skipped)} skipped"
    )


def build_ranked_rows(
    results: Sequence[Result],
    datasets: Sequence[DatasetSummary],
    configs: Configs,
    folder: Path,
    cache: Cache,
) -> list[Row]:
    """The rows with their ranks; see `compare_all`."""
    return compare_all(results, datasets, configs, folder, cache)[0]


def compare_all(
    results: Sequence[Result],
    datasets: Sequence[DatasetSummary],
    configs: Configs,
    folder: Path,
    cache: Cache,
) -> tuple[list[Row], list[Comparison]]:
    """The rows with their ranks, and the tests behind these.

    Args:
        results: in any order.
        datasets: with the published rows.
        configs: the YAML of models and datasets.
        folder: where the results lie.
        cache: what is known already of what case tables give.
    """
    scored = add_further_scores(results, datasets, folder, cache)
    altered, versions = describe_alterations(results, configs), adapter_versions(configs)
    rows = build_rows(scored, datasets, pool_cases(folder, cache), altered, versions)
    return compare_rows(rows, results, folder, cache)


def render_stale(
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    datasets: Sequence[DatasetSummary],
    results: Sequence[Result],
    configs: Configs,
    options: Options,
) -> tuple[dict[Path, bytes], list[Path]]:
    """The pages that are out of date with what they share, and those whose result was removed."""
    # Slow to import, with what draws pictures; phantoms need none of it.
    from usbench import catalogue
    from usbench.leaderboard.commands import find_commands
    from usbench.leaderboard.page import compare_cases, content, index, result, standing

    folder = options.results
    known = find_commands(results, configs, read_configs(conf_dir()))
    with open_cache(options.runs / "cache" / "pages.json", write=not options.check) as cache:
        standings = standing.find_standings(rows, datasets, results)
        files = result.render_stale_pages(folder, results, known, standings, cache)
        stale, scripts = compare_cases.render_stale_scripts(folder, results, cache)
    files |= stale
    for name, asset in result.shared_assets().items():
        files[folder / "assets" / name] = asset
    cards = catalogue.view()
    shown = content.collect_content(rows, comparisons, datasets, results, known, scripts, folder)
    files[folder / PAGE] = index.render_index(shown, cards)
    files[folder / index.CATALOGUE] = index.render_catalogue(cards)
    current = {*map(folder.joinpath, result.page_links(results).values()), *scripts}
    written = {*folder.glob("*/*/*.html"), *folder.glob(f"*/*/{compare_cases.FILE}")}
    return files, sorted(written - current)


def check_files(differing: Sequence[Path], folder: Path) -> int:
    """0 where all files are up to date, else 1 and a line for each that isn't."""
    for path in differing:
        console.warn(f"{path}: not what the results give; run usbench leaderboard")
    if not differing:
        console.say(f"{folder}: the leaderboard and its pages are up to date")
    return 1 if differing else 0


def rows_to_json(rows: Sequence[Row]) -> bytes:
    """Every row with its scores; value and sd are over the seeds."""
    entries = []
    for row in rows:
        sd = row.score.sd if row.score else None
        entries.append({**asdict(row), "value": row.value, "sd": sd})
    return encode_json({"rows": entries})


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 1 for damaged or differing files, 2 for wrong options."""
    parser = make_parser(__doc__, "write the rows as JSON too", "leaderboard", ("results", "runs"))
    add = parser.add_argument
    add("--check", action="store_true", help="write nothing; exit 1 where the files there differ")
    add("--phantom", action="store_true", help="that of phantoms, results/phantom/LEADERBOARD.*")
    add("--rescore", action="store_true", help="first score our runs' stored predictions again")
    add_config_dir(parser)
    options = parser.parse_args(argv)
    if options.check and (options.json or options.rescore):
        parser.error("--check writes nothing: leave --json and --rescore out")
    return run_verb(regenerate, options)
