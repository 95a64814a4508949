"""What usbench puts in the place of parts of ultralytics' trainer: data, weights, validation, checkpoints, steps.

A batch that a device can't hold goes through the net in parts; their gradients add up to one step of the optimiser at
the same places of an epoch as without (only batch normalisation, and what a loss is divided by, are of a part). Theirs
halves a batch that is too large, in silence: here that ends the run. Ultralytics itself isn't imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from usbench.errors import RunError
from usbench.models.yolo.epoch import Job, checked, reseed, restore, validate
from usbench.models.yolo.files import save
from usbench.types import Run

Counts = Mapping[str, tuple[int, int]]  # split → images, boxes


def ours(
    base: Any,
    job: Job,
    counts: Counts,
    start: Callable[[Job], Any],
    criterion: Callable[[Job, Any], Any],
) -> Any:
    """A subclass of one of ultralytics' trainers. start: the net to train; criterion: its loss, or None for its own."""

    class Trainer(base):  # type: ignore[misc]
        piped = False
        part = stepped = 0  # of the epoch: parts seen, and how many of them are in the weights

        def get_dataset(self) -> dict[str, Any]:
            return _data(job, counts)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = False) -> Any:
            return start(job)

        def build_dataset(
            self, img_path: str, mode: str = "train", batch: int | None = None
        ) -> Any:
            return checked(
                super().build_dataset(img_path, mode, batch),
                mode,
                counts[mode],
                job.net.family.name,
            )

        def _build_train_pipeline(self) -> None:
            if self.piped:  # a second time only after running out of memory, with half the batch
                raise RunError(no_memory(job))
            self.piped = True
            super()._build_train_pipeline()

        def resume_training(self, ckpt: Any) -> None:
            self.model.criterion = criterion(job, self.model)
            if job.state is not None:
                restore(self, job.state)

        def run_callbacks(self, event: str) -> None:  # none of the integrations'
            if event == "on_train_epoch_start":
                self.part = self.stepped = 0
                reseed(self.train_loader, job.run.seed, self.epoch)

        def optimizer_step(self) -> None:  # is called after every part
            self.part += 1
            if self.part % job.parts == 0 or self.part == len(self.train_loader):
                if (
                    job.net.family.kind == "queries"
                ):  # its loss is a mean, where the others' is a sum over images
                    _divide(self.model, self.part - self.stepped)
                self.stepped = self.part
                super().optimizer_step()

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, validate(self, job)

        def save_model(self) -> bool:
            save(self.state, job.run.dir)
            return True

        def _handle_nan_recovery(
            self, epoch: int
        ) -> bool:  # a roll-back; validate() has raised already
            return False

        def save_metrics(self, metrics: Mapping[str, float]) -> None: ...

        def final_eval(self) -> None: ...

    return Trainer


def _data(job: Job, counts: Counts) -> dict[str, Any]:
    """What ultralytics reads in a data set's YAML."""
    count = 1 if job.points else job.net.classes
    names = {n: str(n) for n in range(count)}
    splits = {split: str(job.tree / "images" / split) for split in counts}
    data = {**splits, "path": job.tree, "nc": count, "names": names, "channels": 3}
    if job.points is None:
        return data
    flip = {"flip_idx": list(job.points.flip)} if job.points.flip else {}
    shape = [job.net.classes, 3]
    return {**data, "kpt_shape": shape, "kpt_oks_sigmas": list(job.points.sigmas), **flip}


def precision_of(run: Run) -> Literal["fp32", "bf16"]:
    """bf16 where the trainer can: its autocast raises on a CPU and on a GPU that would emulate it."""
    able = run.device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if run.precision == "bf16" and able else "fp32"


def _divide(model: Any, count: int) -> None:
    for parameter in model.parameters():
        if count > 1 and parameter.grad is not None:
            parameter.grad /= count


def no_memory(job: Job) -> str:
    """Why the run ends, and what to do about it."""
    part = job.arguments["batch"]
    through = f" in parts of {part}" if job.parts > 1 else ""
    return (
        f"{job.net.label}: out of memory with batch {part * job.parts}{through} on {job.run.device}; no batch is "
        "halved in silence: give the recipe a smaller micro_batch that divides it, the same steps in parts "
        "(++model.recipes.NAME.micro_batch=N)"
    )
