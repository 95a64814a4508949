"""Whether a process that left its number and start somewhere still runs."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]


def alive(number: int, started: float) -> bool:
    """Whether the process still runs; True where that can't be seen.

    Args:
        number: its process id.
        started: when it started, in seconds since 1970, because process ids are reused.
    """
    try:
        process = psutil.Process(number)
        reused = abs(process.create_time() - started) > 2  # s
        return not reused and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
