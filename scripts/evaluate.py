"""Score a finished run's model on another dataset's test images; nothing is trained, the result is a row of the board.

    python scripts/evaluate.py RESULT dataset=X [data=DIR …] [--results DIR] [--runs DIR] [--json FILE]

RESULT is a record's file or its key; the words after it are those of python -m usbench (dataset=, data=, dataset.root=,
device=, overwrite= …). Classes are matched by name, or as the dataset's YAML says (class_map).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.overrides import composed, exit_code
from usbench.cli.run import run_or_find
from usbench.errors import ConfigError, RunError
from usbench.io.files import replacing
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import launch, transfer

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """(options, Hydra-style words)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT", help="a record's file, or its key")
    parser.add_argument(
        "words", nargs="*", metavar="key=value", help="dataset=X, and further words"
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record here too")
    options = parser.parse_intermixed_args(argv)
    return options, options.words


def evaluate(options: argparse.Namespace, words: Sequence[str]) -> int:
    """Evaluate and show; the exit code."""
    path = results.named(options.result, options.results)
    record, folder = results.load(path), options.runs / results.load(path)["run_id"]
    if record["status"] != "done" or record["origin"] != "run" or record["trained_on"]:
        raise ConfigError(f"{path}: a finished run of a model that was trained here was wanted")
    if not (folder / "cell.yaml").is_file():
        raise RunError(
            f"{folder}: the run of this result was wanted here, found none; name its folder with --runs"
        )
    trained = {**cell.read(folder / "cell.yaml"), "runs": str(options.runs.absolute())}
    own = [
        f"model={record['model']}",
        f"results={options.results}",
        f"runs={options.runs}",
        f"recipe={record['recipe']}",
    ]
    config = composed([*own, *words], options.config_dir, "evaluate")
    plan = transfer.planned(config, trained)
    if config["threads"] is None and not config["overwrite"]:
        plan["threads"] = launch.resumed_threads(plan)
    made = run_or_find(
        transfer.settled(plan, trained, record["validation"]["value"]), config["overwrite"]
    )
    if options.json:
        with replacing(options.json) as part:
            part.write_text(
                json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
                encoding="utf-8",
            )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for data or a run that isn't there, 2 for words that don't fit."""
    options, words = arguments(argv)
    return exit_code(lambda: evaluate(options, words))


if __name__ == "__main__":
    sys.exit(main())
