"""An epoch of ultralytics' trainer as usbench wants it: its chance, its validation, what is kept.

Knows the attributes of ultralytics' trainer (model, ema, optimizer, train_loader, epoch, tloss) and gives them another
meaning than theirs: the fitness is the run's selection rule. Ultralytics itself isn't imported here.
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
from usbench.models.yolo.boxes import Guess, Image8
from usbench.models.yolo.families import Net
from usbench.models.yolo.files import Lines
from usbench.models.yolo.points import Points
from usbench.types import Run, Sample, Target


@dataclass(frozen=True)
class Job:
    """One training, or the rest of one."""

    net: Net
    weights: str | None
    arguments: Mapping[str, Any]  # of ultralytics' trainer
    parts: int  # of a batch, whose gradients add up to one step
    points: Points | None  # of a net for points
    lines: Lines  # a target → its label
    guess: Guess
    precision: Literal["fp32", "bf16"]
    train: Sequence[Sample]
    val: Sequence[Sample]
    run: Run
    state: dict[str, Any] | None  # after the last finished epoch
    bar: Bar

    @property
    def tree(self) -> Path:
        """The folder of everything that ultralytics reads and writes."""
        return self.run.dir.resolve() / "yolo"


def checked(dataset: Any, split: str, wanted: tuple[int, int], name: str) -> Any:
    """Ultralytics' data set, if it has all the (images, boxes) that were written: what it dislikes it drops in silence.

    A rectangular one gets one shape for all batches; with several it wouldn't shuffle. Raises DataError.
    """
    found = (len(dataset.labels), sum(len(label["cls"]) for label in dataset.labels))
    if found != wanted:
        raise DataError(
            f"{name}: {split} has {wanted[0]} images with {wanted[1]} boxes, ultralytics accepts {found[0]} with "
            f"{found[1]}; images from 10 px, boxes within the image and labels below the number of classes are wanted"
        )
    if dataset.rect:
        dataset.batch_shapes[:] = dataset.batch_shapes.max(axis=0)
    return dataset


def reseed(loader: Any, seed: int, epoch: int) -> None:
    """Everything random in an epoch from (seed, epoch): order, augmentation, the pool that mosaics are drawn from."""
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
    """The selection rule on the averaged weights; leaves the trainer's state after this epoch in trainer.state.

    Raises RunError where the loss or the score isn't finite.
    """
    epoch = trainer.epoch + 1
    loss = sum(
        float(v) for v in trainer.tloss.values()
    )  # a mean over the epoch: one bad batch spoils it
    if not math.isfinite(loss):
        raise RunError(
            f"{job.net.label}: the loss of epoch {epoch} is {loss}; a smaller lr0 may help"
        )
    score = job.run.score(_pairs(trainer.ema.ema, job))
    if not math.isfinite(score):
        raise RunError(
            f"{job.net.label}: the validation score of epoch {epoch} is {score}; has val any object?"
        )
    if trainer.best_fitness is None or score >= trainer.best_fitness:  # of equals the later
        trainer.best_fitness = score
        trainer.best_weights = {
            k: v.detach().cpu().clone() for k, v in trainer.ema.ema.state_dict().items()
        }
    trainer.state = _snapshot(trainer)
    rate = float(trainer.optimizer.param_groups[0]["lr"])
    for name, value in (("train/loss", loss), ("val/score", score), ("lr", rate)):
        job.run.log(name, value, epoch)
    job.bar.step(f"loss {loss:.3f}  val {score:.3f}  best {trainer.best_fitness:.3f}")
    return score


def _pairs(net: Any, job: Job) -> Iterator[tuple[Target, Target]]:
    """(truth, prediction) of the validation set, each image decoded once."""
    truths: deque[Target] = deque()

    def images() -> Iterator[Image8]:
        for sample in job.val:
            truths.append(sample.target)
            yield sample.image

    for guess in job.guess(net, images()):
        yield truths.popleft(), guess


def _snapshot(trainer: Any) -> dict[str, Any]:
    return {
        "epoch": trainer.epoch,
        "model": trainer.model.state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "best": trainer.best_weights,
        "best_score": trainer.best_fitness,
    }


def restore(trainer: Any, state: Mapping[str, Any]) -> None:
    """The trainer as it was after the epoch of that state, to the last bit."""
    trainer.model.load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["updates"]
    saved = deepcopy(state["optimizer"])
    for old, group in zip(saved["param_groups"], trainer.optimizer.param_groups, strict=True):
        old["fused"] = group.get("fused")  # this device's, not that one's
    trainer.optimizer.load_state_dict(saved)
    trainer.best_fitness, trainer.best_weights = state["best_score"], state["best"]
    trainer.start_epoch = state["epoch"] + 1
