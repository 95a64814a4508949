"""Index a whole spinal release and decode it into the cache, against plain PIL and OpenCV loops.

The release is a phantom in the spinal format of as many frames as the real one, 10,223. Few of them
are drawn; the others are copies of those under names of their own, since only reading is measured
here. The plain loops do what one writes first for the same arrays: open, convert to grey, resize,
and turn colours into classes one after the other; "files alone" is their bound: nothing but
decoding both files. They get as much of the release as --plain says. Each part runs in a process of
its own, so that its seconds of processor time (of all its threads) and its peak memory (resident
set, which includes the pages of mapped files) are its own.

    python scripts/bench_data.py [--frames 10223] [--drawn 64] [--plain 400] [--size 160 416]
                                 [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from usbench.datasets.config import SplitConfig, ViewConfig
from usbench.datasets.dataset import Dataset, file_fingerprint, open_view
from usbench.datasets.layouts.spinal import COLOURS, SpinalMasks
from usbench.datasets.phantoms import phantom
from usbench.io.console import say, table, track
from usbench.io.files import replacing
from usbench.runner import machine
from usbench.types import SPLITS, Split

CLASSES = tuple(COLOURS)[1:]
SHARES: dict[Split, int] = {"train": 8668, "val": 895, "test": 660}  # images of the real release
Size = tuple[int, int]


def write_release(root: Path, frames: int, drawn: int) -> int:
    """A release of about that many frames in the real one's proportions; how many it has."""
    counts: dict[str, int] = dict.fromkeys(SPLITS, max(1, drawn // 3))
    spec = phantom.PhantomSpec("spinal", (275, 690), counts, 0, id="scaled-A{group:04d}_frame{n}")
    layout = SpinalMasks(CLASSES)
    layout.write(
        root, track(phantom.draw_samples(spec, "segment"), "drawing", sum(counts.values()))
    )
    total = 0
    for split, share in SHARES.items():
        images, masks = (root / folder for folder in layout.files.folders[split])
        stems = sorted(path.stem for path in images.iterdir())
        wanted = max(len(stems), round(frames * share / sum(SHARES.values())))
        for n in range(len(stems), wanted):
            source, copy = stems[n % len(stems)], f"scaled-A{n % 9999:04d}_frame{10**6 + n}.png"
            shutil.copyfile(images / f"{source}.png", images / copy)
            shutil.copyfile(masks / f"{source}.png", masks / copy)
        total += wanted
    return total


def opened(root: Path) -> Dataset:
    """The release through usbench's own reader."""
    view, layout = ViewConfig({}, exclusive=True), SpinalMasks(CLASSES)
    return open_view("spinal", "segment", view, layout, root, SplitConfig(""), None)


def index(root: Path, size: Size, most: int) -> int:
    """Every record and its split; no pixel."""
    return sum(map(len, opened(root).records.values()))


def hashes(root: Path, size: Size, most: int) -> int:
    """The fingerprint of all files, from nothing."""
    dataset = opened(root)
    file_fingerprint(dataset, root / "hashes.json")
    return sum(map(len, dataset.records.values()))


def decode(root: Path, size: Size, most: int) -> int:
    """usbench: all three splits into the cache, by as many threads as there are cores."""
    return decoded(opened(root), root / "cache", size, machine.cores())


def decode_alone(root: Path, size: Size, most: int) -> int:
    """usbench with one thread."""
    return decoded(opened(root), root / "cache-of-one", size, 1)


def decoded(dataset: Dataset, cache: Path, size: Size, threads: int) -> int:
    """How many samples were decoded into a cache of their own, which is removed afterwards."""
    from usbench.models import arrays

    total = sum(
        len(arrays.decode(arrays.INDEX, dataset.samples(s), size, cache, threads).images)
        for s in SPLITS
    )
    shutil.rmtree(cache)
    return total


def pairs(root: Path, most: int) -> list[tuple[Path, Path]]:
    """Paths of training images and masks."""
    images, masks = (root / folder for folder in SpinalMasks(CLASSES).files.folders["train"])
    return [(path, masks / path.name) for path in sorted(images.iterdir())[:most]]


def pil_files(root: Path, size: Size, most: int) -> int:
    """Pillow, and nothing done with the pixels."""
    for picture, mask in (found := pairs(root, most)):
        Image.open(picture).load()
        Image.open(mask).load()
    return len(found)


def opencv_files(root: Path, size: Size, most: int) -> int:
    """OpenCV, and nothing done with the pixels."""
    import cv2

    for picture, mask in (found := pairs(root, most)):
        cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        cv2.imread(str(mask))
    return len(found)


def pil(root: Path, size: Size, most: int) -> int:
    """A plain loop with Pillow."""
    images, indices = [], []
    for picture, mask in pairs(root, most):
        images.append(
            np.array(Image.open(picture).convert("L").resize(size[::-1], Image.Resampling.BILINEAR))
        )
        colours = np.array(
            Image.open(mask).convert("RGB").resize(size[::-1], Image.Resampling.NEAREST)
        )
        target = np.zeros(size, np.uint8)
        for n, colour in enumerate(COLOURS.values()):
            target[(colours == colour).all(-1)] = n
        indices.append(target)
    return len(images)


def opencv(root: Path, size: Size, most: int) -> int:
    """A plain loop with OpenCV."""
    import cv2

    images, indices = [], []
    for picture, mask in pairs(root, most):
        grey, coloured = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE), cv2.imread(str(mask))
        assert grey is not None and coloured is not None
        images.append(cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA))
        colours = cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB)
        colours = cv2.resize(colours, size[::-1], interpolation=cv2.INTER_NEAREST)
        target = np.zeros(size, np.uint8)
        for n, colour in enumerate(COLOURS.values()):
            target[(colours == colour).all(-1)] = n
        indices.append(target)
    return len(images)


def measured(
    part: Callable[[Path, Size, int], int], root: Path, size: Size, most: int
) -> dict[str, float]:
    """Images, seconds, processor seconds and peak memory (MiB) of one part, in its own process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=report, args=(theirs, part, root, size, most))
    child.start()
    theirs.close()
    figures: dict[str, float] = ours.recv()
    child.join()
    return figures


def report(
    pipe: Any, part: Callable[[Path, Size, int], int], root: Path, size: Size, most: int
) -> None:
    """The child's side."""
    start, spent = time.perf_counter(), time.process_time()
    images = part(root, size, most)
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    pipe.send(
        {"images": images, "seconds": seconds, "processor_seconds": spent, "peak_mib": peak_mib()}
    )


def peak_mib() -> float:
    """The largest resident set of this process.

    Without /proc, its parent's counts too, up to the start of this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    own = [float(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return (own[0] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def row(name: str, figures: dict[str, float]) -> list[str]:
    """A part's line in the table."""
    rate = figures["images"] / figures["seconds"]
    return [
        *(name, f"{figures['images']:.0f}", f"{figures['seconds']:.1f}", f"{rate:.0f}"),
        *(f"{figures['processor_seconds']:.1f}", f"{figures['peak_mib']:.0f}"),
    ]


PARTS = {
    "index": index,
    "hash all files": hashes,
    "usbench, decode": decode,
    "usbench, one thread": decode_alone,
    "PIL loop": pil,
    "OpenCV loop": opencv,
    "PIL, files alone": pil_files,
    "OpenCV, files alone": opencv_files,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=sum(SHARES.values()))
    parser.add_argument(
        "--drawn", type=int, default=64, help="frames that are drawn; the others are copies"
    )
    parser.add_argument("--plain", type=int, default=400, help="frames for the plain loops")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(160, 416), help="the net's height and width"
    )
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    size = (wanted.size[0], wanted.size[1])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start = time.perf_counter()
        total = write_release(root, wanted.frames, wanted.drawn)
        say(f"written in {time.perf_counter() - start:.0f} s")
        found = {name: measured(part, root, size, wanted.plain) for name, part in PARTS.items()}
    table(
        f"a spinal release of {total:,} frames, to {size[0]}×{size[1]}, on {machine.cores()} cores",
        ["part", "images", "s", "images/s", "processor s", "peak MiB"],
        [row(name, figures) for name, figures in found.items()],
    )
    rate = {name: f["images"] / f["seconds"] for name, f in found.items()}
    ratios = {name: rate["usbench, decode"] / rate[name] for name in ("PIL loop", "OpenCV loop")}
    say(
        "usbench's decoding, with all its checks and the cache on disk: "
        + ", ".join(f"{r:.2f} × the {n}" for n, r in ratios.items())
    )
    if wanted.json:
        with replacing(wanted.json) as part:
            part.write_text(
                json.dumps({"size": size, "parts": found, "ratios": ratios}, indent=1) + "\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
