"""A finished run's predictions and data, from its folder or from what is kept beside its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from usbench.datasets import source
from usbench.datasets.dataset import Dataset
from usbench.errors import DataError, RunError
from usbench.io.config import conf_dir
from usbench.io.files import JsonObject, file_sha256
from usbench.metrics.scores import Scores
from usbench.results import scoring
from usbench.results.kept_predictions import KeptPredictions, load_kept
from usbench.results.predictions import StoredPredictions, prediction_files, read_predictions
from usbench.results.result import Result
from usbench.results.store import kept_path
from usbench.runner import config as run_config
from usbench.runner.config import RunConfig, read_config
from usbench.runner.resolve import fingerprint
from usbench.types import Split


@dataclass(frozen=True)
class StoredRun:
    """What was run, its data, indexed once, and where its predictions are."""

    config: RunConfig
    dataset: Dataset
    kept: KeptPredictions | None = None  # beside the result; None: in the run's folder

    def predictions(self, split: Split) -> StoredPredictions:
        """The stored predictions of a split; of validation only where the run's folder is there."""
        samples, folder = self.dataset.samples(split), self.config.run_dir
        if self.kept is not None and split == "test":
            return self.kept.read(samples, folder)
        return read_predictions(folder, split, samples)

    def thresholds(self) -> Mapping[str, float]:
        """The scorer's arguments that are chosen on validation, where there is any."""
        if self.kept is not None:
            return self.kept.thresholds
        if self.config.seed is None or self.config.transfer is not None:
            return {}
        return scoring.choose_thresholds(self.predictions("val"))

    def score(
        self, metric: Mapping[str, object] | None = None, test: StoredPredictions | None = None
    ) -> Scores:
        """Score the stored test predictions.

        Args:
            metric: a `_target_` node; None: the run's own.
            test: the predictions, where they are read already.
        """
        leakage = self.config.dataset.leakage
        return scoring.score(
            metric or self.config.metric,
            test or self.predictions("test"),
            self.thresholds(),
            leakage.images if leakage else (),
        )


def find_run_config(result: Result, runs: Path) -> RunConfig:
    """The configuration of a result's run, from the run's folder below `runs`.

    Raises:
        RunError: the folder isn't there.
        DataError: it is another run's.
    """
    folder = runs / result.run_id
    path = folder / run_config.NAME
    if not path.is_file():
        raise RunError(
            f"{folder}: no run of this result found; name the folder of runs with --runs (runs= "
            "in a run's command and in Python)"
        )
    config = replace(read_config(path), runs=runs.absolute())
    if config.run_id != result.run_id:
        raise DataError(
            f"{path}: expected the run {result.run_id}, got {config.run_id}; is it a copy?"
        )
    return config


def config_of_result(result: Result, runs: Path, data: Path | None) -> RunConfig:
    """The configuration that a result holds, for reading its data again.

    Args:
        result: of a run of ours, or external.
        runs: the folder of runs.
        data: the folder of releases; None: USBENCH_DATA, else ./data.

    Raises:
        DataError: the release isn't there.
    """
    unstated = {  # by external predictions, which no run made
        "task": result.task,
        "fold": result.fold,
        "model": {"name": result.model, "version": 0, "build": {}, "recipe": {}},
        **dict.fromkeys(("recipe", "seed", "weights")),
        **{"device": "cpu", "precision": "fp32", "threads": 1, "phantom": False},
    }
    config = RunConfig.from_mapping(
        {**unstated, **result.config},
        **{"root": "", "results": "", "runs": runs.absolute(), "tracking": "none", "debug": False},
    )
    root = source.release_folder(config.dataset, None if data is None else str(data))
    if not root.is_dir():
        raise DataError(
            f"{root}: the release of this result isn't here; name the folder of releases with "
            "--data or the variable USBENCH_DATA"
        )
    return replace(config, root=root, run_id=result.run_id)


def open_stored_run(result: Result, path: Path, runs: Path, data: Path | None = None) -> StoredRun:
    """Open what a result's scores were computed from, and check that it is the same.

    Args:
        result: a finished one.
        path: its file, beside which predictions may be kept.
        runs: the folder of runs.
        data: the folder of releases; None: where the run found its release, or without the run's
            folder USBENCH_DATA, else ./data.

    Raises:
        RunError: neither the run's folder nor kept predictions are there.
        DataError: the data isn't there, or predictions or data differ from the result's.
    """
    kept = None
    predictions, _ = prediction_files(runs / result.run_id, "test")
    sha256 = result.predictions.sha256 if result.predictions else None
    if not predictions.is_file() and kept_path(path).is_file():
        kept = load_kept(kept_path(path), sha256)
        config = config_of_result(result, runs, data)
    else:
        config = find_run_config(result, runs)
        if not predictions.is_file():
            raise RunError(
                f"{predictions}: no stored predictions found; only overwrite=true makes new ones"
            )
        if sha256 not in (None, file_sha256(predictions)):
            raise DataError(
                f"{predictions}: expected the predictions that the result was scored from, got "
                "others"
            )
        if data is not None:
            config = replace(config, root=(data / result.dataset).absolute())
    config = with_current_declarations(config)
    dataset = config.open_dataset()
    drawn = config.phantom and not (config.root / source.MARK).is_file()
    if fingerprint(config, dataset, drawn) != result.data.fingerprint:
        raise DataError(
            f"{config.root}: expected the data that the result was scored on, got other files"
        )
    return StoredRun(config, dataset, kept)


def with_current_declarations(config: RunConfig) -> RunConfig:
    """The configuration with what the dataset's YAML declares today and isn't part of the run.

    That is which groups aren't known, which measurements are scored, and which strata.
    """
    path = conf_dir() / "dataset" / f"{config.dataset.name}.yaml"
    if not path.is_file():
        return config
    facts = yaml.safe_load(path.read_text("utf-8"))
    measures = facts.get("views", {}).get(config.task, {}).get("measures") or {}
    metric: JsonObject = dict(config.metric)
    if measures:
        metric["measures"] = {**metric.get("measures", {}), **measures}
    dataset = replace(
        config.dataset,
        unknown_groups=facts.get("unknown_groups"),
        strata=tuple(facts.get("strata") or ()),
    )
    return replace(config, dataset=dataset, metric=metric)
