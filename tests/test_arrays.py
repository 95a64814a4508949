"""Decoding once: the cache's bytes, in order whatever the threads, errors, and what a broken decode leaves behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

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
        self.count, self.bad, self.at_once, self.most, self.lock = count, bad, 0, 0, threading.Lock()
        self.ids = [f"{n:02d}" for n in range(count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> Sample:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.01 if n % 4 == 0 else 0)
        with self.lock:
            self.at_once -= 1
        if n in self.bad:
            raise DataError(f"{n:02d}.png: a picture was wanted")
        return sample(n)


def plain(count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """The loop that one writes first."""
    every = [sample(n) for n in range(count)]
    return (
        np.stack([arrays.image_to_net(one.image, SIZE) for one in every]),
        np.stack([arrays.to_index(one, SIZE) for one in every]),
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("cached", [False, True])
def test_the_arrays_are_those_of_a_plain_loop(tmp_path, threads, cached):
    found = arrays.decode(Slow(), SIZE, True, tmp_path if cached else None, threads)
    for array, expected in zip(found, plain(), strict=True):
        assert array.dtype == expected.dtype and np.array_equal(array, expected)
    assert isinstance(found.images, np.memmap) == cached


def test_the_file_is_what_numpy_saves(tmp_path):
    arrays.decode(Slow(), SIZE, True, tmp_path, 2)
    for kind, expected in zip(("images", "targets"), plain(), strict=True):
        (path,) = tmp_path.glob(f"*.{kind}.npy")
        np.save(tmp_path / "saved", expected)
        assert path.read_bytes() == (tmp_path / "saved.npy").read_bytes()


def test_what_is_there_is_not_decoded_again_nor_changed_by_its_reader(tmp_path):
    arrays.decode(Slow(), SIZE, True, tmp_path, 2).images[:] = 0
    again = arrays.decode(Slow(bad=tuple(range(9))), SIZE, True, tmp_path, 2)
    assert np.array_equal(again.images, plain()[0])


def test_threads_work_side_by_side_and_only_a_few_samples_ahead():
    samples = Slow(60)
    decoded = arrays.in_order(samples, lambda one: (one.image, one.image), 3)
    next(decoded)
    time.sleep(0.1)
    started = samples.most
    decoded.close()
    assert 1 < started <= 3


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_bad_sample_in_order_is_told_and_nothing_half_written_stays(tmp_path, threads):
    with pytest.raises(DataError, match=r"^04\.png"):
        arrays.decode(Slow(bad=(4, 5, 8)), SIZE, True, tmp_path, threads)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(arrays.decode(Slow(), SIZE, True, tmp_path, threads).images, plain()[0])


def test_nothing_to_decode_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        arrays.decode([], SIZE, True, None)


def test_a_cache_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(OSError, match="No space"):
        arrays.decode(Slow(), SIZE, True, tmp_path, 2)
    assert list(tmp_path.iterdir()) == [] and isinstance(tmp_path, Path)
