"""The board for people: rows → Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from usbench.leaderboard.published import Dataset
from usbench.leaderboard.rows import MAIN, Figure, Row, transfers
from usbench.results.store import lower_is_better

NO_LEAK = ":no-leak"  # suffix of a score without the test images that leak
TRANSFER = (
    "Trained on one dataset, scored on others without training there: the primary score, on the classes that both "
    "name. The figure on the training dataset itself stands beside it."
)
UNSEEN = "No result of ours is scored by this protocol yet."
HEAD = """# Leaderboard

Written by `python scripts/leaderboard.py` from the records in `results/` and the published figures in `conf/dataset/`, not by hand.

- A number carries its protocol: it stands above each table and is said in words below. Figures of two tables aren't comparable.
- Several seeds of one recipe are one row: their mean; *seeds* says how many, and their sample SD. `2 of 3`: a seed failed or lacks folds, and the row is of the others. [a, b] is the 95 % interval over cases (groups) of one training, of several seeds the mean of their intervals; *groups* says how many there are, and the standard error over them: another spread than the seeds'.
- The folds of a recipe are one row: of each seed all folds' cases are scored together, each tested once (a mAP is of the matches of all cases), and whole groups are resampled. `3 of 5 folds` lacks some, stands below the whole ones and has no rank. Protocols that case tables don't suffice for show the mean over folds, without an interval, and say so.
- *target_score* is the score of the truth itself under the protocol.
- *per image* is from the native image to its prediction at batch 1 (`scripts/bench_models.py`), on the device named; *training h* is the mean over the seeds, on the machine of each record.
- *rank* is the range of places that paired tests on the same cases leave a row (whole groups swapped, Holm over the table's pairs, level .05): rows whose ranges overlap are tied. *Resolution* is 2.8 × the SE of the difference of the two best.
- *Δ published* is ours minus theirs, given only where protocol, data, model and recipe are the same; else ≠ says what differs. `agrees`: its 90 % interval lies within ±δ (.02 unless the dataset's YAML says otherwise); `higher`, `lower`: the 95 % interval excludes 0 and the difference exceeds δ; `can't tell`: neither, or fewer than 6 groups or 2 seeds. The published number is taken as one training on the same cases, with our spread.
- A published row is verified by: `author`, stated by the authors; `third-party`, read in someone else's copy of their table; `no`.
"""
PHANTOM_HEAD = """# Phantom board

Synthetic pictures, to show that the chain works. **No figure here can be compared with a published one**, nor with a result on real images.

- Several seeds of one recipe are one row: their mean; *seeds* says how many, and their sample SD. `2 of 3`: a seed failed or lacks folds, and the row is of the others. [a, b] is the 95 % interval over cases (groups) of one training, of several seeds the mean of their intervals; *groups* says how many there are, and the standard error over them: another spread than the seeds'.
- The folds of a recipe are one row: of each seed all folds' cases are scored together, each tested once (a mAP is of the matches of all cases), and whole groups are resampled. `3 of 5 folds` lacks some, stands below the whole ones and has no rank. Protocols that case tables don't suffice for show the mean over folds, without an interval, and say so.
- *rank* is the range of places that paired tests on the same cases leave a row: rows whose ranges overlap are tied.
- *target_score* is the score of the truth itself under the protocol.
"""


def shown(value: float | None, score: str, sign: str = "") -> str:
    """A figure for people: three decimals without a leading zero; px and mm two; – where undefined."""
    if value is None:
        return "–"
    if lower_is_better(score) and not score.endswith("_diag"):
        return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")
    text = f"{round(value, 3) + 0.0:{sign}.3f}".replace("-", "−")
    return text.replace("0.", ".", 1) if abs(round(value, 3)) < 1 else text


def _plain(text: str) -> str:
    """Text that can't break out of a Markdown cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _figure(figure: Figure | None, score: str) -> str:
    if figure is None:
        return ""
    if figure.low is None or figure.high is None:
        return shown(figure.mean, score)
    return f"{shown(figure.mean, score)} [{shown(figure.low, score)}, {shown(figure.high, score)}]"


def _seeds(row: Row) -> str:
    """How many, of how many that were begun, and their SD."""
    if not row.seeds:
        return ""
    sd = row.scores[row.primary].sd if row.primary in row.scores else None
    return seeds_of(row) if sd is None else f"{seeds_of(row)} (SD {shown(sd, row.primary)})"


def seeds_of(row: Row) -> str:
    """3, or 2 of 3 where one failed or lacks folds."""
    return (
        str(len(row.seeds)) if len(row.seeds) >= row.wanted else f"{len(row.seeds)} of {row.wanted}"
    )


def _groups(row: Row) -> str:
    """How many groups the cases are of, and the standard error over them: another spread than the seeds'."""
    figure = row.scores.get(row.primary)
    if figure is None or not figure.groups:
        return ""
    return (
        str(figure.groups)
        if figure.se is None
        else f"{figure.groups} (SE {shown(figure.se, row.primary)})"
    )


def _cost(row: Row) -> str:
    """What one image costs, and where that was measured."""
    if row.cost is None or not row.own:
        return ""
    took = row.cost["latency_ms"]["p50"]
    return f"{row.cost['macs'] / 1e9:.1f} G mul–adds, {took:.0f} ms ({row.cost['fps']:.0f} fps) on {row.cost['on']}"


def _against(row: Row) -> str:
    """The difference to the published row, or what forbids one."""
    told = row.agreement
    if row.delta is None:
        return ", ".join(row.marks) + (f": {told.word}" if told and row.marks else "")
    score = "" if row.delta_score == row.primary else f"{row.delta_score}, "
    verdict = (
        "" if told is None else f": {told.word}" + (f" ({told.reason})" if told.reason else "")
    )
    return f"{shown(row.delta, row.delta_score, '+')} ({score}{row.against}){verdict}"


def rank_of(row: Row) -> str:
    """1, or 1–3 where no test tells them apart, of so many that were compared."""
    if row.rank is None:
        return ""
    first, last = row.rank
    return f"{first if first == last else f'{first}–{last}'} of {row.ranked}"


def _source(row: Row) -> str:
    if row.origin == "published":
        return f"{row.source} (verified: {row.verified})"
    return {"run": "ours"}.get(row.origin, row.origin)


Column = tuple[str, Callable[[Row], str]]


def _score_column(header: str, score: str) -> Column:
    return header, lambda row: _figure(row.scores.get(score), score)


def _table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """A Markdown table; a column in which no row has anything is left out."""
    filled = [(header, [_plain(cell(row)) for row in rows]) for header, cell in columns]
    filled = [(header, cells) for header, cells in filled if any(cells)]
    lines = ["| " + " | ".join(header for header, _ in filled) + " |", "|" + "---|" * len(filled)]
    return lines + [
        "| " + " | ".join(cells[n] for _, cells in filled) + " |" for n in range(len(rows))
    ]


def lead_of(rows: Sequence[Row]) -> str:
    """The score that a table is sorted by: our rows' primary, else the published ones'."""
    return next((row.primary for row in rows if row.origin != "published"), rows[0].primary)


def others_of(rows: Sequence[Row]) -> list[str]:
    """The further scores that a table shows."""
    lead = lead_of(rows)
    known = {name for row in rows for name, figure in row.scores.items() if figure.mean is not None}
    return [name for name in MAIN[rows[0].task] if name != lead and name in known]


def columns(rows: Sequence[Row]) -> list[Column]:
    """What a table says of its rows: headers and a row's words below them, those that no row has included."""
    lead = lead_of(rows)
    return [
        ("rank", rank_of),
        ("model", lambda row: row.name),
        ("recipe", lambda row: row.recipe or ""),
        _score_column(f"**{lead}**", lead),
        _score_column(f"{lead}, no leak", lead + NO_LEAK),
        *(_score_column(name, name) for name in others_of(rows)),
        (
            "target_score",
            lambda row: "" if row.target_score is None else shown(row.target_score, lead),
        ),
        ("seeds", _seeds),
        ("groups", _groups),
        ("parameters", lambda row: "" if row.parameters is None else f"{row.parameters:,}"),
        ("per image", _cost),
        ("training h", lambda row: "" if row.hours is None or not row.own else f"{row.hours:.2f}"),
        ("Δ published", _against),
        ("source", _source),
        ("note", lambda row: row.note),
    ]


def classes_of(rows: Sequence[Row]) -> list[str]:
    """The classes of a table's rows, where they say more than the overall score; else none."""
    told = [row for row in rows if row.per_class]
    ours_first = sorted(told, key=lambda row: row.origin == "published")
    classes = list(dict.fromkeys(name for row in ours_first for name in row.per_class))
    return [] if len(classes) == 1 and all(row.origin != "published" for row in told) else classes


def class_words(row: Row, name: str) -> str:
    """A row's primary score of one class."""
    return _figure(row.per_class.get(name), row.primary)


def _class_table(rows: Sequence[Row]) -> list[str]:
    """The primary score per class, where that says more than the overall one."""
    told, classes = [row for row in rows if row.per_class], classes_of(rows)
    if not classes:
        return []

    def cell(name: str) -> Callable[[Row], str]:
        return lambda row: class_words(row, name)

    of_classes: list[Column] = [
        ("model", lambda row: row.name),
        ("recipe", lambda row: row.recipe or ""),
        *((_plain(name), cell(name)) for name in classes),
    ]
    return ["", f"Per class, {told[0].primary}:", "", *_table(of_classes, told)]


def protocol_description(rows: Sequence[Row]) -> str:
    """What a table's protocol is, in words; "" where no row says it."""
    words = next(
        (
            row.description
            for row in sorted(rows, key=lambda row: row.origin == "published")
            if row.description
        ),
        "",
    )
    if not words and rows[0].protocol == "unknown":
        return "the evaluator behind these figures wasn't read, so no difference to them is shown."
    return words


def _protocol(rows: Sequence[Row]) -> list[str]:
    """One protocol's table with its words."""
    first = rows[0]
    version = "" if first.version is None else f" {first.version}"
    old = " (old protocol)" if first.old else ""
    where = "" if first.split == "test" else f", evaluated on: {_plain(first.split)}"
    words = protocol_description(rows)
    told = f"Protocol: {_plain(words)}" if words else UNSEEN
    leaks = [
        f"Leak: {_plain(text)}"
        for text in dict.fromkeys(row.leakage_description for row in rows)
        if text
    ]
    below = [line for text in (told, *resolutions(rows), *leaks) for line in ("", text)]
    title = f"**Protocol `{first.protocol}`{version}{old}{where}**"
    return [title, "", *_table(columns(rows), rows), *_class_table(rows), *below, ""]


def resolutions(rows: Sequence[Row]) -> list[str]:
    """What differences the cases of a table can show."""
    found = {row.resolution: row.primary for row in rows if row.resolution is not None}
    return [
        f"Resolution: {shown(size, primary)} {primary}; a smaller true difference of the two best often goes unseen."
        for size, primary in found.items()
    ]


def failed_columns() -> list[Column]:
    """What the board says of rows without a score."""
    return [
        ("model", lambda row: row.name),
        ("recipe", lambda row: row.recipe or ""),
        ("seed", lambda row: ", ".join(map(str, row.seeds))),
        ("key", lambda row: ", ".join(row.keys)),
        ("status", lambda row: row.status),
        ("reason", lambda row: row.note),
    ]


def _failed(rows: Sequence[Row]) -> list[str]:
    return ["**Failed or skipped**", "", *_table(failed_columns(), rows), ""]


def _transfer(rows: Sequence[Row]) -> list[str]:
    """The section of these tables; nothing where nothing was evaluated elsewhere."""
    lines: list[str] = []
    for one in transfers(rows):
        lines += [
            f"### {one.task}",
            "",
            "| model | recipe | trained on | "
            + " | ".join(f"on {name}" for name in one.tested)
            + " |",
        ]
        lines += ["|" + "---|" * (3 + len(one.tested))]
        for model, recipe, trained_on, cells in one.lines:
            words = (model, recipe, trained_on, *map(tested_words, cells))
            lines.append("| " + " | ".join(map(_plain, words)) + " |")
        lines.append("")
    head = ["## Transfer", "", TRANSFER]
    return [*head, "", *lines] if lines else []


def tested_words(row: Row | None) -> str:
    """A cell of such a table: score and figure."""
    return "" if row is None else f"{row.primary} {_figure(row.scores[row.primary], row.primary)}"


def markdown(rows: Sequence[Row], datasets: Iterable[Dataset], phantom: bool = False) -> str:
    """The board for people, from rows in the order of `leaderboard.rows`."""
    known = {dataset.name: dataset for dataset in reversed(list(datasets))}
    lines = [PHANTOM_HEAD if phantom else HEAD]
    for name, of_dataset in groupby(rows, key=lambda row: row.dataset):
        dataset = known.get(name, Dataset(name))
        said = (("Licence", dataset.licence), ("Cite", dataset.citation))
        cited = " · ".join(f"{what}: {_plain(text)}" for what, text in said if text and not phantom)
        title = f"{name}: {_plain(dataset.title)}" if dataset.title else name
        lines += [f"## {title}", "", *([cited, ""] if cited else [])]
        for task, of_task in groupby(of_dataset, key=lambda row: row.task):
            lines += [f"### {name} · {task}", ""]
            for _, table in groupby(of_task, key=lambda row: row.table):
                of_table = list(table)
                lines += _protocol(of_table) if of_table[0].status == "done" else _failed(of_table)
    lines += _transfer(rows)
    if not rows:
        lines += ["No result yet.", ""]
    return "\n".join(lines).replace("\n\n\n", "\n\n")
