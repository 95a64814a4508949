"""What scripts share: options, overrides → a configuration, JSON output, errors → an exit code."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from usbench.errors import ConfigError, RunError, UsbenchError
from usbench.io.console import warn
from usbench.io.files import write_atomically
from usbench.types import Task

if TYPE_CHECKING:
    from usbench.io.config import Composed

T = TypeVar("T")
Options = argparse.Namespace  # a parsed command line
# A model of each task, for scripts that build none: only its task counts.
MODELS: dict[Task, str] = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}


def make_parser(
    description: str | None, json_help: str = "", script: str = "", folders: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A script's parser with the options that many scripts have.

    Args:
        description: the script's docstring, shown as it is.
        json_help: what --json FILE writes; "": there is no such option.
        script: the script's file, for the next one.
        folders: options for folders; by default those of the checkout that the script is in.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, shown = parser.add_argument, "default: %(default)s"
    for name in folders:
        default = Path(script).resolve().parent.parent / name
        add(f"--{name}", type=Path, default=default, metavar="DIR", help=shown)
    if json_help:
        add("--json", type=Path, metavar="FILE", help=json_help)
    return parser


def add_overrides(parser: argparse.ArgumentParser, keys: str) -> None:
    """Add overrides of the configuration, and --config-dir. keys: the main ones, for --help."""
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help=f"{keys} and other overrides")
    add("--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own")


def add_numbers(parser: argparse.ArgumentParser, **defaults: int) -> None:
    """Add options for whole numbers, by their defaults."""
    for name, default in defaults.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=default, help="default: %(default)s")


def split_overrides(
    overrides: Sequence[str], *names: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """Separate a script's overrides from Hydra's: ([(name, value)] of these names, the rest)."""
    pairs, rest = [], []
    for override in overrides:
        name, _, value = override.partition("=")
        if name in names:
            pairs.append((name, value))
        else:
            rest.append(override)
    return pairs, rest


def compose_for_script(overrides: Sequence[str], config_dir: Path | None, script: str) -> Composed:
    """The configuration that `python -m usbench` would have.

    Args:
        overrides: KEY=VALUE.
        config_dir: a further folder of configuration.
        script: the script's name, for the message.

    Raises:
        ConfigError: no dataset is named, or the overrides don't compose.
    """
    from usbench.io.config import compose_alone  # Hydra is slow to import

    if not any(override.startswith("dataset=") for override in overrides):
        raise ConfigError(f"expected dataset=…; see python scripts/{script}.py --help")
    return compose_alone(overrides, config_dir)


def encode_json(content: object) -> bytes:
    """JSON for people and programs. Raises ValueError for NaN and infinity."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def write_json(path: Path | None, content: object) -> None:
    """Write JSON, whole or not at all; nothing where there is no path. Raises as `encode_json`."""
    if path:
        write_atomically(path, encode_json(content))


def differing_files(files: Mapping[Path, bytes]) -> list[Path]:
    """The files that are missing or have other content."""
    return [path for path, data in files.items() if not path.exists() or path.read_bytes() != data]


def time_call(function: Callable[..., T], *arguments: object) -> tuple[float, T]:
    """Call a function; (seconds that it took, what it returned)."""
    start = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - start, value


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, else vanishes.

    Raises:
        RunError: `out` holds something, is a file, or can't be written.
    """
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        if out.exists() and any(out.iterdir()):
            raise RunError(
                f"{out}: expected a new or empty folder, got files in it; take another out="
            )
        beside.mkdir(parents=True)
        yield beside
        beside.replace(out)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(
            f"{out}: can't be written ({reason}); check the folder, its permissions and the space"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def run_script(command: Callable[[Options], int | None], options: Options) -> int:
    """Run a command; an error is one line on stderr.

    Returns:
        The command's exit code, 0 where it returns none; 1 for an error of data or environment, 2
        of configuration.
    """
    add_working_directory()
    try:
        return command(options) or 0
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code


def add_working_directory() -> None:
    """Let `_target_`s name a user's own modules in the working directory, as python -m does."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
