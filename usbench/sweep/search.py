"""A search for better values, by Optuna: its words, its trials, its end.

A study is steered by the selection rule's figure on validation alone. Its trials are ordinary runs, whose records lie
below `runs/tuning/<study>`, off the board: nobody is shown what they score on test images. What `tuned=NAME` then does
with its best trial: see tuning.py.
"""

from __future__ import annotations

import atexit
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from usbench.errors import ConfigError, RunError
from usbench.io.console import say, warn
from usbench.runner import lock as claims
from usbench.runner import resources as workers
from usbench.runner.plan import resolved
from usbench.sweep import studies
from usbench.sweep.studies import State

FOLDER = "tuning"  # below runs: a folder for each study, with its trials' records
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
SEARCHED = re.compile(r"\+{0,2}model\.\w")  # what may be searched
HARMLESS = (  # what the sweeper ends with though nothing is wrong: all trials failed; the last one of a grid failed
    "Record does not exist.",
    "`Study.stop` is supposed to be invoked inside an objective function or a callback.",
)
EXAMPLE = "'model.recipes.standard.lr=tag(log,interval(1e-4,1e-2))'"


@dataclass
class Search:
    """The search of this process. wanted: trials that shall come to an end; told: one that this process has begun."""

    name: str
    url: str
    wanted: int
    folder: Path
    about: Mapping[str, Any]
    told: int = 0


def is_search(config: DictConfig) -> bool:
    """Whether the sweeper is Optuna's."""
    return str(config.hydra.sweeper._target_).endswith(".OptunaSweeper")


def begin(config: DictConfig) -> Search:
    """Take the study up and leave to the sweeper the trials that are missing. Ends the process where none is."""
    check_words(config)
    words, space = split(config)
    room = workers.room(config.hydra.launcher)

    plain: Any = OmegaConf.to_container(compose("config", words), resolve=True)
    about = facts(resolved({**plain, "study": None}, [], room)[0], space)
    name, runs = (
        str(plain["study"] or f"{about['dataset']}-{about['model']}"),
        Path(str(config.runs)).absolute(),
    )
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"study={name}: a name fit for a folder was wanted, of letters, digits and . _ + -"
        )
    url, folder, wanted = (
        studies.url_of(plain["studies"], runs),
        runs / FOLDER / name,
        config.hydra.sweeper.n_trials,
    )
    if plain["plan"]:
        found = studies.look(url, name)
        say(
            f"study {name}: {found.completed if found else 0} of {wanted} trials are done; plan=true starts nothing"
        )
        sys.exit(0)
    claim = claims.take(claims.path_of(folder))
    if claim is None:
        raise RunError(
            f"study={name}: another process is at it; wait for it, or search under another name"
        )
    atexit.register(claim.__enter__().__exit__, None, None, None)
    search = Search(name, url, wanted, folder, about)
    state = studies.take_up(url, name, about)
    if state.completed >= wanted:
        sys.exit(end(search))
    say(
        f"study {name}: {state.completed} of {wanted} trials are done; {url.removeprefix(studies.FILE)}"
    )
    hand_over(config, search, state)
    return search


def check_words(config: DictConfig) -> None:
    """ConfigError for keys that make no sense in a search."""
    for key, why in {
        "list": "leave one of the two out",
        "overwrite": "a study isn't done again; begin another one, study=…",
        "evaluate_on": "that scores test images, which a search mustn't see; say it with tuned=",
        "tuned": "that takes a finished study's values; leave one of the two out",
    }.items():
        if config[key]:
            raise ConfigError(f"{key}={config[key]} in a search: {why}")
    trials = config.hydra.sweeper.n_trials
    if not isinstance(trials, int) or isinstance(trials, bool) or trials < 1:
        raise ConfigError(
            f"hydra.sweeper.n_trials={trials}: a whole number of 1 or more was wanted"
        )


def split(config: DictConfig) -> tuple[list[str], dict[str, str]]:
    """(the words that all trials share, {parameter: what it is searched over})."""
    given: Any = OmegaConf.to_container(
        config.hydra.sweeper.params or OmegaConf.create({}), resolve=False
    )
    told: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    words = [*(f"{name}={value}" for name, value in given.items()), *told]
    fixed, space = [], {}
    for each in OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(
        words
    ):
        if not each.is_sweep_override():
            fixed.append(str(each.input_line))
            continue
        name = str(each.get_key_element())
        if not SEARCHED.match(name):
            raise ConfigError(
                f"{each.input_line}: of a search only model.… can vary; one study for each other word"
            )
        space[name] = str(each.input_line).partition("=")[2]
    if not space:
        raise ConfigError(
            f"a search without a parameter to search; say what varies and how far, such as {EXAMPLE}"
        )
    return fixed, space


def facts(one: Mapping[str, Any], space: Mapping[str, str]) -> dict[str, Any]:
    """What a study is about, so that it isn't gone on with, or used, for something else."""
    from usbench.runner import config as cell  # late, so that --help answers at once

    rule, version = cell.SELECTION[one["task"]]
    return {
        "dataset": one["dataset"]["name"],
        **{part: one[part] for part in ("task", "fold", "recipe", "seed")},
        "model": one["model"]["name"],
        "data": one["fingerprint"],
        "rule": f"{rule} v{version}",
        "space": dict(space),
        "series": one["series"],
    }


def hand_over(config: DictConfig, search: Search, state: State) -> None:
    """Tell the sweeper where and how many, and each trial where its record belongs. A sampler that goes on must not
    draw the same numbers again."""
    runs = search.folder.parent.parent
    words = [
        f"{key}={quoted(str(value))}"
        for key, value in {"runs": runs, "results": search.folder}.items()
    ]
    words += [f"study='{search.name}'"]
    tracked = any(word.lstrip("+").startswith("tracking=") for word in config.hydra.overrides.task)
    words += [] if tracked else ["tracking=none"]  # a tracker shows test scores
    with read_write(config), open_dict(config):
        sweeper = config.hydra.sweeper
        sweeper.storage, sweeper.study_name = search.url, search.name
        sweeper.direction, sweeper.n_trials = "maximize", search.wanted - state.completed
        if "seed" in sweeper.sampler:
            sweeper.sampler.seed = (sweeper.sampler.seed or 0) + state.asked
        config.hydra.sweep.dir = str(search.folder)
        told: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        config.hydra.overrides.task = [*told, *words]


def quoted(text: str) -> str:
    """A value of a Hydra word, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def announce(search: Search, words: Iterable[str]) -> None:
    """A line when a trial begins."""
    search.told += 1
    tried = [word.lstrip("+") for word in words if word.partition("=")[0] in search.about["space"]]
    say(f"trial {search.told}: {' '.join(tried)}")


def end(search: Search) -> int:
    """What became of the search, in words; the exit code."""
    try:
        state = studies.look(search.url, search.name)
    except RunError as wrong:
        warn(str(wrong))
        return 1
    if state is None:
        warn(
            f"study={search.name}: it was removed while it ran; the records of its trials are below {search.folder}"
        )
        return 1
    say(
        f"study {state.name}: {state.completed} of {search.wanted} trials done, {state.failed} failed"
    )
    if state.completed:
        say(f"best on validation: {search.about['rule']} {state.value:.4f} with {shown(state)}")
        words = " ".join(f"{key}={search.about[key]}" for key in ("dataset", "model", "recipe"))
        say(
            f"now with seeds that the search hasn't used: python -m usbench -m tuned={state.name} {words} seed=1,2,3"
        )
    if state.failed:
        say(f"why trials failed is in their records below {search.folder}")
    if state.completed < search.wanted:
        say("the same command again does the trials that are missing")
    return 0 if state.completed >= search.wanted else 1


def shown(state: State) -> str:
    """The best trial's values."""
    return " ".join(f"{name.lstrip('+')}={value}" for name, value in state.values.items())
