"""What pictures look like: a target is solid, a prediction dashed, classes are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from usbench.results.gallery.drawing import dashes_of, draw_overlay
from usbench.results.gallery.shapes import shrink_drawing, size_of, vector_drawing
from usbench.results.gallery.sheet import draw_sheet
from usbench.results.gallery.style import COLOURS, class_colour, place_labels
from usbench.types import OFF, SEEN, Boxes, Landmarks, Masks

GREY = np.full((120, 200), 100, np.uint8)
FRAME = np.float32([[20, 30, 180, 110]])


def colour_along(picture: Image.Image, row: int) -> float:
    """Share of the pixels of a frame's edge that have a colour."""
    pixels = np.asarray(picture).astype(int)[row - 1 : row + 2, 40:160]
    return float((np.ptp(pixels, axis=2) > 60).any(axis=0).mean())


def test_a_target_is_solid_and_a_prediction_dashed():
    target = draw_overlay(GREY, ["lesion"], target=Boxes(FRAME, np.array([0])))
    scored = Boxes(FRAME, np.array([0]), np.float32([0.9]))
    prediction = draw_overlay(GREY, ["lesion"], prediction=scored)
    assert colour_along(target, 30) == 1.0
    assert 0.4 < colour_along(prediction, 30) < 0.8
    both = draw_overlay(GREY, ["lesion"], Boxes(FRAME, np.array([0])), scored)
    assert both.size == (200, 120) and colour_along(both, 70) < 0.1  # nothing inside is tinted


def test_a_wider_picture_has_the_same_shapes():
    wide = draw_overlay(GREY, ["lesion"], Boxes(FRAME, np.array([0])), width=400)
    assert wide.size == (400, 240) and colour_along(wide, 60) == 1.0


def test_masks_are_outlines_and_what_is_unsure_or_unseen_is_left_out():
    planes = np.zeros((1, 120, 200), bool)
    planes[0, 40:90, 60:140] = True
    pixels = np.asarray(draw_overlay(GREY, ["a"], Masks(planes))).astype(int)
    assert np.ptp(pixels[65, 100]) == 0 and np.ptp(pixels[39:42, 100], axis=1).max() > 60
    unsure = Boxes(FRAME, np.array([0]), np.float32([0.2]))
    assert np.ptp(np.asarray(draw_overlay(GREY, ["a"], prediction=unsure)).astype(int)) == 0
    paths = (np.float32([[150, 60]]), np.float32([[50, 60]]))
    marks = Landmarks(paths, np.array([SEEN, OFF], np.int8))
    pixels = np.asarray(draw_overlay(GREY, ["apex", "base"], marks)).astype(int)
    assert np.ptp(pixels[60, 150]) > 60 and np.ptp(pixels[60, 50]) == 0


def test_dashes_by_hand():
    """On a canvas of two px for each: 12 drawn, 8 not; a dash goes round a corner."""
    dashes = list(dashes_of([(0, 0), (6, 0), (6, 20)]))
    assert dashes == [[(0, 0), (6, 0), (6, 6)], [(6, 14), (6, 20)]]


def test_classes_are_named_once_or_numbered():
    square = {"kind": "area", "at": [[4, 2, 8, 6, 4, 6]]}
    target = [{"class": 1, **square}, {"class": 1, **square}]
    prediction = [{"class": 0, "kind": "box", "at": [[1, 2, 5, 7]], "score": 0.876}]
    names = [tuple(label) for label in place_labels(target, prediction, ["nerve", "vessel"], 20)]
    assert names == [
        (1, "target", 4, 2, "vessel"),
        (0, "prediction", 1, 2, "nerve"),
        (0, "prediction", 1, 7, ".88"),
    ]
    numbered = place_labels(target, [], ["a", "b", "c", "d", "e"], 20)
    assert [label.text for label in numbered] == ["2"]
    assert place_labels([{"class": 0, **square}], [], ["lesion"], 20) == []


def test_texts_of_one_outline_in_two_classes_stand_apart():
    """A capsule and the cortex that it encloses: upper, then rightmost, lowest and leftmost."""
    ring = {"kind": "area", "at": [[50, 10, 90, 50, 50, 90, 10, 50]]}
    shapes = [{"class": n, **ring} for n in range(5)]
    labels = place_labels(shapes, [], list("abcde"), 100)
    assert [(label.x, label.y) for label in labels] == [
        (50, 10),
        (90, 50),
        (50, 90),
        (10, 50),
        (50, 10),  # no place is left
    ]
    box = {"kind": "box", "at": [[10, 20, 30, 40]]}
    labels = place_labels([{"class": n, **box} for n in range(2)], [], ["a", "b"], 100)
    assert [(label.x, label.y) for label in labels] == [(10, 20), (30, 20)]


def test_colours_tell_classes_apart_or_of_an_only_class_its_sides():
    assert class_colour(1, "target", 2) == class_colour(1, "prediction", 2) == COLOURS[1]
    assert class_colour(0, "target", 1) != class_colour(0, "prediction", 1)
    assert class_colour(12, "target", 20) == COLOURS[2] and len(set(COLOURS)) == 10


# ---- smaller drawings


def test_a_smaller_outline_stays_near_the_mask_and_below_the_limit():
    """A disc of 200 px radius with specks around it, at a quarter of its size."""
    rows, columns = np.mgrid[:600, :800]
    plane = (columns - 400) ** 2 + (rows - 300) ** 2 < 200**2
    plane[::30, ::30] ^= True
    full = vector_drawing(Masks(plane[None]))
    small = shrink_drawing(full, 0.25, 1400)
    assert size_of(full["shapes"]) > 10_000 and size_of(small["shapes"]) <= 1400
    ring = np.array(small["shapes"][0]["at"][0]).reshape(-1, 2)
    radii = np.linalg.norm(ring - [100.1, 75.1], axis=1)
    assert np.abs(radii - 50).max() < 5 and len(ring) >= 6
    assert json.dumps(shrink_drawing(full, 0.25, 1400)) == json.dumps(small)


@pytest.mark.parametrize("limit", [70, 1400])
def test_boxes_are_scaled_and_the_least_sure_go_first(limit):
    xyxy = np.float32([[0, 8, 40, 80], [4, 4, 8, 8]])
    boxes = vector_drawing(Boxes(xyxy, np.array([0, 0]), np.float32([0.5, 0.9])))
    shapes = shrink_drawing(boxes, 0.5, limit)["shapes"]
    assert shapes[-1] == {"class": 0, "kind": "box", "at": [[2, 2, 4, 4]], "score": 0.9}
    assert len(shapes) == (1 if limit == 70 else 2)


def test_a_line_keeps_its_ends_and_a_point_its_place():
    knots = np.float32([[0, 0], [30, 0], [60, 0], [90, 0]])
    marks = Landmarks((knots, np.float32([[10, 20]])), np.array([SEEN, SEEN], np.int8))
    line, point = shrink_drawing(vector_drawing(marks), 0.5, 1400)["shapes"]
    assert line["at"] == [[0.2, 0.2, 45.2, 0.2]] and point["at"] == [[5.2, 10.2]]


# ---- sheets


def test_a_sheet_has_its_pictures_in_rows_and_a_key(tmp_path):
    pictures = [
        ((f"case {n}", "Dice .5"), Image.new("RGB", (100, 60 + n), "red")) for n in range(3)
    ]
    draw_sheet(pictures, ["title"], ["a", "b"], tmp_path / "sheet.png", 2, ("target",))
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet).astype(int)
    red = (pixels == [255, 0, 0]).all(axis=2)
    assert red.sum() == 100 * (60 + 61 + 62)
    rows = np.flatnonzero(red.any(axis=1))
    assert (np.diff(rows) > 1).sum() == 1  # two rows of pictures
    blue = [int(COLOURS[0][n : n + 2], 16) for n in (1, 3, 5)]
    assert (pixels[rows[-1] + 1 :] == blue).all(axis=2).any()
