"""Compare Dice after equal training time: usbench's unet and a plain loop, on real images.

    python scripts/bench_quality.py data=DIR [dataset=usgra] [model=unet] [seed=0 …] [--json FILE]

Ours is run as `python -m usbench` runs it, into a temporary folder, with all that it costs
(decoding, validation, checkpoints). The plain loop is what one writes first for such data: smp's
U-Net with a ResNet-18 from scratch at 256×256, batch 8, torchvision's flip, affine and colour
jitter, gamma, cross entropy plus Dice, AdamW with a one-cycle rate, bf16 where the processor can.
It trains on the same images for as many epochs as take our seconds (its pace is measured first).
Both are scored on the same test images under the same protocol, one after the other, with the same
threads.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from usbench.cli.overrides import compose_for_script, exit_code

from usbench.datasets.dataset import Samples
from usbench.errors import ConfigError, RunError
from usbench.io.console import say, table, track
from usbench.io.files import write_atomically
from usbench.metrics.scores import ProtocolScores
from usbench.results import scoring
from usbench.results.result import Result
from usbench.results.store import load_result
from usbench.runner import machine
from usbench.runner.config import RunConfig
from usbench.runner.resolve import resolve_config
from usbench.types import Masks

SIDE, BATCH, RATE, EPOCHS = 256, 8, 2e-3, 60  # EPOCHS: at most, as ours


class AugmentedImages(Dataset[tuple[Tensor, Tensor]]):
    """Image and index mask, read and augmented one by one."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.transform = v2.Compose(
            [
                v2.Resize((SIDE, SIDE), antialias=True),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomAffine(
                    15,
                    translate=(0.08, 0.08),
                    scale=(0.8, 1.25),
                    interpolation=v2.InterpolationMode.BILINEAR,
                ),
                v2.ColorJitter(brightness=0.1, contrast=0.2),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[n]
        assert isinstance(sample.target, Masks)
        index = sample.target.planes.argmax(0) + sample.target.planes.any(0)
        image, mask = self.transform(
            tv_tensors.Image(sample.image[None]), tv_tensors.Mask(index[None])
        )
        return image ** random.uniform(0.75, 1.33), mask[0].long()


def dice_loss(logits: Tensor, index: Tensor) -> Tensor:
    """Cross entropy plus the mean soft Dice of the foreground."""
    target = F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:]
    predicted = logits.softmax(1)[:, 1:]
    both = (predicted * target).sum((0, 2, 3))
    dice = (2 * both + 1) / (predicted.sum((0, 2, 3)) + target.sum((0, 2, 3)) + 1)
    return F.cross_entropy(logits, index) + 1 - dice.mean()


def train_plainly(
    samples: Samples, classes: int, epochs: int, seed: int, device: str, bf16: bool
) -> torch.nn.Module:
    """Train with the plain loop; the network after its last epoch."""
    torch.manual_seed(seed)
    random.seed(seed)
    net: torch.nn.Module = smp.Unet(
        "resnet18", encoder_weights=None, in_channels=1, classes=classes + 1
    ).to(device)
    loader = DataLoader(AugmentedImages(samples), BATCH, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=epochs * len(loader)
    )
    net.train()
    for _ in track(range(epochs), f"plain loop, {epochs} epochs"):
        for x, y in loader:
            with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=bf16):
                logits = net(x.to(device))
            loss = dice_loss(logits.float(), y.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return net.eval()


def time_epochs(samples: Samples, classes: int, epochs: int, device: str, bf16: bool) -> float:
    """Seconds that some epochs of the plain loop take; the network is discarded."""
    start = time.perf_counter()
    train_plainly(samples, classes, epochs, 0, device, bf16)
    return time.perf_counter() - start


@torch.inference_mode()
def score_network(
    net: torch.nn.Module, test: Samples, metric: Mapping[str, object], device: str
) -> dict[str, float | None]:
    """Test Dice under our protocol, at native size: per class, and their mean."""
    scorer = scoring.make_scorer(metric, test.dataset.classes)
    for sample in test:
        assert isinstance(sample.target, Masks)
        size = (sample.image.shape[0], sample.image.shape[1])
        small = v2.functional.resize(
            torch.from_numpy(sample.image.copy())[None], [SIDE, SIDE], antialias=True
        )
        logits = F.interpolate(net(small[None].to(device).float() / 255), size, mode="bilinear")[0]
        index = logits.argmax(0).cpu().numpy()
        planes = np.stack([index == c + 1 for c in range(len(sample.target.planes))])
        scorer.update(sample.id, sample.group, sample.target, Masks(planes))
    return dice_values(scorer.result().protocol)


def dice_values(protocol: ProtocolScores) -> dict[str, float | None]:
    """Dice per class, and their mean."""
    values = {label: part["dice"].value for label, part in protocol.per_class.items()}
    return {**values, "mean": protocol.scores["dice"].value}


def run_usbench(overrides: list[str]) -> tuple[float, Result]:
    """(seconds of the whole command, result) of one run into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        words = [*overrides, f"runs={folder}/runs", f"results={folder}/results", "tracking=none"]
        done = subprocess.run([sys.executable, "-m", "usbench", *words], check=False)
        seconds = time.perf_counter() - start
        paths = [*Path(folder, "results").rglob("*.json")]
        if done.returncode or len(paths) != 1:
            raise RunError(f"python -m usbench {' '.join(words)} failed (see above)")
        return seconds, load_result(paths[0])


def compare(overrides: list[str], path: Path | None) -> int:
    """Run both and print the table; the exit code."""
    config = resolve_config(compose_for_script(overrides, None, "bench_quality"))
    dataset = config.open_dataset()
    if config.task != "segment" or not dataset.exclusive:
        raise ConfigError(
            "expected a dataset and a model of exclusive masks, such as dataset=usgra model=unet"
        )
    torch.set_num_threads(config.threads)
    device, n_classes = config.device, len(dataset.classes)
    bf16 = machine.resolve_precision("auto", device) == "bf16"
    train, test = dataset.samples("train"), dataset.samples("test")
    seconds, result = run_usbench(overrides)
    one_epoch = time_epochs(train, n_classes, 1, device, bf16)
    two_epochs = time_epochs(train, n_classes, 2, device, bf16)
    epochs = max(1, min(EPOCHS, math.ceil(seconds / (two_epochs - one_epoch))))
    start = time.perf_counter()
    net = train_plainly(train, n_classes, epochs, config.seed or 0, device, bf16)
    plain_seconds = time.perf_counter() - start
    rows = {
        "usbench": (seconds, dice_values(result.protocol)),
        f"plain, {epochs} epochs": (
            plain_seconds,
            score_network(net, test, config.metric, device),
        ),
    }
    show(rows, config)
    if path:
        content = {loop: {"seconds": s, "dice": values} for loop, (s, values) in rows.items()}
        write_atomically(path, json.dumps(content, indent=1) + "\n")
    return 0


def show(rows: Mapping[str, tuple[float, dict[str, float | None]]], config: RunConfig) -> None:
    """Print the table."""
    names = list(next(iter(rows.values()))[1])
    lines = []
    for loop, (seconds, values) in rows.items():
        cells = ["–" if values[name] is None else f"{values[name]:.3f}" for name in names]
        lines.append([loop, f"{seconds / 60:.1f}", *cells])
    title = f"test Dice on {config.dataset.name}, seed {config.seed}"
    table(title, ["loop", "minutes", *names], lines)
    say(
        f"{config.device}, {config.threads} threads; our minutes are the whole command, the plain "
        "loop's its training"
    )


def main() -> int:
    """The command; its exit code: 0, 1 for data or a run, 2 for a wrong configuration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="of the configuration, as in python -m usbench",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_intermixed_args()
    words = [*options.overrides]
    for key, value in (("dataset", "usgra"), ("model", "unet")):
        if not any(word.startswith(f"{key}=") for word in words):
            words.insert(0, f"{key}={value}")
    return exit_code(lambda: compare(words, options.json))


if __name__ == "__main__":
    raise SystemExit(main())
