"""The leaderboard for people: rows → Markdown, by page/templates/leaderboard.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from usbench.leaderboard import columns, legend
from usbench.leaderboard.page.document import render
from usbench.leaderboard.published import DatasetSummary, datasets_by_name
from usbench.leaderboard.rows import Row, transfer_tables


def to_markdown(
    rows: Sequence[Row], datasets: Iterable[DatasetSummary], phantom: bool = False
) -> str:
    """The leaderboard as Markdown.

    Args:
        rows: in the order of `build.build_rows`.
        datasets: for titles, licences and citations.
        phantom: whether the rows are of phantoms.
    """
    return (
        render(
            "leaderboard.md",
            rows=rows,
            datasets=datasets_by_name(datasets, rows),
            transfers=transfer_tables(rows),
            phantom=phantom,
            legend=legend,
            columns=columns,
            zip=zip,
        ).rstrip("\n")
        + "\n"
    )
