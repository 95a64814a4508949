"""From a composed configuration to its run, and to the run's evaluations on other datasets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from usbench.errors import ConfigError
from usbench.io.config import compose
from usbench.results.result import Tuned
from usbench.runner.config import RunConfig, with_threads
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
    composed: Mapping[str, Any],
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
    """
    others = [compose_other(name, overrides) for name in dataset_names(composed["evaluate_on"])]
    device, threads = None, composed["threads"]
    if resources:
        composed = {**composed, "threads": threads or resources.threads}
        if resources.remote and not resources.gpus and composed["device"] == "auto":
            composed["device"] = "cpu"
        if resources.gpus and composed["device"] != "cpu":
            device = "cuda:0"
    config = resolve_config(composed, device=device, tuned=tuned)
    evaluations = []
    for other in others:
        other = {**other, "threads": composed["threads"]}
        evaluations.append(plan_transfer(other, config, device))
    if threads is None and not composed["overwrite"]:
        config = with_threads(config)
        evaluations = [with_threads(evaluation) for evaluation in evaluations]
    return Plan(config, tuple(evaluations))


def dataset_names(value: object) -> list[str]:
    """The datasets to evaluate on. Raises ConfigError where it is no list of names."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(
            f"evaluate_on={value}: expected a list of datasets, such as [spinal_human]"
        )
    return value


def compose_other(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """A job's configuration with another dataset. Raises ConfigError where there is none."""
    shared = [override for override in overrides if not TRAINING_ONLY.match(override)]
    try:
        return compose([*shared, f"dataset={name}"])
    except ConfigError as error:
        raise ConfigError(f"evaluate_on: {error}") from error
