"""results/README.md: the best rows, with what a reader has to know of them, and the files."""

from __future__ import annotations

from tests.helpers.paths import ROOT
from tests.leaderboard.test_leaderboard import by_the_paper, figure, make_result, paper
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.overview import to_overview
from usbench.leaderboard.published import DatasetSummary
from usbench.results.result import Result

MAX_LINES = 80


def overview(contents, *published, files=()):
    datasets = [DatasetSummary("spinal", title="Porcine | cord", published=published)]
    return to_overview(
        build_rows([Result.from_json(content) for content in contents], datasets), datasets, files
    )


def scores(value):
    return {"dice": figure(value, value - 0.05, value + 0.05)}


def test_the_best_three_rows_with_seeds_interval_images_and_target_score():
    made = [
        make_result(value, model=f"net{n}", scores=scores(value))
        for n, value in enumerate((0.5, 0.8, 0.6, 0.7))
    ]
    made.append(make_result(0.9, model="net1", seed=1, scores=scores(0.9)))
    lines = overview(made).splitlines()
    assert "## spinal · segment" in lines
    assert "Porcine \\| cord. Protocol `usbench` 1; the best 3 of 4 rows." in lines
    assert (
        "| model | recipe | seeds | **dice** | test images | groups | target score | published |"
        in lines
    )
    (first,) = (line for line in lines if line.startswith("| net1 "))
    assert first.startswith("| net1 | kumar2025 | 2 (SD .071) | .850 [.800, .900] | 660 | 30 (SE ")
    assert first.endswith("| 1.000 | none |")
    shown = [line.split()[1] for line in lines if line.startswith("| net")]
    assert shown == ["net1", "net3", "net2"]


def test_no_single_seed_stands_for_a_model():
    """The better seed's .900 is nowhere: its model's mean is."""
    text = overview(
        [make_result(0.7, scores=scores(0.7)), make_result(0.9, seed=1, scores=scores(0.9))]
    )
    assert ".800 [.750, .850]" in text and ".900" not in text


def test_the_published_score_stands_beside_ours_only_where_they_may_be_compared():
    ours = [make_result(protocols={"kumar2025-cnn": by_the_paper(0.5)})]
    assert "| ≠ protocol |" in overview(ours, paper())
    same = paper(protocol="usbench", scores={"dice": 0.664})
    assert "| .664 dice (U-Net) |" in overview(ours, same)
    assert "| none |" in overview(ours)


def test_failed_rows_baselines_and_phantoms_rules_are_left_out():
    made = [
        make_result(0.9, model="prior", origin="baseline", seed=None, recipe=None),
        make_result(
            model="broken",
            status="failed",
            reason="full disk",
            protocol=None,
            primary=None,
            scores={},
            per_class={},
        ),
    ]
    text = overview(made)
    assert "No result yet." in text and "prior" not in text and "broken" not in text


def test_published_scores_name_protocol_and_source():
    text = overview(
        [],
        paper(),
        paper(name="Old", protocol="unknown", model=None, why="none", scores={"dice": 0.9}),
    )
    line = "- spinal · segment: U-Net .553 dice (protocol `kumar2025-cnn`; Kumar 2025; verified: third-party); Old .900 dice (protocol `unknown`; "
    assert line in text


def test_the_committed_page_is_short_and_says_how_images_leak():
    text = (ROOT / "results" / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert "Leakage: 7 of the 40 test images" in text and "10 ≥ .90, 19 ≥ .85" in text
    assert "usbench leaderboard --check" in text


def test_only_files_that_are_there_are_listed():
    """The page of a new folder listed a catalogue and a picture that nobody had made."""
    bare, full = overview([]), overview([], files={"CATALOGUE.md", "leaderboard.png"})
    assert "CATALOGUE" not in bare and "leaderboard.png" not in bare
    assert "| `CATALOGUE.md`, `CATALOGUE.csv` |" in full and "(`leaderboard.png`: a" in full
