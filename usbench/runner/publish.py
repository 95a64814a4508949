"""Publish a run's result, done or failed, and remove what a killed publisher left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from usbench.errors import UsbenchError
from usbench.io.console import warn
from usbench.results.publication import publish_result, remove_second_name
from usbench.results.result import Result
from usbench.results.store import Case, result_path, save_result
from usbench.runner.config import RunAddress, RunConfig
from usbench.runner.facts import result_facts
from usbench.runner.lock import Lock, LostLockError, lock_path, read_holder, replace_stale_lock
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

    def publish(
        self,
        config: RunConfig,
        result: Result,
        cases: Sequence[Case],
        predictions: bytes | None,
    ) -> Path:
        """Publish a finished result; its path. predictions: to keep beside it; None: nothing.

        Raises:
            LostLockError: another process has done the run meanwhile.
        """
        self.check()
        if self.overwrite or not self.lock:
            return save_result(config.results, result, cases, predictions)
        copy = config.run_dir / REPLACED
        path = publish_result(config.results, result, cases, copy, predictions)
        if path is None:
            raise LostLockError(
                f"{result_path(config.results, result)}: another process has published this result"
            )
        return path


ALONE = RunLock()


def save_failure(config: RunConfig, reason: str) -> None:
    """Save a failed result, where one can be written at all."""
    try:
        publish_result(
            config.results,
            replace(result_facts(config), reason=reason),
            None,
            config.run_dir / REPLACED,
        )
    except UsbenchError as error:
        warn(str(error))


def remove_checkpoints(config: RunConfig) -> None:
    """Remove a finished run's checkpoints, each several times as large as its best weights."""
    for path in config.run_dir.glob("checkpoint-*"):
        path.unlink(missing_ok=True)


def remove_leftovers(address: RunAddress) -> None:
    """Remove what a process left that was killed right after it published: the result's second
    name, and its lock."""
    path, lock = find_result(address), lock_path(address.run_dir)
    with suppress(OSError):
        if path is not None:
            remove_second_name(path)
        holder = read_holder(lock) if lock.exists() else None
        if holder and holder.stale:
            replace_stale_lock(lock, holder.token)
