"""The strata of a result: its primary score by what the release says of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from usbench.metrics.scores import Figure, Scores
from usbench.metrics.strata import Strata, StratifiedCase, score_strata
from usbench.results.case_scores import scorable_protocols, score_case_table
from usbench.results.gallery.cases import (
    display_quality,
    is_informative,
    is_judgeable,
    parse_rows,
    rank_cases,
)
from usbench.results.store import encode_cell
from usbench.types import Record, Task


def strata_of(
    scores: Scores,
    primary: str,
    task: Task,
    classes: Sequence[str],
    metric: Mapping[str, object],
    variables: Sequence[str],
    records: Sequence[Record],
) -> tuple[Strata, ...]:
    """The strata of scores that a scorer gave, with its case table.

    The test compares images by their mean Dice, F1 or mean error, as a result's page does.

    Args:
        scores: of the test images.
        primary: the score that is shown by stratum.
        task: of the scores.
        classes: in order.
        metric: the scorer's arguments.
        variables: names of the records' attributes.
        records: of the test images.

    Returns:
        () where a case table doesn't suffice for the primary score under the reporting protocol.
    """
    name = scores.protocol.name
    if (
        not variables
        or name not in scorable_protocols(task)
        or not is_judgeable(scores.cases, task)
    ):
        return ()
    rows = [{key: encode_cell(cell, key) for key, cell in row.items()} for row in scores.cases]
    cases = compared_cases(rows, task)
    if primary not in score_case_table(rows, task, classes, [name], metric).protocol.scores:
        return ()

    def score_cases(chosen: set[str]) -> Figure:
        part = [row for row in rows if row["case"] in chosen]
        return score_case_table(part, task, classes, [name], metric).protocol.scores[primary]

    labels = {
        variable: {record.id: record.attributes.get(variable, "") for record in records}
        for variable in variables
    }
    return score_strata(cases, labels, primary, score_cases)


def compared_cases(rows: Sequence[Mapping[str, str]], task: Task) -> list[StratifiedCase]:
    """The images of a case table, with their quality; None where nothing is there or predicted."""
    groups = {row["case"]: row["group"] for row in rows}
    parsed = parse_rows(rows)
    informative = {row.case for row in parsed if is_informative(row, task)}
    cases = []
    for case, quality in rank_cases(parsed, task):
        value = display_quality(quality, task) if case in informative else None
        cases.append(StratifiedCase(case, groups[case], value))
    return cases
