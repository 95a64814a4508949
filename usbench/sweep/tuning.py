"""A search's best trial with fresh seeds: `tuned=NAME` runs its values; the record says of how many it is the best."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.errors import ConfigError, UnsuitableError
from usbench.sweep import studies
from usbench.sweep.studies import State


@functools.cache
def known(url: str, name: str) -> State:
    """A study to take values from: of one process all runs take the same. ConfigError where it has none."""
    state = studies.look(url, name)
    if state is None:
        there = ", ".join(studies.names(url)) or "none"
        raise ConfigError(
            f"tuned={name}: a study was wanted, found {there}; search first: sweep=tune study={name}"
        )
    if not state.completed or not state.about:
        raise ConfigError(
            f"tuned={name}: a study with a finished trial was wanted; search first: sweep=tune"
        )
    return state


def best(plain: Mapping[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """(what the record says, the words of the best trial's values) of the study that `tuned` names.

    ConfigError for a seed of the search, and for words that set what the study has chosen; UnsuitableError for another
    dataset, model or fold.
    """
    name = str(plain["tuned"])
    state = known(studies.url_of(plain["studies"], Path(str(plain["runs"]))), name)
    asked = {
        "dataset": plain["dataset"]["name"],
        "model": plain["model"]["name"],
        "fold": plain["fold"],
    }
    match(state, asked)
    if plain["seed"] == state.about["seed"]:
        raise ConfigError(
            f"tuned={name} seed={plain['seed']}: the search used this seed; take fresh ones: seed=1,2,3"
        )
    values = {key.lstrip("+"): value for key, value in state.values.items()}
    for word in words:
        if word.partition("=")[0].lstrip("+~") in values:
            raise ConfigError(f"tuned={name}: the study has chosen this value; leave {word} out")
    said = {
        "study": name,
        "trials": state.completed,
        "failed": state.failed,
        "value": state.value,
        "values": values,
        "seeds": [state.about["seed"]],
    }
    return said, [f"{key}={value}" for key, value in state.values.items()]


def match(state: State, asked: Mapping[str, Any]) -> None:
    """UnsuitableError where a study is about something else than what is asked."""
    for part, value in asked.items():
        if state.about[part] != value:
            raise UnsuitableError(
                f"tuned={state.name}: the study is about {part} {state.about[part]}, found {value}; take another one's "
                "name, or search for this one: sweep=tune"
            )


def check(one: Mapping[str, Any], url: str) -> None:
    """UnsuitableError where the study of a resolved run is about another recipe or other data than the run."""
    match(
        known(url, one["tuned"]["study"]),
        {"task": one["task"], "recipe": one["recipe"], "data": one["fingerprint"]},
    )
