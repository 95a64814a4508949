"""What the models share whose nets our own loop trains: weights, training, batches of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import RunError
from usbench.models import Recipe, custom, loop
from usbench.models.arrays import Arrays, Encoding, decode, image_to_net
from usbench.models.checkpoints import first_line, load_file, read_state
from usbench.models.device import batch_on, send
from usbench.models.loop_keys import Augment
from usbench.models.recipe_keys import Keys, names_class, read_recipe
from usbench.types import Run, Sample, Target

IMAGENET = "imagenet"  # the word of `weights` that a net's own library knows


class LoopModel(ABC):
    """A model whose net our loop trains (usbench.types.Model).

    A subclass sets `encoding` and `method`, creates the net and reads its output.
    """

    name: str  # in messages and run ids
    encoding: Encoding  # how targets are stored
    method: loop.Method
    net: nn.Module  # once `fit` or `restore` has begun, as is `run`
    run: Run

    def __init__(self, recipe: Recipe, weights: str | None, keys: Keys) -> None:
        """Check the recipe, and fill in what it leaves out.

        Args:
            recipe: its size is [height, width] of the net's input, px.
            weights: null, a word, or a file with a state dict.
            keys: which the model reads.

        Raises:
            ConfigError: a key that there isn't, or a value that can't be.
        """
        self.recipe = read_recipe(recipe, keys, self.name)
        self.weights = weights
        self.size = (int(recipe["size"][0]), int(recipe["size"][1]))  # height, width
        self.batch = int(recipe["batch"])  # images predicted together

    @abstractmethod
    def create(self, imagenet: bool = False) -> nn.Module:
        """The net before any training; imagenet: start from its library's ImageNet weights."""

    @abstractmethod
    def unpack(self, output: Any) -> Sequence[Any] | Tensor:
        """The net's output for a batch as one item per image, for `decide` and `read`."""

    def decide(self, items: Any) -> Iterable[Any]:
        """What `pair` takes of each image, from the items of a batch: the items, by default."""
        taken: Iterable[Any] = items
        return taken

    @abstractmethod
    def pair(self, item: Any, stored: NDArray[Any]) -> tuple[Target, Target]:
        """(target, prediction) of one image for the selection rule.

        Args:
            item: as `decide` gives it.
            stored: the target, as `encoding` says.
        """

    @abstractmethod
    def read(self, item: Any, size: tuple[int, ...]) -> Target:
        """One image's prediction in native pixels; size: its (height, width)."""

    def learn_from(self, targets: NDArray[Any]) -> None:  # noqa: B027  (optional)
        """Take from the stored training targets what isn't trained: nothing, by default."""

    def adapt_loss(self, loss: custom.Loss) -> loop.Loss:
        """A loss of the user's for this net's output and the stored targets.

        A model implements it whose recipe has a key `loss`.
        """
        raise NotImplementedError

    def open_targets(self, stored: Tensor) -> Tensor:
        """A batch of stored targets as an augmentation of the user's gets it."""
        return stored

    def close_targets(self, changed: Tensor, stored: Tensor) -> Tensor:
        """What that augmentation returns as stored targets. stored: what it was made of."""
        return changed

    def training_method(self, device: str) -> loop.Method:
        """The method with the loss and the augmentation of the user's that the recipe names."""
        method = self.method
        if names_class(node := self.recipe.get("loss")):
            loss = custom.make(node, "recipe.loss", device)
            method = replace(method, loss=self.adapt_loss(loss))
        if names_class(node := self.recipe["augment"]):
            augmentation = custom.make(node, "recipe.augment", device)
            prepare = partial(self.augment_by, augmentation=augmentation)
            method = replace(method, prepare=prepare)
        return method

    def augment_by(
        self,
        images: Tensor,
        targets: Tensor,
        ranges: Augment,
        rng: torch.Generator,
        augmentation: custom.Augmentation,
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch by an augmentation of the user's; see `loop.Prepare`.

        Args:
            ranges: ignored; part of the signature that the loop calls.
        """
        opened = self.open_targets(targets)
        pixels, changed = custom.call_augmentation(augmentation, images, opened, rng)
        return pixels, self.close_targets(changed, targets)

    @property
    def parameters(self) -> int:
        """Number of parameters, once the net is built."""
        return count_parameters(self.net)

    def build(self) -> nn.Module:
        """The net with its starting weights; RunError where they can't be had."""
        net = self.create(imagenet=self.weights == IMAGENET)
        if self.weights not in (None, IMAGENET):
            load_weights(net, Path(str(self.weights)))
        return net

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], run: Run) -> None:
        """See usbench.types.Model."""
        method = self.training_method(run.device)
        torch.manual_seed(run.seed)
        self.net = self.build()
        self.run = run
        train_arrays, val_arrays = (
            decode(self.encoding, samples, self.size, run.cache, run.threads)
            for samples in (train, val)
        )
        self.learn_from(train_arrays.targets)
        loop.fit(
            self.net,
            train_arrays,
            method,
            lambda _, progress: run.score(
                progress.watch(self.pairs(val_arrays), len(val_arrays.images), "validating")
            ),
            self.recipe,
            run,
        )

    def restore(self, run: Run) -> None:
        """See usbench.types.Model."""
        self.net = self.create()
        self.run = run
        self.net.load_state_dict(load_file(run.dir / "best.pt"))
        loop.place(self.net, run, self.method.channels_last)

    def pairs(self, data: Arrays) -> Iterator[tuple[Target, Target]]:
        """(target, prediction) of each image of a decoded set, for the selection rule."""
        size = batch_on(self.run.device, self.batch)
        for start in range(0, len(data.images), size):
            chosen = slice(start, start + size)
            items = self.decide(self.outputs(data.images[chosen]))
            yield from map(self.pair, items, data.targets[chosen])

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Target]:
        """See usbench.types.Model."""
        rest = iter(images)
        while group := list(islice(rest, batch_on(self.run.device, self.batch))):
            items = self.outputs(np.stack([image_to_net(image, self.size) for image in group]))
            for image, item in zip(group, items, strict=True):
                yield self.read(item, image.shape)

    @torch.inference_mode()
    def outputs(self, images: NDArray[np.uint8]) -> Sequence[Any] | Tensor:
        """(B, h, w) uint8 → the net's output for each image."""
        self.net.eval()
        pixels = send(torch.from_numpy(np.array(images))[:, None], self.run.device).float() / 255
        with loop.autocast(self.run):
            output = self.net(loop.feed(pixels, self.method))
        return self.unpack(output)


def load_weights(net: nn.Module, path: Path) -> None:
    """Give a net the state dict of a file, tensors only; RunError where it doesn't fit."""
    state = read_state(path)
    try:
        net.load_state_dict(state)
    except RuntimeError as wrong:
        raise RunError(f"{path}: expected a state dict of this net: {first_line(wrong)}") from wrong


def count_parameters(net: nn.Module) -> int:
    """Number of parameters, trained or not."""
    return sum(parameter.numel() for parameter in net.parameters())
