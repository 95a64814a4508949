"""Images per second of usbench's loop against a plain PyTorch loop: same net, same images, one run.

The plain loop is what one writes first: fp32, a DataLoader that opens and resizes each PNG,
torchvision v2 augmentation image by image, AdamW, cross entropy. Both train a U-Net (ResNet-18) on
phantoms of `usgra`; the first epoch of each is a warm-up, epochs alternate in blocks so that a
drifting machine harms both alike. Ours pays for its checkpoints, too.

    python scripts/bench_train.py [--images 48] [--epochs 3] [--size 256] [--workers 0]
                                  [--device cpu] [--record] [--json FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import Options, add_numbers
from usbench.datasets.layouts.index_masks import IndexMasks
from usbench.datasets.phantoms import phantom
from usbench.io.console import table
from usbench.models import loop
from usbench.models.arrays import INDEX, Arrays, decode
from usbench.models.loop_keys import LOOP
from usbench.models.recipe_keys import fill_defaults
from usbench.models.segmenter import exclusive_loss
from usbench.runner import machine
from usbench.types import Run

PEERS = ("torchvision", "segmentation-models-pytorch")
BATCH, RATE, CLASSES = 8, 1e-3, ("nerve", "vessel")
AUGMENT = {
    "hflip": 0.5,
    "rotate": 15,
    "scale": 0.25,
    "shift": 0.08,
    "gamma": 0.3,
    "brightness": 0.1,
    "contrast": 0.2,
}


def make_net() -> torch.nn.Module:
    """The same U-Net for both."""
    torch.manual_seed(0)
    net: torch.nn.Module = smp.Unet(
        "resnet18", encoder_weights=None, in_channels=1, classes=len(CLASSES) + 1
    )
    return net


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
        mask_path = path.parent.parent / "masks" / path.name
        image = tv_tensors.Image(np.array(Image.open(path).convert("L"))[None])
        x, y = self.transform(image, tv_tensors.Mask(np.array(Image.open(mask_path))[None]))
        return x, y[0].long()


def time_plain(root: Path, size: int, workers: int, device: str, epochs: int) -> Iterator[float]:
    """Seconds per epoch of the plain loop."""
    model = make_net().to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    loader = DataLoader(
        Pictures(root, size), BATCH, shuffle=True, drop_last=True, num_workers=workers
    )
    for _ in range(epochs):
        start = time.perf_counter()
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if device != "cpu":
            torch.cuda.synchronize(device)
        yield time.perf_counter() - start


def time_ours(data: Arrays, device: str, epochs: int, threads: int) -> list[float]:
    """Seconds per epoch of usbench's loop, by the time between two epochs' logs."""
    marks: list[float] = []

    def log(name: str, value: float, step: int) -> None:
        marks.append(time.perf_counter())

    recipe = {
        "epochs": epochs,
        "batch": BATCH,
        "lr": RATE,
        "weight_decay": 1e-4,
        "schedule": "onecycle",
        "augment": AUGMENT,
    }
    method = loop.Method(exclusive_loss, channels_last=True)
    with tempfile.TemporaryDirectory() as folder:
        precision = machine.resolve_precision("auto", device)
        run = Run(Path(folder), device, 0, precision, threads, lambda pairs: 0.0, log)
        marks.append(time.perf_counter())
        filled = fill_defaults(recipe, LOOP)
        loop.fit(make_net(), data, method, lambda _model, _bar: 0.0, filled, run)
    # the start, then the first of an epoch's three figures
    return [after - before for before, after in pairwise(marks[:1] + marks[1::3])]


def measure(options: Options, device: str, threads: int) -> Mapping[str, Sequence[float]]:
    """Seconds per epoch of both loops on the same phantoms, without those of the warm-up."""
    ours, plain = list[float](), list[float]()
    size, epochs = options.size, options.epochs + 1
    with tempfile.TemporaryDirectory() as folder:
        spec = phantom.PhantomSpec("nerves", (534, 512), {"train": options.images}, 0)
        samples = list(phantom.draw_samples(spec, "segment"))
        IndexMasks(CLASSES, {"train": ("images", "masks")}).write(Path(folder), samples)
        data = decode(INDEX, samples, (size, size), None)
        for _ in range(options.blocks):
            ours += time_ours(data, device, epochs, threads)[1:]
            plain += list(time_plain(Path(folder), size, options.workers, device, epochs))[1:]
    return {"usbench": ours, "plain": plain}


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, images=48, epochs=3, size=256, workers=0)
    parser.add_argument("--blocks", type=int, default=2, help="ours and plain in turn, this often")
    parser.add_argument("--device", default="auto")
    options = parse_options(parser)
    device, threads = machine.resolve_device(options.device), machine.cores()
    torch.set_num_threads(threads)
    seconds = measure(options, device, threads)
    images = options.images // BATCH * BATCH
    rates, rows = {}, []
    for name, epochs in seconds.items():
        rates[name] = images / statistics.median(epochs)
        ends = [f"{images / max(epochs):.1f}", f"{images / min(epochs):.1f}"]
        rows.append([name, f"{rates[name]:.1f}", *ends])
    table("training, images per second", ["loop", "median", "slowest epoch", "fastest epoch"], rows)
    ratio = rates["usbench"] / rates["plain"]
    precision = machine.resolve_precision("auto", device)
    measured = (
        f"time per image to train a U-Net (ResNet-18) at {options.size} px, "
        f"{precision} against fp32, {device}, {threads} threads"
    )
    ratios = [Ratio(measured, "a plain PyTorch loop", ratio)]
    figures = {"images_per_second": rates, "device": device, "seconds": seconds}
    record = make_record("bench_train", options, ratios, figures, PEERS, device)
    save_record(options, record)


if __name__ == "__main__":
    main()
