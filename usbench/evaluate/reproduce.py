"""A recorded run done again from its record alone, and whether the same came out.

Knows what a record leaves out of its cell (folders, tracking) and puts this machine's in its place; what decides the
predictions (configuration, seed, precision, threads) is taken as it was recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from usbench.datasets import source
from usbench.errors import ConfigError, DataError, RunError
from usbench.models import weights
from usbench.runner import config as cell
from usbench.runner import launch, machine

Verdict = Literal["identical", "within the interval", "different"]


@dataclass(frozen=True)
class Comparison:
    """The new record beside the old one. scores: name → (recorded, now), all that differ."""

    verdict: Verdict
    scores: Mapping[str, tuple[float | None, float | None]]
    surroundings: tuple[str, ...]  # what else differs: environment, code, data


def rebuilt(
    record: Mapping[str, Any], data: Path | None, folder: Path, weights_file: Path | None = None
) -> cell.Cell:
    """The cell of a record, on this machine; everything that it writes lies below folder.

    data: the folder of releases, for a run on real images. Raises ConfigError for a record that no training of one
    model made, DataError where the data aren't there or aren't the recorded ones, RunError for a device that isn't
    here and starting weights that aren't the recorded ones.
    """
    if record["origin"] != "run" or record["status"] != "done" or record.get("trained_on"):
        raise ConfigError(
            "the record of a finished training was wanted: origin run, status done, trained_on null"
        )
    places = {
        "runs": str(folder / "runs"),
        "results": str(folder / "results"),
        "tracking": "none",
        "debug": False,
    }
    one: cell.Cell = {**json.loads(json.dumps(record["config"])), **places}
    machine.resolve_device(one["device"])
    take_weights(one, weights_file)
    drawn = one["phantom"] and source.phantom_fingerprint(one) == record["data"]["fingerprint"]
    one["root"] = str(source.ensure_phantom(one) if drawn else release(one, data))
    found = cell.fingerprint(one, source.open_dataset(one), not drawn)
    if found != record["data"]["fingerprint"]:
        raise DataError(
            f"{one['root']}: the data of this record were wanted (fingerprint {record['data']['fingerprint'][:12]}), "
            f"found others ({found[:12]}): files, their bytes, split or groups differ"
        )
    one["series"], one["run_id"] = cell.run_ids(one)
    return one


def release(one: Mapping[str, Any], data: Path | None) -> Path:
    """The release's folder: below data, USBENCH_DATA or ./data. DataError where it isn't."""
    root = (data or Path(os.environ.get("USBENCH_DATA") or "data")).absolute() / str(
        one["dataset"]["name"]
    )
    if not root.is_dir():
        what = "phantom (usbench draws another now)" if one["phantom"] else "release"
        raise DataError(
            f"{root}: the {what} that this record was made on was wanted here, found nothing; see --data"
        )
    return root


def take_weights(one: cell.Cell, given: Path | None) -> None:
    """Put the file of the starting weights into the cell. RunError where it isn't the recorded one."""
    recorded = one.get("weights")
    node = one["model"]["build"]
    if not recorded or recorded["sha256"] == node["weights"]:  # a word, such as imagenet, is itself
        return
    if given is None or weights.weights_sha256(str(given)) != recorded["sha256"]:
        found = "none" if given is None else str(given)
        raise RunError(
            f"--weights: the file of starting weights with sha256 {recorded['sha256'][:12]} was wanted "
            f"(from {recorded['from']}), found {found}"
        )
    node["weights"] = str(given.absolute())


def again(one: cell.Cell) -> dict[str, Any]:
    """Do the cell in a fresh process, or go on with what one that was stopped has left; its record. RunError where it
    fails."""
    if launch.finished(one) is None and launch.launch(one, overwrite=False):
        raise RunError("the run failed, see above; the record can't be compared")
    made = launch.finished(one)
    if made is None:
        raise RunError(f"the run left no result in {one['results']}; was it removed meanwhile?")
    return made[1]


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """identical: the stored predictions are the same bytes; within the interval: the new primary score lies in the old
    one's; else different."""
    name = old["primary"]["name"]
    figures, value = old["scores"][name], new["scores"].get(name, {}).get("value")
    low, high = figures["low"], figures["high"]
    verdict: Verdict = "different"
    if old["predictions"]["sha256"] == new["predictions"]["sha256"]:
        verdict = "identical"
    elif None not in (value, low, high) and low <= value <= high:
        verdict = "within the interval"
    moved = {}
    for score, figure in old["scores"].items():
        now = new["scores"].get(score, {}).get("value")
        if now != figure["value"]:
            moved[score] = (figure["value"], now)
    return Comparison(verdict, moved, tuple(surroundings(old, new)))


def surroundings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs in code, machine, packages and key."""
    told = []
    for what in ("run_id", "device", "precision", "threads"):
        if old[what] != new[what]:
            told.append(f"{what}: {old[what]}, now {new[what]}")
    for part in ("processor", "gpu"):
        if old["machine"].get(part) != new["machine"].get(part):
            told.append(f"{part}: {old['machine'].get(part)}, now {new['machine'].get(part)}")
    before, after = old["machine"]["packages"], new["machine"]["packages"]
    for package in sorted({*before, *after}):
        was, now = before.get(package, "not in the record"), after.get(package, "not installed")
        if was != now:
            told.append(f"{package}: {was}, now {now}")
    for what in ("version", "commit", "dirty"):
        if old["code"].get(what) != new["code"].get(what):
            told.append(f"code {what}: {old['code'].get(what)}, now {new['code'].get(what)}")
    return told
