"""The leaderboard for people: rows → Markdown, by page/templates/leaderboard.md.

A cell is a number or a name, so that no line of a table is higher than two lines of text. What is
longer stands below the table as numbered notes, and what is the same in all rows is said once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter

from usbench.io.plain_text import escape_markdown
from usbench.leaderboard import columns, legend
from usbench.leaderboard.columns import Column
from usbench.leaderboard.findings import Finding, state_findings
from usbench.leaderboard.page.document import render
from usbench.leaderboard.published import DatasetSummary, datasets_by_name
from usbench.leaderboard.rows import Row, transfer_tables
from usbench.results.format import TASK_TITLES

NOTED = ("source", "note", "timed on")  # columns whose texts become notes
SAID_ONCE = ("recipe", "target score", "seeds", "Δ published")  # where all rows have the same
LEAKAGE = "Leakage: "
MOST_CLASSES = 4  # that are columns of the main table
TOGETHER = re.compile(r"[\[(][^\])]*[\])]")  # an interval or a spread, which no line end divides


@dataclass(frozen=True)
class Table:
    """One protocol's rows, or those that failed, as Markdown shows them."""

    title: str
    columns: Sequence[Column]
    further: Sequence[tuple[str, Sequence[Column]]] = ()  # (title, columns) of smaller tables
    notes: Sequence[str] = ()  # of rows, by number
    texts: Sequence[str] = ()  # below the table


@dataclass(frozen=True)
class Section:
    """One dataset and task."""

    heading: str
    finding: Finding
    tables: Sequence[Table]


def to_markdown(
    rows: Sequence[Row], datasets: Iterable[DatasetSummary], phantom: bool = False
) -> str:
    """The leaderboard as Markdown.

    Args:
        rows: in the order of `build.build_rows`, with their ranks.
        datasets: for titles, licences and citations.
        phantom: whether the rows are of phantoms.
    """
    by_name = datasets_by_name(datasets, rows)
    by_task: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_task.setdefault((row.dataset, row.task), []).append(row)
    parts: dict[str, list[Section]] = {"Results": [], "Published only": []}
    empty = []
    for finding in state_findings(rows, by_name.values()):
        heading = finding.title
        if part := by_task.get((finding.dataset, finding.task)):
            is_ours = any(row.origin != "published" for row in part)
            section = Section(heading, finding, list(make_tables(part)))
            parts["Results" if is_ours else "Published only"].append(section)
        else:
            empty.append(heading)
    transfers = transfer_tables(rows)
    text = render(
        "leaderboard.md",
        parts={title: part for title, part in parts.items() if part},
        contents=list(contents(parts, bool(transfers))),
        datasets=[by_name[name] for name in sorted({row.dataset for row in rows})],
        empty=empty,
        transfers=transfers,
        phantom=phantom,
        legend=legend,
        glossary=explain_columns(parts["Results"] + parts["Published only"]),
        columns=columns,
        task_titles=TASK_TITLES,
        zip=zip,
        keep_together=keep_together,
    )
    return text.rstrip("\n") + "\n"


def explain_columns(sections: Iterable[Section]) -> dict[str, str]:
    """The glossary's entries of the columns that are shown or said once."""
    shown = {"target score"}
    for section in sections:
        for table in section.tables:
            for part in (table.columns, *(part for _, part in table.further)):
                shown |= {column.term or column.title for column in part}
    return {term: text for term, text in legend.GLOSSARY.items() if term in shown}


def contents(
    parts: dict[str, list[Section]], has_transfers: bool
) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """The table of contents: (part, its anchor, its sections with their anchors)."""
    used: Counter[str] = Counter()
    titles = {title: [part.heading for part in sections] for title, sections in parts.items()}
    more = [*(["Transfer"] if has_transfers else []), "Datasets", "How to read it"]
    for title, headings in [*titles.items(), *((title, []) for title in more)]:
        if headings or title in more:
            anchor = anchor_of(title, used)
            yield title, anchor, [(heading, anchor_of(heading, used)) for heading in headings]


def anchor_of(heading: str, used: Counter[str]) -> str:
    """The name that GitHub gives a heading. used: how often each was given, which is kept."""
    anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    used[anchor] += 1
    return anchor if used[anchor] == 1 else f"{anchor}-{used[anchor] - 1}"


# ---- tables


def make_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """The tables of one dataset and task."""
    said: set[str] = set()  # of the leakage, which is the same under every protocol
    for _, part in groupby(rows, key=attrgetter("table")):
        table_rows = list(part)
        if table_rows[0].status == "done":
            table = make_table(table_rows)
            yield replace(table, texts=[text for text in table.texts if text not in said])
            said |= {text for text in table.texts if text.startswith(LEAKAGE)}
        else:
            filled = columns.fill_columns(columns.failed_columns(), table_rows)
            yield Table("Failed or skipped", filled)


def make_table(rows: Sequence[Row]) -> Table:
    """The table of one protocol."""
    in_all, notes = divide_notes(rows)
    shown, said, leakage = [], [], []
    numbers = Column("notes", partial(number_notes, notes=notes))
    for column in columns.fill_columns([*columns.score_columns(rows), numbers], rows):
        if column.term == legend.WITHOUT:
            leakage.append(column)
        elif text := text_of_all(column):
            said.append(f"{column.title} {text}")
        elif column.title not in NOTED:
            shown.append(column)
    by_class = columns.class_tables(rows)
    if by_class and len(by_class[0][1]) - len(columns.NAMES) <= MOST_CLASSES:
        place = next(n for n, column in enumerate(shown) if column.is_main) + 1
        shown[place:place] = class_columns(rows, by_class.pop(0)[1])
    further: list[tuple[str, Sequence[Column]]]
    further = [(f"{title} by class", part) for title, part in by_class]
    if leakage:
        further.append(leakage_table(rows, leakage))
    texts = list(table_texts(rows))
    if said or in_all:
        texts.insert(0, f"In all rows: {escape_markdown('; '.join([*said, *in_all]))}.")
    return Table(markdown_title(rows[0]), shown, further, notes, texts)


def divide_notes(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """(notes that all rows have, where there are several rows; the others in order)."""
    counts = Counter(note for row in rows for note in dict.fromkeys(notes_of(row)))
    in_all = [note for note in counts if counts[note] == len(rows) > 1]
    return in_all, [note for note in counts if note not in in_all]


def number_notes(row: Row, notes: Sequence[str]) -> str:
    """The numbers of a row's notes."""
    own = notes_of(row)
    return ", ".join(str(number) for number, note in enumerate(notes, 1) if note in own)


def notes_of(row: Row) -> list[str]:
    """What is too long for a cell: the source of a published row, notes, the machine timed on."""
    texts = [] if row.origin == "run" else [columns.format_source(row)]
    texts += row.note.split("; ") if row.origin != "published" else [row.note]
    if row.cost and row.reporting:
        texts.append(f"timed on {row.cost.on}")
    return list(filter(None, texts))


def text_of_all(column: Column) -> str:
    """The text that all rows have that have one; "" where they differ or it isn't said once."""
    texts = set(filter(None, column.texts))
    is_said = column.title == "target score" or len(column.texts) > 1
    return texts.pop() if column.title in SAID_ONCE and is_said and len(texts) == 1 else ""


def class_columns(rows: Sequence[Row], by_class: Sequence[Column]) -> list[Column]:
    """The columns of a table by class without the names, for all rows of the main table."""
    labels = [column for column in by_class if column.term == legend.CLASS]
    return columns.fill_columns(labels, rows)


def leakage_table(rows: Sequence[Row], leakage: Sequence[Column]) -> tuple[str, Sequence[Column]]:
    """The main score beside those without images that resemble a training image."""
    main = columns.main_column(rows)
    title = f"{main.title} without test images that resemble a training image"
    shown = [
        *columns.NAMES,
        replace(main, title="all images"),
        *(replace(column, title=column.title.removeprefix(f"{main.title} ")) for column in leakage),
    ]
    with_score = [row for row in rows if any(column.text(row) for column in leakage)]
    filled = columns.fill_columns(shown, with_score)
    return title, [column for column in filled if not text_of_all(column)]


def markdown_title(row: Row) -> str:
    """The table's protocol in bold letters."""
    protocol, suffix = columns.table_title(row)
    return f"Protocol `{protocol.replace('`', chr(39))}`{escape_markdown(suffix)}"


def table_texts(rows: Sequence[Row]) -> Iterator[str]:
    """What stands below a table: what tests show, the protocol, the leakage."""
    yield from columns.comparison_notes(rows)
    if rows[0].protocol != "unknown":
        description = escape_markdown(columns.protocol_description(rows))
        yield f"Protocol: {description}" if description else legend.NO_RESULT_BY_PROTOCOL
    for note in columns.leakage_notes(rows):
        yield f"{LEAKAGE}{escape_markdown(note)}"


def keep_together(text: str) -> str:
    """A cell whose intervals and spreads are never divided by a line's end."""
    return TOGETHER.sub(lambda match: match[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
