"""From Hydra's words to cells: a configuration resolved, with its evaluations elsewhere, and a study's values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf

from usbench.errors import ConfigError
from usbench.runner.resources import Room
from usbench.sweep import tuning

PLUGIN = re.compile(
    r"Could not (?:load|find) '(hydra/\w+/(submitit|ray|joblib|optuna)(?:_local|_slurm|_aws)?)'"
)
EXTRAS = {
    "submitit": "slurm",
    "ray": "ray",
    "joblib": "sweep",
    "optuna": "sweep",
}  # that install these plugins
TRAINED = re.compile(
    r"[+~]*(dataset|evaluate_on|fold|sweep)\b"
)  # words that are about the dataset trained on alone


def tuned(plain: dict[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], Sequence[str]]:
    """The configuration and its words with the best trial's values on top, where `tuned` names a study.

    Its `tuned` is then what the record says of the search.
    """
    if plain["study"]:
        raise ConfigError(
            f"study={plain['study']}: it names a search; say sweep=tune, or tuned= to take its values"
        )
    if not plain["tuned"]:
        return plain, words
    said, values = tuning.best(plain, words)
    full = [*words, *values]
    composed: Any = OmegaConf.to_container(compose("config", full), resolve=True)
    return {**composed, "tuned": said}, full


def resolved(
    plain: dict[str, Any], others: Iterable[dict[str, Any]], room: Room | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The cell of a configuration, and of its evaluations on other datasets. room: what a sweep gives it."""
    from usbench.runner import config as cell
    from usbench.runner import launch, transfer
    from usbench.sweep import studies

    device, given = None, plain["threads"]
    if room:
        plain = {**plain, "threads": given or room.threads}
        if room.remote and not room.gpus and plain["device"] == "auto":
            plain["device"] = "cpu"
        device = "cuda:0" if room.gpus and plain["device"] != "cpu" else None
    one = cell.resolve(plain, device=device)
    if "tuned" in one:
        tuning.check(one, studies.url_of(plain["studies"], Path(one["runs"])))
    plans = [
        transfer.planned({**each, "threads": plain["threads"]}, one, device) for each in others
    ]
    if given is None and not plain["overwrite"]:
        for each in (one, *plans):
            each["threads"] = launch.resumed_threads(each)
    return one, plans


def names_of(value: object) -> list[str]:
    """The datasets to evaluate on; ConfigError where it is no list of names."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(
            f"evaluate_on={value}: a list of datasets was wanted, such as [spinal_human]"
        )
    return value


def other(name: str, words: Iterable[str]) -> dict[str, Any]:
    """A job's configuration with another dataset; ConfigError where there is none of that name."""
    kept = [word for word in words if not TRAINED.match(word)]
    try:
        found: Any = OmegaConf.to_container(
            compose("config", [*kept, f"dataset={name}"]), resolve=True
        )
    except HydraException as wrong:
        raise ConfigError(f"evaluate_on: {one_line(wrong)}") from wrong
    plain: dict[str, Any] = found
    return plain


def one_line(wrong: Exception) -> str:
    """Hydra's several lines as one, with what to do."""
    text = " ".join(str(wrong).split())
    if plugin := PLUGIN.search(text):
        return f"{plugin[1]}: its plugin for Hydra isn't installed; pip install 'usbench[{EXTRAS[plugin[2]]}]'"
    return f"{text} (see python -m usbench --help, or list=true)"
