"""results/README.md: a sentence per dataset and task, papers in one table, and the files."""

from __future__ import annotations

from tests.helpers.paths import ROOT
from tests.leaderboard.test_leaderboard import by_the_paper, figure, make_result, paper
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.overview import to_overview
from usbench.leaderboard.published import DatasetSummary
from usbench.results.result import Result

MAX_LINES = 60


MODELS = {
    "unet": {"task": "segment", "recipes": {}},
    "fpn": {"task": "segment"},
    "samed": {"task": "segment", "needs_weights": True},
    "yolov8": {"task": "detect"},
}


def overview(contents, *published, models=(), files=()):
    datasets = [DatasetSummary("spinal", published=published, tasks=("segment", "detect"))]
    return to_overview(
        build_rows([Result.from_json(content) for content in contents], datasets),
        datasets,
        dict(models),
        files,
    )


def scores(value):
    return {"dice": figure(value, value - 0.05, value + 0.05)}


def test_a_finding_links_to_its_rows_and_says_what_to_mind():
    text = overview([make_result(scores=scores(0.7))])
    assert (
        "- **[spinal · masks](LEADERBOARD.md#spinal--masks)**: unet, the only model so far: "
        "Dice .700 [.650, .750]. *one seed: how much training varies isn't known.*"
    ) in text.splitlines()
    assert "No result and no published score: spinal · boxes." in text


def test_no_single_seed_stands_for_a_model():
    """The better seed's .900 is nowhere: its model's mean is."""
    text = overview(
        [make_result(0.7, scores=scores(0.7)), make_result(0.9, seed=1, scores=scores(0.9))]
    )
    assert "Dice .800 [.750, .850]" in text and ".900" not in text


def test_published_scores_name_model_and_protocol():
    papers = [
        paper(),
        paper(name="Old", protocol="unknown", model=None, why="none", scores={"dice": 0.9}),
    ]
    row = "| [spinal · masks](LEADERBOARD.md#spinal--masks) | Dice .553 | U-Net | kumar2025-cnn |"
    assert row in overview([], *papers).splitlines()
    ours = overview([make_result(protocols={"kumar2025-cnn": by_the_paper(0.5)})], *papers)
    assert "## Published only" not in ours


def test_failed_rows_and_baselines_are_no_findings():
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


def test_models_without_a_result_are_listed_by_task():
    text = overview([make_result(scores=scores(0.7))], models=MODELS)
    assert "for masks fpn, samed\\*; for boxes yolov8. \\* On a few hundred images" in text
    failed = [
        make_result(
            status="failed",
            reason="full disk",
            protocol=None,
            primary=None,
            scores={},
            per_class={},
        )
    ]
    assert "for masks unet.\n" in overview(failed, models={"unet": MODELS["unet"]})
    assert "Models without a result" not in overview(
        [make_result()], models={"unet": MODELS["unet"]}
    )


def test_the_committed_page_is_short_and_says_that_images_leak():
    text = (ROOT / "results" / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert "7 of 40 test images resemble training images" in text
    assert "usbench leaderboard --check" in text


def test_only_files_that_are_there_are_listed():
    """The page of a new folder listed a catalogue that nobody had made."""
    assert "CATALOGUE" not in overview([])
    assert "| [CATALOGUE.md](CATALOGUE.md)," in overview([], files={"CATALOGUE.md"})
