"""The torchmetrics `Metric`s give the NumPy functions' figures, to the digit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from usbench.metrics import boxes, overlap
from usbench.metrics.modules import BoxPrecision, MaskOverlap
from usbench.metrics.scores import flat
from usbench.types import Boxes


@pytest.mark.parametrize("rule", sorted(overlap.RULES))
def test_masks_over_several_batches(rule):
    rng = np.random.default_rng(0)
    truth, guess = rng.random((5, 2, 12, 12)) < 0.2, rng.random((5, 2, 12, 12)) < 0.2
    truth[:, 1] &= ~truth[:, 0]
    guess[:, 1] &= ~guess[:, 0]
    truth[3] = guess[3] = False
    metric = MaskOverlap(2, rule)
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(torch.from_numpy(guess[part]), torch.from_numpy(truth[part]))
    chosen = overlap.rule(rule)
    table = np.stack([overlap.rule_counts(chosen, t, g) for t, g in zip(truth, guess, strict=True)])
    expected = flat(overlap.apply(chosen, table, ["0", "1"]).scores)
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected, abs=1e-6)
    metric.reset()
    metric.update(torch.ones(1, 2, 4, 4, dtype=torch.bool), torch.ones(1, 2, 4, 4, dtype=torch.bool))
    assert metric.compute()["dice"].item() > 0.5


def test_boxes_over_several_batches():
    rng = np.random.default_rng(0)
    pairs, metric = [], BoxPrecision(2)
    for _ in range(4):
        corner = rng.uniform(0, 50, (3, 2))
        own = np.concatenate([corner, corner + 20], 1).astype(np.float32)
        found, labels = (own + rng.normal(0, 2, own.shape)).astype(np.float32), rng.integers(0, 2, 3)
        score = rng.random(3).astype(np.float32)
        pairs.append((Boxes(own, labels), Boxes(found, labels, score)))
        guess = {
            "boxes": torch.from_numpy(found),
            "labels": torch.from_numpy(labels),
            "scores": torch.from_numpy(score),
        }
        metric.update([guess], [{"boxes": torch.from_numpy(own), "labels": torch.from_numpy(labels)}])
    expected = flat(boxes.apply(pairs, ["0", "1"]).scores)
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected, abs=1e-6)


def test_in_a_collection():
    collection = MetricCollection({"ours": MaskOverlap(1), "pooled": MaskOverlap(1, "pooled")})
    collection.update(torch.ones(1, 1, 4, 4, dtype=torch.bool), torch.ones(1, 1, 4, 4, dtype=torch.bool))
    assert all(value.item() == 1.0 for value in collection.compute().values())


def test_logits_are_refused():
    """torchmetrics' own metrics take them for one-hot masks without a word (TRAPS section 2)."""
    with pytest.raises(ValueError, match="threshold"):
        MaskOverlap(1).update(torch.randn(1, 1, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool))
