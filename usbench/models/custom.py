"""A loss and an augmentation of your own in usbench's training loop, without a `fit`.

A recipe names a class of yours where it would state figures:

    loss: {_target_: lab.losses.Tversky, beta: 0.7}
    augment: {_target_: lab.changes.Speckle, strength: 0.2}

The class is made when a training begins, with the other keys as its arguments, and called for each
batch. (A function takes `_partial_: true`.) All tensors lie on the run's device. B is the batch,
h × w the net's input, C the classes in the view's order.

**loss(logits, targets, known) → scalar.** Its gradient trains the net.

- segment, exclusive classes: logits (B, C+1, h, w) float32 for a softmax, plane 0 the background;
  targets (B, C+1, h, w) float32 of 0 and 1; known (B, C+1) bool, all true.
- segment, overlapping classes: logits (B, C, h, w) float32 for sigmoids; targets alike, of 0 and 1;
  known (B, C) bool. Where it is false, nobody knows whether the class is there: its target is 0
  all over and should cost nothing.
- landmark: predicted heat maps (B, C, h', w') float32, no logits; targets alike, in 0..1; known
  (B, C) bool. Called for each resolution of the net; the sum counts.
- detect: a detector's loss is part of the net. There is no key for it.

An auxiliary head is trained by the same loss. A loss that is an nn.Module is moved to the device;
parameters of its own aren't trained.

**augmentation(images, targets, rng) → (images, targets)**, both of the shapes given.

- images (B, 1, h, w) float32 in 0..1.
- targets, segment: masks (B, C, h, w) float32 of 0 and 1; of what comes back, .5 or more is the
  class, and of exclusive classes that overlap the first one counts. An unknown class is 0 all over,
  and stays unknown.
- targets, detect: boxes (B, N, 5) float32: x1, y1, x2, y2 in px of the image, and the class; rows
  with class −1 are none.
- targets, landmark: places (B, C, 64, 2) float32: x, y in px, along a curve or 64 times a point;
  0 where it isn't seen.
- rng: a CPU generator of torch that depends on seed and epoch alone. Draw from it, or from torch's
  global one, so that a resumed run gets the same changes; Python's and NumPy's aren't seeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from usbench.errors import ConfigError, in_one_line


class Loss(Protocol):
    """A loss of the user's; the module says what it gets."""

    def __call__(self, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        ...


class Augmentation(Protocol):
    """An augmentation of the user's; the module says what it gets."""

    def __call__(
        self, images: Tensor, targets: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Images and targets, changed alike."""
        ...


def make(node: Mapping[str, Any], where: str, device: str) -> Any:
    """Make the class that a recipe names. Hydra isn't asked: restoring a model needs no loss.

    Args:
        node: `_target_` and the arguments; `_partial_: true` for a function.
        where: its place in the configuration.
        device: of the run.

    Raises:
        ConfigError: it can't be imported, made or called.
    """
    target = str(node["_target_"])
    module, _, name = target.rpartition(".")
    arguments = {key: value for key, value in node.items() if not key.startswith("_")}
    try:
        factory = getattr(import_module(module), name)
        own = partial(factory, **arguments) if node.get("_partial_") else factory(**arguments)
    except Exception as error:  # the user's code may raise anything
        raise ConfigError(
            f"{where}._target_={target}: {type(error).__name__}: {in_one_line(error)[:300]}"
        ) from error
    if not callable(own):
        raise ConfigError(
            f"{where}._target_={target}: expected a class with __call__, or a function with "
            f"_partial_: true; got {type(own).__name__}"
        )
    return own.to(device) if isinstance(own, nn.Module) else own


def call_loss(loss: Loss, logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """The user's loss of a batch. Raises ConfigError for anything but a trainable scalar."""
    cost = loss(logits, targets, known)
    if not isinstance(cost, Tensor) or cost.ndim:
        raise ConfigError(
            f"recipe.loss: expected a scalar tensor from {name_of(loss)}, got {describe(cost)}"
        )
    if not cost.requires_grad:
        raise ConfigError(
            f"recipe.loss: expected a loss that depends on the logits from {name_of(loss)}, got "
            "one without a gradient"
        )
    return cost


def call_augmentation(
    augmentation: Augmentation, images: Tensor, targets: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch by the user's augmentation.

    Args:
        images: (B, h, w) uint8.
        targets: as the module says.

    Returns:
        Images (B, 1, h, w) float32, and targets of the shape given.

    Raises:
        ConfigError: it returns anything but images and targets of these shapes.
    """
    pixels = images[:, None].float() / 255
    changed = augmentation(pixels, targets, rng)
    if not isinstance(changed, (tuple, list)) or len(changed) != 2:
        raise ConfigError(
            f"recipe.augment: expected (images, targets) from {name_of(augmentation)}, got "
            f"{describe(changed)}"
        )
    for name, given, returned in zip(
        ("images", "targets"), (pixels, targets), changed, strict=True
    ):
        if not isinstance(returned, Tensor) or returned.shape != given.shape:
            raise ConfigError(
                f"recipe.augment: expected {name} of shape {tuple(given.shape)} from "
                f"{name_of(augmentation)}, got {describe(returned)}"
            )
    return changed[0].float(), changed[1].float()


def name_of(own: object) -> str:
    """What the user calls it."""
    function = own.func if isinstance(own, partial) else own
    return str(getattr(function, "__name__", type(function).__name__))


def describe(value: object) -> str:
    """What was returned instead."""
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
