"""What the child process of a run does, and what it leaves when the run ends early."""

from __future__ import annotations

import json
import os
import shutil
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from usbench.errors import ConfigError, UnsuitableError, UsbenchError, in_one_line
from usbench.io.console import warn
from usbench.io.files import WRITE_ADVICE
from usbench.metrics.chunks import set_threads
from usbench.runner.config import RunConfig, read_config, write_config
from usbench.runner.experiment import evaluate_elsewhere, train_and_test
from usbench.runner.inputs import ChangedInputError, remove_products
from usbench.runner.launch import PARENT
from usbench.runner.lock import LostLockError, lock_path, read_holder, take_lock
from usbench.runner.publish import RunLock, save_failure
from usbench.runner.status import REFUSED, run_status

USAGE = "usage: python -m usbench.runner CONFIG.yaml [--overwrite] (runs/<run id>/config.yaml)"


def do_command(arguments: Sequence[str]) -> int:
    """The command; its exit code."""
    paths = [argument for argument in arguments if argument != "--overwrite"]
    if len(paths) != 1:
        warn(USAGE)
        return 2
    if os.environ.pop(PARENT, None):
        die_with_parent()
    try:
        config = read_config(Path(paths[0]))
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code
    return do_run(config, "--overwrite" in arguments)


def die_with_parent() -> None:
    """End this process when the launcher ends: its end of the pipe closes, however it died."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock would be held at the interpreter's end
            pass
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()


def do_run(config: RunConfig, overwrite: bool) -> int:
    """Do a run that no other process is doing; one that breaks leaves a failed result.

    Returns:
        The exit code.
    """
    folder = config.run_dir
    set_threads(config.threads)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(lock_path(folder))
    except (UsbenchError, OSError) as error:
        return record_failure(config, error)
    if lock is None:
        holder = read_holder(lock_path(folder))
        owner = holder.describe() if holder else "another process"
        warn(f"{folder}: {owner} is doing this run; wait for it")
        return 1
    with lock:
        try:
            do_locked_run(config, RunLock(lock, overwrite))
        except LostLockError as error:
            with suppress(OSError):
                (folder / f"lost-{lock.token[:12]}.json").touch()
            warn(str(error))
            return 1
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return record_failure(config, error)  # whatever it was: a sweep's table states it
    return 0


def do_locked_run(config: RunConfig, lock: RunLock) -> None:
    """Do a run whose lock is held, unless it was finished between the decision and now."""
    (config.run_dir / REFUSED).unlink(missing_ok=True)
    if lock.overwrite:  # remove what an earlier run left, as no other process is doing it now
        shutil.rmtree(config.run_dir)
        write_config(config.to_mapping(), config.path)
        config.run_dir.with_suffix(".yaml").unlink(missing_ok=True)
    elif run_status(config.address).is_done:
        return
    if config.transfer:
        evaluate_elsewhere(config, config.transfer, lock)
    else:
        train_and_test(config, lock)


def record_failure(config: RunConfig, error: BaseException) -> int:
    """Say why a run ended early, here and in a failed result.

    A run that its configuration forbids was never begun. It is marked in its folder and leaves no
    result, so that a mistake in a command doesn't become a row of the leaderboard. Nor does a run
    whose data changed; what it made of changed data is removed.

    Returns:
        The exit code.
    """
    reason = explain_failure(error)
    warn(traceback.format_exc() if config.debug else reason)
    if isinstance(error, ChangedInputError) and error.was_read:
        remove_products(config)
    if isinstance(error, (ConfigError, ChangedInputError)):
        skipped = isinstance(error, (UnsuitableError, ChangedInputError))
        refused = {"state": "skipped" if skipped else "failed", "reason": reason}
        config.run_dir.mkdir(parents=True, exist_ok=True)
        (config.run_dir / REFUSED).write_text(json.dumps(refused), "utf-8")
    else:
        save_failure(config, reason)
    return error.exit_code if isinstance(error, UsbenchError) else 1


def explain_failure(error: BaseException) -> str:
    """An error in one line, with what to do."""
    if isinstance(error, UsbenchError):
        return in_one_line(error)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which isn't imported here
        return "the GPU's memory is full; use a smaller batch, or recipe.micro_batch for the same steps"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; {WRITE_ADVICE}"
    return f"{type(error).__name__}: {in_one_line(error)} (debug=true shows where)"
