"""Any nn.Module that maps images to logits, trained and scored by our loop; a YAML alone names it.

build:
  _target_: usbench.models.segmenter.Segmenter
  net: {_target_: lab.Net, _partial_: true, width: 16}   # called with classes=K planes of logits
  classes_as: out_channels                               # where that argument has another name
  in_channels: 3                                         # 1, the default, or 3: grey repeated

The nets of the published tables (usbench.models.nets) and those of smp come this way too.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError, in_one_line
from usbench.models import Recipe, custom, loop
from usbench.models.arrays import INDEX, PLANES, UNKNOWN, logits_to_native
from usbench.models.augment import augment, augment_by_pipeline
from usbench.models.loop_keys import SEGMENTER, Pipeline
from usbench.models.loop_model import LoopModel
from usbench.models.recipe_keys import Keys, names_class
from usbench.types import Masks

AUXILIARY = 0.4  # weight of an auxiliary head's loss (PSPNet's, Zhao et al. 2017)


class Segmenter(LoopModel):
    """A segmentation net of any kind, for exclusive or overlapping classes.

    Exclusive classes are a softmax over C+1 channels, channel 0 the background; overlapping ones
    are C sigmoids.
    """

    name = "custom"  # in run ids
    version = 3
    keys: Keys = SEGMENTER

    def __init__(
        self,
        classes: int,
        exclusive: bool,
        recipe: Recipe,
        net: Callable[..., nn.Module],
        weights: str | None = None,
        channels_last: bool = False,
        options: Mapping[str, object] | None = None,
        in_channels: int = 1,
        classes_as: str = "classes",
    ) -> None:
        """Check the configuration; the net itself is built by `fit` or `restore`.

        Args:
            recipe: of `loop_keys.SEGMENTER`, its size [h, w].
            net: makes the module, which takes (B, in_channels, h, w) normalised grey and gives
                (B, K, h, w) logits; in training it may give a tuple, the logits of its auxiliary
                heads after its own. A `net` with an argument `size` receives (h, w); one with an
                argument `imagenet` receives whether to start from its ImageNet weights.
            weights: null, a file with a state dict, or imagenet where `net` has such an argument.
            options: further arguments of `net`, which a recipe may state.
            in_channels: of the net; for 3 the grey image is repeated.
            classes_as: the argument of `net` that says K.
        """
        super().__init__(recipe, weights, self.keys)
        self.classes = classes
        self.exclusive = exclusive
        self.in_channels = in_channels
        self.channels = classes + int(exclusive)  # planes of logits
        self.encoding = INDEX if exclusive else PLANES
        self.factory = partial(net, **{classes_as: self.channels}, **(options or {}))
        self.method = loop.Method(
            loss=build_loss(exclusive, self.recipe["loss"]),
            prepare=choose_augmentation(self.recipe),
            to_net=choose_normalisation(in_channels, self.recipe["normalise"]),
            channels_last=channels_last,
        )

    def create(self, imagenet: bool = False) -> nn.Module:
        """The net before any training; ConfigError where it can't be made or doesn't fit."""
        arguments = argument_names(self.factory)
        if imagenet and "imagenet" not in arguments:
            raise ConfigError(
                "model.build.weights=imagenet: this net has none; expected a file or null"
            )
        optional = {"size": self.size, "imagenet": imagenet}.items()
        image = torch.zeros(1, self.in_channels, *self.size)
        try:
            net = self.factory(**{k: v for k, v in optional if k in arguments})
            with torch.no_grad():
                logits = net.eval()(image)
        except (TypeError, ValueError, RuntimeError, AssertionError) as wrong:
            raise ConfigError(
                f"model.build.net: expected a module for {tuple(image.shape)}: "
                f"{in_one_line(wrong)[:200]}"
            ) from wrong
        expected = (1, self.channels, *self.size)
        if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits)
            raise ConfigError(f"model.build.net: expected logits of shape {expected}, got {got}")
        self.check_single_images(net, image)
        return net

    def check_single_images(self, net: nn.Module, image: Tensor) -> None:
        """Raise ConfigError if a recipe trains on one image at once and the net can't."""
        key = "micro_batch" if self.recipe["micro_batch"] else "batch"
        if int(self.recipe[key]) > 1:
            return
        try:
            with torch.no_grad():
                copy.deepcopy(net).train()(image)
        except ValueError as refused:
            raise ConfigError(f"recipe.{key}=1: expected 2 or more: {refused}") from refused

    def adapt_loss(self, loss: custom.Loss) -> loop.Loss:
        """See LoopModel."""

        def own_loss(logits: Tensor, targets: Tensor) -> Tensor:
            split = split_index if self.exclusive else split_planes
            return custom.call_loss(loss, logits.float(), *split(targets, self.channels))

        return with_auxiliary(own_loss)

    def open_targets(self, stored: Tensor) -> Tensor:
        """See LoopModel. Masks (B, C, h, w) of 0 and 1; an unknown one is 0 all over."""
        if not self.exclusive:
            return (stored == 1).float()
        return split_index(stored, self.channels)[0][:, 1:]

    def close_targets(self, changed: Tensor, stored: Tensor) -> Tensor:
        """See LoopModel. Of exclusive classes that claim a pixel the first one counts."""
        planes = changed >= 0.5
        if self.exclusive:
            index = planes.byte().argmax(1, keepdim=True) + 1
            return torch.where(planes.any(1, keepdim=True), index, 0).to(stored.dtype)
        return torch.where(is_known(stored), planes.to(stored.dtype), UNKNOWN)

    def unpack(self, output: Tensor) -> Tensor:
        """Logits (B, channels, h, w) as float32."""
        return output.float()

    def decide(self, items: Tensor) -> Iterable[NDArray[np.bool_]]:
        """See LoopModel. Logits (B, channels, h, w) → planes (B, C, h, w), in one copy."""
        return self.choose(items).cpu().numpy()

    def pair(self, item: NDArray[np.bool_], stored: NDArray[np.uint8]) -> tuple[Masks, Masks]:
        """See LoopModel. item: planes (C, h, w)."""
        prediction = Masks(item)
        target = (
            Masks(stored == np.arange(1, self.classes + 1)[:, None, None])
            if self.exclusive
            else Masks(stored == 1, known=stored[:, 0, 0] != UNKNOWN)
        )
        return target, prediction

    def read(self, item: Tensor, size: tuple[int, ...]) -> Masks:
        """See LoopModel. item: (channels, h, w) logits."""
        planes, scores, probabilities = self.to_planes(logits_to_native(item, size))
        return Masks(
            planes.cpu().numpy(),
            scores.cpu().numpy(),
            probabilities=probabilities.cpu().numpy(),
        )

    def choose(self, logits: Tensor) -> Tensor:
        """Decide each pixel of a batch: logits (B, channels, h, w) → planes (B, C, h, w) bool."""
        if not self.exclusive:
            return logits.sigmoid() > 0.5
        classes = torch.arange(1, self.classes + 1, device=logits.device)
        return logits.argmax(1, keepdim=True) == classes[:, None, None]

    def to_planes(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decide each pixel of one image.

        Args:
            logits: (channels, H, W).

        Returns:
            Planes (C, H, W) bool; scores (C,), the mean probability of the chosen pixels, 0 where
            there are none; probabilities (C, H, W).
        """
        planes = self.choose(logits[None])[0]
        probabilities = logits.softmax(0)[1:] if self.exclusive else logits.sigmoid()
        chosen = planes.sum((1, 2)).clamp(min=1)
        return planes, (probabilities * planes).sum((1, 2)) / chosen, probabilities


def argument_names(function: Callable[..., object]) -> set[str]:
    """The names of a callable's parameters; none where they can't be told."""
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:
        return set()


def choose_normalisation(
    channels: int, stated: Mapping[str, Sequence[float]] | None
) -> Callable[[Tensor], Tensor]:
    """How (B, 1, h, w) in 0..1 becomes what a net reads.

    Args:
        channels: of the net's input.
        stated: {mean, sd}, a figure per channel; None for ImageNet's of a grey image.

    Raises:
        ConfigError: the figures don't fit the channels.
    """
    if channels not in (1, 3):
        raise ConfigError(f"model.build.in_channels: expected 1 or 3, got {channels!r}")
    if stated is None and channels == 1:
        return loop.normalise
    if stated is None:
        stated = {"mean": [loop.MEAN] * 3, "sd": [loop.SD] * 3}
    mean, sd = (list(stated.get(name, ())) for name in ("mean", "sd"))
    if len(mean) != channels or len(sd) != channels:
        raise ConfigError(
            f"recipe.normalise: expected mean and sd of {channels} channels, got {dict(stated)}"
        )
    return partial(loop.normalise_by, mean=mean, sd=sd)


def choose_augmentation(recipe: Recipe) -> loop.Prepare:
    """A recipe's augmentation: ranges, or a pipeline."""
    if recipe["chain"] is None:
        return augment
    return partial(augment_by_pipeline, pipeline=Pipeline(**recipe["chain"]))


# ---- losses: cross entropy and soft Dice, for exclusive and for overlapping classes


def build_loss(exclusive: bool, weights: Mapping[str, float]) -> loop.Loss:
    """A recipe's loss of a net's output.

    Args:
        weights: of ce (cross entropy; binary for overlapping classes) and dice. Where a class of
            the user's stands there, `fit` puts it in the place of this loss.
    """
    loss = exclusive_loss if exclusive else overlapping_loss
    if names_class(weights):
        return with_auxiliary(loss)
    return with_auxiliary(partial(loss, ce=float(weights["ce"]), dice=float(weights["dice"])))


def with_auxiliary(loss: Callable[[Tensor, Tensor], Tensor]) -> loop.Loss:
    """The loss of a net's output: logits, or a tuple of its own and those of auxiliary heads."""

    def total_loss(output: Any, targets: Tensor) -> Tensor:
        if isinstance(output, Tensor):
            return loss(output, targets)
        main, *others = output
        auxiliary = torch.stack([loss(other, targets) for other in others]).sum()
        return loss(main, targets) + AUXILIARY * auxiliary

    return total_loss


def exclusive_loss(logits: Tensor, targets: Tensor, ce: float = 1.0, dice: float = 1.0) -> Tensor:
    """Cross entropy plus soft Dice of the foreground, weighted.

    Args:
        logits: (B, C+1, h, w), channel 0 the background.
        targets: (B, 1, h, w) class index.
    """
    index = targets[:, 0].long()
    logits = logits.float()
    entropy = ce * F.cross_entropy(logits, index)
    if not dice:
        return entropy
    planes = F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    return entropy + dice * soft_dice(logits.softmax(1)[:, 1:], planes)


def overlapping_loss(logits: Tensor, targets: Tensor, ce: float = 1.0, dice: float = 1.0) -> Tensor:
    """Binary cross entropy plus soft Dice, weighted.

    A plane that has `UNKNOWN` anywhere counts in neither, not even where augmentation moved
    background into it.

    Args:
        logits, targets: (B, C, h, w).
    """
    logits = logits.float()
    known = is_known(targets).expand_as(targets)
    planes = torch.where(known, targets, 0).float()
    known_share = known.numel() / known.sum().clamp(1)  # the mean over all → over the known
    entropy = F.binary_cross_entropy_with_logits(logits, planes, known.float()) * known_share
    if not dice:
        return ce * entropy
    return ce * entropy + dice * soft_dice(logits.sigmoid() * known, planes)


def is_known(planes: Tensor) -> Tensor:
    """(B, C, h, w) → (B, C, 1, 1) bool: which planes have `UNKNOWN` nowhere."""
    return planes.amax((2, 3), keepdim=True) != UNKNOWN


def split_index(targets: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Class index (B, 1, h, w) → planes (B, channels, h, w) of 0 and 1, known (B, channels)."""
    planes = F.one_hot(targets[:, 0].long(), channels).movedim(-1, 1).float()
    return planes, torch.ones_like(planes[:, :, 0, 0], dtype=torch.bool)


def split_planes(targets: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Stored planes (B, C, h, w) → planes of 0 and 1, known (B, C). channels: their number, C."""
    known = is_known(targets)
    return torch.where(known, targets, 0).float(), known[:, :, 0, 0]


def soft_dice(probability: Tensor, target: Tensor) -> Tensor:
    """1 − Dice per class over the whole batch, averaged over classes.

    Summed over the batch, so that a false positive costs something also where an image has no
    such pixel: a Dice per image with an empty target has hardly any gradient.

    Args:
        probability, target: (B, C, h, w).
    """
    dims = (0, 2, 3)
    overlap = (probability * target).sum(dims)
    size = probability.sum(dims) + target.sum(dims)
    return (1 - (2 * overlap + 1) / (size + 1)).mean()
