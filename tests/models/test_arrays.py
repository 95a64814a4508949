"""Decoding once: the cache's bytes, in order whatever the threads, errors, and what a broken decode
leaves behind.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from usbench import load_dataset
from usbench.errors import DataError
from usbench.models import arrays
from usbench.types import Masks, Sample

SIZE = (32, 64)


def sample(n: int) -> Sample:
    rng = np.random.default_rng(n)
    planes = np.zeros((2, 40, 70), bool)
    planes[n % 2, 5 : 20 + n, 10:30] = True
    return Sample(f"{n:02d}", "g", rng.integers(0, 255, (40, 70), np.uint8), Masks(planes))


class Slow:
    """Samples of which the first ones take longest, with one that can't be read if so wanted."""

    def __init__(self, count: int = 9, bad: tuple[int, ...] = ()) -> None:
        self.count, self.bad, self.at_once, self.most, self.lock = (
            count,
            bad,
            0,
            0,
            threading.Lock(),
        )
        self.last = -1  # of those asked for
        self.ids = [f"{n:02d}" for n in range(count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> Sample:
        with self.lock:
            self.at_once += 1
            self.last = max(self.last, n)
            self.most = max(self.most, self.at_once)
        time.sleep(0.01 if n % 4 == 0 else 0)
        with self.lock:
            self.at_once -= 1
        if n in self.bad:
            raise DataError(f"{n:02d}.png: expected a picture, got none")
        return sample(n)


def plain(count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """The loop that one writes first."""
    pictures = [sample(n) for n in range(count)]
    return (
        np.stack([arrays.image_to_net(picture.image, SIZE) for picture in pictures]),
        np.stack([arrays.to_index(picture, SIZE) for picture in pictures]),
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("cached", [False, True])
def test_the_arrays_are_those_of_a_plain_loop(tmp_path, threads, cached):
    result = arrays.decode(arrays.INDEX, Slow(), SIZE, tmp_path if cached else None, threads)
    for array, expected in zip(result, plain(), strict=True):
        assert array.dtype == expected.dtype and np.array_equal(array, expected)
    assert isinstance(result.images, np.memmap) == cached


def test_the_file_is_what_numpy_saves(tmp_path):
    arrays.decode(arrays.INDEX, Slow(), SIZE, tmp_path, 2)
    for kind, expected in zip(("images", "targets"), plain(), strict=True):
        (path,) = tmp_path.glob(f"*.{kind}.npy")
        np.save(tmp_path / "saved", expected)
        assert path.read_bytes() == (tmp_path / "saved.npy").read_bytes()


def test_what_is_there_is_not_decoded_again_nor_changed_by_its_reader(tmp_path):
    arrays.decode(arrays.INDEX, Slow(), SIZE, tmp_path, 2).images[:] = 0
    again = arrays.decode(arrays.INDEX, Slow(bad=tuple(range(9))), SIZE, tmp_path, 2)
    assert np.array_equal(again.images, plain()[0])


def test_threads_work_side_by_side_and_only_a_few_samples_ahead():
    samples = Slow(60)
    decoded = arrays.map_in_order(samples, lambda picture: (picture.image, picture.image), 3)
    next(decoded)
    time.sleep(0.2)
    assert 1 < samples.most <= 3
    assert samples.last < arrays.AHEAD * 3
    decoded.close()


def test_torch_starts_no_threads_below_ours_and_has_its_own_back():
    before, seen = torch.get_num_threads(), []

    def work(picture: Sample) -> tuple[np.ndarray, np.ndarray]:
        seen.append(torch.get_num_threads())
        return picture.image, picture.image

    torch.set_num_threads(3)
    try:
        list(arrays.map_in_order(Slow(), work, 2))
        assert seen == [1] * 9 and torch.get_num_threads() == 3
        with pytest.raises(DataError):
            list(arrays.map_in_order(Slow(bad=(2,)), work, 2))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@given(st.tuples(*[st.integers(1, 30)] * 4), st.integers(0, 2**32 - 1))
def test_areas_are_those_of_pixels_cut_into_equal_parts(sizes, seed):
    """Each native pixel is h × w small ones, each of the net's pixels a block of H × W of them."""
    high, wide, *size = sizes
    planes = np.random.default_rng(seed).random((2, high, wide)) < 0.5
    parts = planes.repeat(size[0], 1).repeat(size[1], 2)
    areas = parts.reshape(2, size[0], high, size[1], wide).sum((2, 4))
    assert np.array_equal(arrays.covered_areas(planes, tuple(size)), areas)
    half_or_more = arrays.planes_to_net(planes, tuple(size))
    assert half_or_more.dtype == np.uint8 and np.array_equal(half_or_more, 2 * areas >= high * wide)


@pytest.mark.parametrize(
    ("row", "net", "expected"),
    [
        ("0110", 2, "11"),  # half of each: a tie is foreground
        ("0010", 2, "01"),
        ("0001000", 2, "00"),
        ("0111000", 2, "10"),  # 2.5 of 3.5 px
        ("01110", 5, "01110"),
        ("01", 4, "0011"),
        ("0111000000", 4, "1100"),  # 1.5 of 2.5 px in both
    ],
)
def test_a_plane_is_there_where_it_covers_half_of_a_pixel(row, net, expected):
    plane = np.array([[[int(digit) for digit in row]]], bool)
    assert "".join(map(str, arrays.planes_to_net(plane, (1, net))[0, 0])) == expected


@pytest.mark.parametrize(
    ("row", "net", "expected"),
    [
        ("0110", 2, "11"),
        ("1122", 1, "1"),  # equal classes: the first
        ("2211", 1, "1"),
        ("1220", 1, "2"),
        ("0012", 1, "0"),  # half of it is covered, but by two classes: neither has the most
        ("00111222", 2, "12"),  # as much of 1 as of the background
        ("112220", 3, "122"),
        ("0000", 2, "00"),
    ],
)
def test_of_exclusive_classes_the_one_that_covers_most_is_stored(row, net, expected):
    index = np.array([[int(digit) for digit in row]])
    planes = np.stack([index == 1, index == 2])
    stored = arrays.index_to_net(planes, (1, net))
    assert stored.dtype == np.uint8 and "".join(map(str, stored[0])) == expected


RATIOS = [1.25, 1.5, 2, 2.5, 3, 4]  # native px per px of the net
SIDE = 240


def there_and_back(plane: np.ndarray, ratio: float) -> np.ndarray:
    """A mask stored at the net's size, and read back as a prediction of just that would be."""
    net = int(SIDE / ratio)
    stored = torch.from_numpy(arrays.planes_to_net(plane[None], (net, net))).float()
    return (arrays.logits_to_native(stored, plane.shape)[0] >= 0.5).numpy()


def bands(width: float) -> list[np.ndarray]:
    """Straight bands of that width, px, at several angles and offsets."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    found = []
    for angle in np.deg2rad(range(0, 180, 30)):
        distance = x * np.sin(angle) + y * np.cos(angle)
        found += [abs(distance - offset) < width / 2 for offset in (0.13, 0.63, 1.13, 1.63, 2.63)]
    return found


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_round_trip_shifts_nothing(ratio):
    """The nearest native pixel would shift by half a native pixel wherever the ratio is even."""
    y, x = np.mgrid[:SIDE, :SIDE]
    shifts = []
    for top, left in product(range(100, 105), repeat=2):
        disc = (y - top) ** 2 + (x - left) ** 2 < 40.3**2
        back = there_and_back(disc, ratio)
        shifts.append(np.argwhere(back).mean(0) - np.argwhere(disc).mean(0))
    assert np.abs(np.mean(shifts, 0)).max() < 0.06


# Means of the round trip's Dice over the bands, and what the nearest native pixel gave.
BAND_DICE = {
    (3, 2): 0.86,  # .82
    (3, 2.5): 0.84,  # .82
    (3, 4): 0.69,  # .64, with whole bands gone
    (8, 2): 0.94,  # .93
    (8, 4): 0.89,  # .88
}


@pytest.mark.parametrize(("width", "ratio"), BAND_DICE)
def test_thin_bands_survive_a_round_trip(width, ratio):
    scores = [dice(band, there_and_back(band, ratio)) for band in bands(width)]
    assert min(scores) > 0.5 and np.mean(scores) >= BAND_DICE[width, ratio]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_bad_sample_in_order_is_reported_and_nothing_half_written_stays(
    tmp_path, threads
):
    with pytest.raises(DataError, match=r"^04\.png"):
        arrays.decode(arrays.INDEX, Slow(bad=(4, 5, 8)), SIZE, tmp_path, threads)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(
        arrays.decode(arrays.INDEX, Slow(), SIZE, tmp_path, threads).images, plain()[0]
    )


def test_nothing_to_decode_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        arrays.decode(arrays.INDEX, [], SIZE, None)


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from usbench.errors import RunError
from usbench.models import arrays
# Of this process: what a full disk looks like to who writes.
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    pairs = ((np.zeros(999), np.zeros(9)) for _ in range(9))
    arrays.write_arrays((Path("a.npy"), Path("b.npy")), pairs, 9)
except RunError as error:
    print(error)
"""


@pytest.mark.process
def test_a_cache_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert re.fullmatch(r"a\.npy: can't be written .*free space\n", done.stdout), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_error_of_another_file_stays_what_it_is(tmp_path):
    def decoded():
        yield np.zeros(2), np.zeros(2)
        (tmp_path / "gone.png").read_bytes()

    with pytest.raises(FileNotFoundError, match="gone"):
        arrays.write_arrays((tmp_path / "a.npy", tmp_path / "b.npy"), decoded(), 2)
    assert list(tmp_path.iterdir()) == []


REAL = os.environ.get("USBENCH_TEST_DATA")


@pytest.mark.real
@pytest.mark.skipif(
    not REAL or not (Path(REAL) / "usgra").is_dir(), reason="USBENCH_TEST_DATA has no usgra folder"
)
def test_the_masks_of_usgra_come_back_in_place():
    """At 256 × 256 px. The nearest native pixel gave .9871 and −.5 px in y."""
    scores, shifts = [], []
    for picture in load_dataset("usgra", data=REAL, task="segment").test:
        planes = picture.target.planes
        stored = torch.from_numpy(arrays.planes_to_net(planes, (256, 256))).float()
        back = (arrays.logits_to_native(stored, planes.shape[1:]) >= 0.5).numpy()
        for plane, returned in zip(planes, back, strict=True):
            if plane.any():
                scores.append(dice(plane, returned))
                shifts.append(np.argwhere(returned).mean(0) - np.argwhere(plane).mean(0))
    assert len(scores) == 76 and np.mean(scores) > 0.989
    assert np.abs(np.mean(shifts, 0)).max() < 0.05
