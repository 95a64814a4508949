"""The scenes that take any classes: lesion, screening, regions, nested, ellipse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from usbench.datasets.phantoms.phantom import PhantomSpec, draw_samples, scene_classes
from usbench.datasets.phantoms.scenes import SHAPES
from usbench.errors import ConfigError
from usbench.types import OFF, SEEN, Boxes, Landmarks, Masks

SIZE = (128, 160)
NAMES = ("one", "two", "three")


def series(scene, classes=NAMES, task="segment", count=24, size=SIZE):
    spec = PhantomSpec(scene, size, {"train": count}, 0, per_group=2)
    return list(draw_samples(spec, task, classes))


@pytest.mark.parametrize("scene", SHAPES)
@pytest.mark.parametrize("classes", [("one",), NAMES, tuple("abcdefgh")])
def test_planes_are_of_the_classes(scene, classes):
    for sample in series(scene, classes, count=3):
        assert isinstance(sample.target, Masks)
        assert sample.target.planes.shape == (len(classes), *SIZE)
        assert sample.image.shape == SIZE and sample.image.dtype == np.uint8
        assert sample.image.std() > 10


@pytest.mark.parametrize("scene", ["lesion", "screening", "regions", "nested"])
def test_every_class_is_drawn_in_some_image(scene):
    planes = np.stack([sample.target.planes for sample in series(scene)])
    assert planes.any(axis=(0, 2, 3)).all()


def test_a_lesion_is_one_of_one_class():
    for sample in series("lesion"):
        present = sample.target.planes.any(axis=(1, 2))
        assert present.sum() == 1 and ndimage.label(sample.target.planes[present][0])[1] == 1


def test_screening_has_none_one_and_two():
    planes = [sample.target.planes.any(axis=0) for sample in series("screening", count=60)]
    assert {ndimage.label(plane)[1] for plane in planes} == {0, 1, 2}
    assert all(sample.target.planes.any(axis=(1, 2)).sum() <= 1 for sample in series("screening"))


@pytest.mark.parametrize("scene", ["lesion", "screening", "regions"])
def test_planes_are_disjoint(scene):
    assert all(sample.target.planes.sum(axis=0).max() <= 1 for sample in series(scene))


def test_nested_planes_lie_in_the_one_before():
    for sample in series("nested"):
        planes = sample.target.planes
        assert all(not (inner & ~outer).any() for outer, inner in itertools.pairwise(planes))


def test_boxes_are_those_of_the_planes():
    for mask, box in zip(series("regions"), series("regions", task="detect"), strict=True):
        assert isinstance(box.target, Boxes)
        for label, plane in enumerate(mask.target.planes):
            (part,) = ndimage.find_objects(plane.astype(np.uint8)) or (None,)
            boxes = box.target.xyxy[box.target.labels == label].tolist()
            rows, columns = part or (None, None)
            expected = (
                [] if part is None else [[columns.start, rows.start, columns.stop, rows.stop]]
            )
            assert boxes == expected


def test_the_ends_of_diameters_lie_on_the_outline():
    ends = ("long_1", "long_2", "short_1", "short_2")
    heads = series("ellipse", ("head",))
    for head, marked in zip(heads, series("ellipse", ends, task="landmark"), strict=True):
        assert isinstance(marked.target, Landmarks) and np.array_equal(head.image, marked.image)
        outline = head.target.planes[0] ^ ndimage.binary_erosion(head.target.planes[0])
        distance = ndimage.distance_transform_edt(~outline)
        for path in marked.target.paths:
            x, y = np.rint(path[0]).astype(int)
            assert distance[y, x] <= 1.5
        left, right, upper, lower = (path[0] for path in marked.target.paths)
        assert left[0] < right[0] and upper[1] < lower[1]
        assert marked.mm_per_px is not None


def test_of_more_than_four_landmarks_an_image_has_some():
    sets = set()
    for sample in series("ellipse", tuple("abcdefghij"), task="landmark", count=30):
        sets.add(tuple(np.flatnonzero(sample.target.state == SEEN).tolist()))
        assert set(sample.target.state.tolist()) == {SEEN, OFF}
    assert sets == {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)}


def test_a_shape_has_no_classes_of_its_own():
    spec = PhantomSpec("lesion", SIZE, {"train": 1}, 0)
    with pytest.raises(ConfigError, match="'lesion': expected the view's classes, got none"):
        scene_classes(spec, "segment")


def test_only_the_ellipse_has_landmarks():
    with pytest.raises(ConfigError, match="'lesion' has no task 'landmark'"):
        series("lesion", task="landmark")
