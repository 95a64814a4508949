"""YOLOv8 of ultralytics, trained by its own trainer and scored by our ruler.

Knows what that package does behind one's back, and undoes it: settings, caches and pictures stay in the run's folder;
no network, no integration, no thread count of its own; validation is the run's selection rule on the boxes that
`predict` would give; checkpoints are exact (fp32 weights, their moving average, the optimiser) and every epoch draws
from a seed of its own, so that a run killed and started again ends as one that wasn't. The only module that imports
ultralytics (AGPL-3.0), and only inside functions: its import patches torch.save and PIL.Image.open and changes print
options and OpenCV's threads for the rest of the process.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from usbench import console
from usbench.errors import ConfigError, DataError, RunError
from usbench.models.yolo_boxes import Image8, detect
from usbench.models.yolo_budget import FIXED, SIZES, training_arguments
from usbench.models.yolo_epoch import Job, checked, reseed, restore, validate
from usbench.models.yolo_files import newest, read, save, write, write_split
from usbench.types import Boxes, Run, Sample

UNREADABLE = (
    *(AssertionError, AttributeError, EOFError, ImportError, KeyError, RuntimeError, TypeError),
    pickle.UnpicklingError,
)  # what ultralytics raises for a file that isn't its checkpoint


class Yolo:
    """YOLOv8 in one of its five sizes; implements usbench.types.Model for the task detect.

    size: n, s, m, l or x. weights: None (from scratch), "coco" (ultralytics' own, fetched) or a path to a .pt of the
    same size; the head's layers whose shape differs start from scratch. exclusive is a word about masks, ignored.
    `parameters` and `precision` (bf16 only on CUDA: the trainer has no other path) hold once fit() has begun.
    """

    def __init__(
        self,
        *,
        classes: int,
        budget: Mapping[str, Any],
        size: str,
        weights: str | None = None,
        exclusive: bool = False,
    ) -> None:
        if size not in SIZES:
            raise ConfigError(f"yolov8: size is one of {', '.join(SIZES)}, not {size!r}")
        if classes < 1:
            raise ConfigError(f"yolov8: needs at least one class, got {classes}")
        self.arguments = training_arguments(budget)
        self.classes, self.size, self.weights = classes, size, weights
        self.parameters = 0
        self.precision: Literal["fp32", "bf16"] = "fp32"
        self._net: Any = None
        self._device = "cpu"

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or go on after the last finished epoch; a finished run only loads run.dir/best.pt.

        Raises RunError for a loss or validation score that isn't finite, memory that runs out and weights that can't
        be fetched; DataError for a training set without any box or an unreadable weights file.
        """
        run.dir.mkdir(parents=True, exist_ok=True)
        self._device = run.device
        with _ultralytics(run):
            self.precision = _precision(run)
            best = read(run.dir / "best.pt", tensors_only=False)
            net = best["model"] if best else self._train(train, val, run)
        self._net = net.to(run.device).eval()
        self.parameters = sum(p.numel() for p in net.parameters())

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.fit((), (), run)  # a finished run only loads its best.pt

    def predict(self, images: Iterable[Image8]) -> Iterator[Boxes]:
        """Boxes of (H, W) grey images in native px, at most 300 each, score > .001, after class-wise NMS at IoU .7.

        In order; a box's numbers don't depend on the images predicted with it (on a CPU to the last bit).
        """
        if self._net is None:
            raise RunError("yolov8: fit() comes before predict()")
        return detect(self._net, images, self.arguments["imgsz"], rect=self.arguments["rect"], device=self._device)

    def _train(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> Any:
        state = newest(run.dir)
        epochs = self.arguments["epochs"]
        if state is None or state["epoch"] + 1 < epochs:
            with console.bar("training", epochs) as running:
                running.step(by=0 if state is None else state["epoch"] + 1)
                job = (self.size, self.classes, self.weights, self.arguments, self.precision)
                state = _epochs(Job(*job, train=train, val=val, run=run, state=state, bar=running))
        net = _build(self.size, self.classes)
        net.load_state_dict(state["best"])
        # In ultralytics' own form: YOLO("best.pt") and weights=…/best.pt read it.
        write(run.dir / "best.pt", {"model": net, "train_args": self.arguments, "epoch": -1})
        shutil.rmtree(run.dir / "yolo", ignore_errors=True)
        for checkpoint in run.dir.glob("checkpoint-*.pt"):
            checkpoint.unlink()
        return net


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        console.warn(f"ultralytics: {' '.join(record.getMessage().split())}")


@contextmanager
def _ultralytics(run: Run) -> Iterator[None]:
    """Ultralytics imported, silent and sealed off; the environment and the thread count as before, afterwards.

    Its import sets OMP_NUM_THREADS=1 (inherited by children), reads YOLO_CONFIG_DIR and the rank, asks the network
    whether it is there; its CPU trainer takes all cores but one.
    """
    before = dict(os.environ)
    own = str(run.dir.resolve() / "yolo" / "settings")
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "ULTRALYTICS_API_KEY"):
        os.environ.pop(name, None)
    os.environ.update(YOLO_CONFIG_DIR=own, YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_VERBOSE="0", MPLCONFIGDIR=own)
    os.environ["OMP_NUM_THREADS"] = str(run.threads)
    try:
        from ultralytics.utils import LOGGER, SETTINGS

        # In memory only: SETTINGS.update would write them into the user's file where it was imported before.
        dict.update(SETTINGS, {k: False for k, v in SETTINGS.items() if isinstance(v, bool)})
        LOGGER.handlers[:] = [_Warnings(logging.WARNING)]
        LOGGER.setLevel(logging.WARNING)  # which switches its progress bars off too
        torch.set_num_threads(run.threads)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(run.threads)


def _precision(run: Run) -> Literal["fp32", "bf16"]:
    """bf16 where the trainer can: its autocast raises on a CPU and on a GPU that would emulate it."""
    able = run.device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if run.precision == "bf16" and able else "fp32"


def _build(size: str, classes: int) -> Any:
    """A DetectionModel with fresh weights. The size isn't read from a file name, nor the YAML searched in the cwd."""
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import ROOT, YAML

    plan = {**YAML.load(ROOT / "cfg/models/v8/yolov8.yaml"), "scale": size}
    return DetectionModel(plan, ch=3, nc=classes, verbose=False)


def _load_weights(net: Any, weights: str, size: str, folder: Path) -> None:
    """Copy what fits from a .pt into the net: all of the backbone and neck must, of the head what has its shape."""
    from ultralytics.nn.tasks import load_checkpoint

    path = _fetch(size, folder) if weights == "coco" else Path(weights).resolve()
    if not path.is_file():
        raise DataError(f"{path}: no such weights file; give a .pt of YOLOv8{size}, or weights=null")
    try:
        source = load_checkpoint(str(path))[0].state_dict()
    except UNREADABLE as e:
        raise DataError(f"{path}: not a readable ultralytics checkpoint ({str(e).splitlines()[0]})") from e
    own = net.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and v.shape == own[k].shape}
    head = f"model.{len(net.model) - 1}."
    if any(k not in fitting and not k.startswith(head) for k in own):
        raise ConfigError(f"{path}: wanted weights of YOLOv8{size}, its tensors have other names or shapes")
    net.load_state_dict(fitting, strict=False)


def _fetch(size: str, folder: Path) -> Path:
    from ultralytics.utils.downloads import attempt_download_asset

    path = folder / f"yolov8{size}.pt"
    try:
        attempt_download_asset(str(path))
    except OSError as e:
        raise RunError(
            f"yolov8{size}.pt: the COCO weights can't be fetched from ultralytics' release (perhaps there is no "
            f"network: {type(e).__name__}); use weights=null or weights=PATH"
        ) from e
    return path


def _start(job: Job) -> Any:
    """The net that training starts from; on resuming its weights come later."""
    net = _build(job.size, job.classes)
    if job.weights is not None and job.state is None:
        _load_weights(net, job.weights, job.size, job.tree)
    return net


def _epochs(job: Job) -> dict[str, Any]:
    """Train from job.state to the last epoch; the state after it."""
    counts = {"train": write_split(job.tree, "train", job.train), "val": write_split(job.tree, "val", job.val)}
    if not counts["train"][1] or not counts["val"][0]:
        (images, boxes), (held_out, _) = counts["train"], counts["val"]
        raise DataError(
            f"yolov8: nothing to learn from: {images} training images with {boxes} boxes, {held_out} in val"
        )
    trainer = _trainer(job, counts)
    torch.set_num_threads(job.run.threads)  # its constructor took all cores but one
    try:
        trainer.train()
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        raise RunError(_no_memory(job)) from error
    state: dict[str, Any] = trainer.state
    return state


def _no_memory(job: Job) -> str:
    batch = job.arguments["batch"]
    return f"yolov8{job.size}: out of memory with batch {batch} on {job.run.device}; choose a smaller batch yourself"


def _trainer(job: Job, counts: Mapping[str, tuple[int, int]]) -> Any:
    """Ultralytics' trainer with our data, weights, validation and checkpoints in place of its own."""
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.utils import DEFAULT_CFG_DICT

    class Trainer(DetectionTrainer):  # type: ignore[misc]
        piped = False

        def get_dataset(self) -> dict[str, Any]:
            names = {n: str(n) for n in range(job.classes)}
            splits = {split: str(job.tree / "images" / split) for split in counts}
            return {**splits, "path": job.tree, "nc": len(names), "names": names, "channels": 3}

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = False) -> Any:
            return _start(job)

        def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
            return checked(super().build_dataset(img_path, mode, batch), mode, counts[mode])

        def _build_train_pipeline(self) -> None:
            if self.piped:  # a second time only after running out of memory, with half the batch
                raise RunError(_no_memory(job))
            self.piped = True
            super()._build_train_pipeline()

        def resume_training(self, ckpt: Any) -> None:
            if job.state is not None:
                restore(self, job.state)

        def run_callbacks(self, event: str) -> None:  # none of the integrations'
            if event == "on_train_epoch_start":
                reseed(self.train_loader, job.run.seed, self.epoch)

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, validate(self, job)

        def save_model(self) -> bool:
            save(self.state, job.run.dir)
            return True

        def _handle_nan_recovery(self, epoch: int) -> bool:  # a roll-back; validate() has raised already
            return False

        def save_metrics(self, metrics: Mapping[str, float]) -> None: ...

        def final_eval(self) -> None: ...

    own = {"project": str(job.tree.parent), "name": job.tree.name, "data": str(job.tree), "model": "yolov8.yaml"}
    amp = "bf16" if job.precision == "bf16" else False  # True would ask the network for a net to try it with
    known = {*DEFAULT_CFG_DICT, "augmentations"}  # what is fixed is off: a version that lacks it needs no word of it
    arguments = {k: v for k, v in job.arguments.items() if k in known or k not in FIXED}
    overrides = {**arguments, **own, "device": job.run.device, "seed": job.run.seed, "amp": amp}
    try:
        return Trainer(overrides=overrides)
    except (TypeError, ValueError) as error:  # a value of the budget of the wrong type or out of range
        raise ConfigError(f"yolov8: {str(error).splitlines()[0]}") from error
