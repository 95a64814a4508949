"""Index a whole spinal release and decode it into the cache, against plain PIL and OpenCV loops.

The release is a phantom in the spinal format of as many frames as the real one, 10,223. Few of them
are drawn; the others are copies of those under names of their own, since only reading is measured
here. The plain loops do what one writes first for the same arrays: open, convert to grey, resize,
and turn colours into classes one after the other; "files alone" is their bound: nothing but
decoding both files. They get as much of the release as --plain says. Each part runs in a process of
its own, so that its seconds of processor time (of all its threads) and its peak memory (resident
set, which includes the pages of mapped files) are its own.

    python scripts/bench_data.py [--frames 10223] [--drawn 64] [--plain 400] [--size 160 416]
                                 [--record] [--json FILE]
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import add_numbers, time_call
from usbench.datasets.config import SplitConfig, ViewConfig
from usbench.datasets.dataset import Dataset, file_fingerprint, open_view
from usbench.datasets.phantoms import phantom
from usbench.datasets.releases.spinal import COLOURS, SpinalMasks
from usbench.io.console import say, table, track
from usbench.io.cores import count_cores
from usbench.types import SPLITS, Split

CLASSES = tuple(COLOURS)[1:]
SHARES: dict[Split, int] = {"train": 8668, "val": 895, "test": 660}  # images of the real release
LOOPS = ("PIL loop", "OpenCV loop")
PEERS = ("pillow", "opencv-python", "opencv-python-headless")
Size = tuple[int, int]  # height, width
Figures = dict[str, float]  # images, seconds, processor seconds and peak memory of a part
Part = Callable[[Path, Size, int], int]  # (root, size, images to read) → images that were read


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
        size = max(len(stems), round(frames * share / sum(SHARES.values())))
        for n in range(len(stems), size):
            source, copy = stems[n % len(stems)], f"scaled-A{n % 9999:04d}_frame{10**6 + n}.png"
            shutil.copyfile(images / f"{source}.png", images / copy)
            shutil.copyfile(masks / f"{source}.png", masks / copy)
        total += size
    return total


# ---- usbench


def open_release(root: Path) -> Dataset:
    """The release through usbench's own reader."""
    view, layout = ViewConfig({}, exclusive=True), SpinalMasks(CLASSES)
    return open_view("spinal", "segment", view, layout, root, SplitConfig(""), None)


def index(root: Path, size: Size, most: int) -> int:
    """All records and their splits; no pixel."""
    return sum(map(len, open_release(root).records.values()))


def hash_files(root: Path, size: Size, most: int) -> int:
    """The fingerprint of all files, from nothing."""
    dataset = open_release(root)
    file_fingerprint(dataset, root / "hashes.json")
    return sum(map(len, dataset.records.values()))


def decode(root: Path, size: Size, most: int, threads: int) -> int:
    """Decode all three splits into a cache of its own, which is removed afterwards."""
    from usbench.models import arrays

    dataset, cache, total = open_release(root), root / f"cache-{threads}", 0
    for split in SPLITS:
        total += len(
            arrays.decode(arrays.INDEX, dataset.samples(split), size, cache, threads).images
        )
    shutil.rmtree(cache)
    return total


# ---- plain loops


def list_pairs(root: Path, most: int) -> list[tuple[Path, Path]]:
    """Paths of training images and masks."""
    images, masks = (root / folder for folder in SpinalMasks(CLASSES).files.folders["train"])
    return [(path, masks / path.name) for path in sorted(images.iterdir())[:most]]


def read_with_pil(root: Path, size: Size, most: int) -> int:
    """Pillow, and nothing done with the pixels."""
    paths = list_pairs(root, most)
    for picture, mask in paths:
        Image.open(picture).load()
        Image.open(mask).load()
    return len(paths)


def read_with_opencv(root: Path, size: Size, most: int) -> int:
    """OpenCV, and nothing done with the pixels."""
    import cv2

    paths = list_pairs(root, most)
    for picture, mask in paths:
        cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        cv2.imread(str(mask))
    return len(paths)


def decode_with_pil(root: Path, size: Size, most: int) -> int:
    """A plain loop with Pillow."""
    images, indices = [], []
    for picture, mask in list_pairs(root, most):
        grey = Image.open(picture).convert("L")
        images.append(np.array(grey.resize(size[::-1], Image.Resampling.BILINEAR)))
        coloured = Image.open(mask).convert("RGB")
        colours = np.array(coloured.resize(size[::-1], Image.Resampling.NEAREST))
        indices.append(colours_to_index(colours))
    return len(images)


def decode_with_opencv(root: Path, size: Size, most: int) -> int:
    """A plain loop with OpenCV."""
    import cv2

    images, indices = [], []
    for picture, mask in list_pairs(root, most):
        grey, coloured = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE), cv2.imread(str(mask))
        assert grey is not None and coloured is not None
        images.append(cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA))
        colours = cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB)
        colours = cv2.resize(colours, size[::-1], interpolation=cv2.INTER_NEAREST)
        indices.append(colours_to_index(colours))
    return len(images)


def colours_to_index(colours: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Index mask of an RGB mask, one colour after the other."""
    target = np.zeros(colours.shape[:2], np.uint8)
    for n, colour in enumerate(COLOURS.values()):
        target[(colours == colour).all(-1)] = n
    return target


PARTS: dict[str, Part] = {
    "index": index,
    "hash all files": hash_files,
    "usbench, decode": partial(decode, threads=count_cores()),
    "usbench, one thread": partial(decode, threads=1),
    "PIL loop": decode_with_pil,
    "OpenCV loop": decode_with_opencv,
    "PIL, files alone": read_with_pil,
    "OpenCV, files alone": read_with_opencv,
}


# ---- measuring


def measure(part: Part, root: Path, size: Size, most: int) -> Figures:
    """Measure one part in its own process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure_here, part, root, size, most).result()


def measure_here(part: Part, root: Path, size: Size, most: int) -> Figures:
    """The child's side."""
    spent = time.process_time()
    seconds, images = time_call(part, root, size, most)
    spent = time.process_time() - spent
    return {
        "images": images,
        "seconds": seconds,
        "processor_seconds": spent,
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    """The largest resident set of this process.

    Without /proc, its parent's counts too, up to the start of this one.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else []:
        if line.startswith("VmHWM"):
            return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    # drawn: the other frames are copies of these. plain: frames for the plain loops.
    add_numbers(parser, frames=sum(SHARES.values()), drawn=64, plain=400)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(160, 416), help="the net's height and width"
    )
    options = parse_options(parser)
    height, width = options.size
    figures, rates = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        seconds, total = time_call(write_release, root, options.frames, options.drawn)
        say(f"written in {seconds:.0f} s")
        for name, function in PARTS.items():
            figures[name] = measure(function, root, (height, width), options.plain)
            rates[name] = figures[name]["images"] / figures[name]["seconds"]
    rows = []
    for name, part in figures.items():
        rows.append(
            [
                name,
                f"{part['images']:.0f}",
                f"{part['seconds']:.1f}",
                f"{rates[name]:.0f}",
                f"{part['processor_seconds']:.1f}",
                f"{part['peak_mib']:.0f}",
            ]
        )
    title = f"a spinal release of {total:,} frames, to {height}×{width}, on {count_cores()} cores"
    table(title, ["part", "images", "s", "images/s", "processor s", "peak MiB"], rows)
    ratios = []
    for ours in ("usbench, decode", "usbench, one thread"):
        threads = "one thread" if ours.endswith("one thread") else f"{count_cores()} threads"
        measured = f"time per image to decode a release of {total:,} frames, {threads}"
        ratios += [Ratio(measured, loop, rates[ours] / rates[loop]) for loop in LOOPS]
    save_record(options, make_record("bench_data", options, ratios, figures, PEERS))


if __name__ == "__main__":
    main()
