"""Score a finished run's model on another dataset's test images; nothing is trained.

    usbench evaluate RESULT dataset=X [data=DIR …] [--results DIR] [--runs DIR]

RESULT is a result's file, name or run id; the overrides after it are those of python -m usbench
(dataset=, data=, dataset.root=, device=, overwrite= …). Classes are matched by name, or as the
dataset's YAML says (class_map). The result is a row of the leaderboard.
"""

from __future__ import annotations

from usbench.cli.options import Options, add_overrides, compose_for_verb, make_parser, run_verb
from usbench.cli.run import find_or_run
from usbench.errors import ConfigError
from usbench.evaluate.stored_run import find_run_config
from usbench.io.files import write_atomically
from usbench.results.store import encode_result, load_finished, resolve_result
from usbench.runner.config import with_threads
from usbench.runner.transfer import plan_transfer, settle_transfer


def evaluate(options: Options) -> None:
    """Evaluate and show."""
    path = resolve_result(options.result, options.results)
    result = load_finished(path)
    if result.origin != "run" or result.trained_on:
        raise ConfigError(f"{path}: expected a finished run of a model that was trained here")
    trained = find_run_config(result, options.runs)
    places = [f"results={options.results}", f"runs={options.runs}"]
    overrides = [f"model={result.model}", f"recipe={result.recipe}", *places, *options.overrides]
    composed = compose_for_verb(overrides, options.config_dir, "evaluate")
    plan = plan_transfer(composed, trained)
    if composed["threads"] is None and not composed["overwrite"]:
        plan = with_threads(plan)
    score = result.validation.value if result.validation else None
    evaluated = find_or_run(settle_transfer(plan, trained, score), composed["overwrite"])
    if options.json:
        write_atomically(options.json, encode_result(evaluated))


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for missing data or a missing run, 2 for wrong overrides."""
    parser = make_parser(__doc__, "write the result here too", "evaluate", ("results", "runs"))
    parser.add_argument("result", metavar="RESULT", help="a result's file, name or run id")
    add_overrides(parser, "dataset=X")
    return run_verb(evaluate, parser.parse_intermixed_args(argv))
