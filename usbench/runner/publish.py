"""The right to publish a run's result, and what a killed publisher left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from usbench.results.publication import publish_result, remove_second_name
from usbench.results.result import Result
from usbench.results.store import Case, result_path, save_result
from usbench.runner.config import RunAddress, RunConfig
from usbench.runner.lock import Lock, LostLockError, lock_path, read_holder, remove_stale_lock
from usbench.runner.status import find_result

REPLACED = "replaced.json"  # in the run's folder: a copy of the last damaged result


@dataclass(frozen=True)
class RunLock:
    """The right to write a run's files: its lock, or none for a caller that is alone."""

    lock: Lock | None = None
    overwrite: bool = False  # replace a finished result

    def check(self) -> None:
        """Raise LostLockError where another process holds the run now."""
        if self.lock:
            self.lock.check()

    def publish(self, config: RunConfig, result: Result, cases: Sequence[Case]) -> Path:
        """Publish a finished result; its path.

        Raises:
            LostLockError: another process has done the run meanwhile.
        """
        self.check()
        if self.overwrite or not self.lock:
            return save_result(config.results, result, cases)
        path = publish_result(config.results, result, cases, config.run_dir / REPLACED)
        if path is None:
            published = result_path(config.results, result)
            raise LostLockError(f"{published}: another process has published this result")
        return path


ALONE = RunLock()


def remove_leftovers(address: RunAddress) -> None:
    """Remove what a process left that was killed right after it published: the result's second
    name, and its lock."""
    path, lock = find_result(address), lock_path(address.run_dir)
    with suppress(OSError):
        if path is not None:
            remove_second_name(path)
        holder = read_holder(lock) if lock.exists() else None
        if holder and holder.stale:
            remove_stale_lock(lock, holder.token)
