"""nnU-Net v2: its own planner, trainer and predictor, on our split, chosen and scored by our protocols.

Knows what that package does behind one's back, and undoes it: its three folders, logs and pictures stay in the run's
folder; no process of its own, no compilation, nothing decided by a stopwatch; it seeds nothing, so every epoch draws
from a seed of its own. With nnunet_planner and nnunet_trainer the only module that imports nnunetv2, and only inside
functions.

Selection: nnU-Net would keep the weights whose moving average of a Dice on random patches is highest, and call its last
ones final. Here it is the run's selection rule on whole validation images, predicted as `predict` does, in every
validate_every-th epoch and the last. Its planner sees training and validation images (sizes and shares of black
border, no more), never a test image.

Resumed after a kill: by nnU-Net's own checkpoint, written in every epoch, beside and then renamed: weights, optimiser,
epoch, and which epoch was the best. Since the rate and everything random follow from seed and epoch, a run that was
killed ends as one that wasn't, to the last bit on a CPU with the same number of threads; on a GPU as nearly as its
convolutions repeat themselves. Its checkpoint is a pickle, read only from the run's own folder.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from usbench.errors import RunError, UnsuitableError
from usbench.io.console import bar
from usbench.models import loop
from usbench.models.nnunet import planner as nnunet_planner
from usbench.models.nnunet import trainer as nnunet_trainer
from usbench.models.nnunet.files import (
    MOST,
    best_of,
    described,
    forget,
    read_json,
    told,
    write_json,
    write_raw,
)
from usbench.models.nnunet.trainer import Image8, Job
from usbench.types import Masks, Run, Sample

FULL = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
)  # torch's words, of GPU and CPU


class NnUNet:
    """nnU-Net's 2D configuration for classes that exclude each other; implements usbench.types.Model.

    recipe: epochs; iterations of an epoch, batch, size of a patch, features of the stages, spacing, lr, weight_decay:
    null is nnU-Net's own, or its planner's; augment: null its own, {} none; mirror: null its own (both axes, in
    training and in prediction), or the axes; validate_every. weights: null, or a file with a state dict of this net
    (the layers of the classes start from scratch).
    """

    name = "nnunet"
    version = 1

    def __init__(
        self,
        *,
        classes: int,
        exclusive: bool,
        recipe: Mapping[str, Any],
        weights: str | None = None,
    ) -> None:
        if not exclusive:
            raise UnsuitableError(
                "nnunet: classes that overlap can't be had: nnU-Net's labels are a map with one number per pixel, and "
                "its regions are unions of those numbers; take model=unet, or a view with exclusive: true"
            )
        if classes > MOST:
            raise UnsuitableError(f"nnunet: at most {MOST} classes were wanted, found {classes}")
        self.classes, self.recipe, self.weights = classes, told(recipe), weights
        self._predictor: Any = None

    @property
    def parameters(self) -> int:
        """Number of parameters, after fit() or restore()."""
        return sum(parameter.numel() for parameter in self._predictor.network.parameters())

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """Train, or go on after the last finished epoch; a finished run only loads run.dir/best.pt.

        Raises RunError for a loss or validation score that isn't finite and memory that runs out; DataError for a
        training set without any object.
        """
        run.dir.mkdir(parents=True, exist_ok=True)
        if not (run.dir / "best.pt").is_file():
            with _nnunet(run), _memory(run.device):
                self._train(train, val, run)
        forget(run.dir, (), keep=0)
        shutil.rmtree(_own(run), ignore_errors=True)
        self.restore(run)

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        with _nnunet(run):
            plans, dataset = (read_json(run.dir / name) for name in ("plans.json", "dataset.json"))
            net = nnunet_trainer.build(plans, dataset)
            net.load_state_dict(loop.read(run.dir / "best.pt"))
            net = net.to(run.device).eval()
            mirror = nnunet_trainer.mirrored(self.recipe)
            self._predictor = nnunet_trainer.predictor_of(net, plans, dataset, mirror, run)

    def predict(self, images: Iterable[Image8]) -> Iterator[Masks]:
        """See usbench.types.Model. An image is predicted by itself, in whatever company it comes."""
        if self._predictor is None:
            raise RunError("nnunet: fit() comes before predict()")
        return self._guesses(images)

    def _guesses(self, images: Iterable[Image8]) -> Iterator[Masks]:
        for image in images:
            with _memory(str(self._predictor.device)):
                guess = nnunet_trainer.predict(self._predictor, image)
            yield guess

    def _train(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        raw, prepared, ready = (_own(run) / name for name in ("raw", "preprocessed", "plans.json"))
        if not ready.is_file():
            write_raw(raw, prepared, train, val, self.classes)
            plans = nnunet_planner.prepare(prepared, len(train) + len(val), self.recipe)
            shutil.rmtree(raw)
            write_json(ready, plans)
        os.environ.update(
            nnUNet_n_proc_DA="0"
        )  # augmentation in this process; its planner wants one at least
        plans, dataset = read_json(ready), described(self.classes)
        with bar("training", self.recipe.epochs) as running:
            weights = Path(self.weights) if self.weights else None
            best = nnunet_trainer.train(
                Job(self.recipe, plans, dataset, weights, val, run, running)
            )
        write_json(run.dir / "plans.json", plans)
        write_json(run.dir / "dataset.json", dataset)
        best_of(run.dir, best).replace(run.dir / "best.pt")


def _own(run: Run) -> Path:
    """The folder of everything that nnU-Net reads and writes."""
    return run.dir.resolve() / "nnunet"


@contextmanager
def _nnunet(run: Run) -> Iterator[None]:
    """nnU-Net importable and sealed off; environment, threads, global random state and cuDNN as before, afterwards.

    Raises RunError where it isn't installed.
    """
    before, threads, cudnn = dict(os.environ), torch.get_num_threads(), torch.backends.cudnn
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # theirs
    flags = cudnn.benchmark, cudnn.deterministic
    folders = {
        f"nnUNet_{name}": str(_own(run) / name) for name in ("raw", "preprocessed", "results")
    }
    os.environ.update(
        folders, nnUNet_n_proc_DA="1", nnUNet_def_n_proc=str(run.threads), nnUNet_compile="false"
    )
    os.environ.update(nnUNet_wandb_enabled="0", MPLCONFIGDIR=str(_own(run) / "settings"))
    try:
        with torch.random.fork_rng(devices=[run.device] if run.device.startswith("cuda") else []):
            try:
                import nnunetv2.training.nnUNetTrainer.nnUNetTrainer  # noqa: F401
            except ImportError as missing:
                raise RunError(
                    f"nnunet: the package nnunetv2 isn't installed, or not whole ({missing}); "
                    "pip install 'usbench[nnunet]'"
                ) from missing
            torch.set_num_threads(run.threads)
            cudnn.benchmark, cudnn.deterministic = False, True
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(threads)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        cudnn.benchmark, cudnn.deterministic = flags
        shutil.rmtree(_own(run) / "settings", ignore_errors=True)
        with suppress(OSError):  # as long as it isn't empty, or isn't there
            _own(run).rmdir()


@contextmanager
def _memory(device: str) -> Iterator[None]:
    """Memory that runs out, in our words."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, RuntimeError) and not any(words in text for words in FULL):
            raise
        raise RunError(
            f"nnunet: out of memory on {device}; nothing is halved in silence: a smaller recipe.batch or "
            "recipe.size is another model (model.recipes.NAME.batch=N)"
        ) from error
