"""A page per finished result on real images.

    results/<dataset>/<task>/<model>-s<seed>-<run id>.html, beside the result

It shows scores, curves, cases, how to run it again, and pictures where images may be shown. Pages
share what lies in results/assets (see `shared_assets`) and open from disk without a network. For
images that may not be shared a page has numbers only: no picture, no case. The same result, case
table and gallery give the same bytes.

A page takes milliseconds, a leaderboard of ten thousand results a minute of them. A page's sha256
is cached by all that it follows from, as the leaderboard's tests are (leaderboard/cache.py).
Without the cache every page is rendered again, with the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from usbench.io.console import track
from usbench.io.files import JsonObject, file_sha256
from usbench.leaderboard.cache import Cache, hash_code, key
from usbench.leaderboard.columns import NO_LEAKAGE
from usbench.leaderboard.page import result_cases, result_measures
from usbench.leaderboard.page.commands import RunCommand, reproduce_command, result_command
from usbench.leaderboard.page.document import ASSETS, as_json, render
from usbench.leaderboard.page.result_settings import setting_tables
from usbench.leaderboard.page.result_strata import describe_test
from usbench.leaderboard.rows import mean_if_all
from usbench.metrics.scores import Figures
from usbench.results import store
from usbench.results.format import USUAL_SCORES, format_value, score_title
from usbench.results.gallery.cases import (
    is_judgeable,
    parse_rows,
    qualities_by_class,
    rank_cases,
)
from usbench.results.gallery.file import (
    Gallery,
    gallery_path,
    load_gallery,
    may_show_images,
    why_no_gallery,
)
from usbench.results.measure_table import HEADER
from usbench.results.result import Result

SHARED = (
    "page.css",
    "page.js",
    "result.css",
    "result.js",
    "measures.js",
    "vendor/d3.min.js",
    "vendor/plot.umd.min.js",
    "vendor/LICENSES.txt",
)
SOURCES = (  # what a page follows from, and more
    "**/*.py",
    "leaderboard/page/assets/**/*",
    "leaderboard/page/templates/*",
)


def with_page(results: Iterable[Result]) -> Iterator[Result]:
    """Finished results on real images."""
    return (result for result in results if result.is_done and not result.data.phantom)


def page_links(results: Iterable[Result]) -> dict[str, str]:
    """Run id → the page's address, relative to the results folder."""
    return {
        result.run_id: store.result_path(Path(), result).with_suffix(".html").as_posix()
        for result in with_page(results)
    }


def seed_notes(results: Iterable[Result]) -> dict[str, str]:
    """Run id → what all seeds of its recipe score together, where there are several.

    So that no seed's score, such as the best one's, is taken for the model's.
    """
    series: dict[object, list[Result]] = defaultdict(list)
    for result in with_page(results):
        if result.series is not None and result.seed is not None:
            protocol = result.protocol.name, result.protocol.version
            series[result.series, result.trained_on, result.fold, protocol].append(result)
    notes = {}
    for members in series.values():
        mean = mean_if_all(member.primary.value if member.primary else None for member in members)
        name = members[0].primary.name if members[0].primary else ""
        for member in members if len(members) > 1 else ():
            notes[member.run_id] = (
                f"This is one of {len(members)} seeds of the recipe; the mean over them is "
                f"{format_value(mean, name)}."
            )
    return notes


def shared_assets() -> dict[str, bytes]:
    """What must lie in results/assets: relative path → content."""
    return {name.removeprefix("vendor/"): (ASSETS / name).read_bytes() for name in SHARED}


# ---- which pages have to be rendered


def render_stale_pages(
    folder: Path, results: Iterable[Result], commands: Mapping[str, RunCommand], cache: Cache
) -> dict[Path, bytes]:
    """The result pages that are missing or out of date, by their path.

    Args:
        folder: the results folder.
        results: all results.
        commands: run id → how to run it again; pages of runs that it lacks name no command.
        cache: hashes of pages that were rendered earlier.

    Raises:
        DataError: a case table or gallery is damaged; the message names the file.
    """
    results = list(results)
    seeds = seed_notes(results)
    stale = []
    for result in with_page(results):
        path = store.result_path(folder, result)
        files = (path, gallery_path(path))  # the result names its case table's sha256
        command, note = commands.get(result.run_id), seeds.get(result.run_id, "")
        facts = key(hash_code(SOURCES), *map(hash_if_there, files), repr(command), note)
        page_hash = cache.get(facts)
        if page_hash is None or page_hash != hash_if_there(path.with_suffix(".html")):
            stale.append((facts, path, result))
    pages: dict[Path, bytes] = {}
    for facts, path, result in track(stale, "pages of results", len(stale)):
        gallery = load_gallery(path, result) if why_no_gallery(result) is None else None
        content = render_result(
            result,
            store.read_cases(path, result),
            gallery,
            commands.get(result.run_id),
            seeds.get(result.run_id, ""),
        )
        cache.put(facts, hashlib.sha256(content).hexdigest())
        pages[path.with_suffix(".html")] = content
    return pages


def hash_if_there(path: Path) -> str | None:
    """sha256 of a file; None where there is none."""
    return file_sha256(path) if path.is_file() else None


# ---- one page


def render_result(
    result: Result,
    case_table: Sequence[Mapping[str, str]],
    gallery: Gallery | None = None,
    command: RunCommand | None = None,
    seed_note: str = "",
) -> bytes:
    """One page.

    Args:
        result: a finished result.
        case_table: as `store.read_cases` gives it.
        gallery: None where there is none.
        command: how to run it again; None where it isn't known.
        seed_note: what other seeds of its recipe score; see `seed_notes`.
    """
    task = result.task
    may_have_gallery = why_no_gallery(result) is None
    gallery = gallery if may_have_gallery else None
    curves = gallery["curves"] if gallery else {}
    measures = result_measures.measure_cards(result, case_table)
    data: JsonObject = {"curves": curves}
    if measures:
        data["measures"] = result_measures.plot_data(measures)
    worst = quartiles = None
    if is_judgeable(case_table, task):
        rows = parse_rows(case_table)
        ranked = rank_cases(rows, task)
        by_class = qualities_by_class(rows, task, list(result.protocol.per_class))
        spread = result_cases.spread_of_cases(ranked, by_class, task)
        data["histogram"] = result_cases.histogram_data(spread, task)
        quartiles = result_cases.quartile_rows(spread, task)
        if may_show_images(result):
            worst = result_cases.worst_cases(ranked, by_class, task)
    return render(
        "result.html",
        result=result,
        seed_note=seed_note,
        file=store.result_path(Path(), result).name,
        quality=result_cases.QUALITY[task],
        short_quality=result_cases.SHORT_QUALITY[task],
        describe_quality=result_cases.describe_quality,
        gallery=gallery,
        may_have_gallery=may_have_gallery,
        curve_names=sorted(curves, key=lambda name: (name.startswith("lr"), name)),
        quartiles=quartiles,
        worst_cases=worst,
        most_classes=result_cases.MOST_CLASSES,
        measures=measures,
        measure_header=HEADER,
        describe_test=describe_test,
        score_title=score_title,
        no_leakage=NO_LEAKAGE,
        leaks=any(name.endswith(NO_LEAKAGE) for name in result.scores),
        undefined=undefined_scores(result.scores),
        usual_scores=usual_scores(result),
        class_scores=class_scores(result),
        command=result_command(result, command),
        reproduce=reproduce_command(result.run_id, command, ("--data", "data"))
        if command is not None and command.reproducible
        else "",
        command_notes=command.notes() if command else [],
        settings=setting_tables(result),
        data=as_json(data),
    ).encode()


def undefined_scores(figures: Figures) -> dict[str, list[str]]:
    """Why some scores have no value → which."""
    reasons: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if figure.value is None and not name.endswith(NO_LEAKAGE):
            reasons.setdefault(figure.reason or "undefined", []).append(name)
    return reasons


def usual_scores(result: Result) -> dict[str, str]:
    """The custom and usual scores that classes have → their names for people."""
    names = set().union(*result.protocol.per_class.values())
    titles = {}
    for name in (*result.custom_scores, *USUAL_SCORES[result.task]):
        if name in names:
            direction = result.scores[name].higher_is_better if name in result.scores else None
            titles[name] = score_title(name, direction)
    return titles


def class_scores(result: Result) -> list[str]:
    """The scores that are defined for some class."""
    names: dict[str, None] = {}
    for figures in result.protocol.per_class.values():
        for name, figure in figures.items():
            if figure.value is not None:
                names[name] = None
    return list(names)
