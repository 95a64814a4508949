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
from usbench.errors import DataError
from usbench.evaluate.coco import read_instances, score_instances

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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
def test_the_twelve_figures_are_pycocotools(tmp_path, seed, crowds, masks):
    paths = lay(tmp_path, seed, masks, crowds)
    protocol = score_instances(read_instances(*paths, strict=False), None).protocol
    expected = theirs(*paths, "segm" if masks else "bbox").stats
    for name, figure in zip(TWELVE, expected, strict=True):
        value = protocol.scores[name].value
        assert value == (None if figure == -1 else pytest.approx(figure, abs=1e-9)), name
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
