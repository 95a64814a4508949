"""Check a protocol and the data with baselines: each against what it must score on a test split.

    usbench sanity dataset=usgra [task=segment|detect|landmark] [data=DIR] [--json FILE]

target must reach the target score of every protocol; flipped (the mirror image's target) and
shuffled (another image's) must score lower. prior (from the training targets alone: each class
where it is most frequent, as large as on average), blank (nothing) and centre (every landmark in
the image's middle) are what a model has to beat, and are kept below results as unranked rows. mean
is each class where most training targets have it, full every class in every pixel or a box of the
whole image. blank, centre and full of masks have a score that follows from the targets. Exit code
1 where a baseline doesn't score what it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from usbench.cli.options import (
    MODELS,
    Options,
    add_overrides,
    compose_for_verb,
    make_parser,
    run_verb,
    split_overrides,
    write_json,
)
from usbench.errors import ConfigError
from usbench.evaluate import baselines
from usbench.evaluate.sanity import Check, baseline_result, check_baselines
from usbench.io.console import say, table
from usbench.io.numbers import format_count
from usbench.results import store
from usbench.results.format import format_value
from usbench.results.result import figures_to_json
from usbench.runner.config import RunConfig
from usbench.runner.resolve import resolve_config


def resolve_configs(arguments: Sequence[str], config_dir: Path | None) -> list[RunConfig]:
    """A configuration for the task that was asked for, or for each that the dataset has."""
    pairs, overrides = split_overrides(arguments, "task")
    tasks = [task for _, task in pairs]
    views = compose_for_verb(overrides, config_dir, "sanity")["dataset"]["views"]
    for task in tasks:
        if task not in views:
            raise ConfigError(f"task={task}: expected one of {', '.join(views)}")
    configs = []
    for task, model in MODELS.items():
        if task in (tasks or views):
            keys = [f"model={model}", "tracking=none", *overrides]
            configs.append(resolve_config(compose_for_verb(keys, config_dir, "sanity")))
    return configs


def check_dataset(config: RunConfig) -> list[Check]:
    """Check the baselines of one dataset and task; show all and save those of the floor."""
    dataset = config.open_dataset()
    checks = list(check_baselines(config, dataset))
    lines, primary = [], str(config.metric["primary"])
    for check in checks:
        if check.name in baselines.FLOOR:
            redistribute = config.dataset.redistribute
            cases = store.hash_case_ids(check.scores.cases, redistribute, dataset.name)
            store.save_result(config.results, baseline_result(config, dataset, check), cases)
        value = format_value(check.value, primary)
        lines.append([check.name, value, check.expected, "yes" if check.passed else "NO"])
    title = (
        f"{dataset.name} {config.task}: {format_count(len(dataset.records['test']), 'test image')}"
    )
    table(title, ["baseline", primary, "expected", "passed"], lines)
    return checks


def run(options: Options) -> int:
    """Check, show, save, write; the exit code."""
    failed, described = 0, []
    for config in resolve_configs(options.overrides, options.config_dir):
        for check in check_dataset(config):
            failed += not check.passed
            protocols = {}
            for protocol in check.scores.protocols:
                protocols[protocol.name] = figures_to_json(protocol.scores)
            described.append(
                {
                    "dataset": config.dataset.name,
                    "task": config.task,
                    "baseline": check.name,
                    "value": check.value,
                    "expected": check.expected,
                    "passed": check.passed,
                    "protocols": protocols,
                }
            )
    write_json(options.json, {"baselines": described})
    if failed:
        verb = "doesn't score what it must" if failed == 1 else "don't score what they must"
        say(f"{format_count(failed, 'baseline')} {verb}")
    else:
        say("every baseline scores what it must")
    return 1 if failed else 0


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 where a baseline fails, 2 for a wrong configuration."""
    parser = make_parser(__doc__, "write every baseline's scores as JSON too", "sanity")
    add_overrides(parser, "dataset=, task=")
    return run_verb(run, parser.parse_intermixed_args(argv))
