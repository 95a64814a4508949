"""A page per finished result on real images.

    results/<dataset>/<task>/<model>-s<seed>-<run id>.html, beside the result

It shows scores, curves, cases, how to run it again, and pictures where images may be shown. Pages
share what lies in results/assets (see `shared_assets`) and open from disk without a network. For
images that may not be shared a page has numbers only: no picture, no case. The same result, case
table and gallery give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usbench.leaderboard.page import result_tables as tables
from usbench.leaderboard.page.commands import RunCommand, result_command
from usbench.leaderboard.page.document import ASSETS, as_json, render
from usbench.leaderboard.page.result_pictures import Pictures, show_pictures
from usbench.leaderboard.page.result_settings import setting_tables
from usbench.results import store
from usbench.results.gallery.cases import display_quality, is_judgeable
from usbench.results.gallery.file import Gallery, load_gallery, may_show_images, why_no_gallery
from usbench.results.result import Result
from usbench.types import Task

SHARED = (
    "page.css",
    "page.js",
    "result.css",
    "result.js",
    "vendor/d3.min.js",
    "vendor/plot.umd.min.js",
    "vendor/LICENSES.txt",
)
CASE_QUALITY: Mapping[Task, str] = {
    "segment": "Dice {}",
    "detect": "F1 {}",
    "landmark": "mean error {} px",
}


def render_pages(
    folder: Path, results: Iterable[Result], commands: Mapping[str, RunCommand]
) -> dict[Path, bytes]:
    """The page of every result that has one, by its path.

    Args:
        folder: the results folder.
        results: all results.
        commands: run id → how to run it again; pages of runs that it lacks name no command.

    Raises:
        DataError: a case table or gallery is damaged; the message names the file.
    """
    pages = {}
    for result in with_page(results):
        path = store.result_path(folder, result)
        gallery = load_gallery(path, result) if why_no_gallery(result) is None else None
        cases = store.read_cases(path, result)
        page = render_result(result, cases, gallery, commands.get(result.run_id))
        pages[path.with_suffix(".html")] = page
    return pages


def page_links(results: Iterable[Result]) -> dict[str, str]:
    """Run id → the page's address, relative to the results folder."""
    links = {}
    for result in with_page(results):
        path = store.result_path(Path(), result)
        links[result.run_id] = path.with_suffix(".html").as_posix()
    return links


def shared_assets() -> dict[str, bytes]:
    """What must lie in results/assets: relative path → content."""
    return {name.removeprefix("vendor/"): (ASSETS / name).read_bytes() for name in SHARED}


def with_page(results: Iterable[Result]) -> Iterator[Result]:
    """Finished results on real images."""
    return (result for result in results if result.is_done and not result.data.phantom)


@dataclass(frozen=True)
class Curve:
    """A training curve, which result.js draws."""

    name: str
    caption: str


def render_result(
    result: Result,
    case_table: Sequence[Mapping[str, str]],
    gallery: Gallery | None = None,
    command: RunCommand | None = None,
) -> bytes:
    """One page.

    Args:
        result: a finished result.
        case_table: as `store.read_cases` gives it.
        gallery: None where there is none.
        command: how to run it again; None where it isn't known.
    """
    task = result.task
    has_gallery = why_no_gallery(result) is None
    gallery = gallery if has_gallery else None
    curves = gallery["curves"] if gallery else {}
    data: dict[str, object] = {"curves": curves}
    cases = worst_cases = quartiles = None
    if is_judgeable(case_table, task):
        cases = tables.judge_cases(case_table, result)
        spread = tables.spread_of_cases(cases, task)
        data["histogram"] = tables.histogram_data(spread, task)
        quartiles = tables.quartile_table(spread, task)
        if may_show_images(result):
            worst_cases = tables.worst_case_table(cases, result)
    is_reproducible = command is not None and command.reproducible
    path = store.result_path(Path(), result)
    return render(
        "result.html",
        title=f"{result.model} on {result.dataset}",
        facts_line=" · ".join(describe_run(result)),
        run_id=result.run_id,
        summary=tables.summarize(result),
        quality=tables.QUALITY[task],
        gallery=show_gallery(gallery, result) if gallery else None,
        gallery_command=f"python scripts/gallery.py {result.run_id} --data data --runs runs"
        if has_gallery
        else None,
        curves=[describe_curve(name, curves[name]) for name in sorted(curves, key=curve_order)],
        quartiles=quartiles,
        worst_cases=worst_cases,
        scores=tables.score_table(result),
        undefined=tables.undefined_scores(result.scores),
        other_protocols=tables.other_protocols(result),
        classes=tables.class_tables(result),
        command=result_command(result, command),
        reproduce_command=f"python scripts/reproduce.py {result.run_id} --data data"
        if is_reproducible
        else None,
        settings=setting_tables(result),
        files=[path.name, result.cases] if result.cases else [path.name],
        data=as_json(data),
    )


def describe_run(result: Result) -> list[str]:
    """What the page's second line names: dataset, task, and how it was trained."""
    parts = [result.dataset, result.task]
    if result.trained_on:
        parts.append(f"trained on {result.trained_on}")
    if result.recipe:
        parts.append(f"{result.recipe} recipe")
    if result.seed is not None:
        parts.append(f"seed {result.seed}")
    if result.fold is not None:
        parts.append(f"fold {result.fold}")
    if result.origin != "run":
        parts.append(result.origin)
    return parts


def show_gallery(gallery: Gallery, result: Result) -> Pictures:
    """The pictures with the quality of each case."""
    qualities = {}
    for case in gallery["cases"]:
        quality = display_quality(case["quality"], result.task)
        text = tables.format_quality(quality, result.task)
        qualities[case["case"]] = CASE_QUALITY[result.task].format(text)
    return show_pictures(gallery, qualities, tables.leaking_images(result))


def curve_order(name: str) -> tuple[bool, str]:
    """By name, learning rates last."""
    return name.startswith("lr"), name


def describe_curve(name: str, points: Sequence[Sequence[float]]) -> Curve:
    """A curve's course as text. points: (epoch, value)."""
    first_epoch, first = points[0]
    last_epoch, last = points[-1]
    low_epoch, low = min(points, key=lambda point: point[1])
    high_epoch, high = max(points, key=lambda point: point[1])
    caption = (
        f"{name}: {first:.4g} at epoch {first_epoch:g}, {last:.4g} at epoch {last_epoch:g}; "
        f"lowest {low:.4g} (epoch {low_epoch:g}), highest {high:.4g} (epoch {high_epoch:g})"
    )
    return Curve(name, caption)
