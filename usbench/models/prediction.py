"""What the adapters of our own loop share around their nets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from usbench.errors import ConfigError
from usbench.models import loop
from usbench.models.checkpoints import load_file
from usbench.models.loop import Method
from usbench.models.optimise import Recipe
from usbench.types import Run

STRIDE = 32  # every net of ours halves an image five times at most
T = TypeVar("T")


def net_size(recipe: Recipe, stride: int = STRIDE) -> tuple[int, int]:
    """A recipe's (height, width) of a net's input; ConfigError unless multiples of the stride."""
    size = (int(recipe["size"][0]), int(recipe["size"][1]))
    if any(side % stride for side in size):
        raise ConfigError(f"recipe.size: expected multiples of {stride}, got {size}")
    return size


def count_parameters(net: nn.Module) -> int:
    """Number of parameters, trained or not."""
    return sum(parameter.numel() for parameter in net.parameters())


def load_best(net: nn.Module, run: Run, channels_last: bool) -> None:
    """Give a net the best weights of a finished run, on the run's device."""
    net.load_state_dict(load_file(run.dir / "best.pt"))
    loop.place(net, run, channels_last)


def to_input(images: NDArray[np.uint8], method: Method, run: Run) -> Tensor:
    """Decoded images (B, h, w) → a net's input on the run's device."""
    pixels = torch.from_numpy(np.array(images))[:, None].to(run.device).float() / 255
    return loop.feed(pixels, method)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of so many items, the last one shorter."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group
