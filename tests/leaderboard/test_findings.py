"""What the leaderboard says of constructed rows: who leads, who is tied, what to mind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.published import DatasetSummary, Note
from usbench.leaderboard.rows import Agreement, Row, RowScore
from usbench.leaderboard.sentences import ordinal


def make_row(name, value, rank=None, half=0.05, groups=30, **changes):
    """A row of ours with an interval of ± half; ranked among three where it has a rank."""
    score = RowScore((value,), value - half, value + half, (half / 2,), groups, groups - 1.0)
    primary = changes.pop("primary", "dice")
    row = Row(
        "rings", "segment", "run", name, protocol="usbench", version=1, model=name,
        primary=primary, scores={primary: score}, seeds=(0, 1), reporting=True, run_ids=(name,),
        counts={"test": 40},
    )  # fmt: skip
    if rank is not None:
        row = replace(
            row, rank=rank, ranked=3, compared_groups=groups, resolution=0.056,
            significant_from=0.039,
        )  # fmt: skip
    return replace(row, **changes)


def make_paper(name="U-Net", value=0.8, **changes):
    row = Row(
        "rings", "segment", "published", name, protocol="unknown", primary="dice",
        scores={"dice": RowScore((value,))}, verified="author",
    )  # fmt: skip
    return replace(row, **changes)


def find(*rows, dataset=None):
    (finding,) = state_findings(rows, [dataset or DatasetSummary("rings")])
    return finding


# ---- ranks


def test_a_leader_and_those_tied_behind_it():
    rows = [
        make_row("a", 0.9, (1, 1)),
        make_row("b", 0.7, (2, 3)),
        make_row("c", 0.65, (2, 3)),
    ]
    finding = find(*rows)
    assert finding.kind == "leader" and finding.rows == (rows[0],)
    assert finding.headline == "a leads: Dice .900 [.850, .950]"
    assert finding.detail == "2nd to 3rd are tied" and finding.caveat == ""


def test_a_second_place_of_its_own_is_named():
    rows = [make_row("a", 0.9, (1, 1)), make_row("b", 0.7, (2, 2)), make_row("c", 0.6, (3, 3))]
    assert find(*rows).detail == "b is 2nd"


def test_a_tie_says_which_difference_would_be_seen():
    rows = [make_row("a", 0.9, (1, 2)), make_row("b", 0.88, (1, 2)), make_row("c", 0.5, (3, 3))]
    finding = find(*rows)
    assert finding.kind == "tie" and finding.rows == tuple(rows[:2])
    assert finding.headline == "a and b are tied: Dice .880 to .900"
    assert (
        finding.detail == "a difference of 5.6 Dice points would be detected with 80 % probability"
    )


@pytest.mark.parametrize(("count", "headline"), [(4, "4 of 5"), (5, "All 5")])
def test_of_many_tied_models_the_number_is_said(count, headline):
    ranks = [(1, 5) if n < count else (5, 5) for n in range(5)]
    rows = [make_row(f"m{n}", 0.8, rank, ranked=5) for n, rank in enumerate(ranks)]
    assert find(*rows).headline == f"{headline} models are tied: Dice .800"


def test_the_lower_error_leads():
    error = {"primary": "mre_mm", "higher_is_better": False, "half": 0.5}
    rows = [make_row("a", 3.0, (1, 1), **error), make_row("b", 5.0, (2, 2), **error)]
    baseline = make_row("mean", 9.0, origin="baseline", **error)
    finding = find(*rows, baseline)
    assert finding.headline == "a leads: mean radial error 3.00 mm [2.50, 3.50]"
    assert finding.caveat == ""
    worse = replace(baseline, scores=rows[0].scores)  # as good as the leader
    assert find(*rows, worse).caveat == "not clearly better than the baseline mean (3.00)"


def test_the_largest_comparison_is_told_and_the_others_are_counted():
    """Rows on other folds or data are ranked among themselves."""
    rows = [
        *(make_row(name, 0.6, (1, 3), folds=(5, 5)) for name in "abc"),
        *(make_row(name, 0.9, (1, 2), ranked=2, resolution=0.01) for name in "xy"),
    ]
    finding = find(*rows)
    assert finding.headline.startswith("a, b and c are tied")
    assert "2 more results on other data or folds" in finding.detail


def test_one_model_alone_and_several_that_nothing_compares():
    finding = find(make_row("a", 0.7))
    assert (finding.kind, finding.detail) == ("single", "")
    assert finding.headline == "a, the only model so far: Dice .700 [.650, .750]"
    several = find(make_row("a", 0.7), make_row("b", 0.6))
    assert several.kind == "single"
    assert several.headline == "a is the best of 2, untested: Dice .700 [.650, .750]"


def test_equal_names_are_told_apart_by_the_recipe():
    rows = [make_row("a", 0.9, (1, 2), recipe=recipe) for recipe in ("quick", "standard")]
    assert find(*rows).headline.startswith("a (quick) and a (standard) are tied")


# ---- what is not current


def test_an_older_version_is_unranked_beside_a_current_model():
    finding = find(make_row("b", 0.7), make_row("a", 0.9, old_version=True))
    assert finding.headline.startswith("b, the only current model: ")
    assert finding.detail == "1 older result unranked"


def test_older_versions_only():
    rows = [make_row("a", 0.9, old_version=True), make_row("b", 0.8, old_version=True)]
    finding = find(*rows)
    assert finding.kind == "older" and finding.rows == tuple(rows)
    assert finding.headline == "Older versions only: a Dice .900 [.850, .950]"
    assert finding.detail == "2 results unranked until trained again"


def test_folds_that_are_missing_keep_a_row_from_leading():
    finding = find(make_row("a", 0.9, folds=(2, 5)))
    assert finding.kind == "older" and finding.headline.startswith("Incomplete: a")
    whole = find(make_row("a", 0.9, folds=(5, 5)))
    assert whole.kind == "single"


# ---- published scores, people, nothing


def test_published_only_names_protocols_and_a_command():
    rows = [
        make_paper("A", 0.6, protocol="paper", model="unet", recipe="theirs", verified="no"),
        make_paper("B", 0.5, protocol="paper"),
        make_paper("C", 0.9),
    ]
    finding = find(*rows)
    assert finding.kind == "published" and finding.rows == (rows[0], rows[2])
    assert finding.headline == "Published only: Dice .600 by A, protocol paper"
    assert finding.detail.startswith("Dice .900 by C, protocol unknown; scores by different")
    assert finding.caveat == "not verified by anybody"
    assert finding.command.endswith("dataset=rings source=real model=unet recipe=theirs")


def test_people_stand_in_for_models():
    people = make_row("human agreement", 0.76, origin="human")
    finding = find(people, make_paper())
    assert finding.headline == "No model of ours yet; people agree at Dice .760 [.710, .810]"
    assert finding.detail == "best published: Dice .800 by U-Net, protocol unknown"
    assert finding.is_ours and not finding.has_results


def test_nothing_has_a_command_unless_everything_tests():
    summary = DatasetSummary("rings", tasks=("detect",))
    finding = find(dataset=summary)
    assert (finding.kind, finding.headline) == ("nothing", "No result yet")
    assert finding.command == "python -m usbench dataset=rings source=real model=yolov8"
    assert find(dataset=replace(summary, test_only=True)).command == ""
    failed = replace(make_row("a", 0.5), status="failed", scores={})
    assert find(failed).detail == "1 run failed or skipped"


@pytest.mark.parametrize(
    ("verdict", "delta", "expected"),
    [
        ("agrees", 0.012, "a agrees with the published U-Net (.688)"),
        ("higher", 0.03, "a is 3.0 Dice points above the published U-Net (.670)"),
        ("lower", -0.03, "a is 3.0 Dice points below the published U-Net (.730)"),
        ("can't tell", -0.01, "U-Net (.710), too uncertain to tell whether they agree"),
    ],
)
def test_agreement_with_the_paper(verdict, delta, expected):
    compared = {"delta": delta, "delta_score": "dice", "against": "U-Net"}
    row = make_row("a", 0.7, agreement=Agreement(verdict), **compared)
    assert find(row).detail.endswith(expected)
    other = make_row("a", 0.7, protocol="paper", reporting=False, agreement=Agreement(verdict))
    found = find(make_row("a", 0.7), replace(other, **compared))
    assert found.detail.startswith("a by protocol paper ")


def test_published_scores_that_cannot_be_compared_are_said_so():
    finding = find(make_row("a", 0.7, marks=("≠ protocol", "≠ recipe")), make_paper())
    assert finding.detail == (
        "no published score is comparable: another or an unknown protocol and another or an "
        "unstated recipe"
    )


# ---- caveats, the worst first


def test_a_baseline_that_is_not_beaten_comes_first():
    leader = make_row("a", 0.7, (1, 1), leakage=7)
    others = [make_row("b", 0.5, (2, 2)), make_row("c", 0.3, (3, 3))]
    far = make_row("prior", 0.1, origin="baseline")
    assert find(leader, *others, far).caveats == ("7 of 40 test images resemble training images",)
    near = make_row("prior", 0.5, origin="baseline")  # its interval ends at .55, that of a at .65
    finding = find(leader, *others, near)
    assert finding.detail.endswith("b, c don't clearly beat the baselines")
    high = make_row("prior", 0.61, origin="baseline")  # ends at .66
    assert find(leader, *others, high).caveats == (
        "not clearly better than the baseline prior (.610)",
        "7 of 40 test images resemble training images",
    )


def test_leakage_few_groups_unknown_groups_one_seed():
    row = make_row("a", 0.7, leakage=7, groups=9, seeds=(0,))
    row = replace(row, scores={**row.scores, "dice:no-leak": RowScore((0.65,))})
    note = Note("groups", "patients unknown (an image is a group), so nobody knows")
    finding = find(row, dataset=DatasetSummary("rings", notes=(note,)))
    assert finding.caveats == (
        "7 of 40 test images resemble training images; without them Dice .650",
        "9 groups only: intervals are rough",
        "intervals may be too narrow: patients unknown",
        "one seed: how much training varies isn't known",
    )


def test_too_few_groups_for_any_test_is_said():
    rows = [make_row(name, 0.7, (1, 3), groups=5) for name in "abc"]
    assert find(*rows).caveat == "5 groups: no test can tell these models apart"


# ---- order, words


def test_most_results_first_then_people_then_papers_then_nothing():
    rows = [
        replace(make_paper(), dataset="papers"),
        replace(make_row("h", 0.7, origin="human"), dataset="people"),
        replace(make_row("a", 0.7), dataset="one"),
        *(replace(make_row(name, 0.7), dataset="two") for name in "ab"),
    ]
    findings = state_findings(rows, [DatasetSummary("empty", tasks=("segment",))])
    assert [finding.dataset for finding in findings] == ["two", "one", "people", "papers", "empty"]


@pytest.mark.parametrize(
    ("place", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")],
)
def test_ordinals(place, text):
    assert ordinal(place) == text
