"""Segmentation nets of segmentation-models-pytorch, trained by our loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError, RunError
from usbench.models import loop
from usbench.models.arrays import UNKNOWN, Arrays, decode
from usbench.models.augment import augment
from usbench.models.augmentation_pipeline import Chain, augment_chain
from usbench.models.geometry import image_to_net, logits_to_native
from usbench.models.mask_losses import loss_of
from usbench.types import Masks, Run, Sample

POOLED = (
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    "upernet",
)  # train on 2 images or more: torch refuses a batch of one
STRIDE = 32  # every smp decoder here halves five times at most


class Segmenter:
    """A net of smp, for exclusive classes (softmax over C+1 channels) or overlapping ones (C sigmoids)."""

    name = "segmenter"
    version = 1

    def __init__(
        self,
        architecture: str,
        encoder: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Mapping[str, Any],
        channels_last: bool = True,
        options: Mapping[str, Any] | None = None,
        in_channels: int = 1,
    ) -> None:
        """architecture: a name of smp (unet, deeplabv3 …); encoder: one of its encoders; weights: null, imagenet or a
        file with a state dict; options: further arguments of the architecture; in_channels: of the net, for 3 the grey
        image is repeated; recipe: as of `loop.fit`, with the net's size, loss (see `mask_losses.loss_of`), normalise
        (mean and sd, a figure per channel) and, in the place of augment, chain (see `chain.Chain`).
        """
        self.classes, self.exclusive, self.recipe, self.channels_last = (
            classes,
            exclusive,
            recipe,
            channels_last,
        )
        self.architecture, self.encoder, self.weights, self.options = (
            architecture,
            encoder,
            weights,
            options or {},
        )
        self.size = (int(recipe["size"][0]), int(recipe["size"][1]))
        if any(side % STRIDE for side in self.size):
            raise ConfigError(f"recipe.size: multiples of {STRIDE} were wanted, found {self.size}")
        if architecture in POOLED and self.at_once < 2:
            raise ConfigError(f"{self.alone}, for {architecture} normalises pooled features")
        self.in_channels, self.loss = in_channels, loss_of(exclusive, recipe.get("loss"))
        self.to_net, self.prepare = (
            to_net_of(in_channels, recipe.get("normalise")),
            prepare_of(recipe),
        )

    @property
    def at_once(self) -> int:
        """How many images go through the net at once in training."""
        return int(self.recipe.get("micro_batch") or self.recipe.get("batch", 2))

    @property
    def alone(self) -> str:
        """What is said where a net can't train on one image at once."""
        name = "micro_batch" if self.recipe.get("micro_batch") else "batch"
        return f"recipe.{name}={self.at_once}: 2 or more were wanted"

    @property
    def parameters(self) -> int:
        """Number of parameters, once fit has built the net."""
        return sum(parameter.numel() for parameter in self.net.parameters())

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net = self.empty(self.weights == "imagenet")
        if self.weights not in (None, "imagenet"):
            load_weights(net, Path(str(self.weights)))
        return net

    def empty(self, imagenet: bool = False) -> nn.Module:
        """The net as it is before any training of ours."""
        return create(
            self.architecture, self.encoder, imagenet, self.channels, self.options, self.in_channels
        )

    @property
    def channels(self) -> int:
        """How many planes of logits the net gives."""
        return self.classes + int(self.exclusive)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """See usbench.types.Model."""
        torch.manual_seed(run.seed)
        self.net, self.run = self.build(), run
        seen = decode(train, self.size, self.exclusive, run.cache, run.threads)
        unseen = decode(val, self.size, self.exclusive, run.cache, run.threads)
        loop.fit(
            self.net,
            seen,
            self.loss,
            lambda net: run.score(self.pairs(unseen)),
            self.recipe,
            run,
            self.channels_last,
            self.prepare,
            self.to_net,
        )

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net, self.run = self.empty(), run
        self.net.load_state_dict(loop.read(run.dir / "best.pt"))
        loop.place(self.net, run, self.channels_last)

    def pairs(self, data: Arrays) -> Iterator[tuple[Masks, Masks]]:
        """(truth, prediction) of a decoded set, at the net's size."""
        batch = int(self.recipe["batch"])
        for start in range(0, len(data.images), batch):
            logits = self.logits(data.images[start : start + batch])
            for scores, target in zip(logits, data.targets[start : start + batch], strict=True):
                truth = target == (
                    np.arange(1, self.classes + 1)[:, None, None] if self.exclusive else 1
                )
                known = None if self.exclusive else target[:, 0, 0] != UNKNOWN
                yield Masks(truth, known=known), Masks(self.planes(scores)[0].cpu().numpy())

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Masks]:
        """See usbench.types.Model."""
        rest = iter(images)
        while group := list(islice(rest, int(self.recipe["batch"]))):
            small = np.stack([image_to_net(image, self.size) for image in group])
            for image, logits in zip(group, self.logits(small), strict=True):
                native = logits_to_native(logits, (image.shape[0], image.shape[1]))
                planes, scores, probability = (each.cpu().numpy() for each in self.planes(native))
                yield Masks(planes, scores, probabilities=probability)

    @torch.inference_mode()
    def logits(self, images: NDArray[np.uint8]) -> Tensor:
        """(B, h, w) uint8 → (B, channels, h, w) float32."""
        self.net.eval()
        x = self.to_net(
            torch.from_numpy(np.array(images))[:, None].to(self.run.device).float() / 255
        )
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with loop.autocast(self.run):
            logits: Tensor = self.net(x)
        return logits.float()

    def planes(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(channels, H, W) → planes (C, H, W) bool, (C,) the mean probability of the pixels chosen (0 where none), and
        (C, H, W) the probability of each."""
        if self.exclusive:
            probability = logits.softmax(0)[1:]
            winner = logits.argmax(0)
            planes = torch.stack([winner == c + 1 for c in range(self.classes)])
        else:
            probability = logits.sigmoid()
            planes = probability > 0.5
        chosen = planes.sum((1, 2)).clamp(min=1)
        return planes, (probability * planes).sum((1, 2)) / chosen, probability


def to_net_of(channels: int, stated: Mapping[str, Any] | None) -> Callable[[Tensor], Tensor]:
    """How (B, 1, h, w) in 0..1 becomes what a net of so many channels reads; stated: {mean, sd}, a figure per channel,
    ImageNet's of a grey image where there is none. ConfigError where they don't fit.
    """
    if channels not in (1, 3):
        raise ConfigError(f"model.build.in_channels: 1 or 3 was wanted, found {channels!r}")
    if stated is None:
        return (
            loop.normalise
            if channels == 1
            else partial(loop.normalise_by, mean=[loop.MEAN] * 3, sd=[loop.SD] * 3)
        )
    mean, sd = list(stated.get("mean", ())), list(stated.get("sd", ()))
    if len(mean) != channels or len(sd) != channels:
        raise ConfigError(
            f"recipe.normalise: mean and sd of {channels} channels were wanted, found {dict(stated)}"
        )
    return partial(loop.normalise_by, mean=mean, sd=sd)


def prepare_of(recipe: Mapping[str, Any]) -> loop.Prepare:
    """A recipe's augmentation; ConfigError where it has both kinds, or a step that there isn't."""
    if not recipe.get("chain"):
        return augment
    if "augment" in recipe:
        raise ConfigError("recipe: augment or chain was wanted, found both")
    try:
        return partial(augment_chain, chain=Chain(**recipe["chain"]))
    except TypeError as wrong:
        raise ConfigError(f"recipe.chain: {str(wrong).rpartition(') ')[2]}") from wrong


def create(
    architecture: str,
    encoder: str,
    imagenet: bool,
    channels: int,
    options: Mapping[str, Any],
    in_channels: int = 1,
) -> nn.Module:
    """A net of smp, for grey images unless in_channels says otherwise.

    ConfigError where smp has none such, RunError where its weights can't be had.
    """
    try:
        net: nn.Module = smp.create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights="imagenet" if imagenet else None,
            in_channels=in_channels,
            classes=channels,
            **options,
        )
    except (KeyError, ValueError, TypeError) as wrong:
        raise ConfigError(f"smp can't build {architecture} on {encoder}: {wrong}") from wrong
    except OSError as unreachable:
        raise RunError(
            f"weights=imagenet for {encoder} could not be fetched ({type(unreachable).__name__}): "
            "a network is needed once; or take model.build.weights=null, or a file with a state dict"
        ) from unreachable
    return net


def load_weights(net: nn.Module, path: Path) -> None:
    """A state dict from a file, tensors only; RunError where it isn't there or doesn't fit.

    A net that can take up weights of others has adopt(state), which raises where they don't fit.
    """
    if not path.is_file():
        raise RunError(
            f"{path}: a file of weights was wanted, found none; or take model.build.weights=null"
        )
    try:
        take: Callable[[Any], Any] = getattr(net, "adopt", net.load_state_dict)
        take(loop.read(path))
    except Exception as wrong:
        why = (*str(wrong).splitlines(), type(wrong).__name__)[0]
        raise RunError(f"{path}: a state dict of this net was wanted: {why}") from wrong
