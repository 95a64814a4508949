"""What the command does with a composed configuration: make a cell of it, find its result, or have it made."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from usbench.cli import listing
from usbench.errors import RunError, UsbenchError
from usbench.io.console import err, say, warn
from usbench.runner import resources as workers
from usbench.runner.plan import names_of, other, resolved, tuned

if TYPE_CHECKING:
    from usbench.runner.status import Entry

LOOK_S = 1.0  # between two looks at another host's claim


def job(config: DictConfig) -> float | None:
    """One composed configuration; the selection rule's figure on validation, for sweepers.

    An error is one line here. A single run then ends the process; in a multirun only Hydra may know of it, so that the
    next job is run.
    """
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["list"]:
        listing.show(listing.conf_dir(), plain)
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
        warn(
            f"{wrong.filename or ''}: {wrong.strerror or wrong}; check the folder, its permissions and the free space"
        )
        return 1
    if str(wrong):
        warn(str(wrong))
    return wrong.exit_code


def carry_out(plain: dict[str, Any]) -> float | None:
    """Run what a configuration says, unless it was done before. Imports come late, so that --help answers at once."""
    from usbench.runner import report, transfer

    if plain["study"] and HydraConfig.get().mode == RunMode.MULTIRUN:
        return carry_out_trial(plain)
    plain, words = tuned(plain, HydraConfig.get().overrides.task)
    one, plans = resolved(plain, [other(name, words) for name in names_of(plain["evaluate_on"])])
    if plain["plan"]:
        show_plan(one, plans)
        return None
    stands_in = one["phantom"] and plain["dataset"]["released"]
    notice = (
        report.phantom_notice(plain["dataset"], one["task"], one["model"]["name"])
        if stands_in
        else None
    )
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
    from usbench.runner import launch

    room = workers.room(HydraConfig.get().launcher)
    one, _ = resolved(plain, [], None if room.remote else room)
    found = launch.finished(one)
    return chosen_by(
        found[1] if found else made({**one, "study": plain["study"]}, False, room.per_gpu)
    )


def chosen_by(record: dict[str, Any]) -> float | None:
    """The selection rule's figure on validation."""
    value = record["validation"]["value"]
    return None if value is None else float(value)


def carry_out_stored(runs: Path, key: str) -> None:
    """Run a cell that a sweep has stored, and its evaluations. What comes of it is in the ledger."""
    from usbench.runner import launch, transfer
    from usbench.runner import status as ledger
    from usbench.sweep import planner as sweep

    stored = sweep.read(runs, key)
    one = stored["cell"]
    say(f"cell {stored['place']}")
    for each in (one, *stored["then"]):
        found = ledger.entry(each)
        if found.state == "running" and stored["remote"]:
            found = outlived(each)
        if found.state == "running":
            say(f"{each['run_id']}: being done by {found.words}")
            return
        if found.state == "done" and not stored["overwrite"]:
            continue
        if each is not one:
            trained = launch.finished(one)
            if trained is None:
                return
            each = transfer.settled(each, one, trained[1]["validation"]["value"])
        if (
            launch.launch(each, stored["overwrite"], stored["per_gpu"], stored["where"])
            == launch.INTERRUPTED
        ):
            raise KeyboardInterrupt


def outlived(one: dict[str, Any]) -> Entry:
    """A running cell's entry once its holder has given a sign of life, or hasn't for as long as its lease.

    A cluster starts a cell anew when its node has died, whose claim still stands for a while.
    """
    from usbench.runner import config as cell
    from usbench.runner import lock as claims
    from usbench.runner import status as ledger

    path, silent_s = claims.path_of(cell.run_dir(one)), 0.0
    while (holder := claims.look(path)) and not holder.stale and holder.silent_s >= silent_s:
        silent_s = holder.silent_s
        time.sleep(LOOK_S)
    return ledger.entry(one)


def show_plan(one: dict[str, Any], plans: list[dict[str, Any]]) -> None:
    """plan=true of a single run."""
    from usbench.sweep import estimate
    from usbench.sweep import planner as sweep

    job = sweep.Job((), one, plans, name=f"{one['dataset']['name']} {one['model']['name']}")
    estimate.show([job], [job.name] if sweep.waits(job, retry_failed=True) else [], 1)


def run_or_find(one: dict[str, Any], overwrite: bool) -> dict[str, Any]:
    """The record of the cell: found, or made by a child process."""
    from usbench.runner import launch, publication

    found = launch.finished(one)
    if found and not overwrite:
        publication.tidy(one)
        path, record = found
        primary = record["primary"]
        say(
            f"done already: {path} ({primary['name']} {primary['value']}); overwrite=true does it again"
        )
        return record
    return made(one, overwrite)


def made(one: dict[str, Any], overwrite: bool, per_gpu: int = 0) -> dict[str, Any]:
    """The record that a child process makes of the cell. per_gpu: see `launch.launch`."""
    from usbench.runner import launch

    code = launch.launch(one, overwrite, per_gpu)
    if code == launch.INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise Broken(code)
    left = launch.finished(one)
    if left is None:
        raise RunError(
            f"the run ended well but left no result in {one['results']}; was it removed meanwhile?"
        )
    return left[1]


class Broken(UsbenchError):
    """The child failed and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__("")
        self.exit_code = code
