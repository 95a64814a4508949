"""Images per second of usbench's loop against a plain PyTorch loop: same net, same images, one run.

The plain loop is what one writes first: fp32, a DataLoader that opens and resizes each PNG,
torchvision v2 augmentation image by image, AdamW, cross entropy. Both train a U-Net (ResNet-18) on
phantoms of `usgra`; the first epoch of each is a warm-up, epochs alternate in blocks so that a
drifting machine harms both alike. Ours pays for its checkpoints, too.

    python scripts/bench_train.py [--images 48] [--epochs 3] [--size 256] [--workers 0]
                                  [--device cpu] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from usbench.datasets.layouts.index_masks import IndexMasks
from usbench.datasets.phantoms import phantom
from usbench.io.console import say, table
from usbench.models import loop
from usbench.models.arrays import INDEX, Arrays, decode
from usbench.models.segmenter import exclusive_loss
from usbench.runner import machine
from usbench.types import Run, Sample

BATCH, RATE, CLASSES = 8, 1e-3, 2
FOLDERS = {"train": ("images", "masks")}
AUGMENT = {
    "hflip": 0.5,
    "rotate": 15,
    "scale": 0.25,
    "shift": 0.08,
    "gamma": 0.3,
    "brightness": 0.1,
    "contrast": 0.2,
}


def net() -> torch.nn.Module:
    """The same U-Net for both."""
    torch.manual_seed(0)
    built: torch.nn.Module = smp.Unet(
        "resnet18", encoder_weights=None, in_channels=1, classes=CLASSES + 1
    )
    return built


class Pictures(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """PNG pairs, opened, resized and augmented one by one."""

    def __init__(self, root: Path, size: int) -> None:
        self.paths = sorted((root / "images").glob("*.png"))
        self.transform = v2.Compose(
            [
                v2.Resize((size, size), antialias=True),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomAffine(15, translate=(0.08, 0.08), scale=(0.8, 1.25)),
                v2.ColorJitter(brightness=0.1, contrast=0.2),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                v2.Normalize([loop.MEAN], [loop.SD]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = self.paths[n]
        image = tv_tensors.Image(np.array(Image.open(path).convert("L"))[None])
        mask = tv_tensors.Mask(np.array(Image.open(path.parent.parent / "masks" / path.name))[None])
        x, y = self.transform(image, mask)
        return x, y[0].long()


def plain(root: Path, size: int, workers: int, device: str, epochs: int) -> Iterator[float]:
    """Seconds per epoch of the plain loop."""
    model = net().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    loader = DataLoader(
        Pictures(root, size), BATCH, shuffle=True, drop_last=True, num_workers=workers
    )
    for _ in range(epochs):
        start = time.perf_counter()
        model.train()
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        settle(device)
        yield time.perf_counter() - start


def ours(data: Arrays, device: str, epochs: int, threads: int) -> list[float]:
    """Seconds per epoch of usbench's loop, by the time between two epochs' logs."""
    marks: list[float] = []
    precision: Any = machine.resolve_precision("auto", device)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            Path(folder),
            device,
            0,
            precision,
            threads,
            lambda pairs: 0.0,
            lambda name, value, step: marks.append(time.perf_counter()),
        )
        recipe = {
            "epochs": epochs,
            "batch": BATCH,
            "lr": RATE,
            "weight_decay": 1e-4,
            "schedule": "onecycle",
            "augment": AUGMENT,
        }
        method = loop.Method(exclusive_loss, channels_last=True)
        marks.append(time.perf_counter())
        loop.fit(net(), data, method, lambda model: 0.0, recipe, run)
    ends = marks[:1] + marks[1::3]  # the start, then the first of an epoch's three figures
    return [after - before for before, after in pairwise(ends)]


def settle(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("images", 48), ("epochs", 3), ("size", 256), ("workers", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--blocks", type=int, default=2, help="ours and plain in turn, this often")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    device, threads = machine.resolve_device(wanted.device), machine.cores()
    torch.set_num_threads(threads)
    seconds: dict[str, list[float]] = {"usbench": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        spec = phantom.PhantomSpec("nerves", (534, 512), {"train": wanted.images}, 0)
        layout = IndexMasks(["nerve", "vessel"], {"train": FOLDERS["train"]})
        layout.write(root, phantom.draw_samples(spec, "segment"))
        samples = [
            Sample(s.id, s.group, s.image, s.target) for s in phantom.draw_samples(spec, "segment")
        ]
        data = decode(INDEX, samples, (wanted.size, wanted.size), None)
        for _ in range(wanted.blocks):
            seconds["usbench"] += ours(data, device, wanted.epochs + 1, threads)[1:]
            seconds["plain"] += list(
                plain(root, wanted.size, wanted.workers, device, wanted.epochs + 1)
            )[1:]
    show(seconds, wanted.images // BATCH * BATCH, wanted.json, device, threads)


def show(
    seconds: dict[str, list[float]], images: int, path: Path | None, device: str, threads: int
) -> None:
    """The table and the ratio of medians."""
    rates = {name: images / statistics.median(times) for name, times in seconds.items()}
    rows = [
        [name, f"{rates[name]:.1f}", f"{images / max(s):.1f}", f"{images / min(s):.1f}"]
        for name, s in seconds.items()
    ]
    table("training, images per second", ["loop", "median", "slowest epoch", "fastest epoch"], rows)
    ratio = rates["usbench"] / rates["plain"]
    precision = machine.resolve_precision("auto", device)
    say(
        f"usbench is {ratio:.2f} times as fast ({device}, {threads} threads, "
        f"{precision} against fp32; U-Net ResNet-18)"
    )
    if path:
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(
            json.dumps(
                {"images_per_second": rates, "ratio": ratio, "device": device, "seconds": seconds},
                indent=1,
            )
        )
        beside.replace(path)


if __name__ == "__main__":
    main()
