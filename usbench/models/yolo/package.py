"""The only module that imports ultralytics (AGPL-3.0), and only inside functions.

Its import patches torch.save and PIL.Image.open and changes print options and OpenCV's threads for
the rest of the process. What the package does unseen is undone here: settings, caches and pictures
stay in the run's folder; no network, no integration, no thread count of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from usbench.errors import ConfigError, DataError, RunError
from usbench.io.console import warn
from usbench.models.checkpoints import first_line
from usbench.models.yolo.boxes import write_split
from usbench.models.yolo.points import ignore_unknown
from usbench.models.yolo.recipe import DECODER, FIXED, Net
from usbench.models.yolo.trainer import (
    Job,
    State,
    count_workers,
    explain_memory,
    subclass_trainer,
)
from usbench.types import Run


class WarningHandler(logging.Handler):
    """Shows ultralytics' warnings as ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one warning on one line."""
        warn(f"ultralytics: {' '.join(record.getMessage().split())}")


@contextmanager
def sealed_ultralytics(run: Run) -> Iterator[None]:
    """Import ultralytics, silent and sealed off; restore environment and thread count afterwards.

    Its import sets OMP_NUM_THREADS=1 (inherited by children), reads YOLO_CONFIG_DIR and the rank,
    and asks the network whether it is there; its CPU trainer takes all cores but one.
    """
    before = dict(os.environ)
    settings = str(run.dir.resolve() / "yolo" / "settings")
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "ULTRALYTICS_API_KEY"):
        os.environ.pop(name, None)
    os.environ.update(
        YOLO_CONFIG_DIR=settings,
        YOLO_OFFLINE="1",
        YOLO_AUTOINSTALL="0",
        YOLO_VERBOSE="0",
        MPLCONFIGDIR=settings,
        OMP_NUM_THREADS=str(run.threads),
    )
    try:
        from ultralytics.utils import LOGGER, SETTINGS

        # In memory only: SETTINGS.update would write the user's file, if imported before.
        switches = [key for key, value in SETTINGS.items() if isinstance(value, bool)]
        dict.update(SETTINGS, dict.fromkeys(switches, False))
        LOGGER.handlers[:] = [WarningHandler(logging.WARNING)]
        LOGGER.setLevel(logging.WARNING)  # which switches its progress bars off too
        torch.set_num_threads(run.threads)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(run.threads)


def build_net(net: Net) -> Any:
    """A net with fresh weights, its size and plan stated, not searched by file name."""
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
    module = DetectionModel(plan, ch=3, nc=net.classes, verbose=False)
    if plan.get("end2end"):  # of YOLO26's two heads the package's default, with suppression
        module.end2end = False
    return module


def load_weights(module: Any, weights: str, net: Net, folder: Path) -> None:
    """Copy a .pt into a net: all of backbone and neck, and of the head what has its shape.

    Args:
        weights: coco (ultralytics' own, fetched into folder) or a path.

    Raises:
        DataError: no readable file.
        ConfigError: weights of another net.
        RunError: they can't be fetched.
    """
    from ultralytics.nn.tasks import load_checkpoint

    path = fetch_coco(net.label, folder) if weights == "coco" else Path(weights).resolve()
    if not path.is_file():
        raise DataError(f"{path}: no such weights file; give a .pt of {net.label}, or weights=null")
    try:
        source = load_checkpoint(str(path))[0].state_dict()
    except Exception as wrong:
        raise DataError(
            f"{path}: not a readable ultralytics checkpoint ({first_line(wrong)})"
        ) from wrong
    head = f"model.{len(module.model) - 1}."
    own = module.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and v.shape == own[k].shape}
    if not all(name.startswith(head) for name in own.keys() - fitting.keys()):
        raise ConfigError(
            f"{path}: expected weights of {net.label}, its tensors have other names or shapes"
        )
    module.load_state_dict(fitting, strict=False)


def fetch_coco(label: str, folder: Path) -> Path:
    """Ultralytics' COCO weights of a net, fetched into folder."""
    from ultralytics.utils.downloads import attempt_download_asset

    path = folder / f"{label}.pt"
    try:
        attempt_download_asset(str(path))
    except OSError as unreachable:
        raise RunError(
            f"{label}.pt: the COCO weights can't be fetched from ultralytics' release (perhaps "
            f"there is no network: {type(unreachable).__name__}); use weights=null or weights=PATH"
        ) from unreachable
    return path


def make_net(job: Job) -> Any:
    """The net that training starts from; on resuming its weights come later."""
    module = build_net(job.net)
    if job.weights is not None and job.state is None:
        load_weights(module, job.weights, job.net, job.folder)
    return module.to(memory_format=torch.channels_last)


def make_criterion(job: Job, module: Any) -> Any:
    """The loss where it isn't simply the net's own, else None.

    YOLO26's shifts its weight from one head to the other, epoch by epoch, and resumes where it
    was.
    """
    from ultralytics.utils.loss import v8PoseLoss

    if job.points is not None:
        return ignore_unknown(v8PoseLoss)(module)
    if not module.yaml.get("end2end"):
        return None
    criterion = module.init_criterion()
    if job.state is not None:
        criterion.updates = job.state["epoch"]
        criterion.update()
    return criterion


def train(job: Job) -> State:
    """Train from job.state to the last epoch.

    Returns:
        The checkpoint after it.

    Raises:
        DataError: nothing to learn from.
        RunError: memory runs out, or a loss isn't finite.
    """
    images, boxes = write_split(job.folder, "train", job.train, job.label_lines, job.fit)
    if not boxes or not len(job.val):
        raise DataError(
            f"{job.net.family.name}: nothing to learn from: {images} training images with "
            f"{boxes} boxes, {len(job.val)} in val"
        )
    trainer = build_trainer(job, (images, boxes))
    torch.set_num_threads(job.run.threads)  # its constructor took all cores but one
    try:
        trainer.train()
    except torch.OutOfMemoryError as error:
        raise RunError(explain_memory(job)) from error
    return cast(State, trainer.state)


def build_trainer(job: Job, written: tuple[int, int]) -> Any:
    """Ultralytics' trainer with our data, weights, validation and checkpoints.

    Args:
        written: number of training images and of their boxes.
    """
    from ultralytics.models.rtdetr.train import RTDETRTrainer
    from ultralytics.models.yolo.detect import DetectionTrainer
    from ultralytics.models.yolo.pose import PoseTrainer
    from ultralytics.utils import DEFAULT_CFG_DICT

    bases = {"boxes": DetectionTrainer, "queries": RTDETRTrainer, "points": PoseTrainer}
    # What is fixed is off: a version of the package that doesn't know a key isn't given it.
    unknown = set(FIXED) - {*DEFAULT_CFG_DICT, "augmentations"}
    overrides = {
        **{key: value for key, value in job.arguments.items() if key not in unknown},
        "project": str(job.folder.parent),
        "name": job.folder.name,
        "data": str(job.folder),
        "model": "yolov8.yaml",
        "device": job.run.device,
        "workers": count_workers(job.run),
        "seed": job.run.seed % 2**32,  # NumPy takes no larger one
        # True would ask the network for a net to try it with.
        "amp": "bf16" if job.precision == "bf16" else False,
    }
    try:
        base = bases[job.net.family.kind]
        trainer = subclass_trainer(base, job, written, make_net, make_criterion)
        return trainer(overrides=overrides)
    except (TypeError, ValueError) as error:  # a recipe's value of a wrong type or out of range
        raise ConfigError(f"{job.net.family.name}: {first_line(error)}") from error
