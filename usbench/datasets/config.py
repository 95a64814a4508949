"""A dataset's YAML as frozen dataclasses. Dictionaries end here: unknown keys are errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, cast

from usbench.errors import ConfigError
from usbench.types import Task

NOT_OURS = ("published", "published_protocols")  # the leaderboard reads these from the YAML itself


@dataclass(frozen=True)
class SplitConfig:
    """Who trains, chooses and tests (see `usbench.datasets.dataset.assign_splits`)."""

    description: str  # for people
    val_share: float | None = None  # taken from the release's own train
    shares: Mapping[str, float] | None = None  # {val, test} of whole groups
    folds: int | None = None  # how many there are
    gap: int | None = None  # records dropped where two contiguous splits meet
    stratify: str | None = None  # an attribute of the records
    near_duplicates: tuple[tuple[str, ...], ...] = ()  # ids that form one group
    test_only: bool = False  # every image tests

    @classmethod
    def from_mapping(cls, node: object, where: str) -> SplitConfig:
        """The `split` entry of a dataset's YAML. Raises ConfigError for an unknown key."""
        values = known_fields(cls, node, where)
        clusters = cast(Iterable[Iterable[str]], values.get("near_duplicates") or ())
        return cls(**{**values, "near_duplicates": tuple(tuple(ids) for ids in clusters)})

    def to_mapping(self) -> dict[str, Any]:
        """The entry as it stands in the YAML, without keys that have their default."""
        return stated_fields(self)


@dataclass(frozen=True)
class ViewConfig:
    """One task's view of a release: which classes, and how its files are read."""

    layout: Mapping[str, object]  # a `_target_` node
    classes: tuple[str, ...] | None = None  # None: the release names them itself
    exclusive: bool = False  # whether a pixel has one class at most
    box_origin: int | None = None  # number of the first pixel in the release's boxes
    box_end: str | None = None  # inclusive | exclusive
    protocols: tuple[str, ...] = ()  # those of the dataset's own papers
    tolerance: Mapping[str, float] | None = None  # of a surface Dice, by unit
    lengths: Mapping[str, object] | None = None  # lengths between landmarks
    protocol_description: str | None = None  # how targets are read, for people
    known_defects: Mapping[str, object] = field(default_factory=dict)  # of the real release

    @classmethod
    def from_mapping(cls, node: object, where: str) -> ViewConfig:
        """One entry of `views`. Raises ConfigError for an unknown key."""
        values = known_fields(cls, node, where)
        for name in ("classes", "protocols"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The entry as it stands in the YAML, without keys that have their default."""
        return stated_fields(self)


@dataclass(frozen=True)
class LeakageConfig:
    """Test images that show what a training image shows."""

    description: str
    images: tuple[str, ...]  # record ids

    @classmethod
    def from_mapping(cls, node: object, where: str) -> LeakageConfig:
        """The `leakage` entry of a dataset's YAML. Raises ConfigError for an unknown key."""
        values = known_fields(cls, node, where)
        return cls(values["description"], tuple(values["images"]))


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset's YAML without its published numbers."""

    name: str
    size: tuple[int, int]  # typical height and width, native px
    released: bool  # False: always a phantom
    views: Mapping[Task, ViewConfig]
    split: SplitConfig
    phantom: Mapping[str, object] = field(default_factory=dict)  # fields of a `PhantomSpec`
    licence: str | None = None
    redistribute: str = "none"  # none | labels | images
    title: str = ""
    access: str = ""  # how to get the release
    citation: str | None = None
    attribution: str | None = None
    root: str | None = None  # the folder of this one release, instead of <data>/<name>
    unknown_groups: str | None = None  # why intervals are too narrow
    leakage: LeakageConfig | None = None
    published_counts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)  # model → its paper's recipe
    archives: tuple[Mapping[str, object], ...] = ()
    class_map: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by other dataset
    options: Mapping[str, object] = field(default_factory=dict)  # keys that views refer to

    @classmethod
    def from_mapping(cls, node: Mapping[str, Any]) -> DatasetConfig:
        """The YAML of a dataset, resolved; keys of its own become `options`.

        Raises:
            ConfigError: a key is missing, or a view or the split has an unknown one.
        """
        names = {item.name for item in fields(cls)} - {"options"}
        values = {name: value for name, value in node.items() if name in names}
        require_keys(cls, values, "dataset")
        where = f"dataset={values['name']}"
        if not isinstance(values["views"], Mapping):
            raise ConfigError(f"{where}: expected views by task, got {values['views']!r}")
        values["views"] = {
            task: ViewConfig.from_mapping(view, f"{where}: views.{task}")
            for task, view in values["views"].items()
        }
        values["split"] = SplitConfig.from_mapping(values["split"], f"{where}: split")
        if values.get("leakage"):
            values["leakage"] = LeakageConfig.from_mapping(values["leakage"], f"{where}: leakage")
        values["size"] = tuple(values["size"])
        values["archives"] = tuple(values.get("archives") or ())
        for name in ("recipes", "class_map", "published_counts"):
            values[name] = values.get(name) or {}
        options = {key: node[key] for key in node if key not in names and key not in NOT_OURS}
        return cls(**values, options=options)

    def to_mapping(self) -> dict[str, Any]:
        """The YAML again, without keys that have their default."""
        content = stated_fields(self)
        content.pop("options", None)
        content["views"] = {task: view.to_mapping() for task, view in self.views.items()}
        content["split"] = self.split.to_mapping()
        return {**content, **self.options}

    def without_release(self) -> DatasetConfig:
        """The dataset without what holds for the real images only: leakage, near-duplicates."""
        return replace(self, leakage=None, split=replace(self.split, near_duplicates=()))

    def with_classes(self, task: Task, classes: Iterable[str]) -> DatasetConfig:
        """The dataset with the classes that the release names, where the YAML leaves them to it."""
        view = self.views[task]
        if view.classes:
            return self
        return replace(self, views={**self.views, task: replace(view, classes=tuple(classes))})


def known_fields(cls: type, node: object, where: str) -> dict[str, Any]:
    """A mapping's values by field. Raises ConfigError for anything else and for unknown keys."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}: expected keys with values, got {node!r}")
    names = [item.name for item in fields(cls)]
    for key in node:
        if key not in names:
            nearest = difflib.get_close_matches(str(key), names, 1, cutoff=0)[0]
            raise ConfigError(f"{where}: unknown key {key!r}; did you mean {nearest!r}?")
    require_keys(cls, node, where)
    return dict(node)


def require_keys(cls: type, node: Mapping[str, object], where: str) -> None:
    """Raise ConfigError where a field without a default has no value."""
    for item in fields(cls):
        required = item.default is MISSING and item.default_factory is MISSING
        if required and item.name not in node:
            raise ConfigError(f"{where}: expected a key {item.name!r}, got none")


def stated_fields(config: Any) -> dict[str, Any]:
    """A dataclass as YAML's data: what differs from its default; tuples become lists."""
    content = {}
    for item in fields(config):
        value = getattr(config, item.name)
        factory = item.default_factory
        default = item.default if factory is MISSING else factory()
        if value != default:
            content[item.name] = to_plain(value)
    return content


def to_plain(value: Any) -> Any:
    """A value as YAML's data: dataclasses and mappings as dictionaries, tuples as lists."""
    if hasattr(value, "__dataclass_fields__"):
        return stated_fields(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
