"""Galleries: outlines by hand, which cases, what a file may hold, and a run that leaves one."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import lab
from tests.helpers.finished import finish
from tests.results.test_store import result
from usbench.cli import gallery as script
from usbench.errors import DataError
from usbench.results.gallery import cases as gallery_cases
from usbench.results.gallery import make as gallery
from usbench.results.gallery.file import encode, gallery_path, load_gallery
from usbench.results.gallery.shapes import trace_outlines, vector_drawing
from usbench.results.kept_predictions import load_kept
from usbench.results.predictions import read_predictions
from usbench.results.result import PredictionsFile
from usbench.results.store import kept_path, load_result
from usbench.runner.config import read_config
from usbench.types import BLURRED, OFF, SEEN, Boxes, Landmarks, Masks

# ---- outlines, in px of the frame: the first pixel's middle is .5, .5


def plane(*lines: str) -> np.ndarray:
    """A little picture: # inside."""
    return np.array([[char == "#" for char in line] for line in lines])


BLOCK = plane("......", "......", ".##...", ".##...", ".##...", "......")
# halfway to the pixels outside, the four corners cut; from the topmost, then leftmost
BLOCK_RING = [1.5, 2, 2.5, 2, 3, 2.5, 3, 4.5, 2.5, 5, 1.5, 5, 1, 4.5, 1, 2.5]
DIAMOND = [0.5, 0, 1, 0.5, 0.5, 1, 0, 0.5]  # one pixel, at the image's corner
HOLE = plane("...", ".#.", "...")
FRAME = [0.5, 0, 2.5, 0, 3, 0.5, 3, 2.5, 2.5, 3, 0.5, 3, 0, 2.5, 0, 0.5]  # around 3 × 3 pixels


def turns(ring: list[float]) -> set[tuple[float, float]]:
    """Its corners, in whatever direction it runs."""
    return set(zip(ring[::2], ring[1::2], strict=True))


@pytest.mark.parametrize(
    ("picture", "rings"),
    [
        (BLOCK, [BLOCK_RING]),
        (plane("#.", ".."), [DIAMOND]),
        (plane("...", "...", "..."), []),
        (plane("#..", "...", "..#"), [DIAMOND, [2.5, 2, 3, 2.5, 2.5, 3, 2, 2.5]]),
        # touching at a corner only: two
        (plane("#.", ".#"), [DIAMOND, [1.5, 1, 2, 1.5, 1.5, 2, 1, 1.5]]),
        (~HOLE, [FRAME, [1.5, 1, 2, 1.5, 1.5, 2, 1, 1.5]]),
    ],
    ids=["block", "corner pixel", "nothing", "two", "diagonal", "hole"],
)  # fmt: skip
def test_outlines_by_hand(picture, rings):
    actual = trace_outlines(picture)
    assert [turns(ring) for ring in actual] == [turns(ring) for ring in rings]
    assert [ring[:2] for ring in actual] == [ring[:2] for ring in rings]  # where they start
    assert [len(ring) for ring in actual] == [len(ring) for ring in rings]


def test_the_outline_of_a_blob_holds_just_its_pixels():
    """Filled by the even-odd rule at the pixels' centres, the plane comes back, holes too."""
    from skimage.measure import points_in_poly

    rng = np.random.default_rng(0)
    blob = rng.random((24, 31)) > 0.6
    rows, columns = np.mgrid[:24, :31]
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    inside = np.zeros(len(centres), int)
    for ring in trace_outlines(blob):
        inside += points_in_poly(centres, np.array(ring).reshape(-1, 2))
    assert ((inside % 2 == 1).reshape(24, 31) == blob).all()


def test_masks_say_which_class_and_what_nobody_knows():
    masks = Masks(
        np.stack([np.zeros_like(BLOCK), BLOCK, BLOCK]), known=np.array([True, True, False])
    )
    drawn = vector_drawing(masks)
    assert [(shape["class"], shape["kind"]) for shape in drawn["shapes"]] == [
        (1, "area"),
        (2, "area"),
    ]
    assert drawn["unknown"] == [2] and len(drawn["shapes"][0]["at"][0]) == 16


def test_boxes_stay_edges_and_unsure_ones_are_left_out():
    xyxy = np.float32([[1, 2, 5, 7.26], [0, 0, 9, 9]])
    target = vector_drawing(Boxes(xyxy, np.array([1, 0])))["shapes"]
    assert target == [
        {"class": 1, "kind": "box", "at": [[1, 2, 5, 7.3]]},
        {"class": 0, "kind": "box", "at": [[0, 0, 9, 9]]},
    ]
    prediction = vector_drawing(Boxes(xyxy, np.array([1, 0]), np.float32([0.25, 0.2499])))["shapes"]
    assert prediction == [{"class": 1, "kind": "box", "at": [[1, 2, 5, 7.3]], "score": 0.25}]


def test_landmarks_that_are_seen_are_points_and_curves():
    straight = np.float32([[0, 0], [3, 0], [6, 0], [9, 0]])
    paths = (np.float32([[4.04, 5]]), straight, np.zeros((0, 2), np.float32), np.float32([[1, 1]]))
    drawn = vector_drawing(Landmarks(paths, np.array([SEEN, SEEN, BLURRED, OFF], np.int8)))
    assert drawn["shapes"][0] == {"class": 0, "kind": "point", "at": [[4.5, 5.5]]}
    (line,) = drawn["shapes"][1]["at"]
    assert drawn["shapes"][1]["kind"] == "line"
    assert line == [0.5, 0.5, 3.5, 0.5, 6.5, 0.5, 9.5, 0.5]  # every 3 px of arc
    assert drawn["unknown"] == [2] and len(drawn["shapes"]) == 2


def test_a_predicted_landmark_is_drawn_where_it_counts():
    """Errors are of every landmark whose target is seen, whatever the model holds of it."""
    places = tuple(np.float32([[n, n]]) for n in range(3))
    prediction = Landmarks(places, np.array([SEEN, OFF, OFF], np.int8), np.ones(3, np.float32))
    target = Landmarks(places, np.array([OFF, SEEN, OFF], np.int8))
    drawn = vector_drawing(prediction, target)["shapes"]
    assert [shape["class"] for shape in drawn] == [0, 1]
    assert [shape["class"] for shape in vector_drawing(target)["shapes"]] == [1]


# ---- which cases, which curves


@pytest.mark.parametrize(
    ("values", "empty", "expected"),
    [
        ({"a": 0.5, "b": 0.1, "c": 0.9, "d": 0.7}, "", {"worst": "b", "median": "d", "best": "c"}),
        ({"a": 0.5, "b": 0.5, "c": 0.5}, "", {"worst": "a", "median": "b", "best": "c"}),
        ({"a": 0.5, "b": 0.1}, "", {"worst": "b", "best": "a"}),
        ({"a": 0.5}, "", {"worst": "a"}),
        ({}, "", {}),
        # nothing is there and nothing is drawn: a perfect score, and nothing to see
        ({"a": 0.5, "b": 0.1, "c": 1.0, "d": 0.7}, "c", {"worst": "b", "median": "a", "best": "d"}),
        ({"a": 0.0, "b": 1.0, "c": 1.0}, "abc", {"worst": "a"}),
    ],
)
def test_three_cases_each_once_and_the_best_is_never_empty(values, empty, expected):
    order = sorted(values.items(), key=lambda item: (item[1], item[0]))
    chosen = gallery_cases.choose_cases(order, set(empty))
    assert {place: case for place, (case, _) in chosen.items()} == expected
    assert list(chosen) == list(expected)


def row(case: str, label: str, **figures: str) -> dict[str, str]:
    return {"case": case, "group": case, "class": label, **figures}


def test_qualities_of_a_case_table_by_hand():
    """As stored: Dice 2·2 / (4 + 1 + 1) and 0; an unknown or absent class doesn't count."""
    table = gallery_cases.parse_rows([
        row("one", "a", tp="2", fp="1", fn="1"), row("one", "b", tp="0", fp="3", fn="0"),
        row("two", "a", tp="0", fp="0", fn="0"), row("two", "b", tp="", fp="", fn=""),
    ])  # fmt: skip
    assert gallery_cases.rank_cases(table, "segment") == [
        ("one", pytest.approx(1 / 3)),
        ("two", 1.0),
    ]
    assert gallery_cases.qualities_by_class(table, "segment", ["a", "b"]) == {
        "a": {"one": pytest.approx(2 / 3)},
        "b": {"one": 0},
    }
    boxes = gallery_cases.parse_rows([
        row("one", "a", truths="2", score="", matches=""),
        row("one", "a", truths="", score="0.9", matches="m1000000000"),
        row("one", "a", truths="", score="0.2", matches="m0000000000"),
        row("one", "b", truths="0", score="", matches=""),
    ])  # fmt: skip
    assert gallery_cases.qualities_by_class(boxes, "detect", ["a", "b"]) == {
        "a": {"one": pytest.approx(2 / 3)},
        "b": {},
    }
    errors = (("one", "a", "3"), ("one", "b", ""), ("two", "a", "5"))
    marks = gallery_cases.parse_rows(
        [row(case, label, error_px=error) for case, label, error in errors]
    )
    assert gallery_cases.qualities_by_class(marks, "landmark", ["a", "b"]) == {
        "a": {"one": 3, "two": 5},
        "b": {},
    }
    assert gallery_cases.rank_cases(marks, "landmark") == [("two", -5), ("one", -3)]
    rows = [row(case, label, error_px=error) for case, label, error in errors]
    assert gallery_cases.is_judgeable(rows, "landmark")
    assert not gallery_cases.is_judgeable(rows, "segment")
    assert not gallery_cases.is_judgeable([], "segment")


def test_empty_targets_of_a_case_table():
    rows = [row("full", "a", tp="0", fp="0", fn="5"), row("full", "b", tp="0", fp="0", fn="0")]
    rows += [row("drawn", "a", tp="0", fp="9", fn="0"), row("unknown", "a", tp="", fp="", fn="")]
    masks = gallery_cases.parse_rows(rows)
    assert gallery_cases.empty_cases(masks, "segment") == {"drawn", "unknown"}
    boxes = [row("full", "a", truths="1"), row("no", "a", truths="0", score=".9", matches="m0")]
    assert gallery_cases.empty_cases(gallery_cases.parse_rows(boxes), "detect") == {"no"}
    marks = [row("full", "a", error_px="3"), row("no", "a", error_px="")]
    assert gallery_cases.empty_cases(gallery_cases.parse_rows(marks), "landmark") == {"no"}


def test_common_cases_follow_from_the_images_alone():
    """Twelve by the sha256 of their ids; without one of them the others stay in their order."""
    ids = [f"test/{n:03d}" for n in range(40)]
    common = gallery.common_cases(ids, ())
    assert len(common) == 12 and common == gallery.common_cases(reversed(ids), ())
    assert common[0] == min(ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    fewer = gallery.common_cases(ids, {common[3]})
    assert fewer[:11] == [*common[:3], *common[4:]] and len(fewer) == 12


def test_curves_of_a_log_that_was_killed_and_went_on(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "1,loss,2.5,1.0\n2,loss,2.25,2.0\n2,loss,1.123456789,2.5\n"
        "1,lr,nan,1.0\n1,val,0.5,1.0\n3,loss,0."
    )
    assert gallery.read_curves(log) == {"loss": [[1, 2.5], [2, 1.12346]], "val": [[1, 0.5]]}
    assert gallery.read_curves(tmp_path / "none.csv") == {}


def test_a_picture_is_a_small_grey_jpeg():
    pixels = np.tile(np.arange(0, 250, dtype=np.uint8), (100, 4))
    with Image.open(io.BytesIO(gallery.encode_jpeg(pixels, 640, 80))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (640, 64))
    with Image.open(io.BytesIO(gallery.encode_jpeg(pixels[:, :300], 640, 80))) as picture:
        assert picture.size == (300, 100)


def test_a_thumbnail_keeps_its_limit_whatever_the_image():
    """Noise, which no JPEG packs well, becomes smaller instead."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 800)).astype(np.uint8)
    for image, side in ((noise, 240), (noise // 64 * 0 + 90, 320)):
        jpeg, (height, width) = gallery.encode_small_jpeg(image, gallery.THUMBNAIL)
        with Image.open(io.BytesIO(jpeg)) as picture:
            assert picture.size == (width, height)
        assert len(jpeg) <= 8000 and width <= side and abs(width * 3 - height * 4) <= 4


# ---- the file


def made() -> dict:
    shape = {"class": 0, "kind": "area", "at": [[0, 0, 1, 0, 1, 1]]}
    side = {"shapes": [shape], "unknown": []}
    case = {
        "place": "worst",
        "case": "a",
        "quality": 0.5,
        "size": [4, 4],
        "jpeg": "AAAA",
        "target": side,
    }
    return {
        **{
            "schema": 2,
            "run_id": "0" * 12,
            "predictions_sha256": "1" * 64,
            "attribution": "us",
            "classes": ["a"],
        },
        **{
            "curves": {"loss": [[1, 0.5]]},
            "cases": [{**case, "prediction": json.loads(json.dumps(side))}],
            "worst": [],
            "common": [],
            "card": None,
        },
    }


RESULT = replace(
    result(), run_id="0" * 12, predictions=PredictionsFile("predictions-test.json", "1" * 64, 1)
)


def test_a_gallery_comes_back_and_the_same_gives_the_same_bytes(tmp_path):
    path = tmp_path / "net-s0-000000000000.json"
    assert load_gallery(path, RESULT) is None
    gallery_path(path).write_bytes(encode(made()))
    assert load_gallery(path, RESULT) == made()
    turned = dict(reversed(made().items()))
    assert encode(turned) == encode(made())


def changed(change) -> bytes:
    wrong = made()
    change(wrong)
    return gzip.compress(json.dumps(wrong).encode(), mtime=0)


def bad_thumbnail(gallery: dict) -> dict:
    """The gallery's case as a thumbnail of a class that it doesn't have."""
    case = json.loads(json.dumps(gallery["cases"][0]))
    del case["place"]
    case["prediction"]["shapes"][0]["class"] = 3
    return case


def shape_of(gallery: dict) -> dict:
    return gallery["cases"][0]["prediction"]["shapes"][0]


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"nothing", "damaged file"),
        (encode(made())[:-30], "damaged file"),
        (gzip.compress(b'{"schema": NaN}', mtime=0), "key schema: expected a finite number"),
        (changed(lambda g: g.update(extra=1)), "key (top level): Additional properties"),
        (changed(lambda g: g.update(schema=1)), "key schema: "),
        (
            changed(lambda g: g.update(card=bad_thumbnail(g))),
            "key card.prediction.shapes[0].class: expected a class of 0..0, got 3",
        ),
        (changed(lambda g: g.pop("classes")), 'key (top level): "classes" is a required property'),
        (changed(lambda g: g["cases"][0].update(jpeg="<b>")), "key cases[0].jpeg: "),
        (
            changed(lambda g: shape_of(g).update({"class": 3})),
            "key cases[0].prediction.shapes[0].class: expected a class of 0..",
        ),
        (
            changed(lambda g: shape_of(g).update(at=[[1, 2, 3]])),
            "key cases[0].prediction.shapes[0].at: expected pairs",
        ),
        (
            changed(lambda g: shape_of(g).update(kind="box")),
            "key cases[0].prediction.shapes[0].at: expected pairs",
        ),
        (
            changed(lambda g: g["cases"][0]["target"].update(unknown=[1])),
            "key cases[0].target.unknown: expected classes",
        ),
        (
            changed(lambda g: g.update(run_id="2" * 12)),
            "key run_id: expected the result's, 000000000000, got 222222222222",
        ),
        (
            changed(lambda g: g.update(predictions_sha256="2" * 64)),
            "key predictions_sha256: expected the result's",
        ),
    ],
)
def test_a_damaged_gallery_names_its_file_and_key(tmp_path, packed, message):
    path = tmp_path / "net-s0-000000000000.json"
    gallery_path(path).write_bytes(packed)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        load_gallery(path, RESULT)
    assert str(gallery_path(path)) in str(error.value) and "usbench gallery" in str(error.value)


# ---- runs on real images: two labelled releases of a lab's own, of which one may be shown

YAML = """
defaults: [folder, _self_]
name: {name}
redistribute: images
attribution: {whose}
views: {{segment: {{classes: [dark]}}}}
"""


def release(root: Path, seed: int, images: int = 24) -> None:
    """Dark discs in a bright field, with their masks."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:48, :64]
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for n in range(images):
        x, y, radius = rng.uniform(18, 46), rng.uniform(18, 30), rng.uniform(6, 16)
        disc = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
        pixels = np.where(
            disc, rng.integers(0, 90, disc.shape), rng.integers(80, 255, disc.shape)
        ).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{n:03d}.png")
        Image.fromarray(disc.astype(np.uint8)).save(root / "labels" / f"{n:03d}.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A lab's folder after one training on `shown`, tested on `elsewhere` too."""
    folder = lab.make(tmp_path_factory.mktemp("lab"), "works")
    (folder / "conf" / "dataset").mkdir()
    for seed, (name, whose) in enumerate(
        {"shown": "Our clinic, CC BY 4.0", "elsewhere": "null"}.items()
    ):
        (folder / "conf" / "dataset" / f"{name}.yaml").write_text(
            YAML.format(name=name, whose=whose)
        )
        release(folder / "data" / name, seed)
    arguments = ("dataset=shown", "data=data", "model=works", "evaluate_on=[elsewhere]")
    code, out, err = lab.usbench(folder, *arguments)
    assert code == 0, out + err
    assert out.count("\ngallery ") == 2, out + err
    return folder


def result_of(folder: Path, dataset: str) -> Path:
    (path,) = (folder / "results" / dataset / "segment").glob("*.json")
    return path


@pytest.mark.process
def test_a_run_leaves_a_gallery_where_images_may_be_shown(run):
    path = result_of(run, "shown")
    result = load_result(path)
    actual = load_gallery(path, result)
    assert actual["attribution"] == "Our clinic, CC BY 4.0" and actual["classes"] == ["dark"]
    logged = [line[2] for line in csv.reader((run / "runs" / result.run_id / "log.csv").open())]
    assert actual["curves"] == {"train/loss": [[1, float(logged[0])], [2, float(logged[1])]]}
    assert [case["place"] for case in actual["cases"]] == ["worst", "median", "best"]
    assert load_kept(kept_path(path), result.predictions.sha256).thresholds == {}
    for name in ("worst", "common"):
        cases = [case["case"] for case in actual[name]]
        assert len(cases) == len(set(cases)) == min(10, result.data.counts["test"])
        assert all(len(base64.b64decode(case["jpeg"])) <= 8000 for case in actual[name])
    assert actual["card"]["case"] in cases
    qualities = [case["quality"] for case in actual["cases"]]
    assert qualities == sorted(qualities) and qualities[0] < qualities[-1]
    for case in actual["cases"]:
        with Image.open(io.BytesIO(base64.b64decode(case["jpeg"]))) as picture:
            drawn = np.asarray(picture).astype(int)
        real = np.asarray(
            Image.open(run / "data" / "shown" / "images" / f"{Path(case['case']).stem}.png")
        ).astype(int)
        assert drawn.shape == real.shape and np.abs(drawn - real).mean() < 15
        disc = (
            np.asarray(
                Image.open(run / "data" / "shown" / "labels" / f"{Path(case['case']).stem}.png")
            )
            > 0
        )
        assert case["target"]["shapes"][0]["at"] == trace_outlines(disc)


@pytest.mark.process
def test_an_evaluation_elsewhere_has_one_too(run):
    path = result_of(run, "elsewhere")
    actual = load_gallery(path, load_result(path))
    assert actual["curves"] == {}  # nothing was trained
    assert actual["attribution"] == "elsewhere (licence: your own)"
    assert len(actual["cases"]) == 3


@pytest.mark.process
def test_the_script_makes_the_same_bytes_again(run, tmp_path, capsys):
    copy = tmp_path / "results"
    shutil.copytree(run / "results", copy)
    path = result_of(copy.parent, "shown")
    before, run_id = gallery_path(path).read_bytes(), load_result(path).run_id
    gallery_path(path).unlink()
    moved = tmp_path / "moved"
    shutil.copytree(run / "data", moved)
    arguments = [
        "--results",
        str(copy),
        "--runs",
        str(run / "runs"),
        "--json",
        str(tmp_path / "told.json"),
    ]
    assert script.main([run_id, *arguments, "--data", str(moved)]) == 0
    assert gallery_path(path).read_bytes() == before
    message = json.loads((tmp_path / "told.json").read_text())
    assert message[run_id]["bytes"] == len(before) and list(message[run_id]["cases"]) == [
        "worst",
        "median",
        "best",
    ]
    assert "worst" in capsys.readouterr().out


@pytest.mark.process
def test_the_script_says_what_is_missing(run, tmp_path, capsys):
    copy = tmp_path / "results"
    shutil.copytree(run / "results", copy)
    path = result_of(tmp_path, "shown")
    run_id = load_result(path).run_id
    gallery_path(path).unlink()
    runs = tmp_path / "runs"
    shutil.copytree(run / "runs" / run_id, runs / run_id)

    def refused(code: int, *arguments: str) -> str:
        assert script.main([*arguments, "--results", str(copy)]) == code
        assert not gallery_path(path).exists()
        return capsys.readouterr().err

    nowhere = ("--runs", str(tmp_path / "none"))
    assert "folder of releases with --data" in refused(1, run_id, *nowhere)  # predictions are kept
    kept_path(path).unlink()
    assert "name the folder of runs with --runs" in refused(1, run_id, *nowhere)
    assert "none/shown: " in refused(
        1, run_id, "--runs", str(runs), "--data", str(tmp_path / "none")
    )
    assert "got 0 results" in refused(1, "0123456789ab", "--runs", str(runs))
    others = tmp_path / "data" / "shown"
    release(others, seed=9)
    assert "got other files" in refused(
        1, run_id, "--runs", str(runs), "--data", str(others.parent)
    )
    with (runs / run_id / "predictions-test.json").open("a") as file:
        file.write(" ")
    assert "got others" in refused(1, run_id, "--runs", str(runs))


@pytest.mark.parametrize(
    ("dataset", "arguments", "why"),
    [
        ("usgra", (), "got one on a phantom"),
        (
            "folder",
            ("source=real", "dataset.root={root}", "dataset.views.segment.classes=[dark]"),
            "got redistribute: none",
        ),
    ],
)
def test_phantoms_and_what_may_not_be_shown_have_none(
    compose, tmp_path, capsys, dataset, arguments, why
):
    release(tmp_path / "data", seed=2)
    config, path = finish(
        compose,
        tmp_path,
        dataset,
        "segment",
        *(word.format(root=tmp_path / "data") for word in arguments),
    )
    assert load_result(path).is_done
    samples = config.open_dataset().samples("test")
    gallery.make_gallery_after_run(path, read_predictions(config.run_dir, "test", samples))
    assert capsys.readouterr().err == ""
    assert script.main([str(path), "--runs", str(config.runs)]) == 2
    assert why in capsys.readouterr().err and not list(tmp_path.rglob("*.gallery.*"))


@pytest.mark.process
def test_a_run_is_not_lost_for_a_picture(run, tmp_path, capsys):
    """The data is gone when it comes to pictures: a warning, no old picture, the same result."""
    copy = tmp_path / "results"
    shutil.copytree(run / "results", copy)
    path = result_of(tmp_path, "shown")
    run_id, before = load_result(path).run_id, path.read_bytes()
    dataset = read_config(run / "runs" / run_id / "config.yaml").open_dataset()
    nowhere = replace(dataset, root=tmp_path / "nowhere").samples("test")
    predictions = read_predictions(run / "runs" / run_id, "test", nowhere)
    gallery.make_gallery_after_run(path, predictions)
    message = capsys.readouterr().err.strip()
    assert (
        message.count("\n") == 0
        and "its gallery couldn't be made" in message
        and f"usbench gallery {path}" in message
    )
    assert path.read_bytes() == before and not gallery_path(path).exists()
