"""A subclass of ultralytics' trainer with usbench's data, weights, validation and checkpoints.

A batch that a device can't hold goes through the net in parts; their gradients add up to one step
of the optimiser at the same places of an epoch as without (only batch normalisation, and what a
loss is divided by, are of a part). Ultralytics halves a batch that is too large silently: here
that ends the run. Each epoch has its own seed, and its fitness is the run's selection rule.

Knows the attributes of ultralytics' trainer (model, ema, optimizer, train_loader, epoch, tloss).
Ultralytics itself isn't imported here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch

from usbench.errors import DataError, RunError
from usbench.io.console import Bar
from usbench.models import Recipe
from usbench.models.checkpoints import Checkpoints
from usbench.models.loop import copy_state, describe_epoch, seed_epoch
from usbench.models.yolo.boxes import BATCH, Fit, Input, LabelLines, Predict
from usbench.models.yolo.points import Points
from usbench.models.yolo.recipe import Net
from usbench.types import Run, Sample, Target

MAX_WORKERS = 8  # as ultralytics' own default
FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)  # optimisers with fused steps


class State(TypedDict):
    """All that the next epoch depends on, as a checkpoint keeps it."""

    epoch: int  # finished ones, less 1
    model: dict[str, torch.Tensor]
    ema: dict[str, torch.Tensor]  # the weights' moving average
    updates: int  # of the average
    optimizer: Any
    best: dict[str, torch.Tensor]  # averaged weights of the best epoch
    best_score: float


@dataclass(frozen=True)
class Job:
    """One training, or the rest of one."""

    net: Net
    weights: str | None
    arguments: Recipe  # of ultralytics' trainer
    parts: int  # of a batch, whose gradients add up to one step
    points: Points | None  # of a net for points
    label_lines: LabelLines
    fit: Fit
    predict: Predict
    precision: Literal["fp32", "bf16"]
    train: Sequence[Sample]
    val: Sequence[tuple[Input, Target]]
    run: Run
    checkpoints: Checkpoints
    state: State | None  # after the last finished epoch
    bar: Bar

    @property
    def folder(self) -> Path:
        """The folder of everything that ultralytics reads and writes."""
        return self.run.dir.resolve() / "yolo"


def subclass_trainer(
    base: Any,
    job: Job,
    written: tuple[int, int],
    make_net: Callable[[Job], Any],
    make_criterion: Callable[[Job, Any], Any],
) -> Any:
    """A subclass of one of ultralytics' trainers.

    Args:
        written: number of training images and of their boxes.
        make_net: the net to train.
        make_criterion: the loss of a net, or None for its own.
    """

    class Trainer(base):  # type: ignore[misc]
        has_pipeline = False
        part = stepped = 0  # of the epoch: parts seen, and how many of them are in the weights

        def get_dataset(self) -> dict[str, object]:
            return describe_data(job)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = False) -> Any:
            return make_net(job)

        def build_dataset(
            self, img_path: str, mode: str = "train", batch: int | None = None
        ) -> Any:
            dataset = super().build_dataset(img_path, mode, batch)
            check_dataset(dataset, written, job.net.family.name)
            return dataset

        def build_optimizer(self, *arguments: Any, **named: Any) -> Any:
            return fuse(super().build_optimizer(*arguments, **named))

        def _build_train_pipeline(self) -> None:
            if self.has_pipeline:  # called again only with half the batch, when memory ran out
                raise RunError(explain_memory(job))
            self.has_pipeline = True
            super()._build_train_pipeline()

        def resume_training(self, ckpt: Any) -> None:
            self.model.criterion = make_criterion(job, self.model)
            if job.state is not None:
                restore_trainer(self, job.state)

        def run_callbacks(self, event: str) -> None:  # none of the integrations'
            if event == "on_train_epoch_start":
                self.part = self.stepped = 0
                reseed(self.train_loader, job.run.seed, self.epoch)

        def optimizer_step(self) -> None:  # called after each part
            self.part += 1
            job.bar.pulse(f"batch {self.part}/{len(self.train_loader)}")
            if self.part % job.parts and self.part != len(self.train_loader):
                return
            if job.net.family.kind == "queries":  # its loss is a mean; the others' sum over images
                for parameter in self.model.parameters():
                    if parameter.grad is not None:
                        parameter.grad /= self.part - self.stepped
            self.stepped = self.part
            super().optimizer_step()

        def preprocess_batch(self, batch: Any) -> Any:
            batch = super().preprocess_batch(batch)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
            return batch

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, validate(self, job)

        def save_model(self) -> bool:
            if job.checkpoints.due():
                job.checkpoints.save(self.state["epoch"] + 1, self.state)
            return True

        def _handle_nan_recovery(self, epoch: int) -> bool:
            return False  # theirs rolls back; validate() has raised already

        def save_metrics(self, *_: Any, **__: Any) -> None: ...

        final_eval = save_metrics

    return Trainer


def describe_data(job: Job) -> dict[str, object]:
    """What ultralytics reads in a data set's YAML."""
    count = 1 if job.points else job.net.classes
    data: dict[str, object] = {
        "path": job.folder,
        # Theirs must have a set for validation. Ours isn't read from files.
        **dict.fromkeys(("train", "val"), str(job.folder / "images" / "train")),
        "nc": count,
        "channels": 3,
        "names": {n: str(n) for n in range(count)},
    }
    if job.points is not None:
        data |= {"kpt_shape": [job.net.classes, 3], "kpt_oks_sigmas": list(job.points.sigmas)}
        if job.points.flip:
            data["flip_idx"] = list(job.points.flip)
    return data


def count_workers(run: Run) -> int:
    """Processes that read and augment images: none on a CPU, which the training keeps busy."""
    return min(MAX_WORKERS, run.threads) if run.device.startswith("cuda") else 0


def choose_precision(run: Run) -> Literal["fp32", "bf16"]:
    """bf16 where the trainer can: its autocast raises on a CPU and on a GPU that emulates it."""
    bf16 = run.precision == "bf16" and run.device.startswith("cuda")
    return "bf16" if bf16 and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def explain_memory(job: Job) -> str:
    """The message of a run that ran out of memory, with what to do about it."""
    part = job.arguments["batch"]
    in_parts = f" in parts of {part}" if job.parts > 1 else ""
    return (
        f"{job.net.label}: out of memory with batch {part * job.parts}{in_parts} "
        f"on {job.run.device}. Give the recipe a smaller micro_batch that divides it: "
        "the same steps, in parts (++model.recipes.NAME.micro_batch=N)."
    )


def fuse(optimizer: Any) -> Any:
    """An optimiser that has no state yet, with fused steps where torch has them."""
    if not isinstance(optimizer, FUSED):
        return optimizer
    groups = [{**group, "fused": True} for group in optimizer.param_groups]
    return type(optimizer)(groups, fused=True)


# ---- an epoch


def check_dataset(dataset: Any, written: tuple[int, int], name: str) -> None:
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
            f"{name}: train has {written[0]} images with {written[1]} boxes, ultralytics accepts "
            f"{accepted[0]} with {accepted[1]}; expected images from 10 px in the net's pixels, "
            "boxes within the image and labels below the number of classes"
        )
    if dataset.rect:
        dataset.batch_shapes[:] = dataset.batch_shapes.max(axis=0)


def reseed(loader: Any, seed: int, epoch: int) -> None:
    """Seed an epoch from (seed, epoch): order, augmentation, the pool that mosaics draw from.

    With worker processes their number decides too.
    """
    loader.generator.manual_seed(seed_epoch(seed, epoch))
    data = loader.dataset
    data.ims[:] = [None] * len(data)
    data.buffer[:] = random.sample(range(len(data)), max(0, data.max_buffer_length - 1))
    loader.reset()  # which starts the workers, with a copy of the data set


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
    inputs, targets = zip(*job.val, strict=True)
    pairs = zip(targets, job.predict(trainer.ema.ema, inputs, BATCH), strict=True)
    score = job.run.score(job.bar.watch(pairs, len(job.val), "validating"))
    if not math.isfinite(score):
        raise RunError(
            f"{job.net.label}: epoch {epoch}: the validation score is {score}; has val any object?"
        )
    is_best = trainer.best_fitness is None or score >= trainer.best_fitness  # of equals the later
    if is_best:
        trainer.best_fitness, trainer.best_weights = score, copy_state(trainer.ema.ema)
    ema = trainer.ema.ema.state_dict()
    trainer.state = State(
        epoch=trainer.epoch,
        model=trainer.model.state_dict(),
        ema=ema,
        updates=trainer.ema.updates,
        optimizer=trainer.optimizer.state_dict(),
        best=ema if is_best else trainer.best_weights,  # a file keeps a tensor once
        best_score=trainer.best_fitness,
    )
    job.run.log("train/loss", loss, epoch)
    job.run.log("val/score", score, epoch)
    job.run.log("lr", float(trainer.optimizer.param_groups[0]["lr"]), epoch)
    job.bar.step(describe_epoch(loss, score, trainer.best_fitness))
    return score


def restore_trainer(trainer: Any, state: State) -> None:
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
