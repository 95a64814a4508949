"""Write a table for a paper from finished results: scores, 95 % intervals, seeds, bold best.

    usbench table --dataset usgra --task segment                    Markdown
    usbench table --dataset usgra --task segment --latex --out usgra.tex
    usbench table --dataset usgra --task segment --metrics dice,hd95_mm --ranks --differences

The rows are the leaderboard's, all on the same test images by the same protocol; results that
aren't are left out, and the reason is said. Bold are all rows that no test finds a better one than.
--ranks adds the range of places that paired tests leave a row, --differences the difference to the
best row with its 95 % interval and p (Holm). The LaTeX needs booktabs; its caption names protocol,
split, intervals and n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from usbench.cli.leaderboard import build_ranked_rows
from usbench.cli.options import (
    Options,
    add_config_dir,
    config_folders,
    encode_json,
    make_parser,
    run_verb,
)
from usbench.errors import ConfigError, did_you_mean
from usbench.io.console import say, warn
from usbench.io.files import write_all
from usbench.leaderboard.cache import open_cache
from usbench.leaderboard.paper import PaperTable, build_table
from usbench.leaderboard.paper_text import caption, row_facts, to_csv, to_latex, to_markdown
from usbench.leaderboard.published import datasets_by_name, read_datasets
from usbench.leaderboard.recipes import read_configs
from usbench.results.store import PHANTOM, load_results

FORMATS: dict[str, Callable[[PaperTable], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
}


def write_table(options: Options) -> None:
    """Build the table, and show or write it."""
    check_names(options)
    table = load_table(options)
    for reason in table.left_out:
        warn(f"left out: {reason}")
    if (options.ranks or options.differences) and all(row.rank is None for row in table.rows):
        warn(
            "no ranks or differences: fewer than two rows take part in paired tests (older "
            "versions, baselines and people don't)"
        )
    text = FORMATS[options.format](table)
    files = {}
    if options.out:
        files[options.out] = text.encode()
    if options.json:
        facts = {"caption": caption(table), "rows": list(row_facts(table))}
        files[options.json] = encode_json(facts)
    write_all(files)
    if options.out:
        say(f"{options.out}: {len(table.rows)} rows")
    else:
        say(text.removesuffix("\n"))


def load_table(options: Options) -> PaperTable:
    """The table that the options ask for."""
    folders = config_folders(options)
    datasets = read_datasets(*folders)
    folder, name, task = options.results, options.dataset, options.task
    results = load_results(folder, options.phantom, name, task)
    cache_name = "leaderboard-phantom.json" if options.phantom else "leaderboard.json"
    with open_cache(options.runs / "cache" / cache_name, write=False) as cache:
        rows = build_ranked_rows(results, datasets, read_configs(*folders), folder, cache)
    rows = [row for row in rows if (row.dataset, row.task) == (name, task)]
    return build_table(
        rows,
        {result.run_id: result for result in results},
        folder,
        datasets_by_name(datasets, rows)[name].title or name,
        options.metrics,
        options.ranks,
        options.differences,
    )


def check_names(options: Options) -> None:
    """Raise ConfigError for a dataset or a task without results."""
    top = options.results / PHANTOM if options.phantom else options.results
    pairs = {(path.parts[-3], path.parts[-2]) for path in top.glob("*/*/*.json")}
    if not pairs:
        others = options.results.glob(f"{PHANTOM}/*/*/*.json")
        on_phantoms = not options.phantom and any(others)
        advice = "those on phantoms need --phantom" if on_phantoms else "run some first"
        raise ConfigError(f"{top}: expected results, got none; {advice}")
    check_word("--dataset", options.dataset, [dataset for dataset, _ in pairs], top)
    tasks = [task for dataset, task in pairs if dataset == options.dataset]
    check_word("--task", options.task, tasks, top / options.dataset)


def check_word(option: str, word: str, known: Sequence[str], folder: Path) -> None:
    """Raise ConfigError unless an option names one of the folders of results."""
    if word not in known:
        names = ", ".join(sorted(set(known)))
        hint = did_you_mean(word, known)
        raise ConfigError(f"{option} {word}: expected one with results in {folder}: {names}{hint}")


def split_names(text: str) -> list[str]:
    """The names of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 1 for damaged results, 2 for unknown names."""
    help_text = "write the caption and the rows as JSON too"
    parser = make_parser(__doc__, help_text, "table", ("results", "runs"))
    add = parser.add_argument
    add("--dataset", required=True, metavar="NAME", help="a dataset with results")
    add("--task", required=True, metavar="TASK", help="segment, detect or landmark")
    group = parser.add_mutually_exclusive_group()
    for name in FORMATS:
        note = "; the default" if name == "markdown" else ""
        help_text = f"write {name}{note}"
        group.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, help=help_text
        )
    add(
        "--metrics",
        type=split_names,
        default=[],
        metavar="A,B",
        help="scores to show; default: the usual ones",
    )
    add("--ranks", action="store_true", help="a column with ranks")
    add("--differences", action="store_true", help="columns with differences to the best row")
    add("--phantom", action="store_true", help="of results on phantoms")
    add("--out", type=Path, metavar="FILE", help="write the table there; default: print it")
    add_config_dir(parser)
    parser.set_defaults(format="markdown")
    return run_verb(write_table, parser.parse_args(argv))
