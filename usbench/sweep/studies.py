"""Optuna's studies in a database: begun, resumed after a kill, and what the best trial has.

The one module that knows Optuna. It is imported inside functions: it takes a second, and only a
search needs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.errors import ConfigError, RunError, in_one_line
from usbench.io.config import Composed

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
    with import_optuna(url) as optuna:
        try:
            return describe_study(optuna.load_study(study_name=name, storage=open_storage(url)))
        except KeyError:
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
            killed = {*study.user_attrs.get(KILLED, ()), trial.number}
            study.set_user_attr(KILLED, sorted(killed))
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
