"""The nets of ultralytics, trained by its own trainer and scored by our protocol: YOLO, RT-DETR, and YOLO for points.

Knows what that package does behind one's back, and undoes it: settings, caches and pictures stay in the run's folder;
no network, no integration, no thread count of its own; validation is the run's selection rule on what `predict` would
give; checkpoints are exact (fp32 weights, their moving average, the optimiser) and every epoch draws
from a seed of its own, so that a run killed and started again ends as one that wasn't. The only module that imports
ultralytics (AGPL-3.0), and only inside functions: its import patches torch.save and PIL.Image.open and changes print
options and OpenCV's threads for the rest of the process.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from usbench.errors import ConfigError, DataError, RunError
from usbench.io import console
from usbench.models.yolo import points as yolo_points
from usbench.models.yolo.boxes import Fit, Image8, detect
from usbench.models.yolo.epoch import Job
from usbench.models.yolo.families import DECODER, Net, chosen
from usbench.models.yolo.files import label_lines, newest, read, write, write_split
from usbench.models.yolo.recipe import FIXED, parts, training_arguments
from usbench.models.yolo.trainer import Counts, no_memory, ours, precision_of
from usbench.types import Run, Sample, Target


class Yolo:
    """One net of ultralytics; implements usbench.types.Model for the task detect, or landmark where its family is one
    for points.

    family, size: of usbench.models.yolo.families. weights: None (from scratch), "coco" (ultralytics' own, fetched) or a
    path to a .pt of the same size; the head's layers whose shape differs start from scratch. options: of RT-DETR's
    decoder. kpt_oks_sigmas, flip_idx: of points, see usbench.models.yolo.points.told. exclusive is a word about masks,
    ignored. `parameters` and `precision` (bf16 only on CUDA: the trainer has no other path) hold once fit() has begun.
    """

    name = "yolo"
    version = 1

    def __init__(
        self,
        *,
        classes: int,
        recipe: Mapping[str, Any],
        size: str,
        weights: str | None = None,
        exclusive: bool = False,
        family: str = "yolov8",
        options: Mapping[str, Any] | None = None,
        kpt_oks_sigmas: float | Sequence[float] | None = None,
        flip_idx: Sequence[int] | None = None,
    ) -> None:
        self.net, self.weights = chosen(family, size, classes, options), weights
        self.arguments = training_arguments(recipe, self.net.family)
        self.parts = parts(recipe, self.net.family)
        self.points: yolo_points.Points | None = None
        if self.net.family.kind == "points":
            self.points = yolo_points.told(kpt_oks_sigmas, flip_idx, classes, recipe.get("augment"))
        self.curves: NDArray[np.bool_] = np.zeros(classes, bool)  # names whose truths are curves
        self.parameters = 0
        self.precision: Literal["fp32", "bf16"] = "fp32"
        self._net: Any = None
        self._device = "cpu"

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or go on after the last finished epoch; a finished run only loads run.dir/best.pt.

        Raises RunError for a loss or validation score that isn't finite, memory that runs out and weights that can't
        be fetched; DataError for a training set without any box or point, or an unreadable weights file.
        """
        run.dir.mkdir(parents=True, exist_ok=True)
        self._device = run.device
        with _ultralytics(run):
            self.precision = precision_of(run)
            best = read(run.dir / "best.pt", tensors_only=False) or self._train(train, val, run)
        self._net = best["model"].to(run.device).eval()
        self.curves = np.array(best.get("curves", self.curves), bool)
        self.parameters = sum(p.numel() for p in self._net.parameters())

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.fit((), (), run)  # a finished run only loads its best.pt

    def predict(self, images: Iterable[Image8]) -> Iterator[Target]:
        """Of each (H, W) grey image, in native px and in order: boxes, at most 300, score > .001 (after class-wise NMS
        at IoU .7; RT-DETR's queries as they are), or landmarks with a place and a presence for every name.

        A prediction's numbers don't depend on the images predicted with it (on a CPU to the last bit).
        """
        if self._net is None:
            raise RunError(f"{self.net.family.name}: fit() comes before predict()")
        return self._guess(self._net, images)

    def _guess(self, net: Any, images: Iterable[Image8]) -> Iterator[Target]:
        stretched = self.net.family.kind == "queries"
        fit = Fit(self.arguments["imgsz"], self.arguments["rect"], self._device, stretched)
        if self.points is None:
            return detect(net, images, fit)
        return yolo_points.place(net, images, fit, self.curves)

    def _train(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> dict[str, Any]:
        state = newest(run.dir)
        epochs = self.arguments["epochs"]
        if self.points is not None:
            self._tell_names(train)
        if state is None or state["epoch"] + 1 < epochs:
            with console.bar("training", epochs) as running:
                running.step(by=0 if state is None else state["epoch"] + 1)
                lines = (
                    label_lines
                    if self.points is None
                    else partial(yolo_points.label_lines, curves=self.curves)
                )
                what = (
                    self.net,
                    self.weights,
                    self.arguments,
                    self.parts,
                    self.points,
                    lines,
                    self._guess,
                )
                state = _epochs(
                    Job(
                        *what,
                        self.precision,
                        train=train,
                        val=val,
                        run=run,
                        state=state,
                        bar=running,
                    )
                )
        net = _build(self.net)
        net.load_state_dict(state["best"])
        # In ultralytics' own form: YOLO("best.pt") and weights=…/best.pt read it.
        best = {"model": net, "train_args": self.arguments, "epoch": -1}
        if self.points is not None:
            best["curves"] = self.curves.tolist()
        write(run.dir / "best.pt", best)
        shutil.rmtree(run.dir / "yolo", ignore_errors=True)
        for checkpoint in run.dir.glob("checkpoint-*.pt"):
            checkpoint.unlink()
        return best

    def _tell_names(self, train: Sequence[Sample]) -> None:
        """Which names are curves, from the training truths; that they aren't predicted is said."""
        self.curves = yolo_points.curves_of(train, self.net.classes)
        if not yolo_points.points_in(train, self.curves):
            raise DataError(
                f"{self.net.family.name}: nothing to learn from: no point is seen in {len(train)} images"
            )
        if self.curves.any():
            console.warn(
                f"{self.net.family.name}: {self.curves.sum()} of {len(self.curves)} names are curves, which it doesn't "
                "predict: they are scored as absent (presence 0), with the image's centre for a place"
            )


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
    os.environ.update(
        YOLO_CONFIG_DIR=own,
        YOLO_OFFLINE="1",
        YOLO_AUTOINSTALL="0",
        YOLO_VERBOSE="0",
        MPLCONFIGDIR=own,
    )
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


def _build(net: Net) -> Any:
    """A net with fresh weights. The size isn't read from a file name, nor the plan searched in the cwd."""
    from ultralytics.nn.tasks import DetectionModel, PoseModel, RTDETRDetectionModel
    from ultralytics.utils import ROOT, YAML

    path, scale = net.family.plans[net.size]
    plan = {**YAML.load(ROOT / "cfg/models" / path), "scale": scale}
    if net.family.kind == "points":
        return PoseModel(plan, ch=3, nc=1, data_kpt_shape=(net.classes, 3), verbose=False)
    if net.family.kind == "queries":
        *source, _ = plan["head"][-1]
        plan["head"][-1] = [*source, ["nc", *({**DECODER, **net.options}.values())]]
        return RTDETRDetectionModel(plan, ch=3, nc=net.classes, verbose=False)
    made = DetectionModel(plan, ch=3, nc=net.classes, verbose=False)
    if plan.get(
        "end2end"
    ):  # YOLO26 has two heads: the one that the package itself takes, with suppression
        made.end2end = False
    return made


def _load_weights(net: Any, weights: str, plan: Net, folder: Path) -> None:
    """Copy what fits from a .pt into the net: all of the backbone and neck must, of the head what has its shape."""
    from ultralytics.nn.tasks import load_checkpoint

    path = _fetch(plan.label, folder) if weights == "coco" else Path(weights).resolve()
    if not path.is_file():
        raise DataError(
            f"{path}: no such weights file; give a .pt of {plan.label}, or weights=null"
        )
    try:
        source = load_checkpoint(str(path))[0].state_dict()
    except Exception as e:
        why = (*str(e).splitlines(), type(e).__name__)[0]
        raise DataError(f"{path}: not a readable ultralytics checkpoint ({why})") from e
    own = net.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and v.shape == own[k].shape}
    head = f"model.{len(net.model) - 1}."
    if any(k not in fitting and not k.startswith(head) for k in own):
        raise ConfigError(
            f"{path}: wanted weights of {plan.label}, its tensors have other names or shapes"
        )
    net.load_state_dict(fitting, strict=False)


def _fetch(label: str, folder: Path) -> Path:
    from ultralytics.utils.downloads import attempt_download_asset

    path = folder / f"{label}.pt"
    try:
        attempt_download_asset(str(path))
    except OSError as e:
        raise RunError(
            f"{label}.pt: the COCO weights can't be fetched from ultralytics' release (perhaps there is no "
            f"network: {type(e).__name__}); use weights=null or weights=PATH"
        ) from e
    return path


def _start(job: Job) -> Any:
    """The net that training starts from; on resuming its weights come later."""
    net = _build(job.net)
    if job.weights is not None and job.state is None:
        _load_weights(net, job.weights, job.net, job.tree)
    return net


def _criterion(job: Job, net: Any) -> Any:
    """The loss where it isn't simply the net's own: YOLO26's shifts its weight from one head to the other, epoch by
    epoch, and goes on where it was."""
    from ultralytics.utils.loss import v8PoseLoss

    if job.points is not None:
        return yolo_points.knowing(v8PoseLoss)(net)
    if not net.yaml.get("end2end"):
        return None
    criterion = net.init_criterion()
    if job.state is not None:
        criterion.updates = job.state["epoch"]
        criterion.update()
    return criterion


def _epochs(job: Job) -> dict[str, Any]:
    """Train from job.state to the last epoch; the state after it."""
    splits = {"train": job.train, "val": job.val}
    counts = {
        split: write_split(job.tree, split, samples, job.lines) for split, samples in splits.items()
    }
    if not counts["train"][1] or not counts["val"][0]:
        (images, boxes), (held_out, _) = counts["train"], counts["val"]
        name = job.net.family.name
        raise DataError(
            f"{name}: nothing to learn from: {images} training images with {boxes} boxes, {held_out} in val"
        )
    trainer = _trainer(job, counts)
    torch.set_num_threads(job.run.threads)  # its constructor took all cores but one
    try:
        trainer.train()
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        raise RunError(no_memory(job)) from error
    state: dict[str, Any] = trainer.state
    return state


def _trainer(job: Job, counts: Counts) -> Any:
    """Ultralytics' trainer with our data, weights, validation and checkpoints in place of its own."""
    from ultralytics.models.rtdetr.train import RTDETRTrainer
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.models.yolo.pose import PoseTrainer
    from ultralytics.utils import DEFAULT_CFG_DICT

    theirs = {"boxes": DetectionTrainer, "queries": RTDETRTrainer, "points": PoseTrainer}[
        job.net.family.kind
    ]
    own = {
        "project": str(job.tree.parent),
        "name": job.tree.name,
        "data": str(job.tree),
        "model": "yolov8.yaml",
    }
    amp = (
        "bf16" if job.precision == "bf16" else False
    )  # True would ask the network for a net to try it with
    known = {
        *DEFAULT_CFG_DICT,
        "augmentations",
    }  # what is fixed is off: a version that lacks it needs no word of it
    arguments = {k: v for k, v in job.arguments.items() if k in known or k not in FIXED}
    overrides = {**arguments, **own, "device": job.run.device, "seed": job.run.seed, "amp": amp}
    try:
        return ours(theirs, job, counts, _start, _criterion)(overrides=overrides)
    except (
        TypeError,
        ValueError,
    ) as error:  # a value of the recipe of the wrong type or out of range
        raise ConfigError(f"{job.net.family.name}: {str(error).splitlines()[0]}") from error
