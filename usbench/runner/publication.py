"""A run's record published: by an exclusive create, so that of several processes that did the same cell one does it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.errors import DataError, RunError
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import lock as claims

REPLACED = "replaced.json"  # in the run folder: the last damaged record that gave way


def publish(
    folder: Path,
    record: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]] | None = None,
    kept: Path | None = None,
) -> Path | None:
    """Write a run's record and its case table where no finished record is; its path, None where there is one.

    The record is created exclusively, so that of several processes that did the same cell, on whatever hosts, one
    publishes. A record there that isn't done, or is damaged, gives way; of a damaged one a copy goes to kept. Raises as
    `results.save` does.
    """
    path = results.place(folder, record)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        if not set_aside(path, kept):
            return None
        for left in path.parent.glob(
            f".*{path.stem}.*.part"
        ):  # by a process that was killed while it wrote
            left.unlink(missing_ok=True)
        *tables, (_, packed) = results.files_of(path, record, cases).items()
        results.write_all({**dict(tables), part: packed})
        while not _linked(part, path):
            if not set_aside(path, kept):
                return None
        results.sync_folder(path.parent)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be created ({error.strerror}); free space and a file system with hard links were wanted"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def tidy(one: Mapping[str, Any]) -> None:
    """Remove what a process left that was killed when it had just published the cell: the record's second name, and
    its claim."""
    named = (one["dataset"]["name"], one["task"], one["model"]["name"], one["seed"], one["run_id"])
    path, claim = results.find(Path(one["results"]), *named), claims.path_of(cell.run_dir(one))
    with suppress(OSError):
        if path is not None and path.stat().st_nlink > 1:
            for left in path.parent.glob(f".{path.name}.*.part"):
                if left.samefile(path):
                    left.unlink()
        holder = claims.look(claim) if claim.exists() else None
        if holder and holder.stale:
            claims.give_up(claim, holder.token)


def _linked(part: Path, path: Path) -> bool:
    """Whether a file got a second name that nothing had; the first to ask is granted it, on a file server too."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    return True


def set_aside(path: Path, kept: Path | None = None) -> bool:
    """Remove a record that isn't done, or is damaged, then with a copy at kept; False where it is done."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    if _is_done(path):
        return False
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    done = _is_done(aside)  # published in between: back to its place
    if done:
        _linked(aside, path)
    elif kept is not None and not _is_whole(aside):
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(aside, kept)
    aside.unlink()
    return not done


def _is_whole(path: Path) -> bool:
    """Whether a record is there and undamaged, with the case table that it names."""
    try:
        results.load_cases(path)
    except DataError:
        return False
    return True


def _is_done(path: Path) -> bool:
    """Whether it is a finished run's, too."""
    return _is_whole(path) and bool(results.load(path)["status"] == "done")


@dataclass(frozen=True)
class Hold:
    """The right to write what belongs to a cell: a claim on it; without one, that of a caller who is alone."""

    claim: claims.Claim | None = None
    overwrite: bool = False

    def check(self) -> None:
        """Raise LostError where another process holds the cell now."""
        if self.claim:
            self.claim.check()

    def put(self, one: cell.Cell, record: dict[str, Any], cases: list[dict[str, Any]]) -> Path:
        """Publish a finished record. Raises LostError where another process has done the cell meanwhile."""
        self.check()
        folder = Path(one["results"])
        if self.overwrite or not self.claim:
            return results.save(folder, record, cases)
        path = publish(folder, record, cases, cell.run_dir(one) / REPLACED)
        if path is None:
            raise claims.LostError(
                f"{results.record_path(folder, record)}: another process has published this result"
            )
        return path


ALONE = Hold()
