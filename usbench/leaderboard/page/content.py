"""All that the leaderboard's page shows, brought together from rows and from files beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from usbench.leaderboard.commands import RunCommand
from usbench.leaderboard.findings import Finding, state_findings
from usbench.leaderboard.page.compare_cases import CardPicture, card_picture
from usbench.leaderboard.page.result import page_links
from usbench.leaderboard.page.view import PageContent
from usbench.leaderboard.published import DatasetSummary, datasets_by_name
from usbench.leaderboard.ranking import Comparison
from usbench.leaderboard.rows import Row
from usbench.results.result import Result


def collect_content(
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    datasets: Sequence[DatasetSummary],
    results: Sequence[Result],
    commands: Mapping[str, RunCommand],
    cases: Iterable[Path],
    folder: Path,
) -> PageContent:
    """What the page shows.

    Args:
        rows: in the order of `build.build_rows`, ranked.
        comparisons: the tests behind the ranks.
        datasets: with their notes and published rows.
        results: that the rows were made of.
        commands: run id → how to run it again.
        cases: every cases.js.
        folder: where the results lie.
    """
    findings = state_findings(rows, datasets)
    return PageContent(
        rows=rows,
        datasets=datasets_by_name(datasets, rows),
        findings=findings,
        links=page_links(results),
        commands=commands,
        comparisons=comparisons,
        cases={path.parent.relative_to(folder).as_posix() for path in cases},
        updated=max((result.date or "" for result in results), default=""),
        pictures=collect_pictures(findings, results, folder),
    )


def collect_pictures(
    findings: Iterable[Finding], results: Iterable[Result], folder: Path
) -> dict[str, CardPicture]:
    """dataset/task → the picture of its finding's best model, where there may be one."""
    by_id = {result.run_id: result for result in results}
    pictures = {}
    for finding in findings:
        best = finding.rows[0].run_ids[:1] if finding.has_results else ()
        picture = card_picture(folder, by_id[best[0]]) if best else None
        if picture is not None:
            pictures[f"{finding.dataset}/{finding.task}"] = picture
    return pictures
