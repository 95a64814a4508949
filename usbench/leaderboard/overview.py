"""results/README.md: what the leaderboard says, in a sentence per dataset and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.markdown import anchor_of
from usbench.leaderboard.page.document import render
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.rows import Row


def to_overview(
    rows: Sequence[Row], datasets: Iterable[DatasetSummary], files: Collection[str]
) -> str:
    """The page as Markdown.

    Args:
        rows: in the order of `build.build_rows`, with their ranks.
        datasets: with their tasks and notes.
        files: names of the files beside the page, of which those that are there are listed.
    """
    findings = state_findings(rows, datasets)
    text = render(
        "results.md",
        ours=[finding for finding in findings if finding.is_ours],
        published=[
            finding for finding in findings if finding.kind == "published" and not finding.is_ours
        ],
        empty=[finding.title for finding in findings if not finding.rows],
        anchor=lambda title: anchor_of(title, Counter()),
        files=files,
    )
    return text.rstrip("\n") + "\n"
