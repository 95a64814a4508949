"""Check a protocol and the data with baselines: each against what it must score on a test split.

    python scripts/sanity.py dataset=usgra [task=segment|detect|landmark] [data=DIR] [--json FILE]

target must reach the target score of every protocol; flipped (the mirror image's target) and
shuffled (another image's) must score lower; prior (the training targets' mean, whatever the image)
and blank are what a model has to beat, and are kept below results as unranked rows. Exit code 1
where a baseline doesn't score what it must.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.errors import ConfigError
from usbench.evaluate import baselines
from usbench.evaluate.sanity import Check, baseline_result, check_baselines
from usbench.io.console import say, table
from usbench.io.files import write_atomically
from usbench.results import store
from usbench.results.result import figures_to_json
from usbench.runner.config import RunConfig
from usbench.runner.resolve import resolve_config
from usbench.types import Task

MODELS: dict[Task, str] = {  # none is built: only its task counts
    "segment": "unet",
    "detect": "yolov8",
    "landmark": "heatmap",
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help="dataset=, task= and others")
    add("--json", type=Path, metavar="FILE", help="write every baseline's scores as JSON too")
    add("--config-dir", type=Path, metavar="DIR", help="a further folder of configuration")
    return parser.parse_intermixed_args(argv)


def resolve_configs(arguments: Sequence[str], config_dir: Path | None) -> list[RunConfig]:
    """A configuration for the task that was asked for, or for each that the dataset has."""
    asked = [word.removeprefix("task=") for word in arguments if word.startswith("task=")]
    overrides = [word for word in arguments if not word.startswith("task=")]
    views = compose_for_script(overrides, config_dir, "sanity")["dataset"]["views"]
    configs = []
    for name in asked:
        if name not in views:
            raise ConfigError(f"task={name}: expected one of {', '.join(views)}")
    for task, model in MODELS.items():
        if task in (asked or views):
            words = [f"model={model}", "tracking=none", *overrides]
            configs.append(resolve_config(compose_for_script(words, config_dir, "sanity")))
    return configs


def check_dataset(config: RunConfig) -> list[Check]:
    """Check the baselines of one dataset and task; show all and save those of the floor."""
    dataset = config.open_dataset()
    checks = list(check_baselines(config, dataset))
    lines = []
    for check in checks:
        if check.name in baselines.FLOOR:
            result = baseline_result(config, dataset, check)
            redistribute = config.dataset.redistribute
            cases = store.hash_case_ids(check.scores.cases, redistribute, dataset.name)
            store.save_result(config.results, result, cases)
        value = "–" if check.value is None else f"{check.value:.3f}"
        lines.append([check.name, value, check.expected, "yes" if check.passed else "NO"])
    images = len(dataset.records["test"])
    table(
        f"{dataset.name} {config.task}: {images} test images",
        ["baseline", str(config.metric["primary"]), "expected", "passed"],
        lines,
    )
    return checks


def to_json(config: RunConfig, check: Check) -> dict[str, object]:
    """One baseline's check and scores as JSON's data."""
    protocols = {}
    for protocol in check.scores.protocols:
        protocols[protocol.name] = figures_to_json(protocol.scores)
    return {
        "dataset": config.dataset.name,
        "task": config.task,
        "baseline": check.name,
        "value": check.value,
        "expected": check.expected,
        "passed": check.passed,
        "protocols": protocols,
    }


def run(options: argparse.Namespace) -> int:
    """Check, show, save, write; the exit code."""
    failed, described = 0, []
    for config in resolve_configs(options.overrides, options.config_dir):
        for check in check_dataset(config):
            failed += not check.passed
            described.append(to_json(config, check))
    if options.json:
        text = json.dumps({"baselines": described}, indent=1, ensure_ascii=False)
        write_atomically(options.json, f"{text}\n")
    if failed:
        say(f"{failed} baselines don't score what they must")
        return 1
    say("every baseline scores what it must")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where a baseline fails, 2 for a wrong configuration."""
    options = arguments(argv)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
