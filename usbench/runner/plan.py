"""From a composed configuration to its run, and to the run's evaluations on other datasets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from usbench.errors import ConfigError
from usbench.io.config import Composed, compose
from usbench.results.result import Tuned
from usbench.runner.config import RunConfig, with_threads
from usbench.runner.groups import complete_groups
from usbench.runner.overrides import overrides_to_keep
from usbench.runner.recipes import check_added_keys, check_extra, check_set_once
from usbench.runner.resolve import resolve_config
from usbench.runner.resources import Resources
from usbench.runner.transfer import plan_transfer

TRAINING_ONLY = re.compile(r"[+~]*(dataset|evaluate_on|fold|sweep)\b")  # overrides


@dataclass(frozen=True)
class Plan:
    """A training, and its evaluations on other datasets."""

    config: RunConfig
    evaluations: tuple[RunConfig, ...] = ()

    @property
    def configs(self) -> list[RunConfig]:
        """The training and its evaluations."""
        return [self.config, *self.evaluations]


def plan_run(
    composed: Composed,
    overrides: Sequence[str],
    resources: Resources | None = None,
    tuned: Tuned | None = None,
) -> Plan:
    """Resolve a configuration and its evaluations.

    Args:
        composed: with `evaluate_on`.
        overrides: what it was composed of.
        resources: what a sweep gives the run; None: this machine.
        tuned: the search whose best values it has.

    Raises:
        ConfigError: a combination that can't be.
        DataError: a release that is missing or damaged.
        RunError: a package that the model needs isn't installed.
    """
    names = composed["evaluate_on"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"evaluate_on={names}: expected a list of datasets, such as [spinal_human]"
        )
    others = [compose_other(name, overrides) for name in names]
    device, threads = None, composed["threads"]
    if resources:
        composed = {**composed, "threads": threads or resources.threads}
        if resources.remote and not resources.gpus and composed["device"] == "auto":
            composed["device"] = "cpu"
        if resources.gpus and composed["device"] != "cpu":
            device = "cuda:0"
    composed = complete_groups(composed)
    check_added_keys(composed, overrides)
    check_set_once(composed, overrides)
    if not (resources and resources.remote):
        check_extra(composed["model"])
    config = resolve_config(composed, device=device, tuned=tuned)
    config = replace(config, overrides=overrides_to_keep(overrides))
    shared = {"threads": composed["threads"]}
    evaluations = [plan_transfer({**other, **shared}, config, device) for other in others]
    if threads is None and not composed["overwrite"]:
        config = with_threads(config)
        evaluations = [with_threads(evaluation) for evaluation in evaluations]
    return Plan(config, tuple(evaluations))


def compose_other(name: str, overrides: Sequence[str]) -> Composed:
    """A job's configuration with another dataset. Raises ConfigError where there is none."""
    shared = [override for override in overrides if not TRAINING_ONLY.match(override)]
    try:
        return compose([*shared, f"dataset={name}"])
    except ConfigError as error:
        raise ConfigError(f"evaluate_on: {error}") from error
