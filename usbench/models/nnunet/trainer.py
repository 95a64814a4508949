"""nnU-Net's trainer and predictor in this process, seeded, silent, selected by our rule.

Knows their classes' methods. nnU-Net is imported inside functions only, once `sealed_nnunet` has
put its environment in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import RunError
from usbench.io.console import Bar
from usbench.io.files import JsonObject
from usbench.models import loop
from usbench.models.checkpoints import (
    list_checkpoints,
    load_first,
    load_state,
    read_state,
    replacing_torch_file,
    save_file,
)
from usbench.models.nnunet.files import epoch_weights, remove_old
from usbench.models.nnunet.planner import OURS, SPACING, replaced
from usbench.models.nnunet.recipe import Recipe
from usbench.types import Masks, Run, Sample

Image8 = NDArray[np.uint8]  # (H, W)


# ---- training


@dataclass(frozen=True)
class Job:
    """One training, or the rest of one."""

    recipe: Recipe
    plans: JsonObject
    dataset: JsonObject  # its dataset.json
    weights: str | None  # a file's path
    val: Sequence[Sample]
    run: Run
    bar: Bar


def train(job: Job) -> int:
    """Train to the last epoch; the number of the best one, whose weights are at epoch_weights."""
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as module

    with redirect_stdout(StringIO()):
        plans = {**job.plans, "continue_training": False}
        device = torch.device(job.run.device)
        trainer = subclass_trainer(job)(plans, OURS, 0, job.dataset, device)
        trainer.device = device  # theirs is always the first GPU
        trainer.grad_scaler = None  # of fp16, which isn't used
        trainer.num_epochs = job.recipe.epochs
        stated = {
            "num_iterations_per_epoch": job.recipe.iterations,
            "initial_lr": job.recipe.lr,
            "weight_decay": job.recipe.weight_decay,
        }
        for name, value in stated.items():
            if value is not None:
                setattr(trainer, name, value)
        loop.seed_epoch(job.run.seed, 0)
        trainer.initialize()
    if not resume(trainer, job.run.dir) and job.weights is not None:
        load_state(
            trainer.network,
            read_state(Path(job.weights)),
            ("decoder.seg_layers.",),
            job.weights,
        )
    job.bar.skip(trainer.current_epoch)
    # Where its training step on a GPU would take fp16.
    with replaced(module, "autocast", lambda kind, enabled: loop.autocast(job.run)):
        trainer.run_training()
    return cast(int, trainer._best_ema[1])


def subclass_trainer(job: Job) -> Any:
    """A subclass of nnU-Net's trainer."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    recipe, run = job.recipe, job.run

    class Trainer(nnUNetTrainer):  # type: ignore[misc]
        def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:
            rotation, flat, initial, mirror = (
                super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
            )
            if not recipe.augment:
                initial, mirror = self.configuration_manager.patch_size, None
            if recipe.mirror is not None:
                mirror = recipe.mirror or None
            self.inference_allowed_mirroring_axes = mirror
            return rotation, flat, initial, mirror

        @staticmethod
        def get_training_transforms(
            patch: Any, rotation: Any, scales: Any, *rest: Any, **named: Any
        ) -> Any:
            if not recipe.augment:
                return nnUNetTrainer.get_validation_transforms(scales)
            transforms = nnUNetTrainer.get_training_transforms(
                patch, rotation, scales, *rest, **named
            )
            remove_stopwatch(transforms)
            return transforms

        def run_training(self) -> None:
            self.on_train_start()
            while self.current_epoch < self.num_epochs:
                loop.seed_epoch(run.seed, self.current_epoch + 1)
                self.on_train_epoch_start()
                total = 0.0
                count = self.num_iterations_per_epoch
                for _ in job.bar.watch(range(count), count, "batch"):
                    total += float(self.train_step(next(self.dataloader_train))["loss"])
                finish_epoch(self, job, total / count)
                self.current_epoch += 1

        def save_checkpoint(self, filename: str) -> None:
            with replacing_torch_file(Path(filename)) as part:
                super().save_checkpoint(str(part))

        def print_to_log_file(self, *_: Any, **__: Any) -> None: ...

        # The latter would store the host's name and paths.
        plot_network_architecture = _save_debug_information = print_to_log_file

    return Trainer


def remove_stopwatch(transforms: Any) -> None:
    """Let nnU-Net's blur always go one way: it would time two, and take the faster."""
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.utils.random import RandomTransform

    for step in transforms.transforms:
        inner = step.transform if isinstance(step, RandomTransform) else step
        if isinstance(inner, GaussianBlurTransform):
            inner.benchmark = False


def finish_epoch(trainer: Any, job: Job, loss: float) -> None:
    """Validate where it is due, keep the best weights, log, write a checkpoint.

    Raises:
        RunError: the loss or the score isn't finite.
    """
    epoch, run, before = trainer.current_epoch + 1, job.run, trainer._best_ema
    if not math.isfinite(loss):
        raise RunError(f"nnunet: epoch {epoch}: the loss is {loss}; a smaller lr may help")
    run.log("train/loss", loss, epoch)
    run.log("lr", float(trainer.optimizer.param_groups[0]["lr"]), epoch)
    score = None
    if epoch % job.recipe.validate_every == 0 or epoch == trainer.num_epochs:
        score = validate(trainer, job)
        if not math.isfinite(score):
            raise RunError(
                f"nnunet: epoch {epoch}: the validation score is {score}; has val any object?"
            )
        run.log("val/score", score, epoch)
        if before is None or score > before[0]:
            save_file(epoch_weights(run.dir, epoch), trainer.network.state_dict())
            trainer._best_ema = (score, epoch)  # their slot for it, in their checkpoint
    trainer.save_checkpoint(str(run.dir / f"checkpoint-{epoch:05d}.pth"))
    best = trainer._best_ema
    remove_old(run.dir, {state[1] for state in (before, best) if state is not None})
    job.bar.step(loop.describe_epoch(loss, score, None if best is None else best[0]))


def validate(trainer: Any, job: Job) -> float:
    """The selection rule on what `predict` would give with these weights."""
    trainer.set_deep_supervision_enabled(False)
    predictor = build_predictor(trainer.network, job.plans, job.dataset, job.recipe, job.run)
    samples = job.bar.watch(job.val, len(job.val), "validating")
    score = job.run.score((sample.target, predict(predictor, sample.image)) for sample in samples)
    trainer.set_deep_supervision_enabled(True)
    return float(score)


def resume(trainer: Any, folder: Path) -> bool:
    """Load the newest whole checkpoint; whether there was one.

    Raises:
        RunError: its best weights are missing.
    """

    def load(path: Path) -> Path:
        trainer.load_checkpoint(str(path))
        return path

    path = load_first(list_checkpoints(folder, ".pth"), load)
    best = trainer._best_ema
    if path is not None and best is not None and not epoch_weights(folder, best[1]).is_file():
        raise RunError(
            f"{path}: its best weights ({epoch_weights(folder, best[1]).name}) are missing; "
            "start anew"
        )
    return path is not None


# ---- prediction


def mirror_axes(recipe: Recipe) -> tuple[int, ...] | None:
    """The axes along which a prediction is averaged with that of the mirrored image."""
    if recipe.mirror is not None:
        return recipe.mirror or None
    return (0, 1) if recipe.augment else None


def build_net(plans: JsonObject, dataset: JsonObject) -> nn.Module:
    """The net of the plans, with fresh weights."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    return cast(
        nn.Module,
        nnUNetTrainer.build_network_architecture(
            manager,
            manager.get_configuration(OURS),
            1,
            manager.get_label_manager(dataset).num_segmentation_heads,
            enable_deep_supervision=False,
        ),
    )


def build_predictor(
    net: nn.Module,
    plans: JsonObject,
    dataset: JsonObject,
    recipe: Recipe,
    run: Run,
) -> Any:
    """nnU-Net's predictor: half-overlapping patches, Gaussian weights, mirrored images averaged."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    class Predictor(nnUNetPredictor):  # type: ignore[misc]
        def _internal_maybe_mirror_and_predict(self, x: Tensor) -> Tensor:
            with loop.autocast(run):  # theirs is fp16
                return cast(Tensor, super()._internal_maybe_mirror_and_predict(x))

    with redirect_stdout(StringIO()):
        predictor = Predictor(device=torch.device(run.device), allow_tqdm=False)
    torch.backends.cudnn.benchmark = False  # its constructor switches that stopwatch on
    manager = PlansManager(plans)
    predictor.manual_initialization(
        net, manager, manager.get_configuration(OURS), None, dataset, "", mirror_axes(recipe)
    )
    return predictor


def predict(predictor: Any, image: Image8) -> Masks:
    """Predict one image, in native pixels.

    A plane's score is the mean probability of its pixels, 0 where there are none.
    """
    from nnunetv2.inference.export_prediction import (
        convert_predicted_logits_to_segmentation_with_correct_shape,
    )

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    data, _, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
        image[None, None], None, {"spacing": SPACING}, plans, configuration, predictor.dataset_json
    )
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data)).cpu()
    labels, probability = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        plans,
        configuration,
        predictor.label_manager,
        properties,
        True,
        torch.get_num_threads(),
    )
    probability = probability[1:, 0]  # (C, H, W)
    planes = labels[0] == np.arange(1, len(probability) + 1)[:, None, None]
    scores = (probability * planes).sum(axis=(1, 2)) / np.maximum(planes.sum(axis=(1, 2)), 1)
    return Masks(planes, scores.astype(np.float32), probabilities=probability.astype(np.float32))
