"""The families of ultralytics that usbench trains: where their plans lie, in which sizes, how they are fed and read.

Imports neither ultralytics nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from usbench.errors import ConfigError


@dataclass(frozen=True)
class Family:
    """One architecture in several sizes.

    kind: what the net gives. boxes: of every cell of its grids, thinned out by non-maximum suppression; queries: a
    fixed number of boxes that are meant to be one per object, from an image stretched to a square; points: one instance
    per image with a place and a presence for every name.
    """

    name: str
    kind: Literal["boxes", "queries", "points"]
    plans: Mapping[
        str, tuple[str, str]
    ]  # size → (plan below the package's cfg/models, scale in it)
    file: str  # of the published weights, with the size as {}

    def label(self, size: str) -> str:
        """What the package calls this size, such as yolov5su."""
        return self.file.format(size).removesuffix(".pt")


@dataclass(frozen=True)
class Net:
    """One architecture, wholly determined. classes: of the boxes, or how many names the points have."""

    family: Family
    size: str
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)  # of DECODER

    @property
    def label(self) -> str:
        """See Family.label."""
        return self.family.label(self.size)


def _sizes(plan: str) -> dict[str, tuple[str, str]]:
    return {size: (plan, size) for size in "nsmlx"}


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("yolov8", "boxes", _sizes("v8/yolov8.yaml"), "yolov8{}.pt"),
        Family(
            "yolov5u", "boxes", _sizes("v5/yolov5.yaml"), "yolov5{}u.pt"
        ),  # anchor-free: not YOLOv5 v7.0
        Family("yolo11", "boxes", _sizes("11/yolo11.yaml"), "yolo11{}.pt"),
        Family("yolo26", "boxes", _sizes("26/yolo26.yaml"), "yolo26{}.pt"),
        Family(
            "rtdetr",
            "queries",
            {
                **{
                    size: ("v8/yolov8-rtdetr.yaml", size) for size in "nsm"
                },  # YOLOv8's trunk, RT-DETR's decoder
                **{
                    size: (f"rt-detr/rtdetr-{size}.yaml", size) for size in "lx"
                },  # as published, on HGNetv2
                **{
                    name: (f"rt-detr/rtdetr-{name}.yaml", "l") for name in ("resnet50", "resnet101")
                },
            },
            "rtdetr-{}.pt",
        ),
        Family("yolov8_pose", "points", _sizes("v8/yolov8-pose.yaml"), "yolov8{}-pose.pt"),
    )
}
DECODER: Mapping[str, int] = {  # of RT-DETR, in the package's order, as published
    **{"width": 256, "queries": 300, "points": 4, "heads": 8, "layers": 6, "feedforward": 1024},
}


def chosen(family: str, size: str, classes: int, options: Mapping[str, Any] | None) -> Net:
    """The net that a configuration names; ConfigError for a family, size, number or option that isn't there."""
    if family not in FAMILIES:
        raise ConfigError(
            f"model.build.family: one of {', '.join(FAMILIES)} was wanted, found {family!r}"
        )
    found = FAMILIES[family]
    if size not in found.plans:
        raise ConfigError(f"{family}: size is one of {', '.join(found.plans)}, not {size!r}")
    if classes < 1:
        raise ConfigError(f"{family}: needs at least one class, got {classes}")
    known = DECODER if found.kind == "queries" else {}
    for key, value in (options or {}).items():
        if key not in known or type(value) is not int or value < 1:
            words = ", ".join(known) or "none"
            raise ConfigError(
                f"{family}: options: whole numbers from 1 on for {words} were wanted, found {key}={value}"
            )
    return Net(found, size, classes, dict(options or {}))
