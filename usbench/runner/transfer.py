"""Plan to score a trained model on another dataset's test images; nothing is trained there.

The evaluation is a run of its own: it has an id, a folder, predictions and a result with
`trained_on`, so that it can be explained and rescored like any other. Thresholds come from the
validation images that the model was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from usbench.errors import ConfigError
from usbench.results import scoring
from usbench.results.predictions import read_predictions
from usbench.runner.class_map import match_classes
from usbench.runner.config import RunConfig, Transfer
from usbench.runner.identity import short_hash
from usbench.runner.resolve import resolve_config


def plan_transfer(
    composed: Mapping[str, Any], trained: RunConfig, device: str | None = None
) -> RunConfig:
    """Plan the evaluation of a trained run, before the training is done.

    Args:
        composed: a configuration that names the other dataset.
        trained: the training.
        device: as in `resolve_config`.

    Raises:
        ConfigError: it is the same dataset, or no class has a counterpart.
    """
    config = resolve_config(composed, training=False, device=device)
    name, other = trained.dataset.name, config.dataset
    same_phantom = config.phantom and other.name == name
    if same_phantom or config.fingerprint == trained.fingerprint:
        raise ConfigError(f"evaluate_on={name}: expected another dataset than it is trained on")
    known, classes = trained.view.classes or (), config.view.classes or ()
    class_map = match_classes(known, classes, other.class_map.get(name) or {})
    scored = tuple(label for label in classes if label in class_map.values())
    if not scored:
        raise ConfigError(
            f"evaluate_on={other.name}: expected a class of {name} ({', '.join(known)}), got only "
            f"{', '.join(classes)}; say which is which in its YAML (class_map.{name})"
        )
    left_out = tuple(label for label in classes if label not in scored)
    return replace(
        config,
        model=trained.model,
        recipe=trained.recipe,
        seed=trained.seed,
        fold=trained.fold,
        fold_series=None,
        tuned=trained.tuned,
        transfer=Transfer(name, trained.run_id, trained.runs, class_map, scored, left_out),
        run_id=short_hash([trained.run_id, config.fingerprint, class_map]),
        series=short_hash([trained.series, config.fingerprint, class_map]),
    )


def settle_transfer(plan: RunConfig, trained: RunConfig, validation: float | None) -> RunConfig:
    """A planned evaluation with what the training chose on validation.

    Args:
        plan: from `plan_transfer`.
        trained: the training, which is done.
        validation: its selection metric on validation.
    """
    assert plan.transfer
    samples = trained.open_dataset().samples("val")
    stored = read_predictions(trained.run_dir, "val", samples)
    return replace(
        plan,
        metric={**plan.metric, **scoring.choose_thresholds(stored)},
        transfer=replace(plan.transfer, validation=validation),
    )
