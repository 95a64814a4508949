"""The torch loop that trains every net of ours.

No host sync inside an epoch: the set lies on the device when it fits, a batch is a gather,
augmentation is one call. Data order and augmentation come from (seed, epoch) alone, so a resumed
run ends as an uninterrupted one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from usbench.errors import RunError
from usbench.io.console import Bar, bar
from usbench.io.numbers import format_decimals
from usbench.models import Recipe
from usbench.models.arrays import Arrays
from usbench.models.augment import augment
from usbench.models.checkpoints import (
    Checkpoints,
    list_checkpoints,
    load_file,
    load_first,
    save_file,
)
from usbench.models.device import constant, send
from usbench.models.loop_keys import Augment, count_parts
from usbench.models.optimise import build_optimiser, build_schedule
from usbench.models.recipe_keys import names_class
from usbench.types import Run

MEAN, SD = 0.449, 0.226  # ImageNet's, averaged over its channels: what pretrained stems expect
GRADIENT_NORM = 5.0  # clipping, against the odd spike of a small batch

# A net's output (logits (B, K, h, w) …) and a batch of targets → a scalar.
Loss = Callable[[Any, Tensor], Tensor]
# The parts of a training that a checkpoint keeps.
Stateful = nn.Module | torch.optim.Optimizer | LRScheduler
# A net → the run's selection rule on the validation set; the bar shows how far it is.
Validate = Callable[[nn.Module, Bar], float]
# Images (B, h, w) uint8, targets as stored → images (B, 1, h, w) in 0..1, targets for the loss.
Prepare = Callable[[Tensor, Tensor, Augment, torch.Generator], tuple[Tensor, Tensor]]


def normalise(images: Tensor) -> Tensor:
    """(B, 1, h, w) in 0..1 → what a net for grey images reads."""
    return (images - MEAN) / SD


def normalise_by(images: Tensor, mean: Sequence[float], sd: Sequence[float]) -> Tensor:
    """(B, 1, h, w) in 0..1 → (B, len(mean), h, w): grey repeated, each channel normalised."""
    shift, scale = (constant(values, images).view(1, -1, 1, 1) for values in (mean, sd))
    return (images - shift) / scale


@dataclass(frozen=True)
class Method:
    """How a net is trained and fed, apart from its recipe."""

    loss: Loss
    prepare: Prepare = augment  # augments image and target together
    to_net: Callable[[Tensor], Tensor] = normalise  # (B, 1, h, w) in 0..1 → what the net reads
    channels_last: bool = False  # memory format


def autocast(run: Run) -> AbstractContextManager[Any]:
    """The run's precision around a forward pass."""
    return torch.autocast(run.device.split(":")[0], torch.bfloat16, enabled=run.precision == "bf16")


def place(net: nn.Module, run: Run, channels_last: bool) -> nn.Module:
    """Move a net to the run's device, in the memory format that its YAML asks for."""
    net = net.to(run.device)
    return net.to(memory_format=torch.channels_last) if channels_last else net


def feed(images: Tensor, method: Method) -> Tensor:
    """(B, 1, h, w) in 0..1 → the net's input, in its memory format."""
    x = method.to_net(images)
    return x.contiguous(memory_format=torch.channels_last) if method.channels_last else x


def fit(
    net: nn.Module,
    train: Arrays,
    method: Method,
    validate: Validate,
    recipe: Recipe,
    run: Run,
) -> None:
    """Train a net in place; leave it with its best epoch's weights, also at run.dir/best.pt.

    Resumes from the newest checkpoint in run.dir (see `checkpoints.Checkpoints`).

    Args:
        validate: the selection rule on the validation set; higher is better.
        recipe: with the defaults of `loop_keys.LOOP` filled in.

    Raises:
        RunError: a loss isn't finite, or the device's memory doesn't hold the images that go
            through the net at once.
    """
    place(net, run, method.channels_last)
    epochs = int(recipe["epochs"])
    batch = min(int(recipe["batch"]), max(2, len(train.images)))
    steps = max(1, len(train.images) // batch)
    parts = count_parts(batch, recipe)
    optimiser = build_optimiser(net, recipe)
    schedule = build_schedule(optimiser, recipe, epochs, steps)
    state: dict[str, Stateful] = {"net": net, "optimiser": optimiser, "schedule": schedule}
    done, best = resume(state, run.dir)
    checkpoints, best_weights = Checkpoints(run.dir), None
    images, targets = move_if_it_fits(train, run.device)
    own = names_class(recipe["augment"])  # an augmentation of the user's, which has no ranges
    ranges = Augment() if own else Augment(**recipe["augment"])
    with bar("training", epochs, "epoch") as progress:
        progress.skip(done)
        for epoch in range(done + 1, epochs + 1):
            net.train()
            total = torch.zeros((), device=run.device)
            seed = (run.seed * 1_000_003 + epoch) % 2**64  # torch takes no larger one
            rng = torch.Generator().manual_seed(seed)
            torch.manual_seed(seed)  # dropout
            order = batches(len(train.images), batch, rng, recipe["shuffle"])
            for chosen in progress.watch(order, steps, "batch"):
                x, y = method.prepare(*gather(images, targets, chosen, run.device), ranges, rng)
                optimiser.zero_grad(set_to_none=True)
                total += backward(net, method.loss, feed(x, method), y, parts, run)
                nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_NORM)
                optimiser.step()
                if not isinstance(schedule, ReduceLROnPlateau):
                    schedule.step()
            loss = total.item() / steps
            if not math.isfinite(loss):
                raise RunError(f"epoch {epoch}: {explain_loss(loss, recipe)}")
            score = validate(net, progress)
            run.log("train/loss", loss, epoch)
            run.log("val/score", score, epoch)
            run.log("lr", float(schedule.get_last_lr()[0]), epoch)
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(score)
            if score > best:
                best, best_weights = score, copy_state(net)
            if epoch == epochs or checkpoints.due():
                if best_weights is not None:
                    save_file(run.dir / "best.pt", best_weights)
                    best_weights = None
                content = {name: part.state_dict() for name, part in state.items()}
                checkpoints.save(epoch, {"epoch": epoch, "best": best, **content})
            progress.step(describe_epoch(loss, score, best))
    net.load_state_dict(load_file(run.dir / "best.pt"))


def explain_loss(loss: float, recipe: Recipe) -> str:
    """What to do about a loss that isn't finite."""
    advice = "ry a lower lr or precision=fp32."
    if names_class(own := recipe.get("loss")):
        return (
            f"the training loss by {own['_target_']} is {loss}. Look there for a division by 0 "
            f"or a logarithm of 0, or t{advice}"
        )
    return f"the training loss is {loss}. T{advice}"


def copy_state(net: nn.Module) -> dict[str, Tensor]:
    """A copy of a net's weights in the machine's memory."""
    return {name: value.detach().to("cpu", copy=True) for name, value in net.state_dict().items()}


def describe_epoch(loss: float, score: float | None, best: float | None) -> str:
    """What the progress says of an epoch: its loss, its score on validation and the best so far."""
    figures = {"loss": loss, "val": score, "best": best}
    return ", ".join(
        f"{name} {format_decimals(value)}" for name, value in figures.items() if value is not None
    )


def backward(net: nn.Module, loss: Loss, x: Tensor, y: Tensor, parts: int, run: Run) -> Tensor:
    """Compute the gradients of one batch, part after part, each weighted by its share of images.

    What a net or a loss computes over a whole batch (its normalisation, a soft Dice) is then
    over a part.

    Returns:
        The batch's loss, a scalar on the device.
    """
    total = torch.zeros((), device=x.device)
    try:
        for images, targets in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
            with autocast(run):
                cost = loss(net(images), targets) * (len(images) / len(x))
            cost.backward()  # type: ignore[no-untyped-call]
            total += cost.detach()
    except torch.OutOfMemoryError as full:
        raise RunError(
            f"{run.device}: out of memory with {-(-len(x) // parts)} images at once. Set "
            f"recipe.micro_batch to a divisor of the batch: the same batch of {len(x)}, "
            "in parts whose gradients add up."
        ) from full
    return total


def seed_epoch(seed: int, epoch: int) -> int:
    """Seed the generators of Python, NumPy and torch from (seed, epoch), for a foreign trainer.

    Returns:
        The seed made of both.
    """
    value = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002  (theirs)
    torch.manual_seed(value)
    return value


def batches(n: int, batch: int, rng: torch.Generator, shuffle: bool = True) -> Iterator[Tensor]:
    """Yield indices in whole batches: a last batch of one image would break batch normalisation.

    A set smaller than a batch is one batch; a single image is taken twice.
    """
    order = torch.randperm(n, generator=rng) if shuffle else torch.arange(n)
    if n < batch:
        yield order.repeat(math.ceil(batch / n))[:batch]
        return
    for start in range(0, n - batch + 1, batch):
        yield order[start : start + batch]


def move_if_it_fits(train: Arrays, device: str) -> tuple[Tensor, Tensor]:
    """Images and targets on the device if they take less than half of its free memory."""
    images, targets = torch.from_numpy(train.images), torch.from_numpy(train.targets)
    needed = images.nbytes + targets.nbytes
    fits = device != "cpu" and needed < torch.cuda.mem_get_info(device)[0] // 2
    return (images.to(device), targets.to(device)) if fits else (images, targets)


def gather(images: Tensor, targets: Tensor, chosen: Tensor, device: str) -> tuple[Tensor, Tensor]:
    """The images and targets of one batch, on the device."""
    chosen = send(chosen, images.device)
    return send(images[chosen], device), send(targets[chosen], device)


def resume(state: Mapping[str, Stateful], folder: Path) -> tuple[int, float]:
    """Fill `state` from the newest whole checkpoint.

    Args:
        state: its parts by name.

    Returns:
        Finished epochs and the best score; (0, -inf) where there is no checkpoint.
    """

    def load(path: Path) -> tuple[int, float]:
        saved = load_file(path)
        for name, part in state.items():
            part.load_state_dict(saved[name])
        return int(saved["epoch"]), float(saved["best"])

    return load_first(list_checkpoints(folder), load) or (0, -math.inf)
