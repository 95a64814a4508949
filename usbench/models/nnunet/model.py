"""nnU-Net v2: its own planner, trainer and predictor, on our split, selected and scored by us.

What the package does unseen is undone: its three folders, logs and pictures stay in the run's
folder; no process of its own, no compilation, nothing decided by a stopwatch; it seeds nothing, so
each epoch has a seed of its own. With planner.py and trainer.py the only module that imports
nnunetv2, and only inside functions.

Selection: nnU-Net would keep the weights whose moving average of a Dice on random patches is
highest, and call its last ones final. Here it is the run's selection rule on whole validation
images, predicted as `predict` does, in every validate_every-th epoch and the last. Its planner
sees training and validation images (sizes and shares of black border, no more), never a test image.

Resuming: by nnU-Net's own checkpoint, written atomically in each epoch: weights, optimiser, epoch,
and which epoch was the best. Since the rate and everything random follow from seed and epoch, a
resumed run ends as an uninterrupted one, to the last bit on a CPU with the same number of threads;
on a GPU as nearly as its convolutions repeat themselves. Its checkpoint is a pickle, read only from
the run's own folder.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from usbench.errors import RunError, UnsuitableError
from usbench.io.console import bar
from usbench.models import Recipe as StatedRecipe
from usbench.models.checkpoints import load_file
from usbench.models.loop_model import count_parameters
from usbench.models.nnunet import planner as nnunet_planner
from usbench.models.nnunet import trainer as nnunet_trainer
from usbench.models.nnunet.files import (
    MAX_CLASSES,
    describe_dataset,
    epoch_weights,
    read_json,
    remove_old,
    write_json,
    write_raw,
)
from usbench.models.nnunet.recipe import parse_recipe
from usbench.types import Masks, Run, Sample


class NnUNet:
    """nnU-Net's 2D configuration for exclusive classes (usbench.types.Model)."""

    name = "nnunet"
    version = 1

    def __init__(
        self,
        *,
        classes: int,
        exclusive: bool,
        recipe: StatedRecipe,
        weights: str | None = None,
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            recipe: see `recipe.KEYS`. Of most keys null is nnU-Net's own value, or its planner's;
                augment: null its own, {} none; mirror: null its own (both axes, in training and in
                prediction), or the axes.
            weights: null, or a file with a state dict of this net (the layers of the classes start
                from scratch).

        Raises:
            UnsuitableError: classes that overlap, or too many.
        """
        if not exclusive:
            raise UnsuitableError(
                "nnunet",
                "overlapping classes aren't supported: nnU-Net's labels are a map with one "
                "number per pixel, and its regions are unions of those numbers",
                "take model=unet, or a view with exclusive: true",
            )
        if classes > MAX_CLASSES:
            raise UnsuitableError(
                "nnunet", f"expected at most {MAX_CLASSES} classes, got {classes}"
            )
        self.classes = classes
        self.recipe = parse_recipe(recipe)
        self.weights = weights
        self._predictor: Any = None

    @property
    def parameters(self) -> int:
        """Number of parameters, after fit() or restore()."""
        return count_parameters(self._predictor.network)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or resume at the last checkpoint; a finished run only loads best.pt.

        Raises:
            RunError: a loss or validation score isn't finite, or memory runs out.
            DataError: a training set without any object.
        """
        run.dir.mkdir(parents=True, exist_ok=True)
        if not (run.dir / "best.pt").is_file():
            with sealed_nnunet(run), explained_memory(run.device):
                self._train(train, val, run)
        remove_old(run.dir, (), keep=0)
        shutil.rmtree(package_folder(run), ignore_errors=True)
        self.restore(run)

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        with sealed_nnunet(run):
            plans, dataset = (read_json(run.dir / name) for name in ("plans.json", "dataset.json"))
            net = nnunet_trainer.build_net(plans, dataset)
            net.load_state_dict(load_file(run.dir / "best.pt"))
            net.to(run.device).eval()
            self._predictor = nnunet_trainer.build_predictor(net, plans, dataset, self.recipe, run)

    def predict(self, images: Iterable[nnunet_trainer.Image8]) -> Iterator[Masks]:
        """See usbench.types.Model. An image is predicted by itself, whatever its neighbours."""
        if self._predictor is None:
            raise RunError("nnunet: fit() comes before predict()")
        return self._predict(images)

    def _predict(self, images: Iterable[nnunet_trainer.Image8]) -> Iterator[Masks]:
        for image in images:
            with explained_memory(str(self._predictor.device)):
                prediction = nnunet_trainer.predict(self._predictor, image)
            yield prediction

    def _train(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        folder = package_folder(run)
        plans_path = folder / "plans.json"  # written once planning is done
        if not plans_path.is_file():
            raw, prepared = folder / "raw", folder / "preprocessed"
            write_raw(raw, prepared, train, val, self.classes)
            planned = nnunet_planner.prepare(prepared, len(train) + len(val), self.recipe)
            shutil.rmtree(raw)
            write_json(plans_path, planned)
        # Augmentation in this process; the planner needs one worker at least.
        os.environ.update(nnUNet_n_proc_DA="0")
        plans, dataset = read_json(plans_path), describe_dataset(self.classes)

        with bar("training", self.recipe.epochs, "epoch") as progress:
            best = nnunet_trainer.train(
                nnunet_trainer.Job(self.recipe, plans, dataset, self.weights, val, run, progress)
            )
        write_json(run.dir / "plans.json", plans)
        write_json(run.dir / "dataset.json", dataset)
        epoch_weights(run.dir, best).replace(run.dir / "best.pt")


def package_folder(run: Run) -> Path:
    """The folder of everything that nnU-Net reads and writes."""
    return run.dir.resolve() / "nnunet"


@contextmanager
def sealed_nnunet(run: Run) -> Iterator[None]:
    """Make nnU-Net importable and seal it off.

    Environment, threads, global random state and cuDNN's flags are restored afterwards.

    Raises:
        RunError: it isn't installed.
    """
    folder = package_folder(run)
    environment, threads = dict(os.environ), torch.get_num_threads()
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  # theirs
    cudnn = torch.backends.cudnn
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    os.environ.update(
        nnUNet_raw=str(folder / "raw"),
        nnUNet_preprocessed=str(folder / "preprocessed"),
        nnUNet_results=str(folder / "results"),
        nnUNet_n_proc_DA="1",
        nnUNet_def_n_proc=str(run.threads),
        nnUNet_compile="false",
        nnUNet_wandb_enabled="0",
        MPLCONFIGDIR=str(folder / "settings"),
    )
    try:
        with torch.random.fork_rng(devices=[run.device] if run.device.startswith("cuda") else []):
            try:
                import nnunetv2.training.nnUNetTrainer.nnUNetTrainer  # noqa: F401
            except ImportError as missing:
                raise RunError(
                    f"nnunet: the package nnunetv2 isn't installed, or not complete ({missing}); "
                    "pip install 'usbench[nnunet]'"
                ) from missing
            torch.set_num_threads(run.threads)
            cudnn.benchmark, cudnn.deterministic = False, True
            yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_num_threads(threads)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic
        shutil.rmtree(folder / "settings", ignore_errors=True)
        with suppress(OSError):  # as long as it isn't empty, or isn't there
            folder.rmdir()


@contextmanager
def explained_memory(device: str) -> Iterator[None]:
    """Turn memory that runs out into a RunError with what to do about it."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise RunError(
            f"nnunet: out of memory on {device}. A smaller recipe.batch or recipe.size needs less, "
            "but is another model (model.recipes.NAME.batch=N)."
        ) from error
