"""What commands share: overrides → a configuration; an error → one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from usbench.errors import ConfigError, UsbenchError
from usbench.io.config import Composed, compose_alone
from usbench.io.console import warn


def compose_for_script(overrides: Sequence[str], config_dir: Path | None, script: str) -> Composed:
    """The configuration that `python -m usbench` would have.

    Args:
        overrides: KEY=VALUE.
        config_dir: a further folder of configuration.
        script: the script's name, for the message.

    Raises:
        ConfigError: no dataset is named, or the overrides don't compose.
    """
    if not any(override.startswith("dataset=") for override in overrides):
        raise ConfigError(f"expected dataset=…; see python scripts/{script}.py --help")
    return compose_alone(overrides, config_dir)


def exit_code(command: Callable[[], int]) -> int:
    """Run a command; an error is one line on stderr.

    Returns:
        What the command returns; 1 for an error of data or environment, 2 of configuration.
    """
    add_working_directory()
    try:
        return command()
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code


def add_working_directory() -> None:
    """Let `_target_`s name a user's own modules in the working directory, as python -m does."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
