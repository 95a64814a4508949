"""Decoding once: the cache's bytes, in order whatever the threads, errors, and what a broken decode
leaves behind.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

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


def has_tie(native: int, net: int) -> bool:
    """Whether a net's pixel has its centre between two native ones, where float32 decides."""
    return any((2 * n + 1) * native % (2 * net) == 0 for n in range(net))


@given(st.tuples(*[st.integers(1, 60)] * 4), st.integers(0, 2**32 - 1))
def test_planes_are_those_of_torch(sizes, seed):
    high, wide, *size = sizes
    assume(not has_tie(high, size[0]) and not has_tie(wide, size[1]))
    planes = np.random.default_rng(seed).random((3, high, wide)) < 0.5
    expected = F.interpolate(
        torch.from_numpy(planes).to(torch.uint8)[None], size=size, mode="nearest-exact"
    )[0]
    result = arrays.planes_to_net(planes, tuple(size))
    assert result.dtype == np.uint8 and np.array_equal(result, expected.numpy())


@pytest.mark.parametrize(
    "native, net", [((275, 690), (160, 416)), ((555, 960), (256, 448)), ((768, 1024), (320, 320))]
)
def test_planes_of_whole_frames_are_those_of_torch(native, net):
    planes = np.random.default_rng(0).random((2, *native)) < 0.5
    expected = F.interpolate(
        torch.from_numpy(planes).to(torch.uint8)[None], size=net, mode="nearest-exact"
    )[0]
    assert np.array_equal(arrays.planes_to_net(planes, net), expected.numpy())


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
