"""The state of a run, read from what lies on disk: its result, its lock, why it was refused.

No state is stored by itself, so none can be wrong after a crash. Whether a run has finished is
decided here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from usbench.errors import DataError
from usbench.results.result import Result
from usbench.results.store import find_result_file, hash_cases, load_result
from usbench.runner.config import RunAddress
from usbench.runner.lock import file_system_time, lock_path, read_holder

State = Literal["done", "running", "stale", "failed", "skipped", "missing"]
REFUSED = "refused.json"  # in the run's folder: why it can't be run (state: skipped or failed)
LOST = "lost-*.json"  # in the run's folder: one per process that lost its lock


@dataclass(frozen=True)
class RunStatus:
    """In which state a run is."""

    state: State
    reason: str = ""  # why it isn't done, or who runs it
    value: float | None = None  # the primary score of a finished run
    seconds: float | None = None  # of all its stages
    lost: int = 0  # how often its work was done in vain
    score: str = ""  # the name of the primary score
    metric: Mapping[str, object] | None = None  # by which a finished run was scored

    @property
    def is_done(self) -> bool:
        """Whether the run has a whole result."""
        return self.state == "done"


def find_result(address: RunAddress) -> Path | None:
    """The file of the run's result, whole or not; None where there is none."""
    return find_result_file(
        address.results,
        address.dataset,
        address.task,
        address.model,
        address.seed,
        address.run_id,
    )


def stored_result(address: RunAddress) -> Result | None:
    """The run's result, done or failed; None where there is none.

    Raises:
        DataError: the result or the case table that it names is damaged.
    """
    path = find_result(address)
    if path is None:
        return None
    result = load_result(path)
    if result.run_id != address.run_id:
        raise DataError(f"{path}: expected the run id {address.run_id}, got {result.run_id}")
    if result.cases:
        hash_cases(path, result)
    return result


def finished_result(address: RunAddress) -> Result | None:
    """The run's result if the run has finished. Raises as `stored_result`."""
    result = stored_result(address)
    return result if result and result.is_done else None


def asks_for_more(asked: Mapping[str, object], scored_by: Mapping[str, object]) -> bool:
    """Whether a metric gives figures that a run lacks which was scored by another.

    Args:
        asked: a `_target_` node; figures that only the other one has don't count.
        scored_by: likewise.
    """
    before, now = dict(scored_by), dict(asked)
    extra_before = _mapping(before.pop("extra", None))
    extra_now = _mapping(now.pop("extra", None))
    if any(extra_before.get(name) != node for name, node in extra_now.items()):
        return True
    names = before.keys() | now.keys()
    return any(_unless_empty(before.get(name)) != _unless_empty(now.get(name)) for name in names)


def _mapping(node: object) -> Mapping[str, object]:
    return node if isinstance(node, Mapping) else {}


def _unless_empty(node: object) -> object:
    """A metric of an older version lacks the keys that now are {} or []: they mean the same."""
    return None if node == {} or node == [] else node


def run_statuses(addresses: Iterable[RunAddress]) -> Iterator[RunStatus]:
    """The status of each run; a file system's clock is asked once."""
    now: dict[Path, float] = {}
    for address in addresses:
        if address.runs not in now:
            address.runs.mkdir(parents=True, exist_ok=True)
            now[address.runs] = file_system_time(address.runs)
        yield run_status(address, now[address.runs])


def run_status(address: RunAddress, now: float | None = None) -> RunStatus:
    """The status of one run.

    Args:
        address: of the run.
        now: the file system's time at its runs folder; None: it is asked.
    """
    folder = address.run_dir
    lost = len(list(folder.glob(LOST)))
    damaged = ""
    try:
        result = stored_result(address)
    except DataError:
        result, damaged = None, "its result is damaged"
    if result and result.is_done:
        assert result.primary, "a finished result has a primary score"
        value, seconds = result.primary.value, sum((result.seconds or {}).values())
        metric = result.config["metric"]
        return RunStatus("done", "", value, seconds, lost, result.primary.name, metric)
    holder = read_holder(lock_path(folder), now)
    if holder:
        reason = (
            f"process {holder.pid} on {holder.host}, last sign of life {holder.silent_s:.0f} s ago"
        )
        return RunStatus("stale" if holder.stale else "running", reason, lost=lost)
    if result:
        return RunStatus("failed", str(result.reason), lost=lost)
    with suppress(OSError, ValueError, KeyError, TypeError):
        refused = json.loads((folder / REFUSED).read_text("utf-8"))
        return RunStatus(refused["state"], refused["reason"], lost=lost)
    return RunStatus("missing", damaged, lost=lost)
