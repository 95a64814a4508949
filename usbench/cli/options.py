"""What verbs share: options, overrides → a configuration, JSON output, errors → an exit code."""

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
from typing import TYPE_CHECKING, NoReturn, TypeVar

from usbench.cli.ending import report_error, run_to_end
from usbench.errors import ConfigError, RunError
from usbench.io.files import write_atomically
from usbench.types import Task

if TYPE_CHECKING:
    from usbench.io.config import Composed

T = TypeVar("T")
Options = argparse.Namespace  # a parsed command line
# A model of each task, for verbs that build none: only its task counts.
MODELS: dict[Task, str] = {"segment": "unet", "detect": "yolov8", "landmark": "heatmap"}
DATA_HELP = "releases; default: where the run found them"
FOLDERS = ("data", "results", "runs")  # keys of the configuration that are options of a verb


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave with exit code 2."""
        raise SystemExit(
            report_error(ConfigError(f"{self.prog}: {message}; see {self.prog} --help"))
        )


def make_parser(
    description: str | None, json_help: str = "", verb: str = "", folders: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A parser with the options that many verbs have.

    Args:
        description: the module's docstring, shown as it is.
        json_help: what --json FILE writes; "": there is no such option.
        verb: of the command; "": a script of its own.
        folders: options for folders of these names, which lie in the working directory.
    """
    parser = Parser(
        prog=f"usbench {verb}" if verb else None,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    for name in folders:
        add(f"--{name}", type=Path, default=name, metavar="DIR", help="default: %(default)s")
    if json_help:
        add("--json", type=Path, metavar="FILE", help=json_help)
    return parser


def add_overrides(parser: argparse.ArgumentParser, keys: str) -> None:
    """Add overrides of the configuration, and --config-dir. keys: the main ones, for --help."""
    help_text = f"{keys} and other overrides"
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=help_text)
    add_config_dir(parser)


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add --config-dir."""
    add, help_text = parser.add_argument, "configuration of your own; default: USBENCH_CONFIG"
    add("--config-dir", type=Path, default=own_config_dir(), metavar="DIR", help=help_text)


def named_config_dir(arguments: Sequence[str]) -> Path | None:
    """The folder that --config-dir DIR, --config-dir=DIR or -cd DIR names."""
    for option, following in zip(arguments, [*arguments[1:], None], strict=True):
        name, equals, value = option.partition("=")
        if name in ("--config-dir", "-cd"):
            folder = value if equals else following
            return Path(folder) if folder else None
    return None


def own_config_dir() -> Path | None:
    """The folder of configuration that USBENCH_CONFIG names."""
    folder = os.environ.get("USBENCH_CONFIG")
    return Path(folder) if folder else None


def config_folders(options: Options) -> list[Path]:
    """The folders of configuration: usbench's own, then the one of `add_config_dir`.

    Raises:
        ConfigError: the latter isn't there.
    """
    from usbench.io.config import conf_dir  # Hydra is slow to import

    folder = options.config_dir
    if folder and not folder.is_dir():
        raise ConfigError(
            f"{folder}: expected a folder of configuration, found none; correct --config-dir or "
            "USBENCH_CONFIG"
        )
    return [conf_dir(), *([folder] if folder else [])]


def add_numbers(parser: argparse.ArgumentParser, **defaults: int) -> None:
    """Add options for whole numbers, by their defaults."""
    for name, default in defaults.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=default, help="default: %(default)s")


def split_overrides(
    overrides: Sequence[str], *names: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """Separate a verb's overrides from Hydra's: ([(name, value)] of these names, the rest)."""
    pairs, rest = [], []
    for override in overrides:
        name, _, value = override.partition("=")
        if name in names:
            pairs.append((name, value))
        else:
            rest.append(override)
    return pairs, rest


def compose_for_verb(overrides: Sequence[str], config_dir: Path | None, verb: str) -> Composed:
    """The configuration that `python -m usbench` would have.

    Args:
        overrides: KEY=VALUE.
        config_dir: a further folder of configuration.
        verb: for the message.

    Raises:
        ConfigError: no dataset is named, or the overrides don't compose.
    """
    from usbench.io.config import compose_alone  # Hydra is slow to import

    if not any(override.startswith("dataset=") for override in overrides):
        raise ConfigError(f"expected dataset=…; see usbench {verb} --help")
    return compose_alone(overrides, config_dir)


def encode_json(content: object) -> bytes:
    """JSON for people and programs. Raises ValueError for NaN and infinity."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode(errors="backslashreplace")  # a lone surrogate, as JSON escapes it


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
                f"{out}: expected a new or empty folder, got files in it; choose another --out"
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


def run_verb(command: Callable[[Options], int | None], options: Options) -> int:
    """Run a command; an error is one line on stderr.

    Returns:
        The command's exit code, 0 where it returns none; 1 for an error of data or environment, 2
        of configuration.
    """
    add_working_directory()
    return run_to_end(lambda: command(options) or 0)


def add_working_directory() -> None:
    """Let `_target_`s name a user's own modules in the working directory, as python -m does."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


@contextmanager
def own_modules() -> Iterator[None]:
    """Let configurations name the user's modules in the working directory, as the command does."""
    folder = str(Path.cwd())
    is_new = folder not in sys.path
    add_working_directory()
    try:
        yield
    finally:
        if is_new and folder in sys.path:
            sys.path.remove(folder)
