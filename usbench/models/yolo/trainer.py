"""A subclass of ultralytics' trainer with usbench's data, weights, validation and checkpoints.

A batch that a device can't hold goes through the net in parts; their gradients add up to one step
of the optimiser at the same places of an epoch as without (only batch normalisation, and what a
loss is divided by, are of a part). Ultralytics halves a batch that is too large silently: here
that ends the run. Ultralytics itself isn't imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from usbench.errors import RunError
from usbench.models.checkpoints import save_checkpoint
from usbench.models.yolo.epoch import Job, check_dataset, reseed, restore_trainer, validate
from usbench.types import Run

Counts = Mapping[str, tuple[int, int]]  # split → images, boxes


def subclass_trainer(
    base: Any,
    job: Job,
    counts: Counts,
    make_net: Callable[[Job], Any],
    make_criterion: Callable[[Job, Any], Any],
) -> Any:
    """A subclass of one of ultralytics' trainers.

    Args:
        counts: what was written of each split.
        make_net: the net to train.
        make_criterion: the loss of a net, or None for its own.
    """

    class Trainer(base):  # type: ignore[misc]
        has_pipeline = False
        part = stepped = 0  # of the epoch: parts seen, and how many of them are in the weights

        def get_dataset(self) -> dict[str, Any]:
            return describe_data(job, counts)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = False) -> Any:
            return make_net(job)

        def build_dataset(
            self, img_path: str, mode: str = "train", batch: int | None = None
        ) -> Any:
            dataset = super().build_dataset(img_path, mode, batch)
            return check_dataset(dataset, mode, counts[mode], job.net.family.name)

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
            if self.part % job.parts and self.part != len(self.train_loader):
                return
            if job.net.family.kind == "queries":  # its loss is a mean; the others' sum over images
                divide_gradients(self.model, self.part - self.stepped)
            self.stepped = self.part
            super().optimizer_step()

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, validate(self, job)

        def save_model(self) -> bool:
            save_checkpoint(job.run.dir, self.state["epoch"] + 1, self.state)
            return True

        def _handle_nan_recovery(self, epoch: int) -> bool:
            return False  # theirs rolls back; validate() has raised already

        def save_metrics(self, metrics: Mapping[str, float]) -> None: ...

        def final_eval(self) -> None: ...

    return Trainer


def describe_data(job: Job, counts: Counts) -> dict[str, Any]:
    """What ultralytics reads in a data set's YAML."""
    count = 1 if job.points else job.net.classes
    data: dict[str, Any] = {split: str(job.folder / "images" / split) for split in counts}
    data |= {"path": job.folder, "nc": count, "channels": 3}
    data["names"] = {n: str(n) for n in range(count)}
    if job.points is not None:
        data["kpt_shape"] = [job.net.classes, 3]
        data["kpt_oks_sigmas"] = list(job.points.sigmas)
        if job.points.flip:
            data["flip_idx"] = list(job.points.flip)
    return data


def choose_precision(run: Run) -> Literal["fp32", "bf16"]:
    """bf16 where the trainer can: its autocast raises on a CPU and on a GPU that emulates it."""
    able = run.device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if run.precision == "bf16" and able else "fp32"


def divide_gradients(model: Any, count: int) -> None:
    """Turn a sum of gradients over parts into their mean."""
    if count > 1:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= count


def explain_memory(job: Job) -> str:
    """The message of a run that ran out of memory, with what to do about it."""
    part = job.arguments["batch"]
    in_parts = f" in parts of {part}" if job.parts > 1 else ""
    return (
        f"{job.net.label}: out of memory with batch {part * job.parts}{in_parts} "
        f"on {job.run.device}. Give the recipe a smaller micro_batch that divides it: "
        "the same steps, in parts (++model.recipes.NAME.micro_batch=N)."
    )
