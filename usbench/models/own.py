"""Any nn.Module that maps images to logits, trained and scored like a net of ours; a YAML alone says which.

build:
  _target_: usbench.models.own.Own
  net: {_target_: lab.Net, _partial_: true, width: 16}     # called with classes=K: how many planes of logits
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from usbench.errors import ConfigError
from usbench.models.smp import Segmenter


class Own(Segmenter):
    """See usbench.models.smp.Segmenter."""

    def __init__(
        self,
        classes: int,
        exclusive: bool,
        budget: Mapping[str, Any],
        net: Callable[..., nn.Module],
        weights: str | None = None,
        channels_last: bool = False,
    ) -> None:
        """net: makes the module, which takes (B, 1, h, w) normalised grey and gives (B, K, h, w) logits, plane 0 the
        background where the classes exclude each other; h and w are the budget's size, multiples of 32. weights: null
        or a file with a state dict.
        """
        super().__init__("own", "", weights, classes, exclusive, budget, channels_last)
        self.own = net

    def empty(self, imagenet: bool = False) -> nn.Module:
        """The net as it is before any training; ConfigError where it can't be made or gives something else."""
        if imagenet:
            raise ConfigError("model.build.weights=imagenet: a file or null was wanted, this net is your own")
        height, width = self.size
        try:
            net = self.own(classes=self.channels)
            with torch.inference_mode():
                found = net.eval()(torch.zeros(1, 1, height, width))
        except (TypeError, ValueError, RuntimeError) as wrong:
            reason = " ".join(str(wrong).split())[:200]
            raise ConfigError(
                f"model.build.net: a module for (1, 1, {height}, {width}) was wanted: {reason}"
            ) from wrong
        wanted, shape = (1, self.channels, height, width), tuple(getattr(found, "shape", ()))
        if shape != wanted:
            raise ConfigError(f"model.build.net: logits of shape {wanted} were wanted, found {shape or type(found)}")
        return net
