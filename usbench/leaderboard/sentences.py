"""The parts of a finding's sentences: names, scores, places, ties, papers and agreement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from usbench.io.numbers import format_count
from usbench.leaderboard.rows import Row
from usbench.results.format import format_difference, format_named, format_value, title_and_unit

MOST_NAMED = 3  # tied models, or papers; of more the number is said


def describe_places(ranked: Sequence[Row]) -> str:
    """Who follows the leader: a second place, or the places that are tied."""
    second = [row for row in ranked if row.rank is not None and row.rank[0] == 2]
    if len(second) == 1:
        return f"{title_row(second[0], ranked)} is 2nd"
    return f"2nd to {ordinal(1 + len(second))} are tied" if second else ""


def describe_tied(first: Sequence[Row], ranked: Sequence[Row]) -> str:
    """Such as "A and B are tied", or "4 of 7 models are tied"."""
    if len(first) > MOST_NAMED:
        how_many = "All" if len(first) == len(ranked) else f"{len(first)} of"
        return f"{how_many} {len(ranked)} models are tied"
    *most, last = (title_row(row, ranked) for row in first)
    return f"{', '.join(most)} and {last} are tied"


def describe_resolution(row: Row) -> str:
    """Which difference between the best two a test would show."""
    if row.resolution is None:
        return ""
    difference = format_difference(row.resolution, row.primary)
    return f"a difference of {difference} would be detected with 80 % probability"


def describe_others(ranked: int, current: Sequence[Row]) -> Iterator[str]:
    """How many current rows the ranks leave out."""
    if ranked < len(current):
        yield f"{format_count(len(current) - ranked, 'more result')} on other data or folds"


def describe_paper(row: Row) -> str:
    """A published score with its model and protocol."""
    protocol = "protocol unknown" if row.protocol == "unknown" else f"protocol {row.protocol}"
    return f"{score_of(row)} by {row.name}, {protocol}"


def describe_papers(published: Sequence[Row]) -> Iterator[str]:
    """The best score under the other protocols, and why they don't stand in one order."""
    others = published[1:]
    if others:
        yield from map(describe_paper, others[:MOST_NAMED])
        if len(others) > MOST_NAMED:
            yield f"{format_count(len(others) - MOST_NAMED, 'more protocol')} or test sets"
        yield "scores by different protocols or data can't be compared"


def describe_agreement(row: Row) -> str:
    """How a row relates to the published one of its model, such as "agrees with the paper's"."""
    assert row.delta is not None, "only rows with a difference are described"
    name, verdict = row.delta_score, row.agreement.verdict if row.agreement else "can't tell"
    ours = row.scores[name].value
    assert ours is not None, "a difference needs both scores"
    theirs = f"the published {row.against} ({format_value(ours - row.delta, name)})"
    where = f"{row.name} " + ("" if row.reporting else f"by protocol {row.protocol} ")
    if verdict == "agrees":
        return f"{where}agrees with {theirs}"
    side = "above" if row.delta > 0 else "below"
    doubt = "" if verdict in ("higher", "lower") else ", too uncertain to tell whether they agree"
    return f"{where}is {format_difference(abs(row.delta), name)} {side} {theirs}{doubt}"


def title_row(row: Row, among: Sequence[Row]) -> str:
    """A row's name as tables show it, with its recipe where another row has the name too."""
    is_unique = sum(other.name == row.name for other in among) == 1
    return row.name if is_unique or not row.recipe_label else f"{row.name} ({row.recipe_label})"


def score_of(row: Row) -> str:
    """A row's primary score: Dice .669 [.611, .723]."""
    return format_named(row.score, row.primary)


def score_range(rows: Sequence[Row]) -> str:
    """The primary scores of rows that are tied: Dice .603 to .675."""
    values = sorted(row.value for row in rows if row.value is not None)
    low, high = (format_value(value, rows[0].primary) for value in (values[0], values[-1]))
    title, unit = title_and_unit(rows[0].primary)
    return " ".join(filter(None, (title, low if low == high else f"{low} to {high}", unit)))


def ordinal(place: int) -> str:
    """1st, 2nd, 3rd, 4th …, 11th …, 21st."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{'th' if 10 < place % 100 < 14 else suffix}"
