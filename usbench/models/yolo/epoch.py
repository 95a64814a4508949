"""An epoch of ultralytics' trainer as usbench wants it: its seed, its validation, its checkpoint.

Knows the attributes of ultralytics' trainer (model, ema, optimizer, train_loader, epoch, tloss).
The fitness is the run's selection rule, not theirs. Ultralytics itself isn't imported here.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from usbench.errors import DataError, RunError
from usbench.io.console import Bar
from usbench.models.yolo.boxes import Image8, Predict
from usbench.models.yolo.families import Net
from usbench.models.yolo.files import LabelLines
from usbench.models.yolo.points import Points
from usbench.types import Run, Sample, Target

State = dict[str, Any]  # a checkpoint, see `snapshot`


@dataclass(frozen=True)
class Job:
    """One training, or the rest of one."""

    net: Net
    weights: str | None
    arguments: Mapping[str, Any]  # of ultralytics' trainer
    parts: int  # of a batch, whose gradients add up to one step
    points: Points | None  # of a net for points
    label_lines: LabelLines
    predict: Predict
    precision: Literal["fp32", "bf16"]
    train: Sequence[Sample]
    val: Sequence[Sample]
    run: Run
    state: State | None  # after the last finished epoch
    bar: Bar

    @property
    def folder(self) -> Path:
        """The folder of everything that ultralytics reads and writes."""
        return self.run.dir.resolve() / "yolo"


def check_dataset(dataset: Any, split: str, written: tuple[int, int], name: str) -> Any:
    """Check that ultralytics' data set has all that was written: it drops files silently.

    A rectangular one gets one shape for all batches; with several it wouldn't shuffle.

    Args:
        written: number of images and of boxes.

    Raises:
        DataError: an image or a box is missing.
    """
    accepted = (len(dataset.labels), sum(len(label["cls"]) for label in dataset.labels))
    if accepted != written:
        raise DataError(
            f"{name}: {split} has {written[0]} images with {written[1]} boxes, ultralytics accepts "
            f"{accepted[0]} with {accepted[1]}; expected images from 10 px, boxes within the image "
            "and labels below the number of classes"
        )
    if dataset.rect:
        dataset.batch_shapes[:] = dataset.batch_shapes.max(axis=0)
    return dataset


def reseed(loader: Any, seed: int, epoch: int) -> None:
    """Seed an epoch from (seed, epoch): order, augmentation, the pool that mosaics draw from."""
    value = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002  # theirs
    torch.manual_seed(value)
    loader.generator.manual_seed(value)
    loader.reset()
    data = loader.dataset
    data.ims[:] = [None] * len(data)
    data.buffer[:] = random.sample(range(len(data)), max(0, data.max_buffer_length - 1))


def validate(trainer: Any, job: Job) -> float:
    """Score the averaged weights, keep the best, and put this epoch's checkpoint in trainer.state.

    Raises:
        RunError: the loss or the score isn't finite.
    """
    epoch = trainer.epoch + 1
    # tloss holds means over the epoch, so one bad batch shows.
    loss = sum(float(v) for v in trainer.tloss.values())
    if not math.isfinite(loss):
        raise RunError(
            f"{job.net.label}: epoch {epoch}: the loss is {loss}; a smaller lr0 may help"
        )
    score = job.run.score(pairs(trainer.ema.ema, job))
    if not math.isfinite(score):
        raise RunError(
            f"{job.net.label}: epoch {epoch}: the validation score is {score}; has val any object?"
        )
    if trainer.best_fitness is None or score >= trainer.best_fitness:  # of equals the later
        trainer.best_fitness = score
        weights = trainer.ema.ema.state_dict()
        trainer.best_weights = {k: v.detach().cpu().clone() for k, v in weights.items()}
    trainer.state = snapshot(trainer)
    job.run.log("train/loss", loss, epoch)
    job.run.log("val/score", score, epoch)
    job.run.log("lr", float(trainer.optimizer.param_groups[0]["lr"]), epoch)
    job.bar.step(f"loss {loss:.3f}  val {score:.3f}  best {trainer.best_fitness:.3f}")
    return score


def pairs(net: Any, job: Job) -> Iterator[tuple[Target, Target]]:
    """(target, prediction) of each validation image, each image decoded once."""
    targets: deque[Target] = deque()

    def images() -> Iterator[Image8]:
        for sample in job.val:
            targets.append(sample.target)
            yield sample.image

    for prediction in job.predict(net, images()):
        yield targets.popleft(), prediction


def snapshot(trainer: Any) -> State:
    """All that the next epoch depends on."""
    return {
        "epoch": trainer.epoch,
        "model": trainer.model.state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "best": trainer.best_weights,
        "best_score": trainer.best_fitness,
    }


def restore_trainer(trainer: Any, state: Mapping[str, Any]) -> None:
    """Put the trainer in the state after an epoch, bit by bit."""
    trainer.model.load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["updates"]
    saved = deepcopy(state["optimizer"])
    for old, group in zip(saved["param_groups"], trainer.optimizer.param_groups, strict=True):
        old["fused"] = group.get("fused")  # depends on the device
    trainer.optimizer.load_state_dict(saved)
    trainer.best_fitness, trainer.best_weights = state["best_score"], state["best"]
    trainer.start_epoch = state["epoch"] + 1
