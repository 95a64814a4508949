"""The table of scores: which columns, what a cell says, and its shape where there is little room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from usbench.metrics.scores import Figure, ProtocolScores
from usbench.results.score_table import (
    choose_scores,
    choose_shape,
    format_column,
    format_rows,
    interval_notes,
    score_rows,
    show_score_table,
)

UNKNOWN = Figure(None, 0, "the pixels' size isn't known")


def dice(value: float | None, n: int = 4) -> Figure:
    if value is None:
        return Figure(None, n, "absent")
    return Figure(value, n, low=value - 0.1, high=value + 0.1)


def protocol(hd95_px: int = 4, hd95_mm: int = 0) -> ProtocolScores:
    """Two classes; the arguments are numbers of cases with a distance in px and in mm."""
    distances = {
        "hd95_px": Figure(12.345, hd95_px, low=9.0, high=101.5) if hd95_px else UNKNOWN,
        "hd95_mm": Figure(1.5, hd95_mm, low=1.25, high=1.75) if hd95_mm else UNKNOWN,
    }
    return ProtocolScores(
        name="usbench",
        version=1,
        description="as defined",
        scores={"dice": dice(0.7), "iou": dice(0.6), **distances, "dice:no-leak": dice(0.65, 3)},
        per_class={
            "nerve": {"dice": dice(0.75), "iou": dice(0.65), **distances},
            "Central Echo Complex": {"dice": dice(None), "iou": dice(None), **distances},
        },
        target_score={"dice": Figure(1.0, 4), "iou": Figure(1.0, 4)},
    )


@pytest.mark.parametrize(
    ("px", "mm", "names"),
    [
        (4, 0, ["dice", "iou", "hd95_px"]),  # no pixel size is known
        (4, 4, ["dice", "iou", "hd95_mm"]),  # all are
        (4, 2, ["dice", "iou", "hd95_px", "hd95_mm"]),  # some are
        (0, 0, ["dice", "iou"]),  # undefined everywhere
    ],
)
def test_distances_are_in_mm_where_that_is_known(px, mm, names):
    assert choose_scores("segment", "dice", protocol(px, mm)) == names


def test_the_score_to_rank_by_is_always_shown_and_first():
    assert choose_scores("segment", "hd95_px", protocol())[0] == "hd95_px"
    assert choose_scores("segment", "own", protocol())[0] == "own"


def test_a_row_per_class_then_all_without_leaks_and_the_target():
    names = ["dice", "hd95_px"]
    rows = score_rows(protocol(), names, leaking=7)
    assert format_rows(names, rows, folded=False) == [
        ["nerve", " .750 [.650, .850]", "12.35 [9.00, 101.50]", "4"],
        ["Central Echo Complex", "    –", "12.35 [9.00, 101.50]", "4"],
        ["all classes", " .700 [.600, .800]", "12.35 [9.00, 101.50]", "4"],
        ["without 7 images", " .650 [.550, .750]", "    –", "3"],
        ["target score", "1.000", "    –", "4"],
    ]
    assert [row.label for row in score_rows(protocol(), names, leaking=False)] == [
        "nerve",
        "Central Echo Complex",
        "all classes",
        "target score",
    ]


def test_a_folded_row_has_intervals_below_values_and_short_labels():
    rows = score_rows(protocol(), ["dice"], leaking=False)
    assert format_rows(["dice"], rows, folded=True)[:2] == [
        ["nerve", ".750\n[.650, .850]", "4"],
        ["Central Echo\nComplex", "–", "0"],
    ]


def test_a_missing_figure_is_a_dash():
    assert format_column("dice", [None, dice(0.5)], folded=False) == ["   –", ".500 [.400, .600]"]


@pytest.mark.parametrize(
    ("width", "shape"),
    [(100, (4, False)), (80, (4, True)), (55, (3, True)), (10, (1, True))],
)
def test_first_intervals_move_below_then_the_last_scores_go(width, shape):
    """A score takes 20 columns with its interval behind it, 15 with the interval below."""
    assert choose_shape(4, lambda n, folded: n * (15 if folded else 20) + 10 <= width) == shape


def test_in_a_file_everything_is_on_one_line(capsys):
    show_score_table("title", "segment", "dice", protocol(), leaking=7)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "title" and lines[1].split() == ["class", "dice", "iou", "hd95_px", "n"]
    assert len(lines) == 3 + 5
    assert lines[3].split() == [
        *["nerve", ".750", "[.650,", ".850]", ".650", "[.550,", ".750]", "12.35"],
        *["[9.00,", "101.50]", "4"],
    ]


def test_custom_scores_stand_behind_the_primary_one_with_their_direction(capsys):
    table = protocol()
    own = {"area": Figure(0.25, 4, higher_is_better=False), "odd": Figure(None, 0, "none")}
    table = replace(table, scores={**table.scores, **own})
    show_score_table("title", "segment", "dice", table, custom=["area", "odd"])
    header = capsys.readouterr().out.splitlines()[1]
    assert header.split() == ["class", "dice", "area", "↓", "odd", "iou", "hd95_px", "n"]


FEW = "no interval: expected at least 5 groups, got 2"
SAME = "no interval: it is the same in every group"


@pytest.mark.parametrize(
    ("by_class", "overall", "notes"),
    [
        ({"a": (FEW, FEW)}, (FEW, FEW), ["no interval: expected at least 5 groups, got 2"]),
        ({"a": (None, None)}, (None, None), []),
        (
            {"a": (FEW, None), "b": (None, SAME)},
            (None, SAME),
            [
                "no interval of dice (a): expected at least 5 groups, got 2",
                "no interval of iou: it is the same in every group",
            ],
        ),
        (
            dict.fromkeys("abcd", (FEW, None)),
            (None, None),
            ["no interval of dice (a, b, c, …): expected at least 5 groups, got 2"],
        ),
    ],
)
def test_why_scores_have_no_interval(by_class, overall, notes):
    def figures(reasons):
        return {
            name: Figure(0.5, 4, interval=reason)
            if reason
            else Figure(0.5, 4, low=0.4, high=0.6, interval="rough: 8 groups, fewer than 10")
            for name, reason in zip(("dice", "iou"), reasons, strict=True)
        }

    table = replace(
        protocol(),
        scores=figures(overall),
        per_class={label: figures(reasons) for label, reasons in by_class.items()},
    )
    names = ["dice", "iou"]
    assert interval_notes(names, score_rows(table, names, leaking=0)) == notes
