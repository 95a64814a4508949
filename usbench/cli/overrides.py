"""Scripts about datasets: Hydra-style overrides → the composed configuration; what goes wrong → one line and a code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from usbench.cli.listing import conf_dir
from usbench.errors import ConfigError, UsbenchError
from usbench.io.console import warn
from usbench.runner.plan import one_line


def composed(words: Sequence[str], extra: Path | None, script: str) -> dict[str, Any]:
    """The configuration that the words compose, as in python -m usbench; extra: a folder of configuration of one's own.

    Raises ConfigError where no dataset is named, and Hydra's errors for words that don't compose.
    """
    if not any(word.startswith("dataset=") for word in words):
        raise ConfigError(f"dataset= was wanted; see python scripts/{script}.py --help")
    path = [f"hydra.searchpath=[file://{extra.resolve()}]"] if extra else []
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(hydra.compose("config", [*words, *path]), resolve=True)
    plain: dict[str, Any] = config
    return plain


def exit_code(command: Callable[[], int]) -> int:
    """What the command returns; 1 for an error of data or environment, 2 of configuration, each told in one line."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as python -m does: a lab's own modules lie here
    try:
        return command()
    except (HydraException, OmegaConfBaseException) as error:
        warn(one_line(error))
        return 2
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code
