"""Compare Dice after equal training time: usbench's unet and a plain loop, on real images.

    python scripts/bench_quality.py data=DIR [dataset=usgra] [model=unet] [--seeds 0 1 2]
                                    [--record] [--json FILE]

Ours is run as `python -m usbench` runs it, into a temporary folder, with all that it costs
(decoding, validation, checkpoints). The plain loop is what one writes first for such data: smp's
U-Net with a ResNet-18 from scratch at 256×256, batch 8, torchvision's flip, affine and colour
jitter, gamma, cross entropy plus Dice, AdamW with a one-cycle rate, bf16 where the processor can.
It trains on the same images for as many epochs as take our seconds; its pace is measured right
before, and a run in which it had much less or much more time isn't recorded.
Both are scored on the same test images under the same protocol, one after the other, with the same
threads and the same settings of the allocator, once per seed; the scores are means over the seeds.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from scripts.record import (
    Ratio,
    make_bench_parser,
    make_record,
    parse_options,
    restart_as_child,
    save_record,
)
from usbench.cli.options import Options, compose_for_verb, run_verb, time_call
from usbench.datasets.dataset import Samples
from usbench.errors import ConfigError, RunError
from usbench.io.console import say, table, track
from usbench.metrics.scores import ProtocolScores
from usbench.results import scoring
from usbench.results.result import Result
from usbench.results.store import load_result
from usbench.runner import machine
from usbench.runner.config import RunConfig
from usbench.runner.resolve import resolve_config
from usbench.types import Masks

PEERS = ("torchvision", "segmentation-models-pytorch")
SIDE, BATCH, RATE, EPOCHS = 256, 8, 2e-3, 60  # EPOCHS: at most, as ours
EQUAL = (0.85, 1.15)  # the plain loop's training time as a share of ours
Scores = dict[str, float | None]  # test Dice per class, and their mean


class AugmentedImages(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Image and index mask, read and augmented one by one."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.transform = v2.Compose(
            [
                v2.Resize((SIDE, SIDE), antialias=True),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomAffine(
                    15, (0.08, 0.08), (0.8, 1.25), interpolation=v2.InterpolationMode.BILINEAR
                ),
                v2.ColorJitter(brightness=0.1, contrast=0.2),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        sample = self.samples[n]
        assert isinstance(sample.target, Masks)
        index = sample.target.planes.argmax(0) + sample.target.planes.any(0)
        image, mask = self.transform(
            tv_tensors.Image(sample.image[None]), tv_tensors.Mask(index[None])
        )
        return image ** random.uniform(0.75, 1.33), mask[0].long()


def dice_loss(logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
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
    )
    net.to(device).train()
    loader = DataLoader(AugmentedImages(samples), BATCH, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=epochs * len(loader)
    )
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


@torch.inference_mode()
def score_network(
    net: torch.nn.Module, test: Samples, metric: Mapping[str, object], device: str
) -> Scores:
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


def dice_values(protocol: ProtocolScores) -> Scores:
    """Dice per class, and their mean."""
    values = {label: part["dice"].value for label, part in protocol.per_class.items()}
    return {**values, "mean": protocol.scores["dice"].value}


def run_usbench(overrides: Sequence[str]) -> tuple[float, Result]:
    """(seconds of the whole command, result) of one run into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        places = [f"runs={folder}/runs", f"results={folder}/results", "tracking=none"]
        command = [sys.executable, "-m", "usbench", *overrides, *places]
        seconds, done = time_call(subprocess.run, command)
        paths = [*Path(folder, "results").rglob("*.json")]
        if done.returncode or len(paths) != 1:
            raise RunError(f"{' '.join(command)} failed (see above)")
        return seconds, load_result(paths[0])


def show(runs: Mapping[str, Sequence[tuple[float, Scores]]], config: RunConfig) -> None:
    """Print the table: a row for each loop and seed, and the means."""
    lines = []
    for loop, by_seed in runs.items():
        for seconds, values in by_seed:
            cells = ["–" if value is None else f"{value:.3f}" for value in values.values()]
            lines.append([loop, f"{seconds / 60:.1f}", *cells])
    names = list(runs["usbench"][0][1])
    table(f"test Dice on {config.dataset.name}, by seed", ["loop", "minutes", *names], lines)
    say(
        f"{config.device}, {config.threads} threads; our minutes are the whole command, the plain "
        "loop's its training"
    )


def mean_score(by_seed: Sequence[tuple[float, Scores]], label: str) -> float:
    """The mean of a score over the seeds; 0 where it is undefined."""
    return sum(values[label] or 0.0 for _, values in by_seed) / len(by_seed)


def compare(options: Options) -> None:
    """Run both with each seed, show, write."""
    overrides = ["dataset=usgra", "model=unet", *options.overrides]  # the last of a key counts
    config = resolve_config(compose_for_verb(overrides, None, "bench_quality"))
    dataset = config.open_dataset()
    if config.task != "segment" or not dataset.exclusive:
        raise ConfigError(
            "expected a dataset and a model of exclusive masks, such as dataset=usgra model=unet"
        )
    torch.set_num_threads(config.threads)
    device, n_classes = config.device, len(dataset.classes)
    bf16 = machine.resolve_precision("auto", device) == "bf16"
    train_loop = partial(train_plainly, dataset.samples("train"), n_classes)
    loop = "a plain PyTorch loop"
    runs: dict[str, list[tuple[float, Scores]]] = {"usbench": [], loop: []}
    for seed in options.seeds:
        seconds, result = run_usbench([*overrides, f"seed={seed}"])
        # Its pace, by trainings that are discarded: the first epoch has a start to pay for.
        one_epoch, _ = time_call(train_loop, 1, 0, device, bf16)
        two_epochs, _ = time_call(train_loop, 2, 0, device, bf16)
        epochs = max(1, min(EPOCHS, math.ceil(seconds / (two_epochs - one_epoch))))
        plain_seconds, net = time_call(train_loop, epochs, seed, device, bf16)
        scores = score_network(net, dataset.samples("test"), config.metric, device)
        runs["usbench"].append((seconds, dice_values(result.protocol)))
        runs[loop].append((plain_seconds, scores))
    show(runs, config)
    ours_s, plain_s = (sum(took for took, _ in by_seed) for by_seed in runs.values())
    if not EQUAL[0] <= plain_s / ours_s <= EQUAL[1]:
        raise RunError(
            f"expected equal training times, got {plain_s / ours_s:.2f} of ours for the plain "
            "loop: was the machine busy? measure again"
        )
    ratios = []
    for label in runs["usbench"][0][1]:
        ours, plain = (mean_score(by_seed, label) for by_seed in runs.values())
        measured = (
            f"test Dice after equal training time, {label}, {config.dataset.name}, "
            f"mean of {len(options.seeds)} seeds: {ours:.3f} against {plain:.3f}"
        )
        if plain:
            ratios.append(Ratio(measured, loop, ours / plain))
    figures = {
        name: [{"seconds": took, "dice": values} for took, values in by_seed]
        for name, by_seed in runs.items()
    }
    record = make_record("bench_quality", options, ratios, figures, PEERS, device)
    save_record(options, record)


def main() -> int:
    """The command; its exit code: 0, 1 for data or a run, 2 for a wrong configuration."""
    restart_as_child()
    parser = make_bench_parser(__doc__)
    keys = "of the configuration, as in python -m usbench"
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=keys)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    return run_verb(compare, parse_options(parser))


if __name__ == "__main__":
    raise SystemExit(main())
