"""What the pixels of a release's images say: size, grey levels, tint, a digest and a thumbnail.

Each image is decoded once, as a run would read it, and its pixels are let go: memory grows by some
1.5 kB an image.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.datasets.check.findings import Finding, finding_of_error
from usbench.datasets.codecs import image, volumes
from usbench.datasets.splits import THUMBNAIL
from usbench.errors import DataError
from usbench.io.console import track
from usbench.io.cores import count_cores

FEWEST_LEVELS = 32  # between the darkest and the brightest pixel; below it there is hardly an image


@dataclass(frozen=True)
class ImageFacts:
    """One decoded image."""

    size: tuple[int, int]  # (H, W) px
    low: int  # darkest and brightest luma, 0..255
    high: int
    tinted: bool  # red, green and blue differ somewhere
    digest: bytes  # sha256 of size and luma: equal for pixel-identical images, however stored
    thumbnail: NDArray[np.uint8]  # (32, 32) luma, bilinear


@dataclass(frozen=True)
class ImageSummary:
    """What all images have together."""

    images: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)  # "H×W" → images, commonest first
    darkest: int | None = None  # luma, 0..255; None: no image
    brightest: int | None = None
    tinted: int = 0  # images


def examine_image(path: Path) -> ImageFacts:
    """Decode one image.

    Raises:
        DataError: a run couldn't read it.
    """
    if volumes.is_volume(path):
        picture = Image.fromarray(volumes.read_pixels(path))
    else:
        expected = "an 8-bit grey or colour picture"
        picture, _ = image.decode_image(path, expected, image.GREY_MODES)
    grey = picture.convert("L")
    luma = np.asarray(grey)
    return ImageFacts(
        size=(luma.shape[0], luma.shape[1]),
        low=int(luma.min()),
        high=int(luma.max()),
        tinted=len(set(map(Image.Image.tobytes, picture.convert("RGB").split()))) > 1,
        digest=hashlib.sha256(repr(luma.shape).encode() + luma.tobytes()).digest(),
        thumbnail=np.asarray(grey.resize(THUMBNAIL[::-1], Image.Resampling.BILINEAR)),
    )


def examine_images(root: Path, names: Iterable[str]) -> tuple[dict[str, ImageFacts], list[Finding]]:
    """Every image by its path relative to the root.

    One that can't be read, or has no content, is a finding, and the rest goes on.
    """
    images: dict[str, ImageFacts] = {}
    findings: list[Finding] = []
    with ThreadPoolExecutor(count_cores()) as pool:  # decoding runs outside Python's lock
        tasks = [(name, pool.submit(examine_image, root / name)) for name in names]
        for name, task in track(tasks, "decoding"):
            try:
                images[name] = task.result()
            except DataError as error:
                findings.append(finding_of_error("unreadable image", error, root))
            else:
                oddity = describe_oddity(images[name])
                if oddity:
                    findings.append(Finding("warning", "odd image", f"{name}: {oddity}"))
    return images, findings


def describe_oddity(picture: ImageFacts) -> str | None:
    """What is odd about an image without content; None for one that has some."""
    if picture.high == 0:
        return "all black"
    if picture.low == picture.high:
        return f"every pixel is {picture.low}"
    return (
        f"grey levels of {picture.low}..{picture.high} only"
        if picture.high - picture.low < FEWEST_LEVELS
        else None
    )


def summarise(pictures: Collection[ImageFacts]) -> ImageSummary:
    """Count sizes and tinted images; find the darkest and the brightest pixel."""
    sizes = Counter(f"{picture.size[0]}×{picture.size[1]}" for picture in pictures)
    return ImageSummary(
        images=len(pictures),
        sizes=dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))),
        darkest=min((picture.low for picture in pictures), default=None),
        brightest=max((picture.high for picture in pictures), default=None),
        tinted=sum(picture.tinted for picture in pictures),
    )
