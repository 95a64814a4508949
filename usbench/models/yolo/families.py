"""The families of ultralytics that usbench trains: their plans, their sizes, what their nets give.

Imports neither ultralytics nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from usbench.errors import ConfigError

Kind = Literal["boxes", "queries", "points"]
Plans = Mapping[str, tuple[str, str]]  # size → (plan below the package's cfg/models, scale in it)


@dataclass(frozen=True)
class Family:
    """One architecture in several sizes.

    What its net gives is its kind:
    - boxes: of each cell of its grids, thinned out by non-maximum suppression.
    - queries: a fixed number of boxes, meant to be one per object, from an image stretched to a
      square.
    - points: one instance per image, with a place and a presence for each name.
    """

    name: str
    kind: Kind
    plans: Plans
    file: str  # of the published weights, with the size as {}

    def label(self, size: str) -> str:
        """What the package calls this size, such as yolov5su."""
        return self.file.format(size).removesuffix(".pt")


@dataclass(frozen=True)
class Net:
    """One architecture, fully determined."""

    family: Family
    size: str
    classes: int  # of the boxes, or how many names the points have
    options: Mapping[str, int] = field(default_factory=dict)  # of DECODER

    @property
    def label(self) -> str:
        """What the package calls this net."""
        return self.family.label(self.size)


def five_sizes(plan: str) -> Plans:
    """The plans of a family in the sizes n, s, m, l and x."""
    return {size: (plan, size) for size in "nsmlx"}


YOLOV8_RTDETR = "v8/yolov8-rtdetr.yaml"  # YOLOv8's backbone, RT-DETR's decoder
RTDETR_PLANS: Plans = {
    "n": (YOLOV8_RTDETR, "n"),
    "s": (YOLOV8_RTDETR, "s"),
    "m": (YOLOV8_RTDETR, "m"),
    "l": ("rt-detr/rtdetr-l.yaml", "l"),  # as published, on HGNetv2, and x
    "x": ("rt-detr/rtdetr-x.yaml", "x"),
    "resnet50": ("rt-detr/rtdetr-resnet50.yaml", "l"),
    "resnet101": ("rt-detr/rtdetr-resnet101.yaml", "l"),
}
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("yolov8", "boxes", five_sizes("v8/yolov8.yaml"), "yolov8{}.pt"),
        # Anchor-free: not YOLOv5 v7.0.
        Family("yolov5u", "boxes", five_sizes("v5/yolov5.yaml"), "yolov5{}u.pt"),
        Family("yolo11", "boxes", five_sizes("11/yolo11.yaml"), "yolo11{}.pt"),
        Family("yolo26", "boxes", five_sizes("26/yolo26.yaml"), "yolo26{}.pt"),
        Family("rtdetr", "queries", RTDETR_PLANS, "rtdetr-{}.pt"),
        Family("yolov8_pose", "points", five_sizes("v8/yolov8-pose.yaml"), "yolov8{}-pose.pt"),
    )
}
DECODER: Mapping[str, int] = {  # of RT-DETR, in the package's order, as published
    "width": 256,
    "queries": 300,
    "points": 4,
    "heads": 8,
    "layers": 6,
    "feedforward": 1024,
}


def choose_net(family: str, size: str, classes: int, options: Mapping[str, object] | None) -> Net:
    """The net that a configuration names.

    Raises:
        ConfigError: a family, size, number or option that doesn't exist.
    """
    if family not in FAMILIES:
        raise ConfigError(
            f"model.build.family: expected one of {', '.join(FAMILIES)}, got {family!r}"
        )
    chosen = FAMILIES[family]
    if size not in chosen.plans:
        sizes = ", ".join(chosen.plans)
        raise ConfigError(f"{family}: size: expected one of {sizes}, got {size!r}")
    if classes < 1:
        raise ConfigError(f"{family}: expected at least one class, got {classes}")
    known = DECODER if chosen.kind == "queries" else {}
    numbers: dict[str, int] = {}
    for key, value in (options or {}).items():
        if key not in known or type(value) is not int or value < 1:
            raise ConfigError(
                f"{family}: options: expected whole numbers from 1 on for "
                f"{', '.join(known) or 'none'}, got {key}={value}"
            )
        numbers[key] = value
    return Net(chosen, size, classes, numbers)
