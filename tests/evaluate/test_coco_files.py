"""COCO's own files: parity with pycocotools on boxes and masks, crowds, ties, empty images."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as reference_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from usbench.cli import score
from usbench.datasets.codecs import rle
from usbench.datasets.codecs.coco import read_coco_results
from usbench.datasets.codecs.coco_targets import read_coco_targets
from usbench.errors import DataError
from usbench.evaluate.coco import PROTOCOL, match_instances, read_instances, score_instances
from usbench.metrics import box_protocols
from usbench.metrics.detect_scorer import DetectScorer
from usbench.types import Boxes

TWELVE = (
    "map50_95",
    "map50",
    "map75",
    "map_small",
    "map_medium",
    "map_large",
    "ar1",
    "ar10",
    "ar100",
)
TWELVE += ("ar_small", "ar_medium", "ar_large")
SIZE = (120, 160)


def region(rng: np.random.Generator, box: list[int], size: tuple[int, int]) -> dict[str, Any]:
    """An ellipse in the box, as run lengths."""
    y, x = np.mgrid[: size[0], : size[1]]
    left, top, width, height = box
    turned = ((x - left - width / 2) / width) ** 2 + ((y - top - height / 2) / height) ** 2
    plane = turned < rng.uniform(0.2, 0.25)
    plane[min(top, size[0] - 1), min(left, size[1] - 1)] = True
    return {"size": list(size), "counts": rle.encode_rle(plane)}


def lay(folder: Path, seed: int, masks: bool, crowds: bool) -> tuple[Path, Path]:
    """Random files, with images without objects and a category that is only predicted."""
    rng = np.random.default_rng(seed)
    images = [
        {"id": 10 + n, "file_name": f"{n:02d}.png", "height": SIZE[0], "width": SIZE[1]}
        for n in range(12)
    ]
    categories = [{"id": n, "name": f"c{n}"} for n in (2, 5, 7)]
    targets: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for n, image in enumerate(images):
        for _ in range(int(rng.integers(0, 5)) if n % 4 else 0):
            box = [int(v) for v in (*rng.integers(0, (60, 50)), *rng.integers(6, (100, 70)))]
            crowd = int(crowds and rng.random() < 0.3)
            annotation = {
                "id": len(targets) + 1,
                "image_id": image["id"],
                "category_id": int(rng.choice([2, 5])),
                "bbox": box,
            }
            annotation |= {"area": box[2] * box[3], "iscrowd": crowd}
            if masks:
                annotation["segmentation"] = region(rng, box, SIZE)
                annotation["area"] = int(reference_mask.area(annotation["segmentation"]))
            targets.append(annotation)
            for _ in range(int(rng.integers(0, 3))):
                near = [
                    max(int(v + rng.integers(-4, 5)), low)
                    for v, low in zip(box, (0, 0, 3, 3), strict=True)
                ]
                near[2], near[3] = min(near[2], SIZE[1] - near[0]), min(near[3], SIZE[0] - near[1])
                predictions.append(
                    {
                        "image_id": image["id"],
                        "category_id": annotation["category_id"],
                        "bbox": near,
                    }
                )
        for _ in range(int(rng.integers(0, 3)) if n % 5 else 0):
            box = [int(v) for v in (*rng.integers(0, (60, 50)), *rng.integers(6, (100, 70)))]
            predictions.append(
                {"image_id": image["id"], "category_id": int(rng.choice([2, 5, 7])), "bbox": box}
            )
    for prediction in predictions:
        prediction["score"] = float(np.round(rng.uniform(0.05, 1), 1))
        if masks:
            prediction["segmentation"] = region(rng, prediction.pop("bbox"), SIZE)
    (folder / "gt.json").write_text(
        json.dumps({"images": images, "categories": categories, "annotations": targets})
    )
    (folder / "dt.json").write_text(json.dumps(predictions))
    return folder / "gt.json", folder / "dt.json"


def theirs(targets: Path, predictions: Path, kind: str) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(str(targets))
        evaluation = COCOeval(gt, gt.loadRes(str(predictions)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def lay_awkward(folder: Path, seed: int, single: bool = False) -> tuple[Path, Path]:
    """Files with everything that orders or sizes differently.

    Image ids that neither the file's order nor the names' follow, one-digit scores, crowds, stated
    areas that aren't the boxes', corners that float32 rounds, boxes of an IoU of exactly .8. single: without crowds and such an IoU, which corners can miss by one bit.
    """
    rng = np.random.default_rng(seed)
    ids, names = rng.permutation(90)[:6] + 1, rng.permutation(6)
    images = [
        {"id": int(image_id), "file_name": f"{name}.png", "height": 120, "width": 160}
        for image_id, name in zip(ids, names, strict=True)
    ]
    targets: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for image_id in ids.tolist():
        for _ in range(int(rng.integers(0, 5))):
            box = np.concatenate([rng.uniform(0, 60, 2), rng.uniform(5, 50, 2)]).round(1).tolist()
            category = int(rng.choice([7, 2, 5]))
            place = {"image_id": image_id, "category_id": category}
            stated = {
                "iscrowd": int(not single and rng.random() < 0.2),
                "area": float(rng.uniform(10, 2500)),
            }
            targets.append({"id": len(targets) + 1, "bbox": box, **place, **stated})
            cut = [*box[:3], round(box[3] * 0.8, 3)]
            near = np.add(box, [*rng.normal(0, 2, 2), 0, 0]).clip(0).round(1).tolist()
            for bbox in (near, near if single else cut)[: int(rng.integers(0, 3))]:
                predictions.append({"bbox": bbox, **place})
        for _ in range(2):
            box = rng.uniform(5, 50, 4).round(1).tolist()
            place = {"image_id": image_id, "category_id": int(rng.choice([2, 5]))}
            predictions.append({"bbox": box, **place})
    for prediction in predictions:
        prediction["score"] = float(rng.integers(1, 10)) / 10
    order = rng.permutation(len(predictions))
    categories = [{"id": n, "name": f"c{n}"} for n in (7, 2, 5)]
    parts = {"images": images, "categories": categories, "annotations": targets}
    (folder / "gt.json").write_text(json.dumps(parts))
    (folder / "dt.json").write_text(json.dumps([predictions[n] for n in order]))
    return folder / "gt.json", folder / "dt.json"


@pytest.mark.simulate
@pytest.mark.parametrize("start", range(0, 200, 50))
def test_two_hundred_awkward_sets_are_pycocotools_to_1e_12(tmp_path, start):
    """Ties, crowds, areas and unordered ids; of the rules before, most of these sets differed."""
    for seed in range(start, start + 50):
        check_awkward(tmp_path, seed)


def test_four_awkward_sets_are_pycocotools_to_1e_12(tmp_path):
    for seed in range(200, 204):
        check_awkward(tmp_path, seed)


def check_awkward(folder: Path, seed: int) -> None:
    """Raise AssertionError unless the twelve figures are pycocotools'."""
    paths = lay_awkward(folder, seed)
    instances = read_instances(*paths, strict=False)
    matches = match_instances(instances)
    figures, _ = box_protocols.box_figures(PROTOCOL, matches, instances.classes)
    for name, expected in zip(TWELVE, theirs(*paths, "bbox").stats, strict=True):
        value = figures[name].value
        assert (-1 if value is None else value) == pytest.approx(expected, abs=1e-12), (seed, name)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_of_a_data_set_keep_the_areas_that_the_file_states(tmp_path, seed):
    """AP by size of `dataset=folder`, whose targets are `CocoTargets.boxes`, is pycocotools' too."""
    targets, predictions = lay_awkward(tmp_path, seed, single=True)
    known = read_coco_targets(targets)
    classes = known.names
    results = read_coco_results(predictions, known)
    by_id = dict(zip(known.categories, range(9), strict=False))
    labels = [classes.index(known.categories[key].name) for key in by_id]
    scorer = DetectScorer(classes)
    for name in map(known.file_names.get, sorted(known.file_names)):
        found = results.get(name, [])
        bboxes = np.array([result.bbox for result in found], np.float64).reshape(-1, 4)
        bboxes[:, 2:] += bboxes[:, :2]
        prediction = Boxes(
            bboxes,
            np.array([labels[result.label] for result in found], np.int64),
            np.array([result.score for result in found], np.float64),
        )
        scorer.update(name, name, known.boxes(name, classes), prediction)
    figures = scorer.result().protocol.scores
    for name, expected in zip(TWELVE, theirs(targets, predictions, "bbox").stats, strict=True):
        value = figures[name].value
        assert (-1 if value is None else value) == pytest.approx(expected, abs=1e-12), name


def test_an_iou_of_exactly_the_threshold_counts(tmp_path):
    """Float32 made .79999 of the .8 of corners at a tenth of a pixel."""
    place = {"image_id": 1, "category_id": 1}
    parts = {
        "images": [{"id": 1, "file_name": "a.png", "height": 120, "width": 160}],
        "categories": [{"id": 1, "name": "c"}],
        "annotations": [{"id": 1, "bbox": [0.3, 0.7, 10, 10], "area": 100, "iscrowd": 0, **place}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(parts))
    prediction = {"bbox": [0.3, 0.7, 8, 10], "score": 0.9, **place}
    (tmp_path / "dt.json").write_text(json.dumps([prediction]))
    paths = tmp_path / "gt.json", tmp_path / "dt.json"
    scores = score_instances(read_instances(*paths, strict=False), None).protocol.scores
    assert scores["map50_95"].value == pytest.approx(0.7)  # at .50, .55 … .80
    assert scores["map50_95"].value == pytest.approx(theirs(*paths, "bbox").stats[0], abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
def test_the_twelve_figures_are_pycocotools(tmp_path, seed, crowds, masks):
    paths = lay(tmp_path, seed, masks, crowds)
    protocol = score_instances(read_instances(*paths, strict=False), None).protocol
    expected = theirs(*paths, "segm" if masks else "bbox").stats
    for name, figure in zip(TWELVE, expected, strict=True):
        value = protocol.scores[name].value
        assert value == (None if figure == -1 else pytest.approx(figure, abs=1e-12)), name
    assert protocol.scores["map50"].value > 0.1 and protocol.target_score["map50_95"].value == 1
    assert protocol.per_class["c7"]["map50"].value is None


def test_masks_are_said_and_scored_by_the_command(tmp_path, capsys):
    targets, predictions = lay(tmp_path, 0, True, True)
    arguments = [
        "--task",
        "detect",
        "--targets",
        str(targets),
        "--predictions",
        str(predictions),
        "--json",
        str(tmp_path / "out.json"),
    ]
    assert score.main([*arguments, "--group", r"^(\d)"]) == 0
    made = json.loads((tmp_path / "out.json").read_text())
    assert (
        "of masks (run lengths)" in made["protocol"]["description"] and made["data"]["groups"] == 2
    )
    assert "all classes" in capsys.readouterr().out
    assert score.main([*arguments, "--protocol", "ultralytics"]) == 2
    assert "COCO's files are scored under coco" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda annotation: annotation.update(segmentation=[[1, 1, 5, 1, 5, 5]]),
            "a segmentation of size and compressed counts",
        ),
        (
            lambda annotation: annotation["segmentation"].update(size=[5, 5]),
            r"a mask of its image's size \[120, 160\]",
        ),
        (
            lambda annotation: annotation["segmentation"].update(counts="0"),
            "compressed run lengths",
        ),
    ],
)
def test_bad_masks_are_refused(tmp_path, change, message):
    targets, predictions = lay(tmp_path, 0, True, False)
    listed = json.loads(predictions.read_text())
    change(listed[0])
    predictions.write_text(json.dumps(listed))
    with pytest.raises(DataError, match=message):
        read_instances(targets, predictions, strict=False)
