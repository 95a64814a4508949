"""A table for a paper as text: LaTeX, Markdown or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from usbench import __version__
from usbench.io.latex import escape_latex
from usbench.io.numbers import format_count, format_decimals
from usbench.io.plain_text import escape_markdown, quote_cell
from usbench.leaderboard.columns import format_seeds
from usbench.leaderboard.csv_file import format_number
from usbench.leaderboard.legend import describe_smallest_p
from usbench.leaderboard.paper import REFERENCES, BestDifference, PaperTable
from usbench.leaderboard.rows import Row, RowScore
from usbench.results.format import UNDEFINED, format_interval, format_value
from usbench.types import Task

OLD = "†"  # after the name of a row of an older version
TASKS: Mapping[Task, str] = {
    "segment": "Segmentation",
    "detect": "Detection",
    "landmark": "Landmarks",
}
TITLES = {  # of scores, with the better direction
    "dice": "Dice ↑",
    "iou": "IoU ↑",
    "pooled_dice": "pooled Dice ↑",
    "precision": "precision ↑",
    "recall": "recall ↑",
    "nsd": "NSD (px) ↑",
    "nsd_mm": "NSD (mm) ↑",
    "hd_px": "HD (px) ↓",
    "hd_mm": "HD (mm) ↓",
    "hd95_px": "HD95 (px) ↓",
    "hd95_mm": "HD95 (mm) ↓",
    "assd_px": "ASSD (px) ↓",
    "assd_mm": "ASSD (mm) ↓",
    "failure_rate": "failure rate ↓",
    "map50_95": "mAP50–95 ↑",
    "map50": "mAP50 ↑",
    "map75": "mAP75 ↑",
    "ar100": "AR100 ↑",
    "f1": "F1 ↑",
    "mre_px": "MRE (px) ↓",
    "mre_mm": "MRE (mm) ↓",
    "median_re_px": "median RE (px) ↓",
    "curve_mean_px": "curves (px) ↓",
    "sdr_px_4": "SDR 4 px ↑",
    "sdr_mm_2": "SDR 2 mm ↑",
}


@dataclass(frozen=True)
class Cell:
    """One cell: a text whose first part may be bold."""

    text: str
    rest: str = ""  # after it, never bold
    is_bold: bool = False


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    cells: tuple[Cell, ...]
    is_reference: bool  # no model: a baseline, or people


# ---- what the table says, in any format


def table_lines(table: PaperTable) -> tuple[list[str], list[Line]]:
    """(titles of the columns, lines)."""
    has_recipes = len(recipes_of(table)) > 1
    header = ["Model", *(["Recipe"] if has_recipes else []), "Seeds"]
    header += [TITLES.get(name, name) for name in table.metrics]
    if table.has_ranks:
        header.append("Rank")
    if table.differences is not None:
        header += ["Difference", "p"]
    lines = []
    for row in table.rows:
        cells = [Cell(row_name(row))]
        if has_recipes:
            cells.append(Cell(row.recipe_label or UNDEFINED))
        cells.append(Cell(format_seeds(row) or UNDEFINED))
        cells += [score_cell(table, row, name) for name in table.metrics]
        if table.has_ranks:
            cells.append(Cell(format_range(row.rank)))
        if table.differences is not None:
            cells += difference_cells(table.differences.get(row.run_ids), table.tested)
        lines.append(Line(tuple(cells), row.origin in REFERENCES))
    return header, lines


def recipes_of(table: PaperTable) -> list[str]:
    """The recipes of the rows, each once; references have none."""
    return list(dict.fromkeys(row.recipe_label for row in table.rows if row.recipe_label))


def row_name(row: Row) -> str:
    """A row's name, with a mark for an older version and a word for what is no model."""
    note = " (baseline)" if row.origin == "baseline" else ""
    return f"{row.name}{note}{OLD if row.old_version else ''}"


def score_cell(table: PaperTable, row: Row, name: str) -> Cell:
    """A score with its interval; bold where it is the tested one of a best row."""
    score = row.scores.get(name, RowScore(()))
    value = format_value(score.value, name)
    interval = format_interval(score, name) if score.value is not None else ""
    return Cell(value, f" {interval}".rstrip(), name == table.tested and table.is_best(row))


def format_range(rank: tuple[int, int] | None) -> str:
    """Such as 1–3."""
    if rank is None:
        return UNDEFINED
    first, last = rank
    return str(first) if first == last else f"{first}–{last}"


def difference_cells(difference: BestDifference | None, score: str) -> list[Cell]:
    """The difference to the best row with its interval, and p."""
    if difference is None:
        return [Cell(UNDEFINED), Cell(UNDEFINED)]
    value = format_value(difference.value, score, "+")
    interval = format_interval(difference, score)
    p = UNDEFINED if difference.p is None else format_decimals(difference.p, 4)
    return [Cell(value, f" {interval}".rstrip()), Cell(p)]


def caption(table: PaperTable) -> list[str]:
    """Sentences that say what the table shows and how it was computed."""
    row, data = table.rows[0], table.data
    on = f"the phantom of {table.title} (synthetic images)" if data.phantom else table.title
    sentences = [f"{TASKS[row.task]}: {on}"]
    version = "" if row.version is None else f", version {row.version}"
    sentences.append(f"Protocol {row.protocol}{version} (usbench {__version__})")
    if data.split:
        sentences.append(f"Split: {data.split}")
    sentences += [describe_n(table), *describe_intervals(table)]
    if len(recipes_of(table)) == 1:
        sentences.append(f"Recipe: {recipes_of(table)[0]}")
    if any(len(row.seeds) > 1 for row in table.rows):
        sd = f"the sample SD of {main_title(table)} in parentheses"
        sentences.append(f"Seeds: their number, {sd}; scores are means over them")
    sentences += describe_tests(table)
    if any(row.old_version for row in table.rows):
        sentences.append(f"{OLD}: trained by an older version of the model's adapter, so unranked")
    leakage = dict.fromkeys(row.leakage_description for row in table.rows)
    sentences += [f"Leakage: {text}" for text in leakage if text]
    if any(cell.text == UNDEFINED for line in table_lines(table)[1] for cell in line.cells):
        sentences.append(f"{UNDEFINED}: undefined, or not applicable")
    return [f"{sentence.removesuffix('.')}." for sentence in sentences]


def main_title(table: PaperTable) -> str:
    """The primary score's title without its direction."""
    name = table.rows[0].primary
    return TITLES.get(name, name).rstrip(" ↑↓")


def describe_n(table: PaperTable) -> str:
    """How many images and groups tested."""
    data = table.data
    groups = f" in {format_count(data.groups, 'group')}" if data.groups else ""
    meaning = f" (group: {data.group_meaning})" if groups and data.group_meaning else ""
    return f"n = {format_count(data.images, 'test image')}{groups}{meaning}"


def describe_intervals(table: PaperTable) -> Iterator[str]:
    """What the intervals are, or why there are none."""
    if table.no_intervals:
        yield f"Without intervals: {table.no_intervals.removeprefix('no interval: ')}"
        return
    mean = ""
    if any(len(row.seeds) > 1 for row in table.rows):
        mean = " (of several seeds the mean of their intervals)"
    yield f"In brackets: 95 % intervals of one training{mean}, over test images resampled by group"


def describe_tests(table: PaperTable) -> Iterator[str]:
    """What ranks, bold scores and differences rest on."""
    ranked = next((row for row in table.rows if row.rank is not None), None)
    if ranked is None:
        return
    score = TITLES[table.tested].rstrip(" ↑↓")
    sentences = []
    if table.has_ranks:
        sentences.append("Rank: the places that paired tests leave a row")
    if table.tested in table.metrics:
        sentences.append("Bold: the rows that no test finds a better one than")
    if table.differences:
        best = f"Difference: {score} minus the best row's on the same images"
        sentences.append(f"{best}, with its 95 % interval, and p")
    if not sentences:
        return
    yield from sentences
    yield (
        f"Tests: permutations of {score}, whole groups swapped between two models, with Holm's "
        "correction for all pairs, level .05"
    )
    impossible = describe_smallest_p(ranked.compared_groups, ranked.ranked)
    if impossible:
        yield impossible


# ---- formats


def to_markdown(table: PaperTable) -> str:
    """The table and its caption as Markdown."""
    header, lines = table_lines(table)
    texts = [header, ["---"] * len(header)]
    texts += [[format_cell(cell, escape_markdown, "**{}**") for cell in ln.cells] for ln in lines]
    texts[0] = list(map(escape_markdown, header))
    rows = [f"| {' | '.join(line)} |" for line in texts]
    return "\n".join([*rows, "", escape_markdown(" ".join(caption(table))), ""])


def to_latex(table: PaperTable) -> str:
    r"""The table as LaTeX that reads UTF-8; \label is tab:<dataset>-<task>.

    It is as wide as a page's text at most, in one column or two: a wider one is scaled down.
    """
    header, lines = table_lines(table)
    row = table.rows[0]
    left = header.index("Seeds")
    body = []
    for place, line in enumerate(lines):
        if line.is_reference and place and not lines[place - 1].is_reference:
            body.append(r"\midrule")
        cells = [format_cell(cell, escape_latex, r"\textbf{{{}}}") for cell in line.cells]
        guard = "{}" if cells[0].startswith(("[", "*")) else ""  # else an option of \\
        body.append(f"{guard}{' & '.join(cells)} \\\\")
    return "\n".join(
        [
            rf"% usbench {__version__}; \usepackage{{booktabs,graphicx}}",
            f"% protocol: {escape_latex(row.description)}",
            r"\begin{table*}",
            r"\centering",
            r"\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{' '.join(map(escape_latex, caption(table)))}}}",
            rf"\label{{tab:{row.dataset}-{row.task}}}",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{'l' * left}{'c' * (len(header) - left)}}}",
            r"\toprule",
            f"{' & '.join(map(escape_latex, header))} \\\\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table*}",
            "",
        ]
    )


def format_cell(cell: Cell, escape: Callable[[str], str], bold: str) -> str:
    """A cell in a format. bold: its form for bold text, with {} for it."""
    text = escape(cell.text)
    return f"{bold.format(text) if cell.is_bold else text}{escape_rest(cell.rest, escape)}"


def escape_rest(rest: str, escape: Callable[[str], str]) -> str:
    """What follows a cell's first part, with the blank before it."""
    return f" {escape(rest.strip())}" if rest else ""


def to_csv(table: PaperTable) -> str:
    """One line per row with unrounded numbers; a score has three columns, with its interval."""
    facts = list(row_facts(table))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(facts[0]), lineterminator="\n")
    writer.writeheader()
    for line in facts:
        cells = {
            name: format_number(value) if isinstance(value, float) else value
            for name, value in line.items()
        }
        writer.writerow({name: quote_cell(value) for name, value in cells.items()})
    return text.getvalue()


def row_facts(table: PaperTable) -> Iterator[dict[str, object]]:
    """Each row's values by column; None where a value is undefined."""
    for row in table.rows:
        facts: dict[str, object] = {
            "dataset": row.dataset,
            "task": row.task,
            "protocol": row.protocol,
            "protocol_version": row.version,
            "images": table.data.images,
            "groups": table.data.groups or None,
            "model": row.name,
            "origin": row.origin,
            "recipe": row.recipe_label,
            "seeds": len(row.seeds) or None,
            "old_version": int(row.old_version),
            "best": int(table.is_best(row)),
        }
        for name in table.metrics:
            score = row.scores.get(name, RowScore(()))
            facts |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
        if table.has_ranks:
            first, last = row.rank or (None, None)
            facts |= {"rank_first": first, "rank_last": last}
        if table.differences is not None:
            facts |= difference_facts(table.differences.get(row.run_ids))
        yield {**facts, "run_ids": " ".join(row.run_ids)}


def difference_facts(difference: BestDifference | None) -> dict[str, object]:
    """The columns of a difference to the best row."""
    names = ("value", "low", "high", "p")
    values: Sequence[float | None] = [getattr(difference, name, None) for name in names]
    return dict(zip(("difference", "difference_low", "difference_high", "p"), values, strict=True))
