"""The command: Hydra composes a configuration, which becomes a cell, which a child process runs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from usbench import listing
from usbench.console import err, say, warn
from usbench.errors import ConfigError, RunError, UsbenchError

TRAINED = re.compile(r"[+~]*(dataset|evaluate_on|fold)\b")  # words that are about the dataset trained on alone


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
    from usbench import cell, report, transfer

    others = [other(name) for name in names_of(plain["evaluate_on"])]
    one = cell.resolve(plain)
    plans = [transfer.planned(each, one) for each in others]
    stands_in = one["phantom"] and plain["dataset"]["released"]
    notice = report.phantom_notice(plain["dataset"], one["task"], one["model"]["name"]) if stands_in else None
    if notice:
        say(notice)
    record = run_or_find(one, plain)
    for plan, each in zip(plans, others, strict=True):
        run_or_find(transfer.settled(plan, one, record["validation"]["value"]), each)
    if notice:
        say(notice)
    value = record["validation"]["value"]
    return None if value is None else float(value)


def names_of(value: object) -> list[str]:
    """The datasets to evaluate on; ConfigError where it is no list of names."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"evaluate_on={value}: a list of datasets was wanted, such as [spinal_human]")
    return value


def other(name: str) -> dict[str, Any]:
    """This job's configuration with another dataset; ConfigError where there is none of that name."""
    words = [word for word in HydraConfig.get().overrides.task if not TRAINED.match(word)]
    try:
        found: Any = OmegaConf.to_container(compose("config", [*words, f"dataset={name}"]), resolve=True)
    except HydraException as wrong:
        raise ConfigError(f"evaluate_on: {one_line(wrong)}") from wrong
    plain: dict[str, Any] = found
    return plain


def run_or_find(one: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """The record of the cell: found, or made by a child process."""
    from usbench import launch

    found = launch.finished(one)
    if found and not plain["overwrite"]:
        path, record = found
        primary = record["primary"]
        say(f"done already: {path} ({primary['name']} {primary['value']}); overwrite=true does it again")
        return record
    if plain["threads"] is None and not plain["overwrite"]:
        one["threads"] = launch.resumed_threads(one)
    code = launch.launch(one, plain["overwrite"])
    if code:
        raise Broken(code)
    made = launch.finished(one)
    if made is None:
        raise RunError(f"the run ended well but left no result in {one['results']}; was it removed meanwhile?")
    return made[1]


class Broken(UsbenchError):
    """The child failed and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__("")
        self.exit_code = code


def main() -> None:
    """Console script `usbench`, and `python -m usbench`."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as python -m does: a lab's own modules lie here
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to here instead of Hydra's own long report
    command = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)
    try:
        command()
    except (HydraException, OmegaConfBaseException) as wrong:
        warn(one_line(wrong))
        sys.exit(2)
    except Broken as wrong:
        sys.exit(wrong.exit_code)


def one_line(wrong: Exception) -> str:
    """Hydra's several lines as one, with what to do."""
    text = " ".join(str(wrong).split())
    return f"{text} (see python -m usbench --help, or list=true)"


if __name__ == "__main__":
    main()
