"""Records of the benchmarks: what one run measured, as JSON, and its table in scripts/README.md.

Every benchmark that compares usbench with something takes --record. It writes records/NAME.json and
fills the page's block of that name; both are committed, and a test compares them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import psutil

from usbench import __version__
from usbench.cli.options import Options, encode_json, make_parser, write_json
from usbench.io.console import say, warn
from usbench.io.cores import count_cores
from usbench.io.files import write_atomically
from usbench.results.result import Code
from usbench.runner import machine
from usbench.runner.launch import PARENT, child_environment

SCRIPTS = Path(__file__).resolve().parent
NOT_RECORDED = "Not recorded yet."
BUSY = 0.5  # load over the last minute
WIDTH = 118  # of the page's lines
VERSIONS = ("numpy", "torch")  # that every record states, beside its peers'
PLACES = ("data=", "runs=", "results=")  # overrides that say nothing about what was measured
BLOCK = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.S)


@dataclass(frozen=True)
class Ratio:
    """How usbench compares with something else that the same run measured."""

    measured: str  # with its size
    against: str  # a package, a loop, or usbench in another state
    ratio: float  # above 1: usbench takes less time or memory, or scores higher


@dataclass(frozen=True)
class Record:
    """One run of a benchmark."""

    benchmark: str  # the script's name
    date: str  # UTC day, YYYY-MM-DD
    processor: str
    gpu: str | None  # None: on the processor alone
    cores: int
    load: float  # of the machine before the start, over a minute
    code: Code
    versions: Mapping[str, str]
    arguments: Mapping[str, object]
    ratios: Sequence[Ratio]
    figures: object  # what the ratios are made of, as JSON's data


# ---- a benchmark's options and record


def make_bench_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with --json and --record. description: the script's docstring."""
    parser = make_parser(description, "write the record to this file too")
    parser.add_argument(
        "--record", action="store_true", help="write the record and its table in scripts/README.md"
    )
    return parser


def restart_as_child() -> None:
    """Start this program again with a run's environment: its allocator is read at the start."""
    environment = child_environment(count_cores())
    environment.pop(PARENT)
    if not environment.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def parse_options(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> Options:
    """Parse, and note the machine's load before the benchmark adds its own."""
    options = parser.parse_intermixed_args(argv)
    options.load = warn_if_busy()
    return options


def warn_if_busy() -> float:
    """The machine's load over the last minute; warn where figures would be wrong by it."""
    load = psutil.getloadavg()[0]
    if load > BUSY:
        warn(
            f"this machine is busy (load {load:.1f}): figures hold for an idle machine only, "
            "measure again later"
        )
    return round(load, 2)


def make_record(
    benchmark: str,
    options: Options,
    ratios: Sequence[Ratio],
    figures: object,
    peers: Sequence[str] = (),
    device: str = "cpu",
) -> Record:
    """The record of a run that ends now.

    Args:
        benchmark: the script's name.
        options: from `parse_options`.
        ratios: the rows of its table.
        figures: what they are made of, as JSON's data.
        peers: names of the distributions that usbench was compared with.
        device: cpu or cuda:N.
    """
    about = machine.describe(device)
    versions = {"python": about.packages["python"]}
    for name in (*VERSIONS, *peers):
        with suppress(metadata.PackageNotFoundError):  # one of OpenCV's two names
            versions[name] = metadata.version(name)
    return Record(
        benchmark,
        datetime.datetime.now(datetime.UTC).date().isoformat(),
        about.processor or "an unknown processor",
        about.gpu,
        count_cores(),
        options.load,
        machine.code_state(__version__),
        versions,
        list_arguments(options),
        ratios,
        figures,
    )


def list_arguments(options: Options) -> dict[str, object]:
    """The options that say what was measured; none that is off or wasn't given."""
    content = {}
    for name, value in vars(options).items():
        if name == "overrides":
            value = [override for override in value if not override.startswith(PLACES)]
        is_given = value is not None and value is not False
        if is_given and name not in ("json", "record", "load", "data"):
            content[name] = value
    return content


def save_record(
    options: Options,
    record: Record,
    folder: Path = SCRIPTS,
    page: Path | None = None,
    format_table: Callable[[Record], str] | None = None,
) -> None:
    """Print the ratios; write the record where the options say.

    Args:
        options: with json and record.
        record: of the run.
        folder: which holds README.md and records.
        page: which has the table; None: the folder's README.md.
        format_table: makes the tables of that page; None: `format_record`.
    """
    for row in record.ratios:
        say(f"{row.measured}, against {row.against}: {format_ratio(row.ratio)}")
    write_json(options.json, asdict(record))
    if options.record:
        records = folder / "records"
        records.mkdir(exist_ok=True)
        write_atomically(records / f"{record.benchmark}.json", encode_json(asdict(record)))
        page = page or folder / "README.md"
        text = fill_page(page.read_text("utf-8"), records, format_table or format_record)
        write_atomically(page, text.encode())
        say(f"{page}: the table of {record.benchmark} is written")


# ---- the page


def load_record(path: Path) -> Record:
    """A record that `save_record` wrote."""
    content = json.loads(path.read_text("utf-8"))
    ratios = [Ratio(**row) for row in content["ratios"]]
    return Record(**{**content, "code": Code(**content["code"]), "ratios": ratios})


def fill_page(text: str, records: Path, format_table: Callable[[Record], str] | None = None) -> str:
    """The page with every block between <!-- NAME --> and <!-- /NAME --> made from its record."""

    def fill(block: re.Match[str]) -> str:
        name = block[1]
        path = records / f"{name}.json"
        content = (
            (format_table or format_record)(load_record(path)) if path.exists() else NOT_RECORDED
        )
        return f"<!-- {name} -->\n{content}\n<!-- /{name} -->"

    return BLOCK.sub(fill, text)


def format_record(record: Record) -> str:
    """The table, and how it was measured, in Markdown."""
    rows = [
        f"| {row.measured} | {row.against} | {format_ratio(row.ratio)} |" for row in record.ratios
    ]
    head = ["| measured | against | ratio |", "|---|---|--:|"]
    return "\n".join([*head, *rows, "", describe_measurement(record)])


def describe_measurement(record: Record) -> str:
    """When, on what and by which command it was measured, in Markdown."""
    versions = {"usbench": record.code.version, **record.versions}
    hardware = [record.processor, *filter(None, [record.gpu]), f"{record.cores} cores"]
    how = (
        f"{record.date}, {', '.join(hardware)}, load {record.load:.1f} before the start; "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}:"
    )
    text = textwrap.fill(how, WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{text}\n\n```bash\n{format_command(record)}\n```"


def format_ratio(ratio: float) -> str:
    """Two decimals below 10, one below 100, else none."""
    decimals = 2 if ratio < 10 else 1 if ratio < 100 else 0
    return f"{ratio:,.{decimals}f}"


def format_command(record: Record) -> str:
    """The command that measures this again."""
    parts = ["python", f"scripts/{record.benchmark}.py"]
    for name, value in record.arguments.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        option = [] if name == "overrides" else [f"--{name.replace('_', '-')}"]
        parts += [*option, *map(str, values)]
    return " ".join(parts)
