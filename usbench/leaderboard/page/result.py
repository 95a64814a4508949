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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from usbench.io.console import track
from usbench.io.files import JsonObject, hash_if_there
from usbench.leaderboard.cache import Cache, hash_code, key
from usbench.leaderboard.columns import NO_LEAKAGE
from usbench.leaderboard.commands import RunCommand, reproduce_command, result_command
from usbench.leaderboard.page import result_cases, result_measures
from usbench.leaderboard.page.document import ASSETS, render
from usbench.leaderboard.page.result_settings import setting_tables
from usbench.leaderboard.page.result_strata import describe_test
from usbench.leaderboard.page.standing import Standing
from usbench.metrics.scores import Figures
from usbench.results import store
from usbench.results.format import TASK_TITLES, USUAL_SCORES, score_title
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

SHARED = ("page.css", "page.js", "overlay.css", "result.css")
SOURCES = (  # what a page follows from, and more
    "**/*.py",
    "leaderboard/page/assets/**/*",
    "leaderboard/page/templates/**/*",
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


def shared_assets() -> dict[str, bytes]:
    """What must lie in results/assets: relative path → content."""
    return {name: (ASSETS / name).read_bytes() for name in SHARED}


# ---- which pages have to be rendered


def render_stale_pages(
    folder: Path,
    results: Iterable[Result],
    commands: Mapping[str, RunCommand],
    standings: Mapping[str, Standing],
    cache: Cache,
) -> dict[Path, bytes]:
    """The result pages that are missing or out of date, by their path.

    Args:
        folder: the results folder.
        results: all results.
        commands: run id → how to run it again; pages of runs that it lacks name no command.
        standings: run id → where it stands among the others.
        cache: hashes of pages that were rendered earlier.

    Raises:
        DataError: a case table or gallery is damaged; the message names the file.
    """
    stale = []
    for result in with_page(results):
        path = store.result_path(folder, result)
        files = (path, gallery_path(path))  # the result names its case table's sha256
        command, standing = commands.get(result.run_id), standings.get(result.run_id)
        others = (repr(command), repr(standing), store.kept_path(path).is_file())
        facts = key(hash_code(SOURCES), *map(hash_if_there, files), *others)
        page_hash = cache.get(facts)
        if page_hash is None or page_hash != hash_if_there(path.with_suffix(".html")):
            stale.append((facts, path, result))
    pages: dict[Path, bytes] = {}
    for facts, path, result in track(stale, "pages of results", len(stale)):
        content = render_result(
            result,
            store.read_cases(path, result),
            load_gallery(path, result) if why_no_gallery(result) is None else None,
            commands.get(result.run_id),
            standings.get(result.run_id),
            keeps_predictions=store.kept_path(path).is_file(),
        )
        cache.put(facts, hashlib.sha256(content).hexdigest())
        pages[path.with_suffix(".html")] = content
    return pages


# ---- one page


def render_result(
    result: Result,
    case_table: Sequence[Mapping[str, str]],
    gallery: Gallery | None = None,
    command: RunCommand | None = None,
    standing: Standing | None = None,
    keeps_predictions: bool = False,
) -> bytes:
    """One page.

    Args:
        result: a finished result.
        case_table: as `store.read_cases` gives it.
        gallery: None where there is none.
        command: how to run it again; None where it isn't known.
        standing: where it stands among the others; None where nothing is known of them.
        keeps_predictions: whether its test predictions lie beside it.
    """
    path = store.result_path(Path(), result)
    reproduce = ""
    if command is not None and command.reproducible:
        reproduce = reproduce_command(result.run_id, command, ("--data", "data"))
    return render(
        "result.html",
        result=result,
        standing=standing,
        files=[
            path.name,
            *filter(None, [result.cases]),
            *([store.kept_path(path).name] if keeps_predictions else []),
        ],
        task_title=TASK_TITLES[result.task],
        score_title=score_title,
        most_classes=result_cases.MOST_CLASSES,
        no_leakage=NO_LEAKAGE,
        leaks=any(name.endswith(NO_LEAKAGE) for name in result.scores),
        undefined=undefined_scores(result.scores),
        usual_scores=usual_scores(result),
        class_scores=class_scores(result),
        command=result_command(result, command),
        reproduce=reproduce,
        command_notes=command.notes() if command else [],
        settings=setting_tables(result),
        measures=result_measures.measure_cards(result, case_table),
        measure_header=HEADER,
        describe_test=describe_test,
        **case_parts(result, case_table, gallery),
    ).encode()


def case_parts(
    result: Result, case_table: Sequence[Mapping[str, str]], gallery: Gallery | None
) -> JsonObject:
    """What the page shows image by image, by the names that its templates use."""
    task = result.task
    may_have_gallery = why_no_gallery(result) is None
    gallery = gallery if may_have_gallery else None
    parts: JsonObject = {
        "quality": result_cases.QUALITY[task],
        "short_quality": result_cases.SHORT_QUALITY[task],
        "gallery": gallery,
        "may_have_gallery": may_have_gallery,
        "histograms": {},
        "quartiles": [],
        "worst_cases": {},
        "worst_pictures": [],
    }
    by_class: Mapping[str, Mapping[str, float]] = {}
    if is_judgeable(case_table, task):
        rows = parse_rows(case_table)
        ranked = rank_cases(rows, task)
        by_class = qualities_by_class(rows, task, list(result.protocol.per_class))
        spread = result_cases.spread_of_cases(ranked, by_class, task)
        parts["histograms"] = result_cases.draw_histograms(spread, task)
        parts["quartiles"] = result_cases.quartile_rows(spread, task)
        if may_show_images(result):
            parts["worst_cases"] = result_cases.worst_cases(ranked, by_class, task)
    if gallery is not None:
        selection = result.validation.name if result.validation else ""
        parts["curves"] = result_cases.draw_curves(gallery, selection)
        parts["pictures"] = result_cases.draw_pictures(gallery, task)
        parts["worst_pictures"] = result_cases.draw_worst(gallery, by_class, task)
        parts["key_of_colours"] = result_cases.key_of_colours(gallery)
    return parts


def undefined_scores(figures: Figures) -> dict[str, list[str]]:
    """Why some scores have no value → the names of those, for people."""
    reasons: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if figure.value is None and not name.endswith(NO_LEAKAGE):
            reasons.setdefault(figure.reason or "undefined", []).append(score_title(name))
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
