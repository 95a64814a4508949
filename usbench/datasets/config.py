"""A dataset's YAML as frozen dataclasses. Dictionaries end here: unknown keys are errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from usbench.errors import ConfigError, did_you_mean
from usbench.io.bibtex import read_entries
from usbench.io.files import JsonObject
from usbench.types import Task

# Correlations of thumbnails from which on a test image resembles a training image: near-duplicates,
# then those that the leaderboard shows a further score without.
CORRELATIONS = (0.95, 0.9, 0.85)
LONGEST_NAME = 100  # letters: it becomes part of a file's name
NAME = re.compile(rf"[^\W_][\w.+-]{{0,{LONGEST_NAME - 1}}}")
MOST_CLASSES = 255  # that a mask of one byte a pixel holds beside the background
REDISTRIBUTE = ("none", "labels", "images")  # what of a release may be shown to others
PHANTOM_SHARES = {"val": 0.2, "test": 0.2}  # of a phantom whose release has groups that test
PHANTOM_GAP = 4  # images dropped where two splits of a phantom meet, at most
GROUPS = ("patient", "exam", "animal", "volunteer", "video", "unknown")  # what a group may be
CERTAINTIES = ("high", "medium", "low")  # how sure a release's format is
NOT_OURS = ("published", "published_protocols")  # the leaderboard reads these from the YAML itself


@dataclass(frozen=True)
class SplitConfig:
    """Who trains, chooses and tests (see `usbench.datasets.splits.assign_splits`)."""

    description: str  # for people
    val_share: float | None = None  # taken from the release's own train
    shares: Mapping[str, float] | None = None  # {val, test} of whole groups
    folds: int | None = None  # how many there are
    gap: int | None = None  # records dropped where two contiguous splits meet
    stratify: str | None = None  # an attribute of the records
    near_duplicates: tuple[tuple[str, ...], ...] = ()  # ids that form one group
    test_only: bool = False  # every image tests
    test_groups: tuple[str, ...] = ()  # groups that test; the others train
    # Whether `folds` are the release's own. They then decide every run: fold=null is fold 0.
    released_folds: bool = False


@dataclass(frozen=True)
class ViewConfig:
    """One task's view of a release: which classes, and how its files are read."""

    layout: Mapping[str, object]  # a `_target_` node
    classes: tuple[str, ...] | None = None  # null: the release names them itself
    exclusive: bool = False  # whether a pixel has one class at most
    box_origin: int | None = None  # number of the first pixel in the release's boxes
    box_end: str | None = None  # inclusive | exclusive
    protocols: tuple[str, ...] = ()  # those of the dataset's own papers
    tolerance: Mapping[str, float] | None = None  # of a surface Dice, by unit
    measures: Mapping[str, object] | None = None  # clinical measurements, by name
    protocol_description: str | None = None  # how targets are read, for people
    known_defects: Mapping[str, object] = field(default_factory=dict)  # of the real release


@dataclass(frozen=True)
class LeakageConfig:
    """Test images that show what a training image shows."""

    description: str
    images: tuple[str, ...]  # record ids
    # Test image → highest correlation with a training image, where it is .85 or more.
    correlations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset's YAML without its published numbers."""

    name: str  # of its folder below data, and in results
    size: tuple[int, int]  # typical height and width, native px
    released: bool  # false: always a phantom
    views: Mapping[Task, ViewConfig]  # one for each task
    split: SplitConfig  # who trains, chooses and tests
    phantom: JsonObject = field(default_factory=dict)  # fields of a `PhantomSpec`
    licence: str | None = None  # of the release
    redistribute: str = "none"  # none | labels | images
    title: str = ""  # for people
    access: str = ""  # how to get the release
    citation: str | None = None  # of the release
    bibtex: str | None = None  # its entries: what usbench bibtex writes
    attribution: str | None = None  # that published pictures carry
    root: str | None = None  # the folder of this one release, instead of <data>/<name>
    groups: str | None = None  # what a group is, a word of GROUPS
    unknown_groups: str | None = None  # why intervals are too narrow
    # How sure the release's format is, a word of CERTAINTIES: high: its own files, or two readers.
    certainty: str | None = None
    files_read: bool = False  # whether usbench has read the release's own images
    unverified: tuple[str, ...] = ()  # what of this file nobody could verify
    overlaps: Mapping[str, str] = field(default_factory=dict)  # dataset → images that both have
    leakage: LeakageConfig | None = None  # test images that show what a training image shows
    strata: tuple[str, ...] = ()  # attributes of the records that scores are shown by
    published_counts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # of images
    recipes: Mapping[str, str] = field(default_factory=dict)  # model → its paper's recipe
    archives: tuple[JsonObject, ...] = ()  # fields of a `RemoteFile`
    class_map: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by other dataset
    options: Mapping[str, object] = field(default_factory=dict)  # keys that views refer to

    @classmethod
    def from_mapping(cls, node: JsonObject) -> DatasetConfig:
        """The YAML of a dataset, resolved; keys of its own become `options`.

        Raises:
            ConfigError: a key is missing, a view or the split has an unknown one, or `redistribute`
                is none of its words.
        """
        names = {item.name for item in fields(cls)} - {"options"}
        config = read_config(cls, {key: node[key] for key in node if key in names}, "dataset")
        where = f"dataset={config.name}"
        check_redistribute(node, where)
        if not isinstance(config.views, Mapping):
            raise ConfigError(f"{where}: expected views by task, got {config.views!r}")
        check_name(config)
        check_bibtex(config.bibtex, where)
        if not isinstance(config.strata, tuple) or not all(map(is_text, config.strata)):
            raise ConfigError(f"{where}: strata: expected a list of names, got {node['strata']!r}")
        for key, words in (("groups", GROUPS), ("certainty", CERTAINTIES)):
            value = getattr(config, key)
            if value is not None and value not in words:
                raise ConfigError(f"{where}: {key}: expected {', '.join(words)}, got {value!r}")
        views = {
            task: read_config(ViewConfig, view, f"{where}: views.{task}")
            for task, view in config.views.items()
        }
        for task, view in views.items():
            check_classes(view.classes, f"dataset.views.{task}.classes")
            if not isinstance(view.exclusive, bool):
                raise ConfigError(
                    f"dataset.views.{task}.exclusive={view.exclusive}: expected true or false"
                )
        return replace(
            config,
            views=views,
            split=read_config(SplitConfig, config.split, f"{where}: split"),
            leakage=read_config(LeakageConfig, config.leakage, f"{where}: leakage")
            if config.leakage
            else None,
            options={key: node[key] for key in node if key not in {*names, *NOT_OURS}},
        )

    def to_mapping(self) -> JsonObject:
        """The YAML again, without keys that have their default."""
        return {**stated_fields(replace(self, options={})), **self.options}

    def without_release(self) -> DatasetConfig:
        """The dataset without what holds for the real images only: leakage, near-duplicates, groups
        that test, and a gap that would take most of a phantom's few images.
        """
        split = replace(self.split, near_duplicates=())
        if split.gap is not None:
            split = replace(split, gap=min(split.gap, PHANTOM_GAP))
        if split.test_groups:
            split = replace(split, test_groups=(), val_share=None, shares=PHANTOM_SHARES)
        return replace(self, leakage=None, split=split)

    def with_classes(self, task: Task, classes: Iterable[str]) -> DatasetConfig:
        """The dataset with the classes that the release names, where the YAML leaves them to it."""
        view = self.views[task]
        named = view.classes or tuple(classes)
        check_classes(named, f"dataset.views.{task}.classes")
        views = {**self.views, task: replace(view, classes=named)}
        return replace(self, views=views)


def is_text(value: object) -> bool:
    """Whether a value is a text that isn't empty."""
    return isinstance(value, str) and bool(value)


def check_bibtex(text: object, where: str) -> None:
    """Raise ConfigError unless a dataset's or a model's `bibtex` is BibTeX, or left out."""
    if text is None:
        return
    entries = read_entries(text, f"{where}: bibtex") if isinstance(text, str) else []
    if not entries:
        raise ConfigError(f"{where}: bibtex: expected entries as text, got {text!r}")


def check_name(config: DatasetConfig) -> None:
    """Raise ConfigError for a name that can't be a folder's, or is the phantom's."""
    check_file_name(config.name, "dataset.name")
    if config.name == "phantom" and config.released:
        raise ConfigError(
            "dataset.name=phantom: expected another name; results on phantoms have this one"
        )


def check_file_name(name: object, key: str) -> None:
    """Raise ConfigError for a name that can't be part of a file's name."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{key}={name or repr('')}: expected a name of letters, digits and . _ + -, "
            f"at most {LONGEST_NAME} of them, the first a letter or digit"
        )


def check_classes(classes: object, key: str) -> None:
    """Raise ConfigError for classes that aren't a list of different names; None is no list yet."""
    if classes is None:
        return
    if not isinstance(classes, tuple) or not classes:
        raise ConfigError(
            f"{key}={classes or []}: expected a list of names, such as [{classes or 'lesion'}]"
        )
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"{key}: expected names, got {name!r}; put a number in quotes")
    if repeated := [name for name, count in Counter(classes).items() if count > 1]:
        raise ConfigError(f"{key}: expected different names, got {repeated[0]!r} more than once")
    if len(classes) > MOST_CLASSES:
        raise ConfigError(f"{key}: expected at most {MOST_CLASSES} names, got {len(classes)}")


def check_redistribute(node: JsonObject, where: str) -> None:
    """Raise ConfigError unless a dataset's `redistribute` is one of its words, or left out.

    Whatever else stood there would decide by accident whether case ids are published.
    """
    if "share" in node:
        raise ConfigError(
            f"{where}: unknown key 'share'; say redistribute: none, labels or images instead"
        )
    value = node.get("redistribute")
    if value is None or value in REDISTRIBUTE:
        return
    hint = did_you_mean(str(value).lower(), REDISTRIBUTE, "'{}'")
    raise ConfigError(
        f"{where}: redistribute: expected none, labels or images, got {value!r}{hint}"
    )


Config = TypeVar("Config", DatasetConfig, ViewConfig, SplitConfig, LeakageConfig)


def read_config(cls: type[Config], node: object, where: str) -> Config:
    """A dataclass of this module from one mapping of a dataset's YAML.

    Lists become tuples; null stands for the default.

    Raises:
        ConfigError: the node is no mapping, has an unknown key, or a key is missing.
    """
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}: expected keys with values, got {node!r}")
    names = field_names(cls)
    for key in node:
        if key not in names:
            hint = did_you_mean(str(key), names, "'{}'") or f"; expected {', '.join(names)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
    for item in fields(cls):
        if item.default is item.default_factory is MISSING and node.get(item.name) is None:
            raise ConfigError(f"{where}: expected a key {item.name!r}, got none")
    return cls(**{key: to_tuples(value) for key, value in node.items() if value is not None})


def field_names(cls: type[Config]) -> list[str]:
    """The keys of a dataclass of this module."""
    return [item.name for item in fields(cls)]


def field_default(item: Field[Any]) -> object:
    """The default of a dataclass's field; None where it has none."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return None if item.default is MISSING else item.default


def to_tuples(value: object) -> Any:
    """A list and the lists in it as tuples; anything else as it is."""
    return tuple(map(to_tuples, value)) if isinstance(value, list) else value


def stated_fields(config: Any) -> JsonObject:
    """A dataclass as YAML's data: what differs from its default; tuples become lists."""
    content = {}
    for item in fields(config):
        value = getattr(config, item.name)
        default = item.default if item.default_factory is MISSING else item.default_factory()
        if value != default:
            content[item.name] = to_plain(value)
    return content


def to_plain(value: object) -> Any:
    """A value as YAML's data: dataclasses and mappings as dictionaries, tuples as lists."""
    if is_dataclass(value):
        return stated_fields(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    return list(map(to_plain, value)) if isinstance(value, (list, tuple)) else value
