"""What the command does with a composed configuration: make a cell of it, find its result, or have it made."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from usbench import listing, tuning, workers
from usbench.console import err, say, warn
from usbench.errors import ConfigError, RunError, UsbenchError
from usbench.workers import Room

if TYPE_CHECKING:
    from usbench.ledger import Entry

PLUGIN = re.compile(r"Could not (?:load|find) '(hydra/\w+/(submitit|ray|joblib|optuna)(?:_local|_slurm|_aws)?)'")
EXTRAS = {"submitit": "slurm", "ray": "ray", "joblib": "sweep", "optuna": "sweep"}  # that install these plugins
LOOK_S = 1.0  # between two looks at another host's claim
TRAINED = re.compile(r"[+~]*(dataset|evaluate_on|fold|sweep)\b")  # words that are about the dataset trained on alone


def conf_dir() -> Path:
    """The configuration shipped in the wheel, or the checkout's beside the package."""
    package = Path(__file__).resolve().parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def job(config: DictConfig) -> float | None:
    """One composed configuration; the selection rule's figure on validation, for sweepers.

    An error is one line here. A single run then ends the process; in a multirun only Hydra may know of it, so that the
    next job is run.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["list"]:
        listing.show(conf_dir(), plain)
        return None
    try:
        if plain["cell"]:
            carry_out_stored(Path(plain["runs"]), str(plain["cell"]))
            return None
        return carry_out(plain)
    except (UsbenchError, OSError) as wrong:
        if plain["debug"] is True:
            err.print_exception()
        code = tell(wrong)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise Broken(code) from None
        sys.exit(code)


def tell(wrong: UsbenchError | OSError) -> int:
    """One line on stderr; the exit code."""
    if isinstance(wrong, OSError):  # a full disk, a folder that can't be made
        warn(f"{wrong.filename or ''}: {wrong.strerror or wrong}; check the folder, its permissions and the free space")
        return 1
    if str(wrong):
        warn(str(wrong))
    return wrong.exit_code


def carry_out(plain: dict[str, Any]) -> float | None:
    """Run what a configuration says, unless it was done before. Imports come late, so that --help answers at once."""
    from usbench import report, transfer

    if plain["study"] and HydraConfig.get().mode == RunMode.MULTIRUN:
        return carry_out_trial(plain)
    plain, words = tuned(plain, HydraConfig.get().overrides.task)
    one, plans = resolved(plain, [other(name, words) for name in names_of(plain["evaluate_on"])])
    if plain["plan"]:
        show_plan(one, plans)
        return None
    stands_in = one["phantom"] and plain["dataset"]["released"]
    notice = report.phantom_notice(plain["dataset"], one["task"], one["model"]["name"]) if stands_in else None
    if notice:
        say(notice)
    record = run_or_find(one, plain["overwrite"])
    for plan in plans:
        run_or_find(transfer.settled(plan, one, record["validation"]["value"]), plain["overwrite"])
    if notice:
        say(notice)
    return chosen_by(record)


def carry_out_trial(plain: dict[str, Any]) -> float | None:
    """Run a trial of a search, which learns nothing but the figure on validation."""
    from usbench import launch

    room = workers.room(HydraConfig.get().launcher)
    one, _ = resolved(plain, [], None if room.remote else room)
    found = launch.finished(one)
    return chosen_by(found[1] if found else made({**one, "study": plain["study"]}, False, room.per_gpu))


def chosen_by(record: dict[str, Any]) -> float | None:
    """The selection rule's figure on validation."""
    value = record["validation"]["value"]
    return None if value is None else float(value)


def tuned(plain: dict[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], Sequence[str]]:
    """The configuration and its words with the best trial's values on top, where `tuned` names a study.

    Its `tuned` is then what the record says of the search.
    """
    if plain["study"]:
        raise ConfigError(f"study={plain['study']}: it names a search; say sweep=tune, or tuned= to take its values")
    if not plain["tuned"]:
        return plain, words
    said, values = tuning.best(plain, words)
    full = [*words, *values]
    composed: Any = OmegaConf.to_container(compose("config", full), resolve=True)
    return {**composed, "tuned": said}, full


def carry_out_stored(runs: Path, key: str) -> None:
    """Run a cell that a sweep has stored, and its evaluations. What comes of it is in the ledger."""
    from usbench import launch, ledger, sweep, transfer

    stored = sweep.read(runs, key)
    one = stored["cell"]
    say(f"cell {stored['place']}")
    for each in (one, *stored["then"]):
        found = ledger.entry(each)
        if found.state == "running" and stored["remote"]:
            found = outlived(each)
        if found.state == "running":
            say(f"{each['key']}: being done by {found.words}")
            return
        if found.state == "done" and not stored["overwrite"]:
            continue
        if each is not one:
            trained = launch.finished(one)
            if trained is None:
                return
            each = transfer.settled(each, one, trained[1]["validation"]["value"])
        if launch.launch(each, stored["overwrite"], stored["per_gpu"], stored["where"]) == launch.INTERRUPTED:
            raise KeyboardInterrupt


def outlived(one: dict[str, Any]) -> Entry:
    """A running cell's entry once its holder has given a sign of life, or hasn't for as long as its lease.

    A cluster starts a cell anew when its node has died, whose claim still stands for a while.
    """
    from usbench import cell, claims, ledger

    path, silent_s = claims.path_of(cell.run_dir(one)), 0.0
    while (holder := claims.look(path)) and not holder.stale and holder.silent_s >= silent_s:
        silent_s = holder.silent_s
        time.sleep(LOOK_S)
    return ledger.entry(one)


def show_plan(one: dict[str, Any], plans: list[dict[str, Any]]) -> None:
    """plan=true of a single run."""
    from usbench import estimate, sweep

    job = sweep.Job((), one, plans, name=f"{one['dataset']['name']} {one['model']['name']}")
    estimate.show([job], [job.name] if sweep.waits(job, retry_failed=True) else [], 1)


def resolved(
    plain: dict[str, Any], others: Iterable[dict[str, Any]], room: Room | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The cell of a configuration, and of its evaluations on other datasets. room: what a sweep gives it."""
    from usbench import cell, launch, studies, transfer

    device, given = None, plain["threads"]
    if room:
        plain = {**plain, "threads": given or room.threads}
        if room.remote and not room.gpus and plain["device"] == "auto":
            plain["device"] = "cpu"
        device = "cuda:0" if room.gpus and plain["device"] != "cpu" else None
    one = cell.resolve(plain, device=device)
    if "tuned" in one:
        tuning.check(one, studies.url_of(plain["studies"], Path(one["runs"])))
    plans = [transfer.planned({**each, "threads": plain["threads"]}, one, device) for each in others]
    if given is None and not plain["overwrite"]:
        for each in (one, *plans):
            each["threads"] = launch.resumed_threads(each)
    return one, plans


def names_of(value: object) -> list[str]:
    """The datasets to evaluate on; ConfigError where it is no list of names."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"evaluate_on={value}: a list of datasets was wanted, such as [spinal_human]")
    return value


def other(name: str, words: Iterable[str]) -> dict[str, Any]:
    """A job's configuration with another dataset; ConfigError where there is none of that name."""
    kept = [word for word in words if not TRAINED.match(word)]
    try:
        found: Any = OmegaConf.to_container(compose("config", [*kept, f"dataset={name}"]), resolve=True)
    except HydraException as wrong:
        raise ConfigError(f"evaluate_on: {one_line(wrong)}") from wrong
    plain: dict[str, Any] = found
    return plain


def run_or_find(one: dict[str, Any], overwrite: bool) -> dict[str, Any]:
    """The record of the cell: found, or made by a child process."""
    from usbench import launch

    found = launch.finished(one)
    if found and not overwrite:
        path, record = found
        primary = record["primary"]
        say(f"done already: {path} ({primary['name']} {primary['value']}); overwrite=true does it again")
        return record
    return made(one, overwrite)


def made(one: dict[str, Any], overwrite: bool, per_gpu: int = 0) -> dict[str, Any]:
    """The record that a child process makes of the cell. per_gpu: see `launch.launch`."""
    from usbench import launch

    code = launch.launch(one, overwrite, per_gpu)
    if code == launch.INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise Broken(code)
    left = launch.finished(one)
    if left is None:
        raise RunError(f"the run ended well but left no result in {one['results']}; was it removed meanwhile?")
    return left[1]


class Broken(UsbenchError):
    """The child failed and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__("")
        self.exit_code = code


def one_line(wrong: Exception) -> str:
    """Hydra's several lines as one, with what to do."""
    text = " ".join(str(wrong).split())
    if plugin := PLUGIN.search(text):
        return f"{plugin[1]}: its plugin for Hydra isn't installed; pip install 'usbench[{EXTRAS[plugin[2]]}]'"
    return f"{text} (see python -m usbench --help, or list=true)"
