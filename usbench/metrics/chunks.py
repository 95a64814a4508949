"""Large arrays in chunks that stay in the processor's cache, by several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

CHUNK = 1 << 20  # numbers at once
_threads = 1


def set_threads(count: int) -> None:
    """State how many threads this process may score with; one until then."""
    global _threads  # as torch.set_num_threads: it belongs to the process
    _threads = max(count, 1)


def count_threads() -> int:
    """How many threads this process may score with."""
    return _threads


def do_in_chunks(work: Callable[[slice], None], rows: int, columns: int) -> None:
    """Call work(slice) for slices of rows, so small that (its rows, columns) fit the cache.

    Each thread has an equal share of the rows. NumPy's loops run beside each other.
    """
    step = max(CHUNK // max(columns, 1), 1)
    threads = min(count_threads(), -(-rows // step))
    share = -(-rows // max(threads, 1))

    def do_share(first: int) -> None:
        end = min(first + share, rows)
        for start in range(first, end, step):
            work(slice(start, min(start + step, end)))

    shares = range(0, rows, max(share, 1))
    if threads < 2:
        for first in shares:
            do_share(first)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(do_share, shares):
            pass
