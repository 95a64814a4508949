"""Whether a run can write its folders: asked before hours of training, not after."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from usbench.errors import RunError
from usbench.io.files import WRITE_ADVICE, part_beside
from usbench.results.store import PHANTOM, path_for
from usbench.runner.config import RunConfig


def check_folders(config: RunConfig) -> None:
    """Look at a run's folders without writing anything.

    Raises:
        RunError: a file or a loop of links is in the way, or a folder can't be written.
    """
    for key, folder in folders_of(config).items():
        check_folder(key, folder)


def try_folders(config: RunConfig) -> None:
    """Make a run's folders and write a file into each, which is removed again.

    Raises:
        RunError: as `check_folders`; or the file system refuses.
    """
    for key, folder in folders_of(config).items():
        check_folder(key, folder)
        first, second = part_beside(folder / "test"), part_beside(folder / "test")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            first.write_bytes(b"test")
            if key == "results":
                os.link(first, second)  # a result is published by a hard link
        except OSError as error:
            raise unusable(key, folder, error.strerror or str(error)) from error
        finally:
            for path in (first, second):
                with suppress(OSError):
                    path.unlink()


def folders_of(config: RunConfig) -> dict[str, Path]:
    """Where a run writes, by the key that says so."""
    top = config.results / PHANTOM if config.phantom else config.results
    result = path_for(
        top, config.dataset.name, config.task, config.model.name, config.seed, config.run_id
    )
    return {"runs": config.runs, "results": result.parent}


def check_folder(key: str, folder: Path) -> None:
    """Raise RunError where a folder can't be made or written, as far as looking at it tells."""
    for path in (folder, *folder.parents):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if not path.is_symlink():
                continue
            raise unusable(key, folder, f"{path} is a link to nothing") from None
        except OSError as error:  # a loop of links, a name that is too long
            raise unusable(key, folder, f"{path}: {error.strerror}") from error
        if not path.is_dir():
            raise unusable(key, folder, f"{path} is a file")
        if not os.access(path, os.W_OK | os.X_OK):
            raise unusable(key, folder, f"{path} is read-only")
        return


def unusable(key: str, folder: Path, reason: str) -> RunError:
    """The error for a folder that can't be written, with what to do."""
    return RunError(
        f"{key}: expected a folder that can be written, got {folder}: {reason}; {WRITE_ADVICE}, "
        f"or name another with {key}=PATH"
    )
