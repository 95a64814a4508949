"""Weights and checkpoints on disk: written atomically, read without running pickled code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from usbench.errors import RunError, in_one_line
from usbench.io.console import warn
from usbench.io.files import replacing

KEPT = 2  # the newest checkpoints of a run: the last one may be damaged
SHARE = 0.02  # of a training's time that writing checkpoints may take
T = TypeVar("T")


@contextmanager
def replacing_torch_file(path: Path) -> Iterator[Path]:
    """As `replacing`, for a block that calls torch.save: RunError where the disk refuses."""
    try:
        with replacing(path) as part:
            yield part
    except RuntimeError as error:  # what torch's own writer raises on a full disk
        raise RunError(
            f"{path}: can't be written ({first_line(error)}); check the folder and its free space"
        ) from error


def save_file(path: Path, content: object) -> None:
    """Write what torch.save writes, atomically; RunError where the disk refuses."""
    with replacing_torch_file(path) as part, part.open("wb") as file:
        torch.save(content, file)  # into a file, not a path: a path's name would be in the bytes


def load_file(path: Path) -> Any:
    """Read tensors and plain values; no pickled code is run. A .safetensors file holds tensors."""
    return (
        safetensors.torch.load_file(path)
        if path.suffix == ".safetensors"
        else torch.load(path, map_location="cpu", weights_only=True)
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a file of weights, tensors only; RunError where there is none."""
    if not path.is_file():
        raise RunError(f"{path}: no such file of weights; or take model.build.weights=null")
    try:
        state = load_file(path)
    except Exception as wrong:  # unpickling any bytes may raise anything
        raise RunError(f"{path}: expected a state dict of this net: {first_line(wrong)}") from wrong
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise RunError(f"{path}: expected a state dict of this net, got something else")
    return state


def load_state(
    net: nn.Module, state: Mapping[str, Tensor], heads: tuple[str, ...], description: str
) -> None:
    """Fill a net with a state dict.

    Weights of a net that was normalised without scale and shift (see `backbone.unfreeze`) fit a
    frozen one, whose scale and shift then stay 1 and 0.

    Args:
        heads: how the names of layers that depend on the classes begin; of these, only tensors of
            the same shape are taken.
        description: of the weights, for messages.

    Raises:
        RunError: anything else of the net is missing or of another shape.
    """
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    fitting = {
        name: value
        for name, value in state.items()
        if not name.startswith(heads) or shapes.get(name) == value.shape
    }
    try:
        missing = net.load_state_dict(fitting, strict=False).missing_keys
    except RuntimeError as wrong:
        raise RunError(
            f"{description}: expected a state dict of this net: {in_one_line(wrong)[:200]}"
        ) from wrong
    frozen = [n for n, layer in net.named_modules() if "FrozenBatchNorm" in type(layer).__name__]
    scales = set(map(".".join, product(frozen, ("weight", "bias"))))
    optional = scales if scales <= set(missing) else set()
    lost = [
        name
        for name in missing
        if not (name in optional or name.startswith(heads) or name.endswith("num_batches_tracked"))
    ]
    if lost:
        raise RunError(
            f"{description}: expected a state dict of this net, "
            f"{len(lost)} tensors are missing, the first {lost[0]}"
        )


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (*str(error).splitlines(), type(error).__name__)[0]


class Checkpoints:
    """Writes a run's checkpoints, so many that it takes at most 2 % of the training's time.

    After a long epoch that is one each. After a short one the next may wait, so that a run that
    was killed repeats some epochs; it ends the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.next = 0.0  # when the next one is due, by time.monotonic

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() >= self.next

    def save(self, epoch: int, content: object) -> None:
        """Write the one of a finished epoch (from 1), and remove all but the newest two."""
        start = time.monotonic()
        save_file(self.folder / f"checkpoint-{epoch:05d}.pt", content)
        for old in list_checkpoints(self.folder)[KEPT:]:
            old.unlink()
        end = time.monotonic()
        self.next = end + (end - start) / SHARE


def list_checkpoints(folder: Path, suffix: str = ".pt") -> list[Path]:
    """The checkpoints of finished epochs, the newest first."""
    return sorted(folder.glob(f"checkpoint-*{suffix}"), reverse=True)


def load_first(paths: Iterable[Path], load: Callable[[Path], T]) -> T | None:
    """Load the first file that is whole; damaged ones before it are reported and removed."""
    for path in paths:
        try:
            return load(path)
        except Exception as damage:  # noqa: BLE001  (unpickling any bytes may raise anything)
            warn(
                f"{path}: damaged ({type(damage).__name__}); "
                "going on from what was written before it"
            )
            path.unlink()
    return None
