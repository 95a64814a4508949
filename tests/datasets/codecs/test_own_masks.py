"""Masks as people store them: one class as 1, 255, 1 bit, RGB or JPEG; several by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.release_files import draw, save
from usbench.datasets.codecs.own_masks import OwnMasks, read_stored_mask
from usbench.errors import DataError

INDEX = draw(["......", ".aab..", ".ab..."], {".": 0, "a": 1, "b": 2})
ONE = np.minimum(INDEX, 1)
BLOCK = np.kron(ONE, np.ones((16, 16), np.uint8))  # of JPEG's blocks, so that its edges stay sharp


@pytest.mark.parametrize(
    ("pixels", "mode", "suffix", "kind"),
    [
        (ONE, None, "png", "grey"),
        (ONE * 255, None, "png", "grey"),
        (ONE * 255, "1", "png", "1 bit"),
        (ONE * 255, "RGB", "png", "grey in RGB"),
        (ONE * 255, "RGBA", "png", "grey in RGB"),
        (ONE, "P", "png", "palette"),
        (ONE * 255, None, "bmp", "grey"),
        (ONE * 255, None, "tif", "grey"),
        (BLOCK * 255, None, "jpg", "JPEG"),
        (BLOCK * 255, "RGB", "jpg", "JPEG"),
    ],
)
def test_one_class_however_it_is_stored(
    tmp_path: Path, pixels: Any, mode: str | None, suffix: str, kind: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    save(path, pixels, mode)
    assert read_stored_mask(path).kind == kind
    planes = OwnMasks(("lesion",), {}).read(path, pixels.shape)
    assert np.array_equal(planes, (pixels > 0)[None])


@pytest.mark.parametrize(
    ("names", "values", "pixels", "mode", "planes"),
    [
        (("a", "b"), {}, INDEX, None, [INDEX == 1, INDEX == 2]),
        (
            ("b", "a"),
            {"a": 40, "b": 9},
            np.array([0, 40, 9])[INDEX],
            "RGB",
            [INDEX == 2, INDEX == 1],
        ),
        (("a",), {"a": 128}, ONE * 128, None, [ONE == 1]),
        (("a",), {"a": 255}, ONE * 255, "1", [ONE == 1]),
        (("a", "b"), {}, ONE * 255, "1", [ONE == 1, ONE == 2]),
        (("a",), {}, ONE * 0, None, [ONE == 2]),
    ],
)
def test_values_by_hand(
    tmp_path: Path, names: Any, values: Any, pixels: Any, mode: str | None, planes: Any
) -> None:
    path = tmp_path / "a.png"
    save(path, np.asarray(pixels, np.uint8), mode)
    masks = OwnMasks(names, values)
    assert np.array_equal(masks.read(path, INDEX.shape), planes)
    masks.write(path, np.asarray(planes))
    assert np.array_equal(masks.read(path, INDEX.shape), planes)


@pytest.mark.parametrize(
    ("names", "values", "pixels", "suffix", "says"),
    [
        (("a",), {}, ONE * 128, "png", "expected 0 background, 1 a, got value 128 in 5 pixels"),
        (("a",), {}, ONE + 254 * (INDEX == 2), "png", "got value 1 in 3 pixels"),
        (("a",), {"a": 1}, ONE * 255, "png", "got value 255 in 5 pixels"),
        (("a", "b"), {}, ONE * 255, "png", "expected 0 background, 1 a, 2 b, got value 255"),
        (("a", "b"), {}, BLOCK * 255, "jpg", "exact values for a, b, got a JPEG"),
        (("a",), {}, BLOCK * 9, "jpg", "white on black in a JPEG mask, got luma of at most"),
        (("a",), {}, np.dstack([ONE, ONE, ONE * 2]), "png", "grey values, got colours"),
        (("a",), {}, ONE[:2], "png", "expected the size of its image, 3 × 6, got 2 × 6"),
    ],
)
def test_what_stands_for_nothing_is_refused(
    tmp_path: Path, names: Any, values: Any, pixels: Any, suffix: str, says: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    save(path, pixels.astype(np.uint8))
    size = INDEX.shape if suffix == "png" else BLOCK.shape
    with pytest.raises(DataError, match=says) as caught:
        OwnMasks(names, values).read(path, size)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("names", "values", "value", "name"),
    [
        (("a",), {}, 1, "a"),
        (("a",), {}, 255, "a"),
        (("a",), {}, 2, None),
        (("a", "b"), {}, 2, "b"),
        (("a", "b"), {}, 255, None),
        (("a", "b"), {"a": 9, "b": 40}, 40, "b"),
        (("a",), {"a": 9}, 255, None),
    ],
)
def test_the_class_of_a_value(names: Any, values: Any, value: int, name: str | None) -> None:
    assert OwnMasks(names, values).name_of(value) == name


def test_jpeg_masks_are_counted(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", BLOCK * np.uint8(255))
    masks = OwnMasks(("a",), {})
    masks.read(tmp_path / "a.jpg", BLOCK.shape)
    assert masks.oddities() == {"JPEG masks, read as luma above 127": 1}
