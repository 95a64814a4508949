"""The verbs of the command: which there are, help, and how one is run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from importlib import import_module

from usbench import __version__
from usbench.cli.ending import report_error
from usbench.errors import ConfigError, did_you_mean
from usbench.io.console import say

GROUPS = {  # verb → what it does, as `usbench --help` groups them
    "run": {
        "prepare": "verify and unpack a release, or fetch it where that is open",
        "phantom": "write a dataset's phantom, in its release's own format",
        "check": "check a release: images, labels, counts, groups, near-duplicates",
        "predict": "predict a folder of images with a finished run's model",
        "evaluate": "score a finished run's model on another dataset",
        "reproduce": "do a result's run once more, and compare",
        "status": "show how far a sweep is",
        "sync": "send MLflow what it lacks",
    },
    "look": {
        "list": "list the datasets, models and metrics",
        "keys": "list the keys of a run, a dataset, a model: values and meanings",
        "score": "score predictions made elsewhere",
        "explain": "score one result under every protocol",
        "compare": "test whether one model is better than another",
        "sanity": "check a protocol and the data with baselines",
        "interrater": "score two annotators against each other",
        "catalogue": "search the catalogue of public datasets and models",
    },
    "share": {
        "leaderboard": "regenerate the leaderboard from the results",
        "table": "write a table for a paper: LaTeX, Markdown or CSV",
        "bibtex": "write the BibTeX entries of the datasets and models that results use",
        "gallery": "make a result's pictures and keep its test predictions",
        "serve": "serve the leaderboard's page on this machine",
    },
}
VERBS = frozenset().union(*GROUPS.values())
USAGE = """\
usage: usbench KEY=VALUE …       one run: train, predict, score, save the result
       usbench -m KEY=A,B …      a sweep over values
       usbench VERB …            everything else; usbench VERB --help says more

example:   usbench dataset=spinal model=yolov8
main keys: dataset=  model=  recipe=  seed=  fold=  data=  source=  device=  precision=
           runs=  results=  overwrite=  (usbench keys shows all)
"""
MAIN_KEYS = frozenset(re.findall(r"(\w+)=(?= )", USAGE))
MODULES = {"list": "listing"}  # a module can't have the verb's name


def dispatch(arguments: Sequence[str]) -> int | None:
    """Do what a command line without Hydra's overrides says.

    Returns:
        The exit code; None where the arguments are Hydra's.
    """
    first = arguments[0] if arguments else ""
    if first in VERBS:
        verb = import_module(f"usbench.cli.{MODULES.get(first, first)}")
        code: int = verb.main(list(arguments[1:]))
        return code
    if list(arguments) in ([], ["--help"], ["-h"], ["help"]):
        show_help()
        return 0
    if list(arguments) == ["--version"]:
        say(f"usbench {__version__}")
        return 0
    try:
        check_form(arguments)
    except ConfigError as error:
        return report_error(error)
    return None


def check_form(arguments: Sequence[str]) -> None:
    """Check the form of KEY=VALUE, before Hydra reads it.

    Raises:
        ConfigError: blanks around =, a key written as an option, or a word that is no verb.
    """
    for argument, following in itertools.pairwise([*arguments, ""]):
        if following.startswith("="):
            raise ConfigError(f"{argument} {following}: expected KEY=VALUE without blanks around =")
        name, _, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and name.partition(".")[0] in MAIN_KEYS:
            raise ConfigError(f"{argument}: expected no dashes; write {name}={value or following}")
    first = arguments[0]
    if not first.startswith(("-", "~")) and "=" not in first:
        hint = did_you_mean(first, VERBS) or "."
        raise ConfigError(f"{first}: expected KEY=VALUE or a verb{hint} See usbench --help")


def complete_verb(line: str) -> str:
    """Print the verbs that a command line's only word begins.

    Args:
        line: of the shell, up to the cursor.

    Returns:
        The line that Hydra is to complete: without a verb; after one only KEY=VALUE, so that the
        shell completes its files.
    """
    program, *words = line.split(" ")
    if len(words) == 1:
        say(" ".join(verb for verb in sorted(VERBS) if verb.startswith(words[0])))
    if words and words[0] in VERBS:
        return f"{program} {words[-1]}" if "=" in words[-1] else f"{program} ="
    return line


def show_help() -> None:
    """The verbs by group, and the main keys."""
    say(USAGE)
    for group, verbs in GROUPS.items():
        say(f"{group}:")
        for verb, summary in verbs.items():
            say(f"  {verb:<12} {summary}")
