"""results/README.md: what the leaderboard says, in a sentence per dataset and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.markdown import anchor_of
from usbench.leaderboard.page.document import render
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.rows import Row
from usbench.leaderboard.settings import Node
from usbench.results.format import TASK_TITLES


def to_overview(
    rows: Sequence[Row],
    datasets: Iterable[DatasetSummary],
    models: Mapping[str, Node],
    files: Collection[str],
) -> str:
    """The page as Markdown.

    Args:
        rows: in the order of `build.build_rows`, with their ranks.
        datasets: with their tasks and notes.
        models: the YAML of each model.
        files: names of the files beside the page, of which those that are there are listed.
    """
    findings = state_findings(rows, datasets)
    without_result = dict(models_without_result(rows, models))
    text = render(
        "results.md",
        ours=[finding for finding in findings if finding.is_ours],
        published=[
            finding for finding in findings if finding.kind == "published" and not finding.is_ours
        ],
        empty=[finding.title for finding in findings if not finding.rows],
        without_result=without_result,
        needing_weights=[
            name
            for name in chain.from_iterable(without_result.values())
            if models[name].get("needs_weights")
        ],
        anchor=lambda title: anchor_of(title, Counter()),
        files=files,
    )
    return text.rstrip("\n") + "\n"


def models_without_result(
    rows: Iterable[Row], models: Mapping[str, Node]
) -> Iterator[tuple[str, list[str]]]:
    """(title of a task, the models for it that have no result of ours), where there are any."""
    done = {row.model for row in rows if row.origin == "run" and row.status == "done"}
    for task, title in TASK_TITLES.items():
        names = [name for name, node in models.items() if node.get("task") == task]
        if missing := sorted(set(names) - done):
            yield title, missing
