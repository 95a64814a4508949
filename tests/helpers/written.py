"""Small phantoms of every view, as its layout writes them: for the conformance suite and others.

`USBENCH_CONF=DIR pytest tests/datasets/test_datasets.py` adds the datasets of DIR/dataset, a lab's
own, to the suite.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from usbench.datasets import source
from usbench.datasets.config import DatasetConfig, ViewConfig
from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.phantoms import phantom
from usbench.datasets.phantoms.scenes import SHAPES
from usbench.io.config import conf_dir
from usbench.types import Layout, Record, Sample, Task

SIZE = (64, 96)
COUNTS = {"train": 8, "val": 4, "test": 4}
FOLDERS = [
    conf_dir(),
    *([Path(os.environ["USBENCH_CONF"])] if os.environ.get("USBENCH_CONF") else []),
]


def read_dataset(path: Path) -> Any:
    """A dataset's YAML, with what it says of itself by `${dataset.…}`."""
    content = OmegaConf.create({"dataset": yaml.safe_load(path.read_text())})
    return OmegaConf.to_container(content.dataset, resolve=True)


YAMLS = {
    p.stem: read_dataset(p) for conf in FOLDERS for p in sorted((conf / "dataset").glob("*.yaml"))
}
# A lab's dataset may have no phantom: usbench check --conformance reads its own files.
VIEWS = [(n, task) for n, node in YAMLS.items() if node.get("phantom") for task in node["views"]]
# Releases whose phantoms are mere shapes share the layouts' code. Of them some stand for all in
# longer tests; the others are trained with -m slow.
EXAMPLES = ("aul", "busbra", "busi", "camus", "fetalbiometry", "hc18")
SCENES = {name: (node.get("phantom") or {}).get("scene") for name, node in YAMLS.items()}
ALIKE = {name for name, scene in SCENES.items() if scene in SHAPES} - {*EXAMPLES}
UNLIKE = [name for name in YAMLS if name not in ALIKE]
TRAINABLE = [view for view in VIEWS if not YAMLS[view[0]]["split"].get("test_only")]


def with_slow(*views: tuple[str, ...]) -> list[Any]:
    """The views as parameters of a test, those of ALIKE marked slow."""
    return [
        pytest.param(view, marks=pytest.mark.slow if view[0] in ALIKE else (), id="-".join(view))
        for view in views
    ]


@dataclass(frozen=True)
class Written:
    """A small phantom of one view, as its layout wrote it."""

    dataset: DatasetConfig  # as a phantom's
    task: Task
    layout: Layout
    root: Path
    samples: list[Sample]
    records: list[Record]

    @property
    def node(self) -> dict[str, Any]:
        return self.dataset.to_mapping()

    @property
    def view(self) -> ViewConfig:
        return self.dataset.views[self.task]

    def open(self, root: Path | None = None, fold: int | None = None) -> Dataset:
        place = root or self.root
        split = self.dataset.split
        return open_view(self.dataset.name, self.task, self.view, self.layout, place, split, fold)


def small_phantom(node: dict[str, Any], task: Task, root: Path) -> Written:
    dataset = DatasetConfig.from_mapping(node).without_release()
    if dataset.split.gap is not None:  # a small series has few images to lose
        dataset = replace(dataset, split=replace(dataset.split, gap=1))
    spec = source.phantom_spec(dataset)
    classes = dataset.views[task].classes or phantom.scene_classes(spec, task)
    named = dataset.with_classes(task, classes)
    layout = source.build_layout(named, task, phantom=True)
    spec = replace(spec, size=SIZE, counts={split: COUNTS[split] for split in spec.counts})
    drawn = list(phantom.draw_samples(spec, layout.written_as or task, classes))
    return Written(dataset, task, layout, root, drawn, layout.write(root, drawn))
