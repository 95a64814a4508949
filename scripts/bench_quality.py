"""Dice after the same minutes of training: usbench's unet beside a plain hand-written loop, on real images.

    python scripts/bench_quality.py data=DIR [dataset=usgra] [model=unet] [seed=0 …] [--json FILE]

Ours is run as `python -m usbench` runs it, into a temporary folder, with all that it costs (decoding, validation,
checkpoints). The plain loop is what one writes first for such data: smp's U-Net with a ResNet-18 from scratch at
256×256, batch 8, torchvision's flip, affine and colour jitter, gamma, cross entropy plus Dice, AdamW with a one-cycle
rate, bf16 where the processor can. It trains on the same images for as many epochs as take our seconds (its pace is
measured first) and both are scored on the same test images by the same protocol. One after the other, same threads.
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
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from usbench.cli.overrides import composed, exit_code
from usbench.datasets import source
from usbench.datasets.dataset import Samples
from usbench.errors import ConfigError, RunError
from usbench.io.console import say, table, track
from usbench.io.files import replacing
from usbench.results import scoring
from usbench.runner import config as cell
from usbench.runner import machine
from usbench.types import Masks

SIDE, BATCH, RATE, EPOCHS = 256, 8, 2e-3, 60  # EPOCHS: at most, as ours


class Pictures(Dataset[tuple[Tensor, Tensor]]):
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


def cost(logits: Tensor, index: Tensor) -> Tensor:
    """Cross entropy plus the mean soft Dice of the foreground."""
    truth = F.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:]
    guess = logits.softmax(1)[:, 1:]
    dice = (2 * (guess * truth).sum((0, 2, 3)) + 1) / (
        guess.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1
    )
    return F.cross_entropy(logits, index) + 1 - dice.mean()


def plain(
    samples: Samples, classes: int, epochs: int, seed: int, device: str, bf16: bool
) -> torch.nn.Module:
    """The plain loop; its last epoch's net."""
    torch.manual_seed(seed)
    random.seed(seed)
    net: torch.nn.Module = smp.Unet(
        "resnet18", encoder_weights=None, in_channels=1, classes=classes + 1
    ).to(device)
    loader = DataLoader(Pictures(samples), BATCH, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=epochs * len(loader)
    )
    net.train()
    for _ in track(range(epochs), f"plain loop, {epochs} epochs"):
        for x, y in loader:
            with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=bf16):
                logits = net(x.to(device))
            loss = cost(logits.float(), y.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return net.eval()


def timed(samples: Samples, classes: int, epochs: int, device: str, bf16: bool) -> float:
    """Seconds of so many epochs of the plain loop, which are thrown away."""
    start = time.perf_counter()
    plain(samples, classes, epochs, 0, device, bf16)
    return time.perf_counter() - start


@torch.inference_mode()
def judge(
    net: torch.nn.Module, test: Samples, metric: dict[str, Any], device: str
) -> dict[str, float | None]:
    """Test Dice by our protocol, at native size: per class, and their mean."""
    scorer = scoring.make_scorer(metric, test)
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
    protocol = scorer.result().protocol
    return {
        **{c: part["dice"].value for c, part in protocol.per_class.items()},
        "mean": protocol.scores["dice"].value,
    }


def ours(overrides: list[str]) -> tuple[float, dict[str, Any]]:
    """(seconds of the whole command, record) of one run into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        words = [*overrides, f"runs={folder}/runs", f"results={folder}/results", "tracking=none"]
        done = subprocess.run([sys.executable, "-m", "usbench", *words], check=False)
        seconds = time.perf_counter() - start
        found = [*Path(folder, "results").rglob("*.json")]
        if done.returncode or len(found) != 1:
            raise RunError(
                f"python -m usbench {' '.join(words)} was wanted to end well; it ended with its own message"
            )
        record: dict[str, Any] = json.loads(found[0].read_text("utf-8"))
        return seconds, record


def compare(overrides: list[str], path: Path | None) -> int:
    """Both, and the table; 0."""
    one = cell.resolve(composed(overrides, None, "bench_quality"))
    dataset = source.open_dataset(one)
    if one["task"] != "segment" or not dataset.exclusive:
        raise ConfigError(
            "a dataset and a model of exclusive masks were wanted, such as dataset=usgra model=unet"
        )
    torch.set_num_threads(one["threads"])
    device, bf16 = one["device"], machine.resolve_precision("auto", one["device"]) == "bf16"
    train, test = dataset.samples("train"), dataset.samples("test")
    seconds, record = ours(overrides)
    one_epoch, two_epochs = (timed(train, len(dataset.classes), n, device, bf16) for n in (1, 2))
    epochs = max(1, min(EPOCHS, math.ceil(seconds / (two_epochs - one_epoch))))
    start = time.perf_counter()
    net = plain(train, len(dataset.classes), epochs, one["seed"], device, bf16)
    spent = time.perf_counter() - start
    theirs = judge(net, test, one["metric"], device)
    mine = {**{c: part["dice"]["value"] for c, part in record["per_class"].items()}}
    mine["mean"] = record["scores"]["dice"]["value"]
    show({"usbench": (seconds, mine), f"plain, {epochs} epochs": (spent, theirs)}, one, path)
    return 0


def show(
    rows: dict[str, tuple[float, dict[str, Any]]], one: dict[str, Any], path: Path | None
) -> None:
    """The table, and the same as JSON."""
    names = list(next(iter(rows.values()))[1])
    cells = [
        [loop, f"{s / 60:.1f}", *(f"{scores[n]:.3f}" for n in names)]
        for loop, (s, scores) in rows.items()
    ]
    table(
        f"test Dice on {one['dataset']['name']}, seed {one['seed']}",
        ["loop", "minutes", *names],
        cells,
    )
    say(
        f"{one['device']}, {one['threads']} threads; our minutes are the whole command, the plain loop's its training"
    )
    if path:
        facts = {loop: {"seconds": s, "dice": scores} for loop, (s, scores) in rows.items()}
        with replacing(path) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")


def main() -> int:
    """The command; 0, 1 for data or a run, 2 for a configuration."""
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
    wanted = parser.parse_intermixed_args()
    words = [*wanted.overrides]
    for key, value in (("dataset", "usgra"), ("model", "unet")):
        if not any(word.startswith(f"{key}=") for word in words):
            words.insert(0, f"{key}={value}")
    return exit_code(lambda: compare(words, wanted.json))


if __name__ == "__main__":
    sys.exit(main())
