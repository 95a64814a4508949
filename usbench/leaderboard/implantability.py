"""The implantability score of Kumar et al. 2025 (doi 10.1038/s41598-025-16275-z).

It is mAP50/2 + FPS_norm/4 + (1 − load)/4. The paper defines neither the norm of FPS nor how the
load was measured. Here FPS_norm is the frames per second at batch 1 as a share of the fastest
detector's of the same dataset, measured on the same processor with the same threads; the load is
the share of all the machine's cores that such predicting keeps busy. Both are the `cost` of a
result. So it compares rows of one table on one machine, and isn't comparable with the
paper's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from usbench.results.result import Result

DESCRIPTION = (
    "mAP50/2 + FPS/4 + (1 − load)/4 (Kumar et al. 2025); undefined there, so here: FPS at batch 1 "
    "as a share of the fastest measured on the same machine, load as the share of its cores kept "
    "busy; not comparable with the paper's"
)


MEASURED_ON = attrgetter("on", "device", "threads")  # what compared measurements share


@dataclass(frozen=True)
class Implantability:
    """The score's three parts, each 0..1."""

    map50: float
    speed: float  # share of the fastest's frames per second
    load: float

    @property
    def score(self) -> float:
        """0..1, higher is better."""
        return self.map50 / 2 + self.speed / 4 + (1 - self.load) / 4


def score_implantability(result: Result, others: Iterable[Result]) -> Implantability | None:
    """The score of a detector's result; None where its cost or its mAP50 is missing.

    Args:
        result: of a detector.
        others: results on the same dataset, which may hold a faster one.
    """
    cost = result.cost
    map50 = result.scores.get("map50")
    if cost is None or cost.load is None or map50 is None or map50.value is None:
        return None
    fastest = cost.fps
    for other in others:
        if other.task == "detect" and other.cost and MEASURED_ON(other.cost) == MEASURED_ON(cost):
            fastest = max(fastest, other.cost.fps)
    return Implantability(map50.value, cost.fps / fastest, cost.load)
