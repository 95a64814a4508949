"""The implantability score of Kumar et al. 2025 (doi 10.1038/s41598-025-16275-z): mAP50/2 + FPS_norm/4 + (1 − load)/4.

The paper defines neither the norm of FPS nor how the load was measured. Here stand in for them: frames per second at
batch 1 as a share of the fastest detector's of the same dataset that was measured on the same processor with the same
threads; and the share of all the machine's cores that such predicting keeps busy (scripts/bench_models.py measures
both). So it compares rows of one table on one machine, and isn't comparable with the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WORDS = (
    "mAP50/2 + FPS/4 + (1 − load)/4 (Kumar et al. 2025); undefined there, so here: FPS at batch 1 as a share of the "
    "fastest measured on the same machine, load as the share of its cores kept busy; not comparable with the paper's"
)


@dataclass(frozen=True)
class Implantability:
    """The score and its three parts, each 0..1."""

    map50: float
    speed: float  # share of the fastest's frames per second
    load: float

    @property
    def score(self) -> float:
        """0..1, higher is better."""
        return self.map50 / 2 + self.speed / 4 + (1 - self.load) / 4


def where(cost: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two measurements must share to be compared."""
    return cost["on"], cost["device"], cost["threads"]


def implantability(
    record: Mapping[str, Any], others: Iterable[Mapping[str, Any]]
) -> Implantability | None:
    """Of a detector's record; others: records of the same dataset. None where its cost or its mAP50 isn't there."""
    cost, map50 = record.get("cost"), record["scores"].get("map50", {}).get("value")
    if not cost or "load" not in cost or map50 is None:
        return None
    fps = [
        float(other["cost"]["fps"])
        for other in others
        if other["task"] == "detect" and other.get("cost") and where(other["cost"]) == where(cost)
    ]
    return Implantability(
        float(map50), float(cost["fps"]) / max([float(cost["fps"]), *fps]), float(cost["load"])
    )
