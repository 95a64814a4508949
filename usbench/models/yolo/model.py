"""The nets of ultralytics, trained by its own trainer: YOLO, RT-DETR, and YOLO for points.

Validation is the run's selection rule on what `predict` would give, up to rounding, since it
predicts several images together. Checkpoints are exact (fp32 weights, their moving average, the optimiser)
and each epoch has a seed of its own, so that a resumed run ends as an uninterrupted one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from usbench.errors import DataError, RunError
from usbench.io.console import bar, warn
from usbench.models import Recipe
from usbench.models.checkpoints import (
    Checkpoints,
    list_checkpoints,
    load_file,
    load_first,
    save_file,
)
from usbench.models.loop_keys import count_parts
from usbench.models.loop_model import count_parameters
from usbench.models.yolo import package
from usbench.models.yolo import points as yolo_points
from usbench.models.yolo.boxes import (
    BATCH,
    Fit,
    Image8,
    Input,
    box_lines,
    fit_image,
    predict_boxes,
)
from usbench.models.yolo.recipe import choose_net, training_arguments
from usbench.models.yolo.trainer import Job, State, choose_precision
from usbench.types import Run, Sample, Target


class Yolo:
    """One net of ultralytics (usbench.types.Model), for boxes, or for landmarks by its family.

    `parameters` and `precision` (bf16 only on CUDA: the trainer has no other path) are those of
    the run once `fit` has begun.
    """

    name = "yolo"
    version = 2

    def __init__(
        self,
        *,
        classes: int,
        recipe: Recipe,
        size: str,
        weights: str | None = None,
        exclusive: bool = False,
        family: str = "yolov8",
        options: Mapping[str, int] | None = None,
        kpt_oks_sigmas: float | Sequence[float] | None = None,
        flip_idx: Sequence[int] | None = None,
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            classes: of the boxes, or the number of names.
            family, size: of usbench.models.yolo.recipe.
            weights: null, coco (ultralytics' own, fetched) or a path to a .pt of the same size;
                the head's layers whose shape differs start from scratch.
            exclusive: about masks; ignored.
            options: of RT-DETR's decoder.
            kpt_oks_sigmas, flip_idx: of points, see usbench.models.yolo.points.parse_points.
        """
        self.net = choose_net(family, size, classes, options)
        self.weights = weights
        self.arguments = training_arguments(recipe, self.net.family)
        self.parts = count_parts(recipe["batch"], recipe)
        self.points = (
            yolo_points.parse_points(kpt_oks_sigmas, flip_idx, classes, recipe.get("augment"))
            if self.net.family.kind == "points"
            else None
        )
        self.curves: NDArray[np.bool_] = np.zeros(classes, bool)  # names whose targets are curves
        self.parameters = 0
        self.precision: Literal["fp32", "bf16"] = "fp32"
        self._module: Any = None
        self._device = "cpu"

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or resume at the last checkpoint; a finished run only loads best.pt.

        Raises:
            RunError: a loss or validation score isn't finite, memory runs out, or weights can't be
                fetched.
            DataError: a training set without any box or point, or an unreadable weights file.
        """
        run.dir.mkdir(parents=True, exist_ok=True)
        with package.sealed_ultralytics(run):
            self.precision = choose_precision(run)
            self._use(load_best(run.dir) or self._train(train, val, run), run)

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        with package.sealed_ultralytics(run):
            self.precision = choose_precision(run)
            best = load_best(run.dir)
            if best is None:
                raise RunError(f"{run.dir}: no best.pt of a finished run; train it again")
            self._use(best, run)

    def predict(self, images: Iterable[Image8]) -> Iterator[Target]:
        """See usbench.types.Model. Predict boxes, or landmarks with a place for each name.

        Boxes are at most 300 per image, with scores above .001, after suppression within a class
        at IoU .7 (RT-DETR's queries as they are). An image's numbers don't depend on the images
        predicted with it (on a CPU to the last bit).
        """
        if self._module is None:
            raise RunError(f"{self.net.family.name}: fit() comes before predict()")
        fit = self._fit(self._device)
        inputs = (fit_image(image, fit) for image in images)
        return self._predict(self._module, inputs, 1 if self._device == "cpu" else BATCH)

    def _fit(self, device: str) -> Fit:
        """How images come into the net."""
        stretched = self.net.family.kind == "queries"
        return Fit(self.arguments["imgsz"], self.arguments["rect"], device, stretched)

    def _predict(self, module: Any, inputs: Iterable[Input], batch: int) -> Iterator[Target]:
        fit = self._fit(self._device)
        if self.points is None:
            return predict_boxes(module, inputs, fit, batch)
        return yolo_points.predict_points(module, inputs, fit, self.curves, batch)

    def _use(self, best: Mapping[str, object], run: Run) -> None:
        """Predict with the net of a best.pt from now on."""
        self._device = run.device
        module = cast(torch.nn.Module, best["model"]).to(run.device).eval()
        self._module = module.to(memory_format=torch.channels_last)
        self.curves = np.array(best.get("curves", self.curves), bool)
        self.parameters = count_parameters(self._module)

    def _train(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> dict[str, object]:
        """Train to the last epoch and write best.pt; its content."""
        self._device = run.device
        if self.points is not None:
            self._find_curves(train)
        state = load_first(list_checkpoints(run.dir), load_file)
        if state is None or state["epoch"] + 1 < self.arguments["epochs"]:
            state = self._train_epochs(train, val, run, state)
        module = package.build_net(self.net)
        module.load_state_dict(state["best"])
        # In ultralytics' own form: YOLO("best.pt") and weights=…/best.pt read it.
        best = {"model": module, "train_args": self.arguments, "epoch": -1}
        if self.points is not None:
            best["curves"] = self.curves.tolist()
        save_file(run.dir / "best.pt", best)
        shutil.rmtree(run.dir / "yolo", ignore_errors=True)
        for checkpoint in list_checkpoints(run.dir):
            checkpoint.unlink()
        return best

    def _train_epochs(
        self, train: Sequence[Sample], val: Sequence[Sample], run: Run, state: State | None
    ) -> State:
        point_lines = partial(yolo_points.point_lines, curves=self.curves)
        fit = self._fit(run.device)
        with bar("training", self.arguments["epochs"], "epoch") as progress:
            progress.skip(0 if state is None else state["epoch"] + 1)
            return package.train(
                Job(
                    net=self.net,
                    weights=self.weights,
                    arguments=self.arguments,
                    parts=self.parts,
                    points=self.points,
                    label_lines=box_lines if self.points is None else point_lines,
                    fit=fit,
                    predict=self._predict,
                    precision=self.precision,
                    train=train,
                    val=[(fit_image(sample.image, fit), sample.target) for sample in val],
                    run=run,
                    checkpoints=Checkpoints(run.dir),
                    state=state,
                    bar=progress,
                )
            )

    def _find_curves(self, train: Sequence[Sample]) -> None:
        """Find which names are curves in the training targets; warn that they aren't predicted."""
        name = self.net.family.name
        self.curves = yolo_points.curves_of(train, self.net.classes)
        if not yolo_points.count_points(train, self.curves):
            raise DataError(
                f"{name}: nothing to learn from: no point is seen in {len(train)} images"
            )
        if self.curves.any():
            warn(
                f"{name}: {self.curves.sum()} of {len(self.curves)} names are curves, which it "
                "doesn't predict: they are scored as absent (presence 0), with the image's centre "
                "for a place"
            )


def load_best(folder: Path) -> dict[str, object] | None:
    """The content of a finished run's best.pt, a pickle of our own; None where there is none."""
    return load_first(
        folder.glob("best.pt"), partial(torch.load, map_location="cpu", weights_only=False)
    )
