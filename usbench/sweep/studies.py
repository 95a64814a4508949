"""Optuna's studies in a database: begun, resumed after a kill, run again with the best values.

The one module that knows Optuna. It is imported inside functions: it takes a second, and only a
search needs it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from usbench.errors import ConfigError, RunError, UnsuitableError, in_one_line
from usbench.io.config import Composed, compose
from usbench.results.result import Tuned
from usbench.runner.plan import Plan, plan_run
from usbench.runner.resources import Resources

ABOUT = "usbench"  # attribute of a study: what it was begun with
KILLED = "killed"  # attribute of a trial that failed because its search was killed
FILE = "sqlite:///"


@dataclass(frozen=True)
class Study:
    """A study as it stands."""

    name: str
    about: Mapping[str, object]  # what it was begun with
    begun: int  # trials ever begun
    running: int
    completed: int
    failed: int
    value: float | None  # of the best trial; None: there is none
    values: Mapping[str, object]  # of the best trial, by the search's own names


def storage_url(composed: Composed) -> str:
    """The database's URL: the one of a configuration's `studies`, else a file below its runs."""
    file = Path(str(composed["runs"])).absolute() / "optuna.db"
    return str(composed["studies"] or f"{FILE}{file.as_posix()}")


def load_study(url: str, name: str) -> Study | None:
    """A study as it stands; None where there is none of that name."""
    if not database_exists(url):
        return None
    with import_optuna(url) as optuna, suppress(KeyError):
        return describe_study(optuna.load_study(study_name=name, storage=open_storage(url)))
    return None


def study_names(url: str) -> list[str]:
    """Every study of a database."""
    if not database_exists(url):
        return []
    with import_optuna(url) as optuna:
        storage = open_storage(url)
        return sorted(part.study_name for part in optuna.get_all_study_summaries(storage=storage))


def resume_study(url: str, name: str, about: Mapping[str, object]) -> Study:
    """Take a study up, or begin it; trials that a killed search left are queued again.

    Only one process may search at a time: any trial that is running belongs to one that is gone.

    Args:
        url: the database's.
        name: the study's.
        about: what the study must be about.

    Raises:
        ConfigError: it was begun with something else.
    """
    with import_optuna(url) as optuna:
        study = optuna.create_study(
            study_name=name,
            storage=open_storage(url),
            direction="maximize",
            load_if_exists=True,
        )
        begun = study.user_attrs.get(ABOUT, {} if study.trials else about)
        if begun != about:
            raise ConfigError(
                f"study={name}: {describe_difference(begun, about)}; "
                "give this search another name, study=…"
            )
        study.set_user_attr(ABOUT, about)
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.set_user_attr(KILLED, sorted({*study.user_attrs.get(KILLED, ()), trial.number}))
            if trial.params:
                study.enqueue_trial(trial.params)
        return describe_study(study)


def describe_difference(begun: Mapping[str, object], about: Mapping[str, object]) -> str:
    """What differs between what a study was begun with and now, for people."""
    differing = []
    for name, value in about.items():
        if begun.get(name) != value and name != "series":
            differing.append(f"{name} {format_fact(begun.get(name))}, now {format_fact(value)}")
    return f"it was begun with {', '.join(differing) or 'another configuration of model or data'}"


def format_fact(value: object) -> str:
    """A fact about a study, for people."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={item}" for name, item in value.items())
    return str(value)


def describe_study(study: Any) -> Study:
    """Optuna's study as ours. Of two trials that are as good, the earlier is the best."""
    trials: dict[str, list[Any]] = {"COMPLETE": [], "FAIL": [], "WAITING": [], "RUNNING": []}
    for trial in study.get_trials(deepcopy=False):
        trials.setdefault(trial.state.name, []).append(trial)
    killed = set(study.user_attrs.get(KILLED, ()))
    best = max(trials["COMPLETE"], key=lambda trial: (trial.value, -trial.number), default=None)
    return Study(
        name=study.study_name,
        about=study.user_attrs.get(ABOUT, {}),
        begun=sum(map(len, trials.values())) - len(trials["WAITING"]),
        running=len(trials["RUNNING"]),
        completed=len(trials["COMPLETE"]),
        failed=sum(trial.number not in killed for trial in trials["FAIL"]),
        value=best.value if best else None,
        values=dict(best.params) if best else {},
    )


def database_exists(url: str) -> bool:
    """Whether the database exists, as far as that can be seen without making it."""
    return not url.startswith(FILE) or Path(url.removeprefix(FILE).partition("?")[0]).is_file()


def open_storage(url: str) -> Any:
    """The storage behind a URL, its tables made where they are missing.

    Optuna 2.10, the newest that Hydra's sweeper takes, never commits the schema's version with
    SQLAlchemy 2, and then can't read its own database. So the tables are made by connections that
    commit each statement; everything else isn't.
    """
    from optuna.storages import RDBStorage

    RDBStorage(url, engine_kwargs={"isolation_level": "AUTOCOMMIT"}).engine.dispose()
    return RDBStorage(url)


@contextmanager
def import_optuna(url: str) -> Iterator[Any]:
    """Optuna without its log.

    Raises:
        RunError: it isn't installed, or the database can't be used.
    """
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise RunError(f"Optuna isn't installed ({error}); pip install 'usbench[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    except (
        SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        ImportError,
        RuntimeError,
    ) as error:
        reason = in_one_line(error.__cause__ or error)[:300]
        where = url.removeprefix(FILE) if url.startswith(FILE) else url.partition(":")[0]
        raise RunError(f"studies: can't use the Optuna database ({where}): {reason}") from error


# ---- tuned=NAME: the best trial's values with fresh seeds


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
    study = load_finished_study(storage_url(composed), str(composed["tuned"]))
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
    study = load_study(url, name)
    if study is None:
        names = ", ".join(study_names(url)) or "none"
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
