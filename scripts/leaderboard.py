"""Regenerate results/LEADERBOARD.md and .csv from the records below results/ and the published rows in conf/dataset/.

The same records give the same bytes. Paired tests are kept in runs/cache by the sha256 of their case tables; without it
they are done again, and the board is the same. With --check nothing is written: exit 1 where the one there differs.
With --rescore the stored predictions of our runs are scored again first, by the rules as they are now; nothing is
trained, and a result whose predictions or data aren't there stays as it is.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from usbench import console
from usbench.board import Row
from usbench.board_csv import comma_separated
from usbench.board_text import markdown, rank_of, seeds_of, shown
from usbench.cache import keeping
from usbench.errors import RunError, UsbenchError
from usbench.leaderboard import rows
from usbench.pooling import pooling
from usbench.published import read_datasets
from usbench.ranking import ranked
from usbench.results import PHANTOM, load_all, write_all

ROOT = Path(__file__).resolve().parent.parent


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--conf", type=Path, default=ROOT / "conf", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the files there differ")
    parser.add_argument("--phantom", action="store_true", help="the board of phantoms, results/phantom/LEADERBOARD.*")
    parser.add_argument("--rescore", action="store_true", help="score the stored predictions of our runs again first")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw our results on real images too (PNG)")
    options = parser.parse_args(argv)
    if options.phantom and options.picture:
        parser.error("--picture shows results on real images: leave --phantom out")
    if options.check and (options.json or options.picture or options.rescore):
        parser.error("--check writes nothing: leave --json, --picture and --rescore out")
    return options


def _as_json(board: Sequence[Row]) -> bytes:
    """Every row with its figures; value and sd are over the seeds."""
    entries = [{**asdict(row), "value": row.value, "sd": _sd(row)} for row in board]
    return (json.dumps({"rows": entries}, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sd(row: Row) -> float | None:
    return row.scores[row.primary].sd if row.primary in row.scores else None


def _panels(board: Sequence[Row]) -> dict[str, list[Row]]:
    """{dataset · task and its ruler: our rows by it, best first}; two rulers never share an axis."""
    panels: dict[str, list[Row]] = {}
    for row in board:
        if row.origin != "published" and row.own and not row.old and row.value is not None:
            panels.setdefault(f"{row.dataset} · {row.task}   (ruler {row.ruler} {row.version})", []).append(row)
    return panels


def _named(row: Row) -> str:
    """Model and budget, behind its rank where it has one; seeds that failed are said."""
    name = f"{row.name} ({row.budget})" if row.budget else row.name
    name += f", {seeds_of(row)} seeds" if len(row.seeds) < row.wanted else ""
    return name if row.rank is None else f"{name}   {rank_of(row)}"


def _draw(axis: Any, title: str, of_panel: Sequence[Row]) -> None:
    """One panel: models downwards from the best, the primary score to the right."""
    for place, row in enumerate(of_panel):
        figure = row.scores[row.primary]
        if figure.low is not None and figure.high is not None:
            axis.plot([figure.low, figure.high], [place, place], color="#9db7cc", linewidth=5, solid_capstyle="round")
        axis.plot(figure.values, [place] * len(figure.values), "o", color="#1f5f8b", alpha=0.85, clip_on=False)
        axis.plot([row.value, row.value], [place - 0.28, place + 0.28], color="#d1495b", linewidth=2, zorder=1.9)
        text = f" {shown(row.value, row.primary)}"
        axis.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", color="#333333")
    axis.set_yticks(range(len(of_panel)), [_named(row) for row in of_panel])
    axis.set_ylim(len(of_panel) - 0.4, -0.6)
    if of_panel[0].higher:
        axis.set_xlim(0, 1)
    else:
        axis.set_xlim(left=0)
    better = "higher is better" if of_panel[0].higher else "lower is better"
    axis.set_xlabel(f"{of_panel[0].primary} ({better})", color="#555555")
    axis.set_title(title, loc="left", fontweight="bold", fontsize=11)
    axis.grid(axis="x", color="#e4e4e4")
    axis.set_axisbelow(True)
    axis.tick_params(length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _picture(board: Sequence[Row]) -> bytes:
    """A dot plot as PNG: seeds as dots, their mean as a bar, the interval over cases as a line.

    Raises RunError where there is nothing to draw.
    """
    panels = _panels(board)
    if not panels:
        raise RunError("--picture: wanted results on real images, found none; run some first")
    from matplotlib.figure import Figure  # slow to import, needed here only

    heights = [len(of_panel) + 1.9 for of_panel in panels.values()]
    figure = Figure(figsize=(8, 0.36 * sum(heights) + 0.3), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axis, (title, of_panel) in zip(axes, panels.items(), strict=True):
        _draw(axis, title, of_panel)
    figure.supxlabel(
        "dot: a seed    red bar: the seeds' mean    band: 95 % over cases    1–2 of 3: range of ranks",
        fontsize=8,
    )
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=160, metadata={"Software": None})
    return drawn.getvalue()


def _check(files: Mapping[Path, bytes]) -> int:
    """0 where the files hold just that, else 1 and a line for each that doesn't."""
    differing = [path for path, data in files.items() if not path.exists() or path.read_bytes() != data]
    for path in differing:
        console.warn(f"{path}: isn't what the records give; run python scripts/leaderboard.py")
    if not differing:
        console.say(f"{' and '.join(map(str, files))}: up to date")
    return 1 if differing else 0


def _rescore(options: argparse.Namespace) -> None:
    """Score stored predictions again, and say of each result what became of it."""
    from usbench.rescoring import rescore_all  # reads data and predictions: the board itself needs neither

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
    if options.check:
        return _check(files)
    if options.json:
        files[options.json] = _as_json(board)
    if options.picture:
        files[options.picture] = _picture(board)
    write_all(files)
    ours = sum(row.origin != "published" for row in board)
    console.say(f"{folder / 'LEADERBOARD.md'} and .csv: {ours} rows of ours, {len(board) - ours} published")
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
