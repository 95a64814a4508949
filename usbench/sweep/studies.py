"""Studies of Optuna in a database: begun, gone on with after a kill, and what the best trial says.

The one module that knows Optuna. It is imported inside functions: it takes a second, and only a search needs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.errors import ConfigError, RunError

ABOUT = "usbench"  # attribute of a study: what it was begun with
KILLED = (
    "killed"  # attribute of a trial: it failed because its search was killed, and was queued again
)
FILE = "sqlite:///"


@dataclass(frozen=True)
class State:
    """A study as it stands. asked: trials ever begun; value, values: of the best one, by the search's own names."""

    name: str
    about: Mapping[str, Any]
    asked: int
    completed: int
    failed: int
    value: float | None
    values: Mapping[str, Any]


def url_of(given: str | None, runs: Path) -> str:
    """The database's URL: the one given, else a file below runs."""
    return given or f"{FILE}{(runs.absolute() / 'optuna.db').as_posix()}"


def look(url: str, name: str) -> State | None:
    """A study as it stands; None where there is none of that name."""
    if not _there(url):
        return None
    with _usable(url) as optuna:
        try:
            return _state(optuna.load_study(study_name=name, storage=_opened(url)))
        except KeyError:
            return None


def names(url: str) -> list[str]:
    """Every study of a database."""
    if not _there(url):
        return []
    with _usable(url) as optuna:
        return sorted(
            each.study_name for each in optuna.get_all_study_summaries(storage=_opened(url))
        )


def take_up(url: str, name: str, about: Mapping[str, Any]) -> State:
    """The study of that name, begun where there is none. What a killed search left half done is queued again.

    Only one process may search at a time: any trial that is running belongs to one that is gone. Raises ConfigError for
    a study that was begun with something else.
    """
    with _usable(url) as optuna:
        storage, failed = _opened(url), optuna.trial.TrialState.FAIL
        study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )
        begun = study.user_attrs.get(ABOUT, {} if study.trials else about)
        if begun != about:
            raise ConfigError(
                f"study={name}: {unlike(begun, about)}; give this search a name of its own, study=…"
            )
        study.set_user_attr(ABOUT, about)
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            storage.set_trial_user_attr(trial._trial_id, KILLED, True)
            study.tell(trial.number, state=failed)
            if trial.params:
                study.enqueue_trial(trial.params)
        return _state(study)


def unlike(begun: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What differs between the facts that a study was begun with and those of now, in words."""
    told = [
        f"{name} {_plain(begun.get(name))}, now {_plain(value)}"
        for name, value in about.items()
        if begun.get(name) != value and name != "series"
    ]
    return f"it was begun with {', '.join(told) or 'another configuration of model or data'}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return str(value)


def _state(study: Any) -> State:
    """See State. Of two trials that are as good, the earlier is the best."""
    trials = study.get_trials(deepcopy=False)
    of = {
        state: [trial for trial in trials if trial.state.name == state]
        for state in ("COMPLETE", "FAIL", "WAITING")
    }
    best = max(of["COMPLETE"], key=lambda trial: (trial.value, -trial.number), default=None)
    return State(
        study.study_name,
        study.user_attrs.get(ABOUT, {}),
        len(trials) - len(of["WAITING"]),
        len(of["COMPLETE"]),
        sum(KILLED not in trial.user_attrs for trial in of["FAIL"]),
        best.value if best else None,
        dict(best.params) if best else {},
    )


def _there(url: str) -> bool:
    """Whether the database is there, as far as that can be told without making it."""
    return not url.startswith(FILE) or Path(url.removeprefix(FILE).partition("?")[0]).is_file()


def _opened(url: str) -> Any:
    """The storage behind a URL, its tables made where they are missing.

    Optuna 2.10, the newest that Hydra's sweeper takes, never commits the schema's version with SQLAlchemy 2, and then
    can't read its own database. So the tables are made by connections that commit each statement; all else isn't.
    """
    from optuna.storages import RDBStorage

    RDBStorage(url, engine_kwargs={"isolation_level": "AUTOCOMMIT"}).engine.dispose()
    return RDBStorage(url)


@contextmanager
def _usable(url: str) -> Iterator[Any]:
    """Optuna, without its log; RunError where it isn't installed or the database can't be used."""
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as wrong:
        raise RunError(f"Optuna isn't installed ({wrong}); pip install 'usbench[sweep]'") from wrong
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
    ) as wrong:
        reason = " ".join(str(wrong.__cause__ or wrong).split())[:300]
        where = url.removeprefix(FILE) if url.startswith(FILE) else url.partition(":")[0]
        raise RunError(f"studies: a database of Optuna's was wanted ({where}): {reason}") from wrong
