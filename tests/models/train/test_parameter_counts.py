"""Every net of the published tables has the parameters that its paper states, or it is said here
why not.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hydra.utils import instantiate

from usbench.datasets.config import DatasetConfig
from usbench.io.config import conf_dir
from usbench.models.nets.unet import UNet
from usbench.models.segmenter import Segmenter
from usbench.models.smp import SmpSegmenter
from usbench.models.yolo.model import Yolo
from usbench.models.yolo.package import build_net
from usbench.runner.resolve import resolve_model

PAPERS = [
    (path.stem, row)
    for path in sorted((conf_dir() / "dataset").glob("*.yaml"))
    for row in yaml.safe_load(path.read_text("utf-8")).get("published") or ()
    if row.get("parameters")
]
FLAW = (
    "the published net gives one feature map to all heads: those of the others never get a gradient"
)
ELSE = {  # (dataset, name in the paper) → (ours or None, the published one, why)
    ("spinal", "SSD300"): (27_284_212, 24_641_780, FLAW),
    ("spinal", "SSD512"): (27_667_596, 24_641_780, FLAW),
    ("spinal", "YOLOv7"): (None, 37_196_556, "no maintained package"),
    ("nnus", "YOLOv5s v7.0"): (
        9_125_288,
        7_041_205,
        "v7.0 has no maintained package; yolov5su is anchor-free",
    ),
}


COUNTED: dict[tuple[str, str, int], int] = {}


def count(compose: Any, dataset: str, model: str, recipe: str) -> int:
    """The parameters of the net that a published row's command builds; nothing is trained."""
    source = "spinal" if dataset == "spinal_human" else dataset  # on the humans nothing is trained
    config = compose(f"dataset={source}", f"model={model}")
    task = config["model"]["task"]
    name, chosen = resolve_model(config, DatasetConfig.from_mapping(config["dataset"]), real=True)
    node, stated = chosen.build, chosen.recipe
    classes = len(config["dataset"]["views"][task]["classes"])
    if (model, name, classes) not in COUNTED:
        built = instantiate(node, classes=classes, exclusive=True, recipe=stated, _convert_="all")
        COUNTED[model, name, classes] = parameters(
            build_net(built.net) if isinstance(built, Yolo) else built.create()
        )
    assert name == recipe
    return COUNTED[model, name, classes]


def parameters(net: Any) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("dataset", "row"), PAPERS, ids=[f"{dataset}-{row['name']}" for dataset, row in PAPERS]
)
def test_the_count_is_the_published_one_or_it_is_said_why_not(compose, dataset, row):
    ours, published, why = ELSE.get(
        (dataset, row["name"]), (row["parameters"], row["parameters"], "")
    )
    assert published == row["parameters"] and bool(why) == bool(row.get("why"))
    if ours is None:
        assert row["model"] is None
        return
    assert count(compose, dataset, row["model"], row["recipe"]) == ours
    assert (ours == published) == (not why)


def test_smp_s_nets_of_the_same_names_are_others():
    """And another number of classes changes the head alone."""
    recipe = {
        "size": [64, 64],
        "batch": 4,
        "epochs": 1,
        "lr": 1e-3,
        "weight_decay": 0,
        "schedule": "poly",
    }
    ten, two = (
        parameters(Segmenter(k, True, recipe, UNet, in_channels=3).create()) for k in (9, 1)
    )
    assert ten == 31_044_106 and ten - two == 8 * (64 + 1)
    smp = {"classes": 9, "exclusive": True, "recipe": recipe, "weights": None}
    counts = {"deeplabv3": ("resnet50", 39_636_042), "segformer": ("mit_b5", 81_971_402)}
    for architecture, (encoder, count) in counts.items():
        assert (
            parameters(SmpSegmenter(architecture, encoder, **smp, in_channels=3).create()) == count
        )
