"""Segmentation nets of segmentation-models-pytorch, trained by our loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError, RunError
from usbench.models import loop
from usbench.models.arrays import UNKNOWN, Arrays, decode
from usbench.models.geometry import image_to_net, logits_to_native
from usbench.types import Masks, Run, Sample

POOLED = ("deeplabv3", "deeplabv3plus", "pan", "upernet")  # train on 2 images or more: torch refuses a batch of one
STRIDE = 32  # every smp decoder here halves five times at most


def exclusive_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy plus soft Dice of the foreground.

    logits: (B, C+1, h, w), channel 0 background; targets: (B, 1, h, w) class index.
    """
    index = targets[:, 0].long()
    logits = logits.float()
    truth = F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    return F.cross_entropy(logits, index) + soft_dice(logits.softmax(1)[:, 1:], truth)


def overlapping_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy plus soft Dice. logits and targets: (B, C, h, w).

    A plane that has `UNKNOWN` anywhere counts in neither (nor does the background that augmentation moved into it).
    """
    logits, known = logits.float(), (targets.amax((2, 3), keepdim=True) != UNKNOWN).expand_as(targets)
    truth = torch.where(known, targets, 0).float()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, known.float()) * (known.numel() / known.sum().clamp(1))
    return entropy + soft_dice(logits.sigmoid() * known, truth)


def soft_dice(probability: Tensor, truth: Tensor) -> Tensor:
    """1 − Dice per class over the whole batch, averaged over classes; both (B, C, h, w).

    Summed over the batch, so a false positive costs something also where one image has no such pixel (a Dice per image
    with an empty truth has no gradient to speak of).
    """
    dims = (0, 2, 3)
    overlap, size = (probability * truth).sum(dims), probability.sum(dims) + truth.sum(dims)
    return (1 - (2 * overlap + 1) / (size + 1)).mean()


class Segmenter:
    """A net of smp, for exclusive classes (softmax over C+1 channels) or overlapping ones (C sigmoids)."""

    def __init__(
        self,
        architecture: str,
        encoder: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        budget: Mapping[str, Any],
        channels_last: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """architecture: a name of smp (unet, deeplabv3 …); encoder: one of its encoders; weights: null, imagenet
        or a file
        with a state dict; options: further arguments of the architecture.
        """
        self.classes, self.exclusive, self.budget, self.channels_last = classes, exclusive, budget, channels_last
        self.architecture, self.encoder, self.weights, self.options = architecture, encoder, weights, options or {}
        self.size = (int(budget["size"][0]), int(budget["size"][1]))
        if any(side % STRIDE for side in self.size):
            raise ConfigError(f"budget.size: multiples of {STRIDE} were wanted, found {self.size}")
        if architecture in POOLED and int(budget["batch"]) < 2:
            raise ConfigError(
                f"budget.batch={budget['batch']}: 2 or more were wanted, for {architecture} normalises pooled features"
            )

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
        return create(self.architecture, self.encoder, imagenet, self.channels, self.options)

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
            exclusive_loss if self.exclusive else overlapping_loss,
            lambda net: run.score(self.pairs(unseen)),
            self.budget,
            run,
            self.channels_last,
        )

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net, self.run = self.empty(), run
        self.net.load_state_dict(loop.read(run.dir / "best.pt"))
        loop.place(self.net, run, self.channels_last)

    def pairs(self, data: Arrays) -> Iterator[tuple[Masks, Masks]]:
        """(truth, prediction) of a decoded set, at the net's size."""
        batch = int(self.budget["batch"])
        for start in range(0, len(data.images), batch):
            logits = self.logits(data.images[start : start + batch])
            for scores, target in zip(logits, data.targets[start : start + batch], strict=True):
                truth = target == (np.arange(1, self.classes + 1)[:, None, None] if self.exclusive else 1)
                known = None if self.exclusive else target[:, 0, 0] != UNKNOWN
                yield Masks(truth, known=known), Masks(self.planes(scores)[0].cpu().numpy())

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Masks]:
        """See usbench.types.Model."""
        rest = iter(images)
        while group := list(islice(rest, int(self.budget["batch"]))):
            small = np.stack([image_to_net(image, self.size) for image in group])
            for image, logits in zip(group, self.logits(small), strict=True):
                native = logits_to_native(logits, (image.shape[0], image.shape[1]))
                planes, scores, probability = (each.cpu().numpy() for each in self.planes(native))
                yield Masks(planes, scores, probabilities=probability)

    @torch.inference_mode()
    def logits(self, images: NDArray[np.uint8]) -> Tensor:
        """(B, h, w) uint8 → (B, channels, h, w) float32."""
        self.net.eval()
        x = loop.normalise(torch.from_numpy(np.array(images))[:, None].to(self.run.device).float() / 255)
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


def create(architecture: str, encoder: str, imagenet: bool, channels: int, options: Mapping[str, Any]) -> nn.Module:
    """A net of smp for grey images; ConfigError where smp has none such, RunError where its weights can't be had."""
    try:
        net: nn.Module = smp.create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights="imagenet" if imagenet else None,
            in_channels=1,
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
    """A state dict from a file, tensors only; RunError where it isn't there or doesn't fit."""
    if not path.is_file():
        raise RunError(f"{path}: a file of weights was wanted, found none; or take model.build.weights=null")
    try:
        net.load_state_dict(loop.read(path))
    except Exception as wrong:
        raise RunError(f"{path}: a state dict of this net was wanted: {str(wrong).splitlines()[0]}") from wrong
