"""One run, fully resolved: nothing is left to the machine, the clock or a default.

`runs/<run id>/config.yaml` holds it; the child process that does the run reads it there. No torch,
no pixels. `usbench.runner.resolve` makes it from a composed configuration.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import Literal

import yaml

from usbench.datasets import source
from usbench.datasets.config import DatasetConfig, ViewConfig, stated_fields
from usbench.datasets.dataset import Dataset
from usbench.errors import ConfigError, in_one_line
from usbench.io.files import JsonObject, write_atomically
from usbench.results.result import Tuned
from usbench.types import Task

NAME = "config.yaml"  # in the run's folder
HIDDEN = ("root", "runs", "results", "debug", "tracking", "parent")  # of no interest elsewhere
TYPES: Mapping[str, type | UnionType] = {  # of the values that nothing else checks
    "dataset": dict,
    "task": str,
    "model": dict,
    "metric": dict,
    "recipe": str | None,
    "fold": int | None,
    "seed": int | None,
    "device": str,
    "precision": str,
    "threads": int,
    "phantom": bool,
    "weights": dict | None,
    "transfer": dict | None,
    "tuned": dict | None,
    "overrides": list | tuple | None,
}
HIDDEN_DATASET = ("access", "title", "citation", "bibtex", "root")  # the dataset's YAML has them


@dataclass(frozen=True)
class ModelConfig:
    """A model and its training settings."""

    name: str
    version: int  # of the adapter
    build: Mapping[str, object]  # a `_target_` node
    recipe: Mapping[str, object]  # training settings


@dataclass(frozen=True)
class WeightsOrigin:
    """Where a model's starting weights came from."""

    origin: object  # as stated: a path, an address, a hub's entry
    sha256: str | None


@dataclass(frozen=True)
class Transfer:
    """An evaluation of a trained model on another dataset's test images."""

    trained_on: str  # the dataset's name
    run_id: str  # of the training
    runs: Path  # where its folder lies
    class_map: Mapping[str, str]  # the model's class → ours
    classes: tuple[str, ...]  # those of ours that are scored
    left_out: tuple[str, ...]  # those that the model doesn't know
    validation: float | None = None  # selection metric of the training; None before it


@dataclass(frozen=True)
class RunAddress:
    """What it takes to find a run's folder and its result."""

    dataset: str
    task: Task
    model: str
    seed: int | None
    run_id: str
    runs: Path
    results: Path

    @property
    def run_dir(self) -> Path:
        """The folder for everything that the run writes."""
        return self.runs / self.run_id


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run, and where its files go."""

    dataset: DatasetConfig
    task: Task
    fold: int | None  # None: the fixed split
    model: ModelConfig
    recipe: str | None  # its name; None: external predictions
    metric: Mapping[str, object]  # a `_target_` node
    seed: int | None  # None: external predictions
    device: str  # cpu | cuda:N
    precision: Literal["fp32", "bf16"]
    threads: int
    phantom: bool
    root: Path  # of the release
    runs: Path
    results: Path
    tracking: Literal["mlflow", "none"]
    debug: bool
    weights: WeightsOrigin | None = None  # None: from scratch
    fingerprint: str = ""  # of the data
    series: str = ""  # shared by runs that differ in seed or precision alone
    fold_series: str | None = None  # shared by the folds of one run; None: the fixed split
    run_id: str = ""
    tuned: Tuned | None = None  # the search whose values are run
    study: str | None = None  # the search that this run is a trial of
    transfer: Transfer | None = None  # None: the dataset that is trained on
    parent: str | None = None  # MLflow's run of the sweep; None: a single run
    # What the command asked for, as `overrides_to_keep` leaves it; None: not known.
    overrides: tuple[str, ...] | None = None

    @property
    def view(self) -> ViewConfig:
        """The dataset's view of the task."""
        return self.dataset.views[self.task]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are scored."""
        return self.transfer.classes if self.transfer else self.view.classes or ()

    @property
    def address(self) -> RunAddress:
        """What it takes to find the run's folder and its result."""
        return RunAddress(
            dataset=self.dataset.name,
            task=self.task,
            model=self.model.name,
            seed=self.seed,
            run_id=self.run_id,
            runs=self.runs,
            results=self.results,
        )

    @property
    def run_dir(self) -> Path:
        """The folder for everything that the run writes."""
        return self.runs / self.run_id

    @property
    def path(self) -> Path:
        """Where the run's configuration lies."""
        return self.run_dir / NAME

    def open_dataset(self) -> Dataset:
        """Index the view; of an evaluation elsewhere only the classes that the model knows."""
        dataset = source.open_dataset(
            self.dataset,
            self.task,
            self.root,
            phantom=self.phantom,
            fold=None if self.transfer else self.fold,
        )
        return dataset.narrow_to(self.transfer.classes) if self.transfer else dataset

    def to_mapping(self) -> JsonObject:
        """The configuration as YAML's data."""
        content = stated_fields(self)
        for name in ("recipe", "fold", "seed", "weights", "debug"):
            content.setdefault(name, getattr(self, name))
        content["dataset"] = self.dataset.to_mapping()
        content |= {name: os.fspath(getattr(self, name)) for name in ("root", "runs", "results")}
        if self.weights:
            content["weights"] = {"from": self.weights.origin, "sha256": self.weights.sha256}
        if self.transfer:
            content["transfer"]["runs"] = os.fspath(self.transfer.runs)
        return content

    def public_mapping(self) -> JsonObject:
        """The configuration as a result holds it: nothing of this machine's folders."""
        content = {name: part for name, part in self.to_mapping().items() if name not in HIDDEN}
        for name in HIDDEN_DATASET:
            content["dataset"].pop(name, None)
        if self.transfer:
            del content["transfer"]["runs"]
        weights = self.model.build.get("weights")
        if isinstance(weights, str) and Path(weights).is_absolute():
            content["model"]["build"]["weights"] = Path(weights).name
        return content

    @classmethod
    def from_mapping(cls, content: Mapping[str, object], **places: object) -> RunConfig:
        """A configuration from YAML's data.

        Args:
            content: from `to_mapping`, or the `config` of a result.
            places: what the `config` of a result lacks (root, runs, results, tracking, debug).

        Raises:
            ConfigError: a key is missing, unknown, or has a value of another type.
        """
        values: JsonObject = {**content, **places}
        check_values(cls, values, TYPES)
        check_values(ModelConfig, values["model"], {}, "model")
        values["dataset"] = DatasetConfig.from_mapping(values["dataset"])
        values["model"] = ModelConfig(**values["model"])
        for name in ("root", "runs", "results"):
            values[name] = Path(values[name])
        if weights := values.get("weights"):
            values["weights"] = WeightsOrigin(weights["from"], weights.get("sha256"))
        if values.get("overrides") is not None:
            values["overrides"] = tuple(values["overrides"])
        if tuned := values.get("tuned"):
            values["tuned"] = Tuned(**{**tuned, "seeds": tuple(tuned["seeds"])})
        if transfer := values.get("transfer"):
            lists = {name: tuple(transfer.get(name, ())) for name in ("classes", "left_out")}
            values["transfer"] = Transfer(
                **{**transfer, **lists, "runs": Path(transfer.get("runs", ""))}
            )
        return cls(**values)


def check_values(
    cls: type[RunConfig | ModelConfig],
    values: Mapping[str, object],
    types: Mapping[str, type | UnionType],
    where: str = "",
) -> None:
    """Raise ConfigError where values don't fit a dataclass's fields, or aren't of the types."""
    prefix = f"{where}." if where else ""
    known = {item.name: item.default is MISSING for item in fields(cls)}
    for name in values:
        if name not in known:
            raise ConfigError(f"key {prefix}{name}: expected a key of a run, got an unknown one")
    for name, is_required in known.items():
        if is_required and name not in values:
            raise ConfigError(f"key {prefix}{name}: expected a value, got none")
    for name, kind in types.items():
        value = values.get(name)
        if not isinstance(value, kind):
            kinds = str(getattr(kind, "__name__", kind))
            raise ConfigError(f"key {prefix}{name}: expected {kinds}, got {value!r:.80}")


def write_config(content: JsonObject, path: Path) -> None:
    """Write a configuration as YAML, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_config(path: Path) -> RunConfig:
    """Read a run's configuration. Raises ConfigError where the file isn't one."""
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ConfigError(f"expected keys with values, got {type(content).__name__}")
        return RunConfig.from_mapping(content)
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected a run's configuration: {in_one_line(error)}"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: expected a run's configuration: {error}") from error


def with_threads(config: RunConfig) -> RunConfig:
    """The configuration with the thread count of a run that was begun: it decides the last bits."""
    has_begun = config.path.is_file()
    return replace(config, threads=read_config(config.path).threads) if has_begun else config
