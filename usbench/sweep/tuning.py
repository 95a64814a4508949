"""`tuned=NAME`: run the values of a search's best trial with fresh seeds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import cast

from usbench.errors import ConfigError, UnsuitableError
from usbench.io.config import Composed, compose
from usbench.results.result import Tuned
from usbench.runner.plan import Plan, plan_run
from usbench.runner.resources import Resources
from usbench.sweep import studies
from usbench.sweep.studies import Study


def plan_tuned_run(
    composed: Composed, overrides: Sequence[str], resources: Resources | None = None
) -> Plan:
    """Plan a run and its evaluations, with the best trial's values where `tuned` names a study.

    Args:
        composed: a configuration.
        overrides: what it was composed of.
        resources: see `plan_run`.

    Raises:
        ConfigError: as `plan_run`; and for `study=` without a search, a seed that the search used,
            or overrides that set what the study has chosen.
        UnsuitableError: the study is about something else.
    """
    if composed["study"]:
        raise ConfigError(
            f"study={composed['study']}: names a search; add sweep=tune, or take its values with "
            "tuned="
        )
    if not composed["tuned"]:
        return plan_run(composed, overrides, resources)
    study = load_finished_study(studies.storage_url(composed), str(composed["tuned"]))
    check_request(study, composed, overrides)
    overrides = [*overrides, *(f"{key}={value}" for key, value in study.values.items())]
    plan = plan_run(compose(overrides), overrides, resources, tuned_facts(study))
    config = plan.config
    check_subject(study, task=config.task, recipe=config.recipe, data=config.fingerprint)
    return plan


@functools.cache
def load_finished_study(url: str, name: str) -> Study:
    """A study to take values from; all runs of one process take the same.

    Raises:
        ConfigError: there is no such study, or it has no finished trial.
    """
    study = studies.load_study(url, name)
    if study is None:
        names = ", ".join(studies.study_names(url)) or "none"
        raise ConfigError(
            f"tuned={name}: no such study (there are: {names}); search first: "
            f"sweep=tune study={name}"
        )
    if not study.completed or not study.about or study.value is None:
        raise ConfigError(
            f"tuned={name}: expected a study with a finished trial; search first: sweep=tune"
        )
    return study


def check_request(study: Study, composed: Composed, overrides: Sequence[str]) -> None:
    """Raise where a configuration can't take the study's values; see `plan_tuned_run`."""
    dataset, model = composed["dataset"]["name"], composed["model"]["name"]
    check_subject(study, dataset=dataset, model=model, fold=composed["fold"])
    if composed["seed"] == study.about["seed"]:
        raise ConfigError(
            f"tuned={study.name} seed={composed['seed']}: the search used this seed; "
            "use fresh ones: seed=1,2,3"
        )
    chosen = {key.lstrip("+") for key in study.values}
    for override in overrides:
        if override.partition("=")[0].lstrip("+~") in chosen:
            raise ConfigError(
                f"tuned={study.name}: the study has chosen this value; leave {override} out"
            )


def check_subject(study: Study, **facts: object) -> None:
    """Raise UnsuitableError where a study is about something else than a run's facts."""
    for name, value in facts.items():
        if study.about[name] != value:
            raise UnsuitableError(
                f"tuned={study.name}",
                f"the study is about {name} {study.about[name]}, got {value}",
                "name another study, or search for this one: sweep=tune",
            )


def tuned_facts(study: Study) -> Tuned:
    """What a result states of the search whose values it has."""
    assert study.value is not None
    return Tuned(
        study=study.name,
        trials=study.completed,
        failed=study.failed,
        value=study.value,
        values={key.lstrip("+"): value for key, value in study.values.items()},
        seeds=(cast(int, study.about["seed"]),),
    )
