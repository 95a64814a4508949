"""Score a finished run's model on another dataset's test images; nothing is trained.

    python scripts/evaluate.py RESULT dataset=X [data=DIR …] [--results DIR] [--runs DIR]

RESULT is a result's file or its run id; the overrides after it are those of python -m usbench
(dataset=, data=, dataset.root=, device=, overwrite= …). Classes are matched by name, or as the
dataset's YAML says (class_map). The result is a row of the leaderboard.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.cli.run import find_or_run
from usbench.errors import ConfigError, RunError
from usbench.io.files import write_atomically
from usbench.results.store import encode_result, load_result, resolve_result
from usbench.runner.config import NAME, read_config, with_threads
from usbench.runner.transfer import plan_transfer, settle_transfer

ROOT = Path(__file__).resolve().parent.parent


def arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """(options, overrides)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", metavar="RESULT", help="a result's file, or its run id")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="dataset=X, and further ones"
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    options = parser.parse_intermixed_args(argv)
    return options, options.overrides


def evaluate(options: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Evaluate and show; the exit code."""
    path = resolve_result(options.result, options.results)
    result = load_result(path)
    if not result.is_done or result.origin != "run" or result.trained_on:
        raise ConfigError(f"{path}: expected a finished run of a model that was trained here")
    folder = options.runs.absolute() / result.run_id
    if not (folder / NAME).is_file():
        raise RunError(f"{folder}: the run of this result isn't here; name its folder with --runs")
    trained = replace(read_config(folder / NAME), runs=folder.parent)
    places = [f"results={options.results}", f"runs={options.runs}"]
    keys = [f"model={result.model}", f"recipe={result.recipe}", *places]
    composed = compose_for_script([*keys, *overrides], options.config_dir, "evaluate")
    plan = plan_transfer(composed, trained)
    if composed["threads"] is None and not composed["overwrite"]:
        plan = with_threads(plan)
    score = result.validation.value if result.validation else None
    evaluated = find_or_run(settle_transfer(plan, trained, score), composed["overwrite"])
    if options.json:
        write_atomically(options.json, encode_result(evaluated))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for missing data or a missing run, 2 for wrong overrides."""
    options, overrides = arguments(argv)
    return exit_code(lambda: evaluate(options, overrides))


if __name__ == "__main__":
    sys.exit(main())
