"""What a run reads has to be what it was planned with, from its start until it is published."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from usbench.datasets.config import to_plain
from usbench.datasets.dataset import Dataset, file_fingerprint, hash_files
from usbench.errors import DataError, RunError, in_one_line
from usbench.runner.config import RunConfig
from usbench.runner.identity import identify, short_hash
from usbench.runner.resolve import run_ids

ADVICE = "run the same command again"


class ChangedInputError(RunError):
    """A file or a source changed after the run was planned.

    Args:
        was_read: the run may have read it, so nothing of the run can be used.
    """

    def __init__(self, message: str, was_read: bool) -> None:
        super().__init__(message)
        self.was_read = was_read


@dataclass(frozen=True)
class Inputs:
    """The files of a run's data as they were at its start."""

    config: RunConfig
    hashes: Mapping[str, str]  # sha256 by path below the root

    @classmethod
    def record(cls, config: RunConfig, dataset: Dataset) -> Inputs:
        """Record the files before any is decoded.

        Raises:
            ChangedInputError: they, or the code of the run, aren't what the run id was made of.
        """
        same_code = config.transfer or run_ids(config)[1] == config.run_id
        if not same_code:
            raise ChangedInputError(
                f"run {config.run_id}: the code changed since it was planned; {ADVICE}", False
            )
        cache = hash_cache(config)
        same_files = config.phantom or file_fingerprint(dataset, cache) == config.fingerprint
        if not same_files:  # a phantom's fingerprint is that of its generator
            raise ChangedInputError(
                f"{config.root}: files changed since the run was planned; {ADVICE}", False
            )
        return cls(config, hash_files(dataset, cache))

    def require_unchanged(self) -> None:
        """Read every file again. Raises ChangedInputError where one isn't as at the start."""
        try:
            dataset = self.config.open_dataset()
            hashes = hash_files(dataset, hash_cache(self.config), anew=True)
        except (DataError, OSError) as error:
            raise ChangedInputError(
                f"the data changed while the run read it, so nothing is published: "
                f"{in_one_line(error)}",
                True,
            ) from error
        changed = sorted(name for name, _ in self.hashes.items() ^ hashes.items())
        if changed:
            others = len(set(changed)) - 1
            more = f" (and {others} more)" if others else ""
            raise ChangedInputError(
                f"{self.config.root / changed[0]}{more}: changed while the run read it, so nothing "
                f"is published; {ADVICE}",
                True,
            )


def hash_cache(config: RunConfig) -> Path:
    """The file that keeps the hashes of the data's files."""
    return config.runs / "cache" / "hashes.json"


def array_cache(config: RunConfig) -> Path:
    """The folder of the arrays that are decoded of the data, shared by runs that read it alike."""
    view = config.view
    reading = [identify(view.layout), list(view.classes or ()), to_plain(view.known_defects)]
    return config.runs / "cache" / short_hash([config.fingerprint, reading])


def remove_products(config: RunConfig) -> None:
    """Remove what a run made of files that changed: a later one must not resume from it.

    Should the files be restored, the run has the same id again.
    """
    shutil.rmtree(config.run_dir, ignore_errors=True)
    if not config.transfer:
        shutil.rmtree(array_cache(config), ignore_errors=True)
