"""From stored predictions to scores and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbench.datasets.config import SplitConfig, ViewConfig
from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.layouts.index_masks import IndexMasks
from usbench.errors import ConfigError, DataError
from usbench.io.config import build
from usbench.metrics import mask_overlap
from usbench.metrics.ratios import mean_defined
from usbench.metrics.scores import Figure
from usbench.results import scoring
from usbench.results.gallery import cases as gallery_cases
from usbench.results.gallery.sheet import draw_overlays
from usbench.results.predictions import StoredPredictions, read_predictions, write_predictions
from usbench.results.result import figures_to_json
from usbench.types import Masks, Sample

FOLDERS = {split: (f"{split}/images", f"{split}/masks") for split in ("train", "val", "test")}
METRIC = {
    "_target_": "usbench.metrics.segment_scorer.SegmentScorer",
    "protocols": ["usbench", "pooled"],
    "primary": "dice",
}
EMPTY = np.zeros((1, 4, 4), bool)


def block(columns: int) -> np.ndarray:
    """(1, 4, 4): the first columns are set."""
    plane = EMPTY.copy()
    plane[0, :, :columns] = True
    return plane


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Three test images with 2, 2 and 0 columns of the one class."""
    layout = IndexMasks(["blob"], FOLDERS)  # type: ignore[arg-type]
    grey = np.zeros((4, 4), np.uint8)
    samples = [
        Sample(f"{n}", f"g{n}", grey, Masks(block(c)), split="test")
        for n, c in enumerate((2, 2, 0))
    ]
    others = [replace(samples[0], id=split, split=split) for split in ("train", "val")]
    layout.write(tmp_path / "release", [*samples, *others])
    view, split = ViewConfig({}, exclusive=True), SplitConfig("the release's")
    return open_view("blobs", "segment", view, layout, tmp_path / "release", split, None)


def predict(dataset: Dataset, folder: Path, columns: tuple[int, ...]) -> StoredPredictions:
    """Store predictions of that many columns each."""
    folder.mkdir(exist_ok=True)
    samples = dataset.samples("test")
    masks = (Masks(block(c), np.ones(1, np.float32)) for c in columns)
    assert write_predictions(folder, "test", samples, masks) == 3
    return read_predictions(folder, "test", samples)


def test_scores_come_from_the_files(dataset, tmp_path):
    """Dice 2·8/(8+8) = 1, 2·4/(4+8) = 2/3; the third image has no blob at all and is skipped."""
    predictions = predict(dataset, tmp_path / "run", (2, 1, 0))
    scores = scoring.score(METRIC, predictions).protocol.scores
    assert scores["dice"].value == pytest.approx((1 + 2 / 3) / 2)
    assert scores["pooled_dice"].value == pytest.approx(2 * 12 / (16 + 12))
    assert scores["empty_false_positive_rate"].value == 0.0


def test_a_leak_gets_a_second_figure(dataset, tmp_path):
    predictions = predict(dataset, tmp_path / "run", (2, 1, 0))
    scores = scoring.score(METRIC, predictions, leaking=["test/0"]).protocol.scores
    assert scores["dice"].value == pytest.approx((1 + 2 / 3) / 2)
    assert scores["dice:no-leak"].value == pytest.approx(2 / 3) and scores["dice:no-leak"].n == 1


def test_predictions_of_other_images_are_refused(dataset, tmp_path):
    samples = predict(dataset, tmp_path / "run", (2, 1, 0)).samples
    with pytest.raises(DataError, match=r"expected predictions of the test split.*their number"):
        read_predictions(tmp_path / "run", "test", samples[:2])
    with pytest.raises(DataError, match=r"test/0 differs"):
        read_predictions(tmp_path / "run", "test", samples[1:])


def test_a_metric_of_one_s_own_is_a_mean_over_the_cases_where_it_is_defined(dataset, tmp_path):
    def width(target, output):
        return float(output.planes.any((0, 1)).sum()) if target.planes.any() else None

    predictions = predict(dataset, tmp_path / "run", (2, 1, 0))
    scorer = build({**METRIC, "extra": {"width": width}}, classes=dataset.classes)
    for sample, prediction in predictions.pairs():
        scorer.update(sample.id, sample.group, sample.target, prediction)
    assert scorer.result().protocol.scores["width"].value == 1.5


def test_the_worst_median_and_best_case_are_drawn(dataset, tmp_path):
    predictions = predict(dataset, tmp_path / "run", (2, 1, 1))
    rows = scoring.score(METRIC, predictions).cases
    quality = dict(gallery_cases.rank_cases(gallery_cases.parse_rows(rows), "segment"))
    assert quality == {"test/0": 1.0, "test/1": pytest.approx(2 / 3), "test/2": 0.0}
    (path,) = draw_overlays(predictions, rows, "blobs · hand", "us")
    assert path == tmp_path / "run" / "overlays.png" and path.read_bytes()[:4] == b"\x89PNG"


def row(**values):
    """A row of a case table."""
    return {"case": "a", "class": "blob", **values}


@given(st.lists(st.tuples(*[st.integers(0, 50_000)] * 3), max_size=7))
def test_a_case_s_dice_is_the_metric_s(counts):
    """The mean of usbench.metrics.overlap where it is defined, to the last bit; 1 elsewhere."""
    rows = [row(tp=tp, fp=fp, fn=fn) for tp, fp, fn in counts]
    rows = gallery_cases.parse_rows([*rows, row(tp=None, fp=None, fn=None)])
    with_arrays = float(mean_defined(mask_overlap.dice(np.array(counts, np.int64).reshape(-1, 3))))
    assert gallery_cases.mean_dice(rows) == (1.0 if np.isnan(with_arrays) else with_arrays)


def test_f1_of_drawn_boxes():
    """2 targets; a hit at .9, a miss at .5, a hit below the drawn confidence: F1 = 2·1/(2+2)."""
    head = row(truths=2, score=None, matches=None)
    boxes = [
        row(truths=None, score=score, matches="m" + hit + "0" * 9)
        for score, hit in ((0.9, "1"), (0.5, "0"), (0.1, "1"))
    ]
    assert gallery_cases.f1(gallery_cases.parse_rows([head, *boxes])) == 0.5
    assert gallery_cases.f1(gallery_cases.parse_rows([{**head, "truths": 0}])) == 1.0


def test_undefined_figures_keep_their_reason():
    figures = {"dice": Figure.of(float("nan"), np.zeros(3, bool), "why"), "iou": Figure(0.5, 3)}
    content = figures_to_json(figures)
    assert content["dice"] == {
        "value": None,
        "low": None,
        "high": None,
        "method": None,
        "n": 0,
        "groups": None,
        "reason": "why",
    }
    assert content["iou"]["value"] == 0.5 and "reason" not in content["iou"]


@pytest.mark.parametrize(
    "node",
    [{"_target_": "no.such.module"}, {"_target_": "usbench.metrics.segment_scorer.SegmentScorer"}],
)
def test_a_target_that_cannot_be_built_is_a_configuration_error(node):
    with pytest.raises(ConfigError, match=r"no\.such|SegmentScorer") as wrong:
        build(node)
    assert "\n" not in str(wrong.value)
