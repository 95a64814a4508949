"""Publish a run's result by an exclusive create, so that one of several processes does it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from usbench.errors import DataError, RunError
from usbench.io.files import part_beside, sync_folder, write_all
from usbench.results.result import Result
from usbench.results.store import Case, checked_path, files_of_result, load_result, read_cases


def publish_result(
    folder: Path,
    result: Result,
    cases: Sequence[Case] | None,
    damaged_copy: Path | None,
    predictions: bytes | None = None,
) -> Path | None:
    """Write a result and what belongs to it where no finished result is.

    The result is created exclusively, so that of several processes that did the same run, on
    whatever hosts, one publishes. A result there that isn't done, or is damaged, is replaced.

    Args:
        folder: the results folder.
        damaged_copy: where a copy of a replaced damaged result goes.
        predictions: to keep beside it; None: nothing.

    Returns:
        The result's path; None where a finished one is there.

    Raises:
        RunError, DataError: as `store.save_result`.
    """
    path = checked_path(folder, result)
    part = part_beside(path)
    try:
        if not set_aside(path, damaged_copy):
            return None
        for left in path.parent.glob(f".*{path.stem}.*.part"):  # by a killed process
            left.unlink(missing_ok=True)
        *others, (_, content) = files_of_result(path, result, cases, predictions).items()
        write_all({**dict(others), part: content})
        while not link_exclusively(part, path):
            if not set_aside(path, damaged_copy):
                return None
        sync_folder(path.parent)
    except OSError as error:
        raise RunError(
            f"{path}: can't be created ({error.strerror}); expected free space and a file "
            "system with hard links"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def remove_second_name(path: Path) -> None:
    """Remove the hard link that a process left which was killed right after it published."""
    if path.stat().st_nlink > 1:
        for part in path.parent.glob(f".{path.name}.*.part"):
            if part.samefile(path):
                part.unlink()


def link_exclusively(part: Path, path: Path) -> bool:
    """Give a file a second name that doesn't exist yet; False where it does.

    The first to ask gets it, on a file server too.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    return True


def set_aside(path: Path, damaged_copy: Path | None) -> bool:
    """Remove a result that isn't done or is damaged, with a copy of a damaged one.

    Returns:
        False where the result is done and stays.
    """
    aside = part_beside(path)
    if is_done(path):
        return False
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    done = is_done(aside)
    if done:  # published in between: back to its place
        link_exclusively(aside, path)
    elif damaged_copy is not None and done is None:
        damaged_copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(aside, damaged_copy)
    aside.unlink()
    return not done


def is_done(path: Path) -> bool | None:
    """Whether a result is finished; None where it or the case table that it names isn't whole."""
    try:
        result = load_result(path)
        read_cases(path, result)
    except DataError:
        return None
    return result.is_done
