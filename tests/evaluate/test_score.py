"""usbench score: files by hand with answers by hand, every way of being wrong, and no torch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.paths import ROOT
from usbench.cli import score, score_work
from usbench.datasets.codecs import label_png


def lay_mask(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    label_png.write_label_png(
        path,
        np.array([[int(mark) if mark != "x" else 255 for mark in row] for row in rows], np.uint8),
    )


@pytest.fixture
def masks(tmp_path) -> list[str]:
    """pig1_a: Dice of class a 2·2/(2+4) = 2/3; pig1_b: both without a; pig2_a: all right. b is only
    in pig2_a."""
    lay_mask(tmp_path / "targets/pig1_a.png", "110", "000")
    lay_mask(tmp_path / "targets/pig1_b.png", "000", "000")
    lay_mask(tmp_path / "targets/pig2_a.png", "110", "022")
    lay_mask(tmp_path / "predictions/pig1_a.png", "110", "110")
    lay_mask(tmp_path / "predictions/pig1_b.png", "000", "000")
    lay_mask(tmp_path / "predictions/pig2_a.png", "110", "022")
    return [
        "--task",
        "segment",
        "--targets",
        str(tmp_path / "targets"),
        "--predictions",
        str(tmp_path / "predictions"),
        "--classes",
        "a,b",
    ]


def run(arguments: list[str], tmp_path: Path) -> dict:
    assert score.main([*arguments, "--json", str(tmp_path / "out.json")]) == 0
    report: dict = json.loads((tmp_path / "out.json").read_text())
    return report


def test_masks_by_hand(masks, tmp_path):
    report = run([*masks, "--group", r"^(pig\d+)_"], tmp_path)
    assert report["task"] == "segment" and report["classes"] == ["a", "b"]
    assert report["per_class"]["a"]["dice"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert (
        report["per_class"]["a"]["dice"]["n"] == 2
        and report["per_class"]["b"]["dice"]["value"] == 1
    )
    assert report["scores"]["dice"]["value"] == pytest.approx((5 / 6 + 1) / 2)
    assert (
        report["scores"]["dice"]["low"] is None and "got 1" in report["scores"]["dice"]["interval"]
    )
    assert report["data"] == {"images": 3, "groups": 2, "missing": []}
    assert (report["protocol"]["name"], report["primary"]["name"]) == ("usbench", "dice")
    assert [case["case"] for case in report["cases"]] == ["pig1_a"] * 2 + ["pig1_b"] * 2 + [
        "pig2_a"
    ] * 2
    assert "hd95" not in report["scores"] and report["scores"]["hd95_mm"]["value"] is None


def test_millimetres_have_plain_names_too(masks, tmp_path):
    report = run([*masks, "--spacing-mm", "0.5,0.25", "--tolerance-mm", "0.1"], tmp_path)
    figures = report["per_class"]["a"]
    assert (
        figures["hd"]["value"] == figures["hd_mm"]["value"] == pytest.approx(0.25)
    )  # a row (.5) for one image, 0 for one
    assert figures["nsd"]["value"] == figures["nsd_mm"]["value"] < 1
    assert report["scores"]["hd95"] == report["scores"]["hd95_mm"] and "assd" in report["scores"]
    assert "in mm at 0.1 mm" in report["protocol"]["description"]


def test_a_value_to_be_ignored_counts_nowhere(masks, tmp_path):
    lay_mask(tmp_path / "targets/pig1_a.png", "110", "xx0")
    assert run([*masks, "--ignore", "255"], tmp_path)["per_class"]["a"]["dice"]["value"] == 1
    assert score.main(masks) == 1


def test_classes_may_have_other_values_in_the_masks(masks, tmp_path, capsys):
    expected = run([*masks, "--ignore", "7"], tmp_path)
    for path in tmp_path.glob("*/*.png"):
        pixels = np.array(Image.open(path))
        Image.fromarray(np.array([0, 255, 1], np.uint8)[pixels]).save(path)
    words = [*masks[:-2], "--values", "a=255,b=1"]
    found = run([*words, "--ignore", "7"], tmp_path)
    assert (found["scores"], found["cases"]) == (expected["scores"], expected["cases"])
    capsys.readouterr()
    for values in ("a", "a=0,b=1", "a=1,b=1", "a=1,a=2", "a=256,b=1", "=1", ""):
        assert score.main([values if word == "a=255,b=1" else word for word in words]) == 2
        assert f"--values {values}: expected another value of 1..255" in capsys.readouterr().err


def test_classes_and_values_may_both_be_given_where_they_agree(masks, tmp_path, capsys):
    assert masks[-2] == "--classes"
    values = ["--ignore", "7", "--values", "b=2,a=1"]
    assert run([*masks, *values], tmp_path) == run([*masks[:-2], *values], tmp_path)
    capsys.readouterr()
    assert score.main([*masks, "--values", "a=1,c=2"]) == 2
    assert "expected the classes of --classes (a, b), got a, c" in capsys.readouterr().err


def save_as(folder: Path, mode: str, white: int) -> None:
    """Save masks of an only class in a mode of Pillow, with another value for it."""
    for path in folder.glob("*.png"):
        pixels = np.array(Image.open(path))
        stretched = np.where(pixels, white, 0).astype(np.uint8)
        Image.fromarray(stretched).convert(mode).save(path)


@pytest.mark.parametrize("names", [["--classes", "head"], ["--values", "head=255"]])
@pytest.mark.parametrize(
    ("targets", "predictions"),
    [(("L", 255), ("L", 255)), (("1", 255), ("L", 255)), (("L", 255), ("L", 1))],
)
def test_masks_of_one_class_may_be_white_or_of_one_bit(tmp_path, names, targets, predictions):
    """Dice 2·1/(2+1) = 2/3, and 1."""
    for place, first in (("targets", "110"), ("predictions", "100")):
        lay_mask(tmp_path / place / "1.png", first, "000")
        lay_mask(tmp_path / place / "2.png", "011", "000")
        save_as(tmp_path / place, *(targets if place == "targets" else predictions))
    places = [
        "--targets",
        str(tmp_path / "targets"),
        "--predictions",
        str(tmp_path / "predictions"),
    ]
    report = run(["--task", "segment", *places, *names], tmp_path)
    assert report["classes"] == ["head"]
    assert report["scores"]["dice"]["value"] == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("second", "values", "message"),
    [
        ("0xx", "head=255", "expected head as 1, as in the masks before it, got 255"),
        ("01x", "head=1", "expected a mask of 0 background, 1 head, got 255"),
        ("011", "head=128", "expected a mask of 0 background, 128 head, got 1"),
        ("011", "head=255,neck=1", "expected a mask of 0 background, 255 head, 1 neck, got 2"),
    ],
)
def test_what_white_may_mean_is_no_guess(tmp_path, capsys, second, values, message):
    for place in ("targets", "predictions"):
        lay_mask(tmp_path / place / "1.png", "110" if "neck" not in values else "220")
        lay_mask(tmp_path / place / "2.png", second)
    places = [
        "--targets",
        str(tmp_path / "targets"),
        "--predictions",
        str(tmp_path / "predictions"),
    ]
    assert score.main(["--task", "segment", *places, "--values", values]) == 1
    assert message in capsys.readouterr().err


def test_too_few_groups_for_intervals_are_said(masks, tmp_path, capsys):
    """Class a is in two images, b in one."""
    run(masks, tmp_path)
    output = capsys.readouterr().out
    assert "no interval of dice (a), iou (a), nsd (a), hd95_px (a): expected at least" in output
    assert "no interval of dice, iou, nsd, hd95_px: expected at least 5 groups, got 1" in output


def test_another_protocol_may_report(masks, tmp_path):
    report = run([*masks, "--protocol", "kidneyus", "--protocol", "pooled"], tmp_path)
    assert report["protocol"]["name"] == "kidneyus" and list(report["protocols"]) == ["pooled"]
    assert report["per_class"]["a"]["dice"]["value"] == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_a_missing_prediction_is_an_empty_one_and_counted(masks, tmp_path, capsys):
    (tmp_path / "predictions/pig2_a.png").unlink()
    report = run(masks, tmp_path)
    assert (
        report["data"]["missing"] == ["pig2_a"] and report["per_class"]["b"]["dice"]["value"] == 0
    )
    assert "1 of 3 images have no prediction" in capsys.readouterr().err
    assert score.main([*masks, "--strict"]) == 1
    assert "no prediction of 'pig2_a' found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "more", "code", "message"),
    [
        (
            lambda t: lay_mask(t / "predictions/other.png", "000"),
            [],
            1,
            "images to score, got 'other'",
        ),
        (
            lambda t: lay_mask(t / "predictions/pig1_a.png", "11", "00"),
            [],
            1,
            "size of its target (2, 3), got (2, 2)",
        ),
        (
            lambda t: lay_mask(t / "predictions/pig1_a.png", "113", "000"),
            [],
            1,
            "expected a mask of 0 background, 1 a, 2 b, got 3; name its class",
        ),
        (
            lambda t: (t / "predictions/pig1_a.PNG").write_bytes(
                (t / "predictions/pig1_a.png").read_bytes()
            ),
            [],
            1,
            "'pig1_a' twice",
        ),
        (
            lambda t: [path.unlink() for path in (t / "targets").iterdir()],
            [],
            1,
            "got 'pig1_a' (3 such)",
        ),
        (
            lambda t: [
                path.unlink() for d in ("targets", "predictions") for path in (t / d).iterdir()
            ],
            [],
            1,
            "no target to score",
        ),
        (lambda t: (t / "predictions/pig1_a.png").write_bytes(b""), [], 1, "pig1_a.png: expected"),
        (lambda t: None, ["--classes", "a,a"], 2, "different names"),
        (lambda t: None, ["--classes", ""], 2, "got none"),
        (lambda t: None, ["--ignore", "2"], 2, "a value of 1..255 besides the classes' (1 a, 2 b)"),
        (lambda t: None, ["--spacing-mm", "1"], 2, "two lengths"),
        (lambda t: None, ["--spacing-mm", "1,nan"], 2, "two lengths above 0"),
        (lambda t: None, ["--group", "(("], 2, "a regular expression"),
        (lambda t: None, ["--group", "pig"], 2, "with a group"),
        (lambda t: None, ["--group", "(cow)"], 1, "pig1_a: expected a name that --group"),
        (lambda t: None, ["--protocol", "dsc"], 2, "expected one or more different names of"),
        (lambda t: None, ["--tolerance-mm", "-1"], 2, "a length of 0 or more"),
        (lambda t: None, ["--targets", "nowhere"], 1, "nowhere: expected a folder of .png files"),
    ],
)
def test_bad_input_is_refused_with_one_line(masks, tmp_path, capsys, damage, more, code, message):
    damage(tmp_path)
    assert score.main([*masks, *more]) == code
    output = capsys.readouterr().err
    assert message in output and output.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--spacing-mm", "1,1"), ("--classes", "a"), ("--group", "(a)"), ("--protocol", "pooled")],
)
def test_a_dataset_takes_no_options_of_files(option, value, capsys):
    dataset = ["--task", "segment", "--dataset", "usgra", "--predictions", "p", "--name", "n"]
    with pytest.raises(SystemExit, match="2"):
        score.main([*dataset, option, value])
    assert f"{option} goes with --targets; a dataset has its own" in capsys.readouterr().err


# ---- boxes


def coco(boxes: list[dict], name: str = "lesion") -> dict:
    images = [{"id": n, "file_name": f"{n}.png", "height": 100, "width": 200} for n in (7, 9)]
    return {"images": images, "categories": [{"id": 3, "name": name}], "annotations": boxes}


def target_entry(image: int, bbox: list[float], number: int) -> dict:
    area = bbox[2] * bbox[3]
    return {
        "id": number,
        "image_id": image,
        "category_id": 3,
        "bbox": bbox,
        "area": area,
        "iscrowd": 0,
    }


def prediction_entry(
    image: object, bbox: object, value: object = 0.9, category: object = 3
) -> dict:
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": value}


@pytest.fixture
def boxes(tmp_path) -> list[str]:
    (tmp_path / "gt.json").write_text(
        json.dumps(
            coco([target_entry(7, [10, 10, 20, 20], 1), target_entry(9, [50, 10, 40, 40], 2)])
        )
    )
    (tmp_path / "dt.json").write_text(
        json.dumps(
            [prediction_entry(7, [10, 10, 20, 20]), prediction_entry(9, [100, 50, 10, 10], 0.8)]
        )
    )
    return [
        "--task",
        "detect",
        "--targets",
        str(tmp_path / "gt.json"),
        "--predictions",
        str(tmp_path / "dt.json"),
    ]


def test_boxes_by_hand(boxes, tmp_path):
    """One of two found, before the false one: precision 1 up to recall .5, so 51 of 101 points."""
    report = run(boxes, tmp_path)
    assert report["scores"]["map50"]["value"] == pytest.approx(51 / 101)
    assert (
        report["per_class"]["lesion"]["ar100"]["value"] == 0.5 and report["data"]["missing"] == []
    )


def test_yolo_folders_score_as_the_same_boxes_in_px(boxes, tmp_path):
    for folder in ("t", "p"):
        (tmp_path / folder).mkdir()
    (tmp_path / "t/classes.txt").write_text("lesion\n")
    (tmp_path / "t/7.txt").write_text("0 0.1 0.2 0.1 0.2\n")
    (tmp_path / "t/9.txt").write_text("0 0.35 0.3 0.2 0.4\n")
    (tmp_path / "p/7.txt").write_text("0 0.1 0.2 0.1 0.2 0.9\n")
    (tmp_path / "p/9.txt").write_text("0 0.525 0.55 0.05 0.1 0.8\n")
    report = run(
        [
            "--task",
            "detect",
            "--targets",
            str(tmp_path / "t"),
            "--predictions",
            str(tmp_path / "p"),
        ],
        tmp_path,
    )
    assert report["scores"]["map50"]["value"] == pytest.approx(51 / 101) and report["classes"] == [
        "lesion"
    ]
    assert not [
        name for name in report["scores"] if name.endswith(score_work.BY_AREA)
    ]  # no px, no areas


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([prediction_entry(8, [0, 0, 5, 5])], "the image_id of one of the targets' images"),
        (
            [prediction_entry(7, [0, 0, 5, 5], category=1)],
            "the category_id of one of the targets' categories",
        ),
        ([prediction_entry(7, [0, 0, 5, 5], 1.5)], "a score of 0..1"),
        ([prediction_entry(7, [0, 0, 5, 5], None)], "a score of 0..1"),
        ([prediction_entry(7, [0, 0, -5, 5])], "without a negative side"),
        ([prediction_entry(7, [0, math.nan, 5, 5])], "four finite numbers"),
        ([prediction_entry(7, [0, math.inf, 5, 5])], "four finite numbers"),
        ([prediction_entry(7, [0, 0, 5])], "four finite numbers"),
        ([], "got an empty list"),
        ({"annotations": []}, "a list of COCO results"),
    ],
)
def test_bad_results_are_refused_with_one_line(boxes, tmp_path, capsys, results, message):
    (tmp_path / "dt.json").write_text(json.dumps(results))
    assert score.main(boxes) == 1
    output = capsys.readouterr().err
    assert message in output and output.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 .5 .5 .1 .1", "got 5 columns"),
        ("0 .5 .5 .1 .1 2", "a confidence of 0..1"),
        ("4 .5 .5 .1 .1 .5", "a class number"),
        ("0 .5 .5 7 .1 .5", "as a fraction"),
        ("0 .5 .5 .1 .1 nan", "a number as confidence"),
    ],
)
def test_bad_yolo_predictions_are_refused(tmp_path, capsys, line, message):
    for folder, text in (("t", "0 .5 .5 .1 .1\n"), ("p", line + "\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.txt").write_text(text)
    words_given = [
        "--task",
        "detect",
        "--targets",
        str(tmp_path / "t"),
        "--predictions",
        str(tmp_path / "p"),
        "--classes",
        "a",
    ]
    assert score.main(words_given) == 1
    assert message in capsys.readouterr().err


def test_a_target_without_a_single_object_is_undefined_with_a_reason(boxes, tmp_path):
    (tmp_path / "gt.json").write_text(json.dumps(coco([])))
    report = run(boxes, tmp_path)
    assert report["scores"]["map50"]["value"] is None and report["scores"]["map50"]["reason"]


# ---- landmarks


def labels(**names: tuple[str, str, str]) -> dict:
    return {
        "labels": {name: {"type": kind, "x": x, "y": y} for name, (kind, x, y) in names.items()}
    }


@pytest.fixture
def marks(tmp_path) -> list[str]:
    true = {
        "1.png": labels(a=("point", "10", "10"), b=("off", "", "")),
        "2.png": labels(a=("point", "0", "0"), b=("point", "5", "5")),
    }
    seen = {
        "1.png": labels(a=("point", "13", "14"), b=("point", "1", "1")),
        "2.png": labels(a=("point", "0", "1"), b=("point", "5", "5")),
    }
    seen["1.png"]["labels"]["b"]["score"] = 0.25
    (tmp_path / "true.json").write_text(json.dumps(true))
    (tmp_path / "seen.json").write_text(json.dumps(seen))
    return [
        "--task",
        "landmark",
        "--targets",
        str(tmp_path / "true.json"),
        "--predictions",
        str(tmp_path / "seen.json"),
    ]


def test_landmarks_by_hand(marks, tmp_path):
    report = run(marks, tmp_path)
    assert (
        report["per_class"]["a"]["mre_px"]["value"] == 3
        and report["scores"]["mre_px"]["value"] == 2
    )
    assert report["scores"]["presence_auroc"]["value"] == 1
    assert report["per_class"]["a"]["mre_mm"]["value"] is None


def test_landmarks_in_millimetres_by_hand(marks, tmp_path):
    """3 columns of 2 mm and 4 rows of 1 mm, then 1 row of 1 mm: the mean of √52 and 1."""
    report = run([*marks, "--spacing-mm", "1,2"], tmp_path)
    assert report["per_class"]["a"]["mre_mm"]["value"] == pytest.approx((52**0.5 + 1) / 2)
    assert report["per_class"]["a"]["mre_px"]["value"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda seen: seen.pop("2.png"), "expected a place for every name in every image"),
        (lambda seen: seen["1.png"]["labels"].pop("a"), "1.png: a: expected a place"),
        (lambda seen: seen["1.png"]["labels"]["a"].update(x="nan"), "a: expected a place"),
        (lambda seen: seen["1.png"]["labels"]["a"].update(score=2), "a score of 0..1"),
        (lambda seen: seen.update({"9.png": seen["1.png"]}), "got '9.png'"),
    ],
)
def test_bad_landmarks_are_refused_with_one_line(marks, tmp_path, capsys, change, message):
    seen = json.loads((tmp_path / "seen.json").read_text())
    change(seen)
    (tmp_path / "seen.json").write_text(json.dumps(seen))
    assert score.main(marks) == 1
    output = capsys.readouterr().err
    assert message in output and output.count("\n") == 1


@pytest.mark.process
def test_no_torch_is_loaded(masks):
    code = (
        "import sys; from usbench.cli import score; rc = score.main(sys.argv[1:]); "
        "sys.exit(rc + ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *masks], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "all classes" in done.stdout, done.stderr
