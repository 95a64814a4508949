"""In which state a cell is, read from what lies on disk: its result, its claim, why it was refused.

No state is stored by itself, so none can be wrong after a crash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import lock as claims

State = Literal["done", "running", "stale", "failed", "skipped", "missing"]
REFUSED = (
    "refused.json"  # in the run folder: why a cell can't be run at all, found when it was begun
)
LOST = "lost-*.json"  # in the run folder: one for each process that worked at it in vain, silent for too long


@dataclass(frozen=True)
class Entry:
    """A cell in the ledger. words: who runs it, or why it isn't done; value: the primary score of a done one."""

    state: State
    words: str = ""
    value: float | None = None
    seconds: float | None = None  # of all stages together
    twice: int = 0  # times that its work was done in vain


def is_done(one: Mapping[str, Any]) -> bool:
    """Whether the cell has a whole result: a record that says done, and the case table that it names."""
    record = _record(one)
    return record is not None and record.get("status") == "done"


def entries(cells: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    """The ledger's entry of each cell; the file system's clock is asked once."""
    now: dict[Path, float] = {}
    for one in cells:
        runs = Path(one["runs"])
        if runs not in now:
            runs.mkdir(parents=True, exist_ok=True)
            now[runs] = claims.clock(runs)
        yield entry(one, now[runs])


def entry(one: Mapping[str, Any], now: float | None = None) -> Entry:
    """The ledger's entry of one cell. now: the file system's clock at its runs folder, asked where it isn't given."""
    folder, record = cell.run_dir(one), _record(one)
    twice = len(list(folder.glob(LOST)))
    if record and record.get("status") == "done":
        return Entry("done", "", record["primary"]["value"], sum(record["seconds"].values()), twice)
    holder = claims.look(claims.path_of(folder), now)
    if holder:
        who = (
            f"process {holder.pid} on {holder.host}, last sign of life {holder.silent_s:.0f} s ago"
        )
        return Entry("stale" if holder.stale else "running", who, twice=twice)
    if record and record.get("status") == "failed":
        return Entry("failed", str(record.get("reason")), twice=twice)
    with suppress(OSError, ValueError, KeyError):
        return Entry("skipped", json.loads((folder / REFUSED).read_text())["reason"], twice=twice)
    return Entry("missing", "its result is damaged" if record == {} else "", twice=twice)


def _record(one: Mapping[str, Any]) -> dict[str, Any] | None:
    """The cell's record; None where there is none, {} where it or its case table is damaged.

    Quick: by the table's sha256 and a few keys, not by the schema, which who reads results for figures checks.
    """
    named = (one["dataset"]["name"], one["task"], one["model"]["name"], one["seed"], one["run_id"])
    path = results.find(Path(one["results"]), *named)
    if path is None:
        return None
    try:
        record = json.loads(path.read_bytes())
        if record["run_id"] != one["run_id"] or record["status"] not in ("done", "failed"):
            return {}
        if record.get("cases") and record.get("cases_sha256"):
            packed = path.with_name(record["cases"]).read_bytes()
            if hashlib.sha256(packed).hexdigest() != record["cases_sha256"]:
                return {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(record)
