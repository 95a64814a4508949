"""Small phantoms of every view, as its layout writes them: what the conformance suite and others work on.

`USBENCH_CONF=DIR pytest tests/test_datasets.py` adds the datasets of DIR/dataset, a lab's own, to the suite.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from usbench.cli.listing import conf_dir
from usbench.datasets import source
from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.phantoms import phantom
from usbench.datasets.phantoms.scenes import CLASSES
from usbench.types import Layout, Record, Sample

SIZE = (64, 96)
COUNTS = {"train": 8, "val": 4, "test": 4}
FOLDERS = [
    conf_dir(),
    *([Path(os.environ["USBENCH_CONF"])] if os.environ.get("USBENCH_CONF") else []),
]
YAMLS = {
    p.stem: yaml.safe_load(p.read_text())
    for conf in FOLDERS
    for p in sorted((conf / "dataset").glob("*.yaml"))
}
VIEWS = [(name, task) for name, node in YAMLS.items() for task in node["views"]]
TRAINED = [
    view for view in VIEWS if not YAMLS[view[0]]["split"].get("test_only")
]  # … that a model can be trained on


@dataclass(frozen=True)
class Written:
    """A small phantom of one view, as its layout wrote it."""

    node: dict[str, Any]  # the dataset's YAML, as a phantom's
    view: dict[str, Any]
    task: str
    layout: Layout
    root: Path
    samples: list[Sample]
    records: list[Record]

    def open(self, root: Path | None = None) -> Dataset:
        split = self.node["split"]
        return open_view(
            self.node["name"], self.task, self.view, self.layout, root or self.root, split, None
        )


def small_phantom(node: dict[str, Any], task: str, root: Path) -> Written:
    node = source.without_release(node)
    if "gap" in node["split"]:
        node["split"] = {**node["split"], "gap": 1}  # a small series has few images to lose
    named = source.with_classes(node, task, CLASSES[node["phantom"]["scene"]][task])
    layout = source.layout_of({"dataset": named, "task": task, "phantom": True})
    counts = {split: COUNTS[split] for split in node["phantom"]["counts"]}
    spec = replace(source.spec_of(node), size=SIZE, counts=counts)
    drawn = list(phantom.draw_samples(spec, layout.written_as or task))
    return Written(node, node["views"][task], task, layout, root, drawn, layout.write(root, drawn))
