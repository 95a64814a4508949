"""Any nn.Module that maps images to logits, trained and scored like a net of ours; a YAML alone says which.

build:
  _target_: usbench.models.custom.Own
  net: {_target_: lab.Net, _partial_: true, width: 16}     # called with classes=K: how many planes of logits
  classes_as: out_channels                                 # where that argument has another name
  in_channels: 3                                           # 1, the default, or 3: the grey image repeated

The nets of the published tables (usbench.models.nets) come this way too.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from usbench.errors import ConfigError
from usbench.models.smp import Segmenter


class Own(Segmenter):
    """See usbench.models.smp.Segmenter."""

    name = "custom"
    version = 1

    def __init__(
        self,
        classes: int,
        exclusive: bool,
        recipe: Mapping[str, Any],
        net: Callable[..., nn.Module],
        weights: str | None = None,
        channels_last: bool = False,
        options: Mapping[str, Any] | None = None,
        in_channels: int = 1,
        classes_as: str = "classes",
    ) -> None:
        """net: makes the module, which takes (B, in_channels, h, w) normalised grey and gives (B, K, h, w) logits,
        plane 0 the background where the classes exclude each other; in training it may give a tuple, its auxiliary
        heads' logits after its own. h and w are the recipe's size, multiples of 32; a net with an argument `size` is
        told it as (h, w). options: further arguments of net, which a recipe may state. classes_as: the argument that
        says K. weights: null or a file with a state dict, given to the net's own method `adopt` where it has one.
        """
        super().__init__(
            "own", "", weights, classes, exclusive, recipe, channels_last, options, in_channels
        )
        self.own, self.classes_as = net, classes_as

    def empty(self, imagenet: bool = False) -> nn.Module:
        """The net as it is before any training; ConfigError where it can't be made or gives something else."""
        if imagenet:
            raise ConfigError(
                "model.build.weights=imagenet: a file or null was wanted, there are none of this net"
            )
        image = torch.zeros(1, self.in_channels, *self.size)
        shown = str(tuple(image.shape))
        try:
            net = self.own(**{self.classes_as: self.channels}, **self.told(), **self.options)
            with torch.inference_mode():
                found = net.eval()(image)
        except (TypeError, ValueError, RuntimeError, AssertionError) as wrong:
            reason = " ".join(str(wrong).split())[:200]
            raise ConfigError(
                f"model.build.net: a module for {shown} was wanted: {reason}"
            ) from wrong
        wanted, shape = (1, self.channels, *self.size), tuple(getattr(found, "shape", ()))
        if shape != wanted:
            raise ConfigError(
                f"model.build.net: logits of shape {wanted} were wanted, found {shape or type(found)}"
            )
        if self.at_once < 2:
            self.check_alone(net, image)
        return net

    def told(self) -> dict[str, Any]:
        """The image's size, where the net asks for it."""
        try:
            asked = inspect.signature(self.own).parameters
        except ValueError:  # a callable without a signature
            return {}
        return {"size": self.size} if "size" in asked else {}

    def check_alone(self, net: nn.Module, image: Tensor) -> None:
        """ConfigError where the net can't train on one image at once."""
        try:
            with torch.no_grad():
                copy.deepcopy(net).train()(image)
        except ValueError as refused:
            raise ConfigError(f"{self.alone}: {refused}") from refused
