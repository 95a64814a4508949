"""Score a finished run's stored predictions again: a mended rule, or another one, without training anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from usbench import __version__
from usbench.cli.listing import conf_dir
from usbench.datasets import source
from usbench.datasets.dataset import Dataset
from usbench.errors import DataError, RunError, UsbenchError
from usbench.io.console import track
from usbench.metrics import detect_scorer, segment_scorer
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.scores import Scores
from usbench.results import scoring
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import machine, records

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """A finished run as its folder keeps it: the cell that was run, and its data, opened."""

    cell: cell.Cell
    folder: Path
    dataset: Dataset

    def score(self, metric: Mapping[str, Any] | None = None) -> Scores:
        """The test predictions by a metric node; the cell's own where none is given."""
        leak = self.cell["dataset"].get("leakage") or {}
        val, test = self.dataset.samples("val"), self.dataset.samples("test")
        if self.cell["seed"] is None or self.cell.get(
            "trained_on"
        ):  # there are no predictions of validation
            return scoring.score(
                metric or self.cell["metric"], self.folder, test, None, leak.get("images", ())
            )
        return scoring.score(
            metric or self.cell["metric"], self.folder, test, val, leak.get("images", ())
        )


def stored(record: Record, runs: Path, data: Path | None = None) -> Stored:
    """What a record's scores were computed from. data: the folder of releases; None: where the run found its release.

    Raises RunError where the run's folder or its predictions aren't below `runs`, DataError where the data isn't there
    or predictions or data are others than the record's.
    """
    folder = runs / str(record["run_id"])
    path = folder / "cell.yaml"
    if not path.is_file():
        raise RunError(
            f"{folder}: the run of this result was wanted here, found none; name its folder with --runs"
        )
    one = {**cell.read(path), "runs": str(runs.absolute())}
    if one["run_id"] != record["run_id"]:
        raise DataError(
            f"{path}: the run {record['run_id']} was wanted, found {one['run_id']}; is it a copy?"
        )
    predictions, _ = scoring.predictions_of(folder, "test")
    if not predictions.is_file():
        raise RunError(
            f"{predictions}: stored predictions were wanted, found none; only overwrite=true makes new ones"
        )
    wanted = (record.get("predictions") or {}).get("sha256")
    if wanted and hashlib.sha256(predictions.read_bytes()).hexdigest() != wanted:
        raise DataError(
            f"{predictions}: the predictions that the result was scored from were wanted, found others"
        )
    if data is not None:
        one["root"] = str((data / str(record["dataset"])).absolute())
    dataset = source.open_dataset(one)
    drawn_here = one["phantom"] and not (Path(one["root"]) / source.MARK).is_file()
    if cell.fingerprint(one, dataset, not drawn_here) != record["data"]["fingerprint"]:
        raise DataError(
            f"{one['root']}: the data that the result was scored on was wanted, found other files"
        )
    return Stored(one, folder, dataset)


def rescored(record: Record, runs: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the record with the scores that the code gives now, its cases as a record keeps them); see `stored`."""
    kept = stored(record, runs)
    one, scores = (
        {**kept.cell, "dataset": {**kept.cell["dataset"], **told_now(kept.dataset.name)}},
        kept.score(),
    )
    groups = len({part.group for part in kept.dataset.records["test"]})
    fields = records.scored(
        scores,
        one["metric"]["primary"],
        groups,
        records.protocol_description(one, scores.protocol.description),
    )
    cases = results.mask_ids(scores.cases, one["dataset"]["redistribute"], kept.dataset.name)
    return {**record, **fields}, cases


def from_table(record: Record, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """What `rescored` gives, from the case table alone, where the stored predictions are gone.

    That suffices for masks under rules at native size and for average precision by the rule coco; figures that need
    more (other rules, sizes, calibration, a user's own) stay as they are. None where it doesn't suffice.
    """
    config, name = record["config"], record["protocol"]["name"]
    if not record.get("cases") or "task" not in config:
        return None
    classes, rows = config["dataset"]["views"][record["task"]]["classes"], results.load_cases(path)
    leaking = set((record["data"].get("leakage") or {}).get("images") or ())
    clean = [row for row in rows if row["case"] not in leaking]
    if record["task"] == "segment":
        native = [each for each in (name, *record["protocols"]) if is_native(each)]
        if name not in native:
            return None
        scores, second = (
            segment_scorer.from_cases(some, classes, native) for some in (rows, clean)
        )
    elif name == COCO and record["protocol"]["version"] >= BOX_PROTOCOLS[name].matched_since:
        scores, second = (detect_scorer.from_cases(some, classes) for some in (rows, clean))
    else:
        return None
    if leaking:
        scores = scoring.with_second(scores, second.protocol.scores)
    one = {**config, "dataset": {**config["dataset"], **told_now(record["dataset"])}}
    words = records.protocol_description(one, scores.protocol.description)
    fields = records.scored(
        scores, record["primary"]["name"], len({row["group"] for row in rows}), words
    )
    fields["target_score"] = {**record["target_score"], **fields["target_score"]}
    fields["scores"] = {**record["scores"], **fields["scores"]}
    fields["per_class"] = {
        name: {**record["per_class"][name], **new} for name, new in fields["per_class"].items()
    }
    fields["protocols"] = {**record["protocols"], **fields["protocols"]}
    return {**record, **fields}, [
        {name: value or None for name, value in row.items()} for row in rows
    ]


def is_native(name: str) -> bool:
    """Whether a rule for masks of that name counts at native size."""
    return name in MASK_PROTOCOLS and MASK_PROTOCOLS[name].is_native


def told_now(dataset: str) -> dict[str, Any]:
    """What the dataset's YAML says today of groups that aren't known: words about the intervals, no part of the run."""
    path = conf_dir() / "dataset" / f"{dataset}.yaml"
    facts = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}
    return {"unknown_groups": facts.get("unknown_groups")}


@dataclass
class Tally:
    """What rescoring a folder of results did: files changed, unchanged, and why others couldn't be."""

    changed: list[Path] = field(default_factory=list)
    same: list[Path] = field(default_factory=list)
    kept: dict[Path, str] = field(default_factory=dict)


def rescore_all(folder: Path, runs: Path, phantom: bool) -> Tally:
    """Rescore every finished run of ours whose predictions are stored; nothing is trained.

    A record is rewritten only where something of it changes. One whose predictions or data are gone stays as it is, and
    the board shows it apart where its protocol's version is an old one.
    """
    done = Tally()
    every = [record for record in results.load_all(folder, phantom) if is_run(record)]
    for record in track(every, "rescoring", len(every)):
        path = results.record_path(folder, record)
        try:
            new, cases = rescored(record, runs)
        except UsbenchError as reason:
            again = from_table(record, path) if is_old(record) else None
            if again is None:
                done.kept[path] = str(reason)
                continue
            new, cases = again
        packed = hashlib.sha256(results.encode_cases(cases)).hexdigest() if cases else None
        if new == record and packed == record.get("cases_sha256"):
            done.same.append(path)
            continue
        results.save(folder, {**new, "scored_by": machine.code_state(__version__)}, cases)
        done.changed.append(path)
    return done


def is_old(record: Record) -> bool:
    """Whether a rule has a newer version than the one that the record was scored by."""
    newest = {name: rule.version for name, rule in MASK_PROTOCOLS.items()}
    newest |= {name: rule.version for name, rule in BOX_PROTOCOLS.items()}
    versions = {record["protocol"]["name"]: record["protocol"]["version"]}
    versions |= {name: rule["version"] for name, rule in record["protocols"].items()}
    return any(newest.get(name, 0) > version for name, version in versions.items())


def is_run(record: Record) -> bool:
    """A finished run of ours, or somebody else's predictions."""
    return bool(record["status"] == "done" and record["origin"] in ("run", "external"))
