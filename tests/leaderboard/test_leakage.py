"""Scores without the test images that resemble a training image: which images, which columns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.helpers.paths import ROOT
from tests.leaderboard.test_leaderboard import figure, make_result
from usbench.errors import DataError
from usbench.io.config import conf_dir
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.leakage import add_further_scores, score_without
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.page import view
from usbench.leaderboard.published import DatasetSummary, read_dataset, read_datasets
from usbench.results.result import Result
from usbench.results.store import ids_in_table, load_result

FOLDER = ROOT / "results"
UNET = FOLDER / "usgra" / "segment" / "unet-s0-7f7b7a8aae48.json"
YOLO = FOLDER / "usgra" / "detect" / "yolov8-s0-a2e08550419a.json"
USGRA = DatasetSummary("usgra", correlations={"a": 0.97, "b": 0.951, "c": 0.9, "d": 0.86})


@pytest.mark.parametrize(("path", "images"), [(UNET, 30), (YOLO, 29)])
def test_a_case_table_gives_the_scores_that_the_run_computed(path, images):
    """The result's own scores without the listed images, once more from its case table."""
    result = load_result(path)
    name = result.primary.name
    (got, expected) = (
        score_without(result, result.data.leakage.images, path, Cache())[name],
        result.scores[f"{name}:no-leak"],
    )
    assert (got.value, got.low, got.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-9
    )
    assert got.n == expected.n == images  # with the class in the fewest of the 33


def test_each_threshold_leaves_out_the_images_that_reach_it():
    """From the committed results: 10 and 19 of the 40 images of usgra are left out.

    Of the others 27 and 19 have the class that fewer have.
    """
    result = load_result(UNET)
    (scored,) = add_further_scores([result], read_datasets(conf_dir()), FOLDER, Cache())
    figures = scored.scores
    assert [figures[f"dice:r<{r}"].groups for r in ("0.9", "0.85")] == [27, 19]
    assert {name: figures[name] for name in result.scores} == result.scores
    known = Cache()
    add_further_scores([result], read_datasets(conf_dir()), FOLDER, known)
    again = add_further_scores([result], read_datasets(conf_dir()), FOLDER, known)
    assert again == [scored]


def test_what_was_trained_elsewhere_or_is_a_baseline_has_no_such_score():
    results = [
        replace(load_result(UNET), trained_on="kidney"),
        load_result(FOLDER / "usgra" / "segment" / "prior-9719cb73ee96.json"),
    ]
    assert add_further_scores(results, read_datasets(conf_dir()), FOLDER, Cache()) == results


def test_ids_are_hashed_as_in_the_case_table():
    result = load_result(UNET)
    assert ids_in_table(["test/0004"], result) == {"test/0004"}
    dataset = {**result.config["dataset"], "redistribute": "none"}
    hidden = replace(result, config={**result.config, "dataset": dataset})
    assert ids_in_table(["test/0004"], hidden) == {"98e31cf007f9"}  # sha256("usgratest/0004")


def leaking_rows(n, correlations):
    scores = {
        "dice": figure(0.7),
        "dice:no-leak": figure(0.65),
        "dice:r<0.9": figure(0.64),
        "dice:r<0.85": figure(0.63),
    }
    leak = {"n": n, "description": "some of 40 leak"}
    content = make_result(
        dataset="usgra", data={**make_result()["data"], "leakage": leak}, scores=scores
    )
    dataset = replace(USGRA, correlations=correlations)
    return build_rows([Result.from_json(content)], [dataset]), [dataset]


def test_columns_say_which_images_are_left_out():
    all_rows, datasets = leaking_rows(2, USGRA.correlations)
    text = to_markdown(all_rows, datasets)
    assert (
        "| **all images** | without 2 images (r ≥ .95) | without 3 images (r ≥ .90) "
        "| without 4 images (r ≥ .85) |"
    ) in text
    assert "| .700 | .650 | .640 | .630 |" in text
    assert (
        "Leakage: 2 test images correlate ≥ .95 with a training image (32×32 thumbnails), "
        "3 ≥ .90, 4 ≥ .85."
    ) in text
    assert "leakage: at least 2 images" in text and "no leakage" not in text
    (dataset,) = datasets
    notes = [note["text"] for note in view.list_notes(all_rows, dataset, "segment")]
    assert any("3 ≥ .90, 4 ≥ .85" in note for note in notes)
    assert ",dice:r<0.85,0.63," in to_csv(all_rows)


def test_images_that_were_listed_by_another_rule_have_no_threshold():
    all_rows, datasets = leaking_rows(7, USGRA.correlations)
    assert "| without 7 images | without 3" in to_markdown(all_rows, datasets)
    all_rows, datasets = leaking_rows(7, {})
    text = to_markdown(all_rows, datasets)
    assert "| without 7 images |" in text and "correlate" not in text


@pytest.mark.parametrize("correlations", ["{a: 2}", "{a: high}", "[a]", ".9"])
def test_correlations_that_are_none_are_named(tmp_path, correlations):
    path = tmp_path / "rings.yaml"
    path.write_text(f"leakage: {{description: x, correlations: {correlations}}}")
    with pytest.raises(DataError, match=r"rings\.yaml: leakage\.correlations: expected"):
        read_dataset(path)


def test_the_listed_images_of_usgra_are_those_of_the_first_threshold():
    (usgra,) = (dataset for dataset in read_datasets(conf_dir()) if dataset.name == "usgra")
    listed = load_result(UNET).data.leakage.images
    similar = sorted(image for image, value in usgra.correlations.items() if value >= 0.95)
    assert similar == sorted(listed)
    assert usgra.count_similar() == {0.95: 7, 0.9: 10, 0.85: 19}
