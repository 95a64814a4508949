"""A search for better values by Optuna: its overrides, its trials, its end.

A study is steered by the selection metric on validation alone. Its trials are ordinary runs, whose
results lie below `runs/tuning/<study>`, off the leaderboard: their test scores are never shown.
What `tuned=NAME` then does with the best trial is in studies.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from usbench.errors import ConfigError, Finished, RunError
from usbench.io.config import compose, parse_overrides
from usbench.io.console import say, warn
from usbench.io.overrides import quote
from usbench.runner.config import RunConfig
from usbench.runner.lock import Lock, lock_path, take_lock
from usbench.runner.plan import plan_run
from usbench.runner.recipes import SHORT_KEYS
from usbench.runner.resolve import SELECTION
from usbench.runner.resources import Resources
from usbench.sweep import studies
from usbench.sweep.studies import Study

FOLDER = "tuning"  # below runs: a folder for each study, with its trials' results
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
SEARCHABLE = re.compile(rf"\+{{0,2}}(model\.\w|({'|'.join(SHORT_KEYS)})$)")  # keys that may vary
EXAMPLE = "'model.recipes.standard.lr=tag(log,interval(1e-4,1e-2))'"
FORBIDDEN = {  # keys that make no sense in a search, and why
    "overwrite": "a study isn't done again; begin another one, study=…",
    "evaluate_on": "that scores test images, which a search mustn't see; set it with tuned=",
    "tuned": "that takes a finished study's values; leave one of the two out",
}


@dataclass
class Search:
    """A search that this process carries out."""

    name: str
    url: str  # of the database
    n_trials: int  # to complete
    folder: Path  # of the trials' results
    about: Mapping[str, object]
    space: Mapping[str, str]  # parameter → what it is searched over
    study: Study  # as it stood at the start
    lock: Lock
    announced: int = 0  # trials begun by this process

    @property
    def missing(self) -> int:
        """Trials to do."""
        return self.n_trials - self.study.completed

    def trial_overrides(self, overrides: Sequence[str]) -> list[str]:
        """What each trial gets beside the search's own overrides: where its result belongs."""
        added = [
            f"runs={quote(str(self.folder.parent.parent))}",
            f"results={quote(str(self.folder))}",
            f"study='{self.name}'",
        ]
        if not any(override.lstrip("+").startswith("tracking=") for override in overrides):
            added.append("tracking=none")  # a tracker shows test scores
        return added

    def announce(self, overrides: Iterable[str]) -> None:
        """Print which values the next trial tries."""
        self.announced += 1
        tried = [text.lstrip("+") for text in overrides if text.partition("=")[0] in self.space]
        say(f"trial {self.announced}: {' '.join(tried)}")

    def has_ended(self) -> bool:
        """Whether the sweeper has begun trials, and left none half done.

        An error of it is then only how it ends: it raises when all trials have failed and there is
        no best one, and when a grid's last trial has failed.
        """
        with suppress(RunError):
            study = studies.load_study(self.url, self.name)
            return study is not None and study.begun > self.study.begun and not study.running
        return False

    def finish(self) -> int:
        """Print what became of the search; the exit code."""
        try:
            study = studies.load_study(self.url, self.name)
        except RunError as error:
            warn(str(error))
            return 1
        if study is None:
            warn(
                f"study={self.name}: it was removed while it ran; its trials' results are below "
                f"{self.folder}"
            )
            return 1
        self.report(study)
        return 0 if study.completed >= self.n_trials else 1

    def report(self, study: Study) -> None:
        """Print a study's counts, its best trial, and what to do next."""
        done = f"{study.completed} of {self.n_trials} trials done"
        say(f"study {study.name}: {done}, {study.failed} failed")
        if study.completed:
            values = " ".join(f"{key.lstrip('+')}={value}" for key, value in study.values.items())
            say(f"best on validation: {self.about['rule']} {study.value:.4f} with {values}")
            keys = " ".join(f"{key}={self.about[key]}" for key in ("dataset", "model", "recipe"))
            say(
                "now with seeds that the search hasn't used: "
                f"python -m usbench -m tuned={study.name} {keys} seed=1,2,3"
            )
        if study.failed:
            say(f"why trials failed is in their results below {self.folder}")
        if study.completed < self.n_trials:
            say("the same command again does the missing trials")


def begin_search(overrides: Sequence[str], n_trials: object, resources: Resources) -> Search:
    """Take a study up, or begin it.

    Args:
        overrides: of the command and of the sweep's YAML.
        n_trials: of the sweeper's configuration.
        resources: what each trial gets.

    Raises:
        Finished: plan=true, which prints what the search would do.
        ConfigError: the search can't be.
        RunError: another process carries it out, or the database can't be used.
    """
    fixed, space = split_overrides(overrides)
    composed = compose(fixed)
    for key, advice in FORBIDDEN.items():
        if composed[key]:
            raise ConfigError(f"{key}={composed[key]} in a search: {advice}")
    if not isinstance(n_trials, int) or isinstance(n_trials, bool) or n_trials < 1:
        raise ConfigError(
            f"hydra.sweeper.n_trials={n_trials}: expected a whole number of 1 or more"
        )
    config = plan_run({**composed, "study": None, "evaluate_on": []}, fixed, resources).config
    about = study_facts(config, space)
    name = str(composed["study"] or f"{about['dataset']}-{about['model']}")
    if not NAME.fullmatch(name):
        raise ConfigError(f"study={name}: expected a name of letters, digits and . _ + -")
    url, folder = studies.storage_url(composed), config.runs / FOLDER / name
    if composed["plan"]:
        stored = studies.load_study(url, name)
        done = stored.completed if stored else 0
        say(f"study {name}: {done} of {n_trials} trials are done; plan=true starts nothing")
        raise Finished(0)
    lock = take_lock(lock_path(folder))
    if lock is None:
        raise RunError(
            f"study={name}: another process carries it out; wait for it, or search under another "
            "name"
        )
    lock.__enter__()
    try:
        study = studies.resume_study(url, name, about)
    except BaseException:
        lock.release()
        raise
    return Search(name, url, n_trials, folder, about, space, study, lock)


def split_overrides(overrides: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """(overrides that all trials share, {parameter: what it is searched over})."""
    fixed, space = [], {}
    for override in parse_overrides(overrides):
        line, key = str(override.input_line), str(override.get_key_element())
        if not override.is_sweep_override():
            fixed.append(line)
        elif SEARCHABLE.match(key):
            space[key] = line.partition("=")[2]
        else:
            raise ConfigError(
                f"{line}: only model.… and {', '.join(SHORT_KEYS)} can vary in a search; use one study "
                "for each other value"
            )
    if not space:
        raise ConfigError(
            f"a search needs a parameter that varies, and its range, such as {EXAMPLE}"
        )
    return fixed, space


def study_facts(config: RunConfig, space: Mapping[str, str]) -> dict[str, object]:
    """What a study is about, so that it isn't resumed with, or used for, something else."""
    metric, version = SELECTION[config.task]
    return {
        "dataset": config.dataset.name,
        "task": config.task,
        "fold": config.fold,
        "recipe": config.recipe,
        "seed": config.seed,
        "model": config.model.name,
        "data": config.fingerprint,
        "rule": f"{metric} v{version}",
        "space": dict(space),
        "series": config.series,
    }
