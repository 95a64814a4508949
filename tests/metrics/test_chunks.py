"""Work in chunks: every row once, whatever the sizes and threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from usbench.metrics import chunks


@pytest.fixture(autouse=True)
def one_thread_again() -> Iterator[None]:
    yield
    chunks.set_threads(1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [0, 1, 7, 100])
@pytest.mark.parametrize("columns", [0, 3, 50, 5000])
def test_every_row_is_done_once(threads, rows, columns, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 200)
    chunks.set_threads(threads)
    done = np.zeros(rows, int)

    def work(part: slice) -> None:
        assert (part.stop - part.start) * columns <= 200 or part.stop - part.start == 1
        done[part] += 1

    chunks.do_in_chunks(work, rows, columns)
    assert (done == 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_chunk_is_raised(threads):
    chunks.set_threads(threads)

    def fail(part: slice) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chunks.do_in_chunks(fail, 4, 10**6)


@pytest.mark.parametrize(("stated", "expected"), [(0, 1), (1, 1), (4, 4)])
def test_there_is_at_least_one_thread(stated, expected):
    chunks.set_threads(stated)
    assert chunks.count_threads() == expected
